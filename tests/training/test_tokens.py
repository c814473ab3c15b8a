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
from bailando.training.tokens import Batch, Sequence, TokenSequences, tokenise


def _counting(first_frame: int) -> TokenSequences:
    """Music whose only feature is the frame number, codes that count tokens."""
    music = np.arange(8 * 20, dtype=np.float16).reshape(1, -1, 1)
    codes = torch.arange(12)
    return TokenSequences([Sequence(codes, codes + 100, 1, music, first_frame)], 8)


def test_a_music_token_covers_the_frames_of_the_code_beside_it() -> None:
    batch = _counting(first_frame=19).draw(5, 64, torch.Generator().manual_seed(0))
    first_frames = 19 + 8 * batch.upper
    wanted = first_frames[..., None] + torch.arange(8)
    torch.testing.assert_close(batch.music, wanted.float())
    torch.testing.assert_close(batch.lower, batch.upper + 100)
    assert batch.upper[:, 0].unique().tolist() == list(range(8))


def test_evaluation_windows_cover_a_sequence_in_order() -> None:
    batches = list(_counting(first_frame=16).all_windows(4, 3))
    starts = torch.cat([batch.upper[:, 0] for batch in batches])
    assert starts.tolist() == [0, 2, 4, 6, 8]


def test_motion_is_encoded_at_eight_offsets_plain_and_mirrored(
    data_folder: Path, tiny_config: TrainConfig
) -> None:
    dataset = Dataset(data_folder)
    sizes = preset("tiny", features=dataset.feature_dim, styles=len(dataset.styles))
    torch.manual_seed(0)
    upper, lower = PoseVQVAE(sizes.upper).eval(), PoseVQVAE(sizes.lower).eval()
    upper.codebook.fill(torch.randn(16, 8))
    lower.codebook.fill(torch.randn(16, 8))
    tokens = tokenise(dataset, "held_out", upper, lower)
    held_out = dataset.of("held_out")
    assert len(tokens.sequences) == 16 * len(held_out)
    pose = torch.from_numpy(np.array(dataset.pose(held_out[0])[0][1:, 3:]))
    pose = pose[:, : pose.shape[1] // 8 * 8]
    mirrored_at_offset_three = tokens.sequences[2 * 3 + 1]
    torch.testing.assert_close(mirrored_at_offset_three.upper, upper.encode(pose)[0])
    assert mirrored_at_offset_three.first_frame == dataset.preroll_frames + 3


def test_noise_replaces_the_configured_share_of_codes(tiny_config: TrainConfig) -> None:
    sizes = preset("tiny", features=1)
    upper, lower = PoseVQVAE(sizes.upper), PoseVQVAE(sizes.lower)
    upper.codebook.fill(torch.arange(16.0)[:, None].expand(16, 8))
    lower.codebook.fill(torch.randn(16, 8))
    codes = torch.full((64, 64), 8)
    batch = Batch(torch.zeros(0), codes, codes, torch.zeros(64))
    spoiled, _ = CodeNoise(tiny_config.gpt, upper, lower)(batch, torch.Generator().manual_seed(0))
    share = (spoiled != codes).float().mean(dim=1)
    largest = tiny_config.gpt.code_noise
    assert float(share.max()) == pytest.approx(largest, abs=0.15)
    # The mean of a square of an even distribution is a third; one in 16 random codes stays what it was.
    assert float(share.mean()) == pytest.approx(largest / 3 * (1 - 0.5 / 16), abs=0.06)
    near = ((spoiled - 8).abs() <= 4) & (spoiled != 8)
    assert float(near.float().mean()) == pytest.approx(largest / 6 * 1.5, abs=0.06)
