"""The pose VQ-VAE: codes, codebook learning, normaliser and the streaming decoder."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from contract import CHECKS, StreamUnit

from bailando.errors import ConfigError
from bailando.models.dancer_decoder import DancerDecoder
from bailando.models.presets import Preset, preset
from bailando.models.residual import PoseResidual
from bailando.models.vqvae import PoseVQVAE, PoseVQVAEConfig

CONFIG = PoseVQVAEConfig(
    channels=6, width=8, codebook_size=12, code_dim=5, dilations=(1, 3), probability_channels=2
)


def build(config: PoseVQVAEConfig = CONFIG, seed: int = 0) -> PoseVQVAE:
    torch.manual_seed(seed)
    model = PoseVQVAE(config)
    model.codebook.fill(torch.randn(config.codebook_size, config.code_dim))
    scaled = torch.arange(1, config.channels + 1, dtype=torch.float32)
    model.set_normaliser(scaled, scaled / 2)
    return model.eval()


def decoder_unit(steps: int = 20, *, with_residual: bool = False) -> StreamUnit:
    sizes = preset("tiny", features=5)
    halves = build(sizes.upper, 1), build(sizes.lower, 2)
    residual = build_residual(sizes, halves) if with_residual else None
    decoder = DancerDecoder(*halves, residual).requires_grad_(False)
    generator = torch.Generator().manual_seed(3)
    codes = torch.randint(0, sizes.upper.codebook_size, (2, 2, steps), generator=generator)

    def step(inputs: tuple, state: dict) -> tuple:
        return decoder.step(inputs[0][:, 0], inputs[1][:, 0], state)

    return StreamUnit(
        forward=decoder,
        step=step,
        initial_state=lambda: decoder.initial_state(2),
        inputs=(codes[0], codes[1]),
        output_steps=decoder.timing.output_steps,
        lookahead=decoder.timing.lookahead,
        calls_at_once=False,
    )


def build_residual(sizes: Preset, halves: tuple[PoseVQVAE, PoseVQVAE]) -> PoseResidual:
    assert sizes.residual is not None
    residual = PoseResidual(sizes.residual, sizes.upper, sizes.lower)
    residual.begin_as(halves)
    for half in residual.halves:
        for book in half.codebooks:
            book.fill(torch.randn(book.vectors.shape))
    return residual.eval()


@pytest.mark.parametrize("with_residual", [False, True])
@pytest.mark.parametrize("check", CHECKS)
def test_the_dancer_decoder_keeps_the_streaming_contract(check: str, with_residual: bool) -> None:
    CHECKS[check](decoder_unit(with_residual=with_residual))


def test_residual_codes_change_what_is_danced() -> None:
    plain, finer = decoder_unit(), decoder_unit(with_residual=True)
    assert float((plain.forward(*plain.inputs)[0] - finer.forward(*finer.inputs)[0]).abs().max()) > 1e-2


def test_the_dancer_decoder_gives_eight_frames_per_code_without_looking_ahead() -> None:
    unit = decoder_unit()
    assert (unit.input_steps, unit.output_steps, unit.lookahead) == (1, 8, 0)


def test_one_code_stands_for_eight_frames() -> None:
    model = build()
    codes = model.encode(torch.randn(2, 40, 6))
    assert codes.shape == (2, 5)
    assert model.decode(codes).shape == (2, 40, 6)


def test_a_sequence_that_is_no_whole_number_of_codes_is_refused() -> None:
    with pytest.raises(ConfigError, match="multiple of 8"):
        build().encode(torch.randn(1, 41, 6))


def test_encoding_gives_the_nearest_code_vector() -> None:
    codebook = build().codebook
    x = torch.randn(3, 7, 5)
    nearest = torch.cdist(x.double(), codebook.vectors.double().expand(3, -1, -1)).argmin(dim=-1)
    assert torch.equal(codebook.encode(x), nearest)


def test_the_normaliser_acts_on_both_ends() -> None:
    model = build()
    pose = torch.randn(1, 4, 6)
    assert torch.allclose(model.normalise(pose)[..., 0], (pose[..., 0] - 1.0) / 0.5)
    decoded = torch.randn(1, 4, 6)
    assert torch.allclose(model.denormalise(decoded)[..., 1], decoded[..., 1] * 1.0 + 2.0)


def test_probability_channels_are_logistic_and_not_normalised() -> None:
    model = build()
    decoded = torch.randn(1, 4, 6)
    assert torch.equal(model.denormalise(decoded)[..., 4:], torch.sigmoid(decoded[..., 4:]))
    assert torch.equal(model.mean[4:], torch.zeros(2))
    assert torch.equal(model.std[4:], torch.ones(2))


def test_a_zero_deviation_is_refused() -> None:
    with pytest.raises(ConfigError, match="zero or less"):
        build().set_normaliser(torch.zeros(6), torch.zeros(6))


def test_training_reduces_the_reconstruction_error() -> None:
    torch.manual_seed(0)
    model = PoseVQVAE(dataclasses.replace(CONFIG, restart_below=0.5))
    phase = torch.arange(64)[None, :, None] * torch.tensor([0.1, 0.13, 0.2, 0.17, 0.1, 0.1])
    pose = torch.sigmoid(torch.sin(phase + torch.rand(8, 1, 6) * 6))
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(60):
        output = model(pose)
        loss = (output.reconstruction - pose).abs().mean() + 0.02 * output.commitment_loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.75 * losses[0]


def test_gradients_pass_straight_through_the_codebook() -> None:
    model = build()
    x = torch.randn(1, 4, 5, requires_grad=True)
    model.codebook(x).vectors.sum().backward()
    assert torch.equal(x.grad, torch.ones_like(x))


def test_the_first_training_batch_initialises_the_codebook_from_encoder_outputs() -> None:
    torch.manual_seed(0)
    model = PoseVQVAE(CONFIG)
    assert not bool(model.codebook.initialised)
    latent = model.latent(torch.randn(4, 64, 6)).detach()
    model.codebook(latent)
    assert bool(model.codebook.initialised)
    distances = torch.cdist(model.codebook.vectors, latent.reshape(-1, 5)).min(dim=1).values
    assert float(distances.median()) < 0.05


def test_counts_and_sums_follow_the_moving_average() -> None:
    codebook = build().codebook.train()
    codebook.restart_below = 0.0
    x = codebook.vectors[:2].clone().reshape(1, 2, 5)
    expected = codebook.vector_sum.clone()
    codebook(x)
    assert codebook.count[0].item() == pytest.approx(1.0)
    assert codebook.count[5].item() == pytest.approx(0.99)
    expected[:2] = 0.99 * expected[:2] + 0.01 * x[0]
    expected[2:] *= 0.99
    torch.testing.assert_close(codebook.vector_sum, expected)


def test_a_code_used_less_than_once_per_batch_is_restarted_from_the_batch() -> None:
    codebook = build().codebook.train()
    kept = codebook.vectors[0].clone()
    batch = kept + 1e-4 * torch.randn(1, 500, 5)
    codebook(batch)
    assert float((codebook.vectors - kept).abs().max()) < 1e-2


def test_evaluation_changes_no_statistic() -> None:
    model = build()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model(torch.randn(2, 64, 6))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_everything_learned_survives_a_state_dict() -> None:
    model, copy = build(seed=1), PoseVQVAE(CONFIG)
    copy.load_state_dict(model.state_dict())
    pose = torch.randn(1, 32, 6)
    torch.testing.assert_close(copy.eval()(pose).reconstruction, model(pose).reconstruction)
    assert bool(copy.codebook.initialised)


def test_an_even_use_of_all_codes_has_full_perplexity_and_usage() -> None:
    codebook = build().codebook
    quantised = codebook(codebook.vectors.clone().unsqueeze(0))
    assert quantised.perplexity.item() == pytest.approx(12.0, rel=1e-4)
    assert quantised.usage.item() == pytest.approx(1.0)
    assert quantised.commitment_loss.item() == pytest.approx(0.0, abs=1e-10)


def test_a_model_without_a_root_decoder_says_so() -> None:
    with pytest.raises(ConfigError, match="root_channels"):
        build().decode_root(torch.zeros(1, 2, dtype=torch.int64))


def test_a_configuration_survives_its_dictionary() -> None:
    assert PoseVQVAEConfig.from_dict(CONFIG.to_dict()) == CONFIG


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depth": 3}, "unknown keys"),
        ({"width": 0}, "width is 0"),
        ({"decoder": "sideways"}, "expected one of"),
        ({"codebook_decay": 1.0}, "codebook_decay"),
        ({"dilations": [0]}, "dilations"),
        ({"probability_channels": 7}, "exceeds channels"),
    ],
)
def test_a_wrong_configuration_is_refused(change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PoseVQVAEConfig.from_dict({**CONFIG.to_dict(), **change})
