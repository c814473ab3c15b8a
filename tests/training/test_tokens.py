from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from bailando.models.presets import preset
from bailando.models.vqvae import PoseVQVAE
from bailando.training.config import TrainConfig
from bailando.training.dataset import Dataset
from bailando.training.gpt_stage import CodeNoise
from bailando.training.tokens import Batch, Sequence, TokenSequences, tokenise, wander

FRAMES = 100
FIRST_FRAME = 16


def _counting() -> TokenSequences:
    """Music whose only feature is the frame of the motion, codes that are the frame they start at."""
    music = np.arange(-FIRST_FRAME, FRAMES, dtype=np.float16).reshape(1, -1, 1)
    codes = torch.arange(FRAMES - 7)
    return TokenSequences([Sequence(codes, codes + 1000, 1, music, FIRST_FRAME)], 8)


def test_a_music_token_covers_the_frames_of_the_code_beside_it() -> None:
    batch = _counting().draw(5, 512, torch.Generator().manual_seed(0))
    torch.testing.assert_close(batch.music, (batch.upper[..., None] + torch.arange(8)).float())
    torch.testing.assert_close(batch.lower, batch.upper + 1000)
    torch.testing.assert_close(batch.upper_seen, batch.upper)
    assert (batch.upper.diff(dim=1) == 8).all()
    assert batch.upper[:, 0].unique().tolist() == list(range(FRAMES - 7 - 4 * 8))


def test_codes_seen_wander_by_single_frames_within_their_reach() -> None:
    batch = _counting().draw(5, 512, torch.Generator().manual_seed(0), shift_frames=6)
    inside = (batch.upper > 6) & (batch.upper < FRAMES - 7 - 6)
    shift = torch.where(inside, batch.upper_seen - batch.upper, 0)
    assert (int(shift.min()), int(shift.max())) == (-6, 6)
    torch.testing.assert_close(batch.lower_seen, batch.upper_seen + 1000)


def test_a_walk_is_even_and_reflected() -> None:
    walk = wander(4, (400, 100), torch.Generator().manual_seed(0))
    assert walk.diff(dim=1).abs().max() == 1
    share = torch.bincount((walk + 4).flatten(), minlength=9) / walk.numel()
    # Both ends have one place on the circle that the walk runs round, all between them two.
    torch.testing.assert_close(share, torch.tensor([1.0, 2, 2, 2, 2, 2, 2, 2, 1]) / 16, atol=0.015, rtol=0)


def test_evaluation_windows_cover_a_sequence_in_order() -> None:
    batches = list(_counting().all_windows(4, 3))
    starts = torch.cat([batch.upper[:, 0] for batch in batches])
    assert starts.tolist() == [0, 16, 32, 48, 64]


def test_a_code_stands_for_the_frames_from_its_number_on(data_folder: Path, tiny_config: TrainConfig) -> None:
    dataset = Dataset(data_folder)
    sizes = preset("tiny", features=dataset.feature_dim, styles=len(dataset.styles))
    torch.manual_seed(0)
    upper, lower = PoseVQVAE(sizes.upper).eval(), PoseVQVAE(sizes.lower).eval()
    upper.codebook.fill(torch.randn(16, 8))
    lower.codebook.fill(torch.randn(16, 8))
    tokens = tokenise(dataset, "held_out", upper, lower)
    held_out = dataset.of("held_out")
    assert len(tokens.sequences) == 2 * len(held_out)
    pose = torch.from_numpy(np.array(dataset.pose(held_out[0])[0][1:, 3:]))
    pose = pose[:, : pose.shape[1] // 8 * 8]
    mirrored = tokens.sequences[1]
    assert len(mirrored.upper) == held_out[0].frames - 7
    torch.testing.assert_close(mirrored.upper[3::8], upper.encode(pose)[0])


def test_noise_replaces_the_configured_share_of_codes(tiny_config: TrainConfig) -> None:
    sizes = preset("tiny", features=1)
    upper, lower = PoseVQVAE(sizes.upper), PoseVQVAE(sizes.lower)
    upper.codebook.fill(torch.arange(16.0)[:, None].expand(16, 8))
    lower.codebook.fill(torch.randn(16, 8))
    codes = torch.full((64, 64), 8)
    batch = Batch(torch.zeros(0), codes, codes, codes, codes, torch.zeros(64))
    spoiled, _ = CodeNoise(tiny_config.gpt, upper, lower)(batch, torch.Generator().manual_seed(0))
    share = (spoiled != codes).float().mean(dim=1)
    largest = tiny_config.gpt.code_noise
    assert float(share.max()) == pytest.approx(largest, abs=0.15)
    # The mean of a square of an even distribution is a third; one in 16 random codes stays what it was.
    assert float(share.mean()) == pytest.approx(largest / 3 * (1 - 0.5 / 16), abs=0.06)
    near = ((spoiled - 8).abs() <= 4) & (spoiled != 8)
    assert float(near.float().mean()) == pytest.approx(largest / 6 * 1.5, abs=0.06)
