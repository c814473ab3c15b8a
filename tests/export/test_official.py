"""Published checkpoints give, in our modules, what the published models give."""

from __future__ import annotations

import collections
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from bailando.errors import ConfigError, InputError
from bailando.export.official import load_gpt, load_vqvae
from bailando.export.official_sampling import generate_greedily, window_steps
from bailando.models.critic import actor_loss, critic_loss, td_errors

DATA = Path(__file__).parents[1] / "data" / "official"
VQVAE = DATA / "sep_vqvae_root_tiny.pt"
GPT = DATA / "cc_motion_gpt_tiny.pt"
CRITIC = DATA / "actor_critic_tiny.pt"
CONTEXT = DATA / "cc_motion_gpt_music_trans_tiny.pt"


def arrays(name: str) -> dict[str, torch.Tensor]:
    with np.load(DATA / name) as file:
        return {key: torch.from_numpy(np.asarray(value)) for key, value in file.items()}


def assert_close(got: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-4)


def published(path: Path) -> dict:
    """Read a fixture as plain data, to write changed copies of it."""
    with torch.serialization.safe_globals([(collections.OrderedDict, "easydict.EasyDict")]):
        return torch.load(path, weights_only=True)


def test_encoding_gives_the_published_codes() -> None:
    expected = arrays("vqvae_root_tiny.npz")
    upper, lower = load_vqvae(VQVAE).encode(expected["enc_in"])
    assert torch.equal(upper, expected["codes_up"])
    assert torch.equal(lower, expected["codes_down"])


def test_encoding_takes_the_root_channels_as_zero() -> None:
    expected, model = arrays("vqvae_root_tiny.npz"), load_vqvae(VQVAE)
    positions = expected["enc_in"].clone()
    positions[..., :3] = 7.0
    assert torch.equal(model.encode(positions)[1], expected["codes_down"])


@pytest.mark.parametrize("source", ["codes", "rand_codes"])
def test_raw_decoding_gives_the_root_velocity_and_relative_positions(source: str) -> None:
    expected, model = arrays("vqvae_root_tiny.npz"), load_vqvae(VQVAE)
    raw = model.decode_raw(expected[f"{source}_up"], expected[f"{source}_down"])
    assert_close(raw, expected["dec_raw" if source == "codes" else "rand_dec_raw"])
    if source == "codes":
        assert_close(raw[..., :3], expected["root_velocity"])


def test_decoding_integrates_the_root_and_adds_it_to_every_joint() -> None:
    expected, model = arrays("vqvae_root_tiny.npz"), load_vqvae(VQVAE)
    codes = expected["codes_up"], expected["codes_down"]
    assert_close(model.decode_integrated(*codes), expected["dec_integrated"])
    assert_close(model.decode(*codes)[0], expected["pred_position"])


@pytest.mark.parametrize("steps", [1, 7, 28, 29])
def test_logits_are_the_published_ones(steps: int) -> None:
    expected, model = arrays("gpt_tiny.npz"), load_gpt(GPT)
    codes = expected[f"idx_up_{steps}"], expected[f"idx_down_{steps}"]
    upper, lower = model(*codes, expected["music"][:, :steps])
    assert_close(upper, expected[f"logits_up_{steps}"])
    assert_close(lower, expected[f"logits_down_{steps}"])


@pytest.mark.parametrize("shift", [None, 15])
def test_greedy_generation_gives_the_published_codes(shift: int | None) -> None:
    expected, model = arrays("gpt_tiny.npz"), load_gpt(GPT)
    name = "none" if shift is None else str(shift)
    upper, lower = expected[f"sample_up_shift_{name}"], expected[f"sample_down_shift_{name}"]
    generated = generate_greedily(model, expected["music"], upper[:, 0], lower[:, 0], steps=90, shift=shift)
    assert torch.equal(generated[0], upper)
    assert torch.equal(generated[1], lower)


def test_a_shifted_window_keeps_its_start_until_it_is_cut_back() -> None:
    lengths = [window_steps(step, 15) for step in range(27, 45)]
    assert lengths == [28, 28, *range(15, 29), 15, 16]
    assert {window_steps(step, None) for step in range(27, 45)} == {28}


def test_more_steps_than_music_are_refused() -> None:
    music, seed = torch.zeros(1, 3, 438), torch.zeros(1, dtype=torch.int64)
    with pytest.raises(ConfigError, match="give more music"):
        generate_greedily(load_gpt(GPT), music, seed, seed, steps=4)


def test_the_critic_values_and_policy_are_the_published_ones() -> None:
    expected, model = arrays("actor_critic_tiny.npz"), load_gpt(CRITIC)
    inputs = expected["idx_up"], expected["idx_down"], expected["music"]
    assert_close(model.value(*inputs), expected["value"][..., 0])
    upper, lower = model(*inputs)
    assert_close(upper[:, :-1], expected["logits_up"])
    assert_close(lower[:, :-1], expected["logits_down"])


def test_the_actor_critic_losses_are_the_published_ones() -> None:
    expected, model = arrays("actor_critic_tiny.npz"), load_gpt(CRITIC)
    inputs = expected["idx_up"], expected["idx_down"], expected["music"]
    errors = td_errors(expected["reward_rate0"], model.value(*inputs))
    assert_close(errors, expected["td_error"])
    cross_entropy = sum(
        torch.nn.functional.cross_entropy(logits[0, :-1], expected[target][0], reduction="none")
        for logits, target in zip(model(*inputs), ("target_up", "target_down"), strict=True)
    )
    assert_close(cross_entropy, expected["actor_ce"])
    entropy = sum(
        torch.distributions.Categorical(logits=logits[0, :-1]).entropy() for logits in model(*inputs)
    )
    assert_close(entropy, expected["entropy"])
    assert_close(actor_loss(cross_entropy, errors), expected["actor_loss"])
    assert_close(critic_loss(errors), expected["critic_loss"])


def test_a_checkpoint_without_a_critic_says_so() -> None:
    with pytest.raises(ConfigError, match="no critic"):
        load_gpt(GPT).value(torch.zeros(1, 1).long(), torch.zeros(1, 1).long(), torch.zeros(1, 1, 438))


@pytest.mark.parametrize("steps", [1, 28, 29])
def test_the_music_transformer_and_its_logits_are_the_published_ones(steps: int) -> None:
    expected, model = arrays("gpt_music_window_tiny.npz"), load_gpt(CONTEXT)
    music = expected["music60"][:, : (steps + 10) * 8]
    assert_close(model.music_tokens(music), expected[f"music_trans_{steps}"])
    upper, lower = model(expected["idx_up"][:, :steps], expected["idx_down"][:, :steps], music)
    assert_close(upper, expected[f"logits_up_{steps}"])
    assert_close(lower, expected[f"logits_down_{steps}"])


def test_greedy_generation_with_the_music_transformer_gives_the_published_codes() -> None:
    expected, model = arrays("gpt_music_window_tiny.npz"), load_gpt(CONTEXT)
    upper, lower = expected["sample_up"], expected["sample_down"]
    generated = generate_greedily(model, expected["music60"], upper[:, 0], lower[:, 0], steps=45)
    assert torch.equal(generated[0], upper)
    assert torch.equal(generated[1], lower)


def test_music_without_padding_is_refused_by_the_music_transformer() -> None:
    with pytest.raises(ConfigError, match="pad it"):
        load_gpt(CONTEXT).music_tokens(torch.zeros(1, 80, 55))


class Hostile:
    """Pickles as a call that creates a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("place", ["config", "model"])
def test_a_hostile_checkpoint_is_refused_and_nothing_runs(tmp_path: Path, place: str) -> None:
    trace, content = tmp_path / "trace", {"model": {}, "config": {}, "epoch": 1}
    content[place] = {"module.vqvae_up.k": Hostile(trace)}
    torch.save(content, tmp_path / "hostile.pt")
    for load in (load_vqvae, load_gpt):
        with pytest.raises(InputError, match="not loaded"):
            load(tmp_path / "hostile.pt")
    assert not trace.exists()


def test_the_hostile_checkpoint_does_run_code_in_a_plain_load(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    torch.save({"config": Hostile(trace)}, tmp_path / "hostile.pt")
    torch.load(tmp_path / "hostile.pt", weights_only=False)
    assert trace.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda model: model.pop("module.gpt_head.ln_f.bias"), "missing weights.*ln_f.bias"),
        (lambda model: model.update({"module.gpt_head.extra": torch.zeros(1)}), "unknown weights.*extra"),
        (lambda model: model.update({"module.spy.weight": torch.zeros(1)}), "unknown weights.*spy"),
        (lambda model: model.update({"module.gpt_head.ln_f.bias": torch.zeros(5)}), "has shape"),
        (lambda model: model["module.gpt_head.ln_f.bias"].fill_(float("nan")), "not finite"),
        (lambda model: model.pop("module.gpt_base.pos_emb"), "pos_emb is missing"),
        (lambda model: model.clear(), "no 'model' weights"),
    ],
)
def test_weights_of_another_layout_are_refused(tmp_path: Path, change: object, message: str) -> None:
    content = published(GPT)
    change(content["model"])
    torch.save(content, tmp_path / "changed.pt")
    with pytest.raises(InputError, match=message):
        load_gpt(tmp_path / "changed.pt")


def test_heads_can_be_told_where_the_configuration_is_gone(tmp_path: Path) -> None:
    content = published(GPT)
    content.pop("config")
    torch.save(content, tmp_path / "bare.pt")
    with pytest.raises(InputError, match="pass heads="):
        load_gpt(tmp_path / "bare.pt")
    assert load_gpt(tmp_path / "bare.pt", heads=4).gpt.config.heads == 4


def test_a_truncated_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "short.pt"
    shutil.copy(GPT, path)
    with path.open("r+b") as file:
        file.truncate(50_000)
    with pytest.raises(InputError, match="corrupt"):
        load_gpt(path)


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.pt"):
        load_vqvae(tmp_path / "absent.pt")
