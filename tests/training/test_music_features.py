from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from bailando.errors import InputError
from bailando.training.music_features import CausalFeatures, EncodecFeatures, MusicFeatures


@pytest.fixture(scope="module")
def encodec_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small EnCodec model of random weights, saved as the published ones are."""
    transformers = pytest.importorskip("transformers", reason="the extra 'encodec' is not installed")
    torch.manual_seed(0)
    sizes = {
        "num_filters": 4,
        "hidden_size": 16,
        "codebook_dim": 16,
        "codebook_size": 16,
        "num_lstm_layers": 1,
    }
    folder = tmp_path_factory.mktemp("encodec")
    transformers.EncodecModel(transformers.EncodecConfig(**sizes)).save_pretrained(folder)
    return folder


def _causal(request: pytest.FixtureRequest) -> MusicFeatures:
    return CausalFeatures()


def _encodec(request: pytest.FixtureRequest) -> MusicFeatures:
    return EncodecFeatures(request.getfixturevalue("encodec_folder"))


@pytest.mark.parametrize(("make", "dim"), [(_causal, 51), (_encodec, 16)])
def test_features_are_60_a_second_and_do_not_look_ahead(
    make: Callable[[pytest.FixtureRequest], MusicFeatures], dim: int, request: pytest.FixtureRequest
) -> None:
    features = make(request)
    rate = features.sample_rate_hz
    song = np.random.default_rng(0).normal(0, 0.1, 2 * rate).astype(np.float32)
    whole = features.extract(song)
    assert whole.shape == (120, features.frame_dim)
    assert features.frame_dim == dim
    changed = song.copy()
    changed[rate:] = 0
    other = features.extract(changed)
    np.testing.assert_allclose(other[:60], whole[:60], atol=1e-5)
    assert np.abs(other[60:] - whole[60:]).max() > 1e-3
    assert features.extract(song[:10]).shape == (0, dim)


def test_a_folder_without_a_model_is_an_error(encodec_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no EnCodec model"):
        EncodecFeatures(tmp_path)
    (tmp_path / "config.json").write_text((encodec_folder / "config.json").read_text())
    with pytest.raises(InputError, match="holds no EnCodec model"):
        EncodecFeatures(tmp_path)
