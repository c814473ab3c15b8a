"""Residual codes: each book brings the pose nearer, the predictor learns what can be expected of them."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from bailando.errors import ConfigError
from bailando.models.residual import PoseResidual, PoseResidualConfig, Residual
from bailando.models.vqvae import PoseVQVAE, PoseVQVAEConfig

SIZES = PoseResidualConfig(books=3, codes=12, width=16, dilations=(1, 2), dropout=0.0, restart_below=0.1)
HALF = PoseVQVAEConfig(channels=6, width=8, codebook_size=5, code_dim=4, dilations=(1,))


class Made(NamedTuple):
    """Two VQ-VAEs, their residual codes, and poses of both halves."""

    models: tuple[PoseVQVAE, PoseVQVAE]
    residual: PoseResidual
    poses: tuple[Tensor, Tensor]


@pytest.fixture
def made() -> Made:
    torch.manual_seed(0)
    models = PoseVQVAE(HALF).eval(), PoseVQVAE(HALF).eval()
    poses = torch.randn(8, 64, 6), torch.randn(8, 64, 6)
    for model, pose in zip(models, poses, strict=True):
        model.requires_grad_(False).codebook.fill(model.latent(pose).flatten(0, 1)[:5])
    residual = PoseResidual(SIZES, HALF, HALF)
    residual.begin_as(models)
    return Made(models, residual, poses)


def quantised(made: Made) -> tuple[list[Tensor], list[Residual]]:
    pairs = [
        made.residual.quantise(number, model, pose)
        for number, (model, pose) in enumerate(zip(made.models, made.poses, strict=True))
    ]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def test_each_further_book_leaves_less(made: Made) -> None:
    for _ in range(30):
        coarse, residuals = quantised(made)
    residual = residuals[0]
    left = [residual.latent - coarse[0]]
    for level in residual.levels:
        left.append(left[-1] - level)
    errors = [float(x.detach().square().mean()) for x in left]
    assert all(after < 0.9 * before for before, after in pairwise(errors))
    assert residual.codes.shape == (8, 8, 3)


def test_it_begins_with_the_encoder_of_the_vqvae(made: Made) -> None:
    _, residuals = quantised(made)
    assert torch.equal(residuals[1].latent, made.models[1].latent(made.poses[1]))


def test_books_learn_in_training_only(made: Made) -> None:
    quantised(made)
    made.residual.eval()
    before = {name: value.clone() for name, value in made.residual.state_dict().items()}
    quantised(made)
    assert all(torch.equal(value, before[name]) for name, value in made.residual.state_dict().items())
    made.residual.train()
    quantised(made)
    book = made.residual.halves[0].codebooks[0]
    assert not torch.equal(book.count, before["halves.0.books.0.count"])


def test_what_follows_from_the_first_codes_comes_to_be_expected(made: Made) -> None:
    """The same residual whenever a code comes: after some learning a dancer adds just that."""
    generator = torch.Generator().manual_seed(1)
    books = made.residual.halves[0].codebooks
    for half in made.residual.halves:
        for book in half.codebooks:
            book.fill(torch.randn(12, 4, generator=generator))
    made.residual.eval()
    first = torch.randint(5, (16, 10), generator=generator)
    codes = torch.stack([first, (first + 3) % 5, first], dim=-1)
    levels = tuple(book.decode(codes[..., level]) for level, book in enumerate(books))
    coarse = [model.codebook.decode(first) for model in made.models]
    other = tuple(book.decode(codes[..., n]) for n, book in enumerate(made.residual.halves[1].codebooks))
    residuals = [Residual(coarse[0], part, codes, torch.zeros(())) for part in (levels, other)]
    optimiser = torch.optim.Adam(made.residual.predictor.parameters(), lr=1e-2)
    for _ in range(150):
        likelihood, expected = made.residual.log_likelihoods(coarse, residuals)
        optimiser.zero_grad()
        (-likelihood.mean()).backward()
        optimiser.step()
    assert float(likelihood.detach().min()) > -0.1
    wanted = torch.stack(levels).sum(0)
    with torch.no_grad():
        danced, _ = made.residual.predict((coarse[0], coarse[1]))
    for found in (expected[..., :4].detach(), danced):
        assert float((found - wanted).square().mean()) < 0.05 * float(wanted.square().mean())


def test_stepping_is_the_teacher_forced_pass_on_its_own_past(made: Made) -> None:
    quantised(made)
    made.residual.eval()
    coarse = torch.randn(2, 9, 4), torch.randn(2, 9, 4)
    with torch.no_grad():
        danced = torch.cat(made.residual.predict(coarse), dim=-1)
        before = torch.cat((torch.zeros(2, 1, 8), danced[:, :-1]), dim=1)
        hidden = made.residual.predictor(torch.cat(coarse, dim=-1), before)
        torch.testing.assert_close(made.residual._expect(hidden), danced)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"books": 0}, "books is 0"), ({"dropout": 1.0}, "dropout"), ({"depth": 2}, "unknown keys")],
)
def test_a_wrong_configuration_is_refused(change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PoseResidualConfig.from_dict({**SIZES.to_dict(), **change})
