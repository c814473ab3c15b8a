from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bailando.errors import ConfigError, InputError
from bailando.music.features import FeatureExtractor
from bailando.training.config import TrainConfig
from bailando.training.dataset import Dataset, preset_of
from bailando.training.music_features import (
    CausalFeatures,
    EncodecFeatures,
    MusicFeatures,
    PublishedMusic,
    extract_at,
    music_features,
)
from bailando.training.prepare import prepare


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


def _published(request: pytest.FixtureRequest) -> MusicFeatures:
    return PublishedMusic()


def _encodec(request: pytest.FixtureRequest) -> MusicFeatures:
    return EncodecFeatures(request.getfixturevalue("encodec_folder"))


@pytest.mark.parametrize(("make", "dim"), [(_causal, 51), (_published, 438), (_encodec, 16)])
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


def test_published_vectors_are_those_that_the_live_engine_computes() -> None:
    features = PublishedMusic()
    song = np.random.default_rng(1).normal(0, 0.1, 24000).astype(np.float32)
    found, extractor = features.extract(song), features.spec.extractor()
    base = FeatureExtractor().extract(song)
    for token in range(7):
        frames = slice(8 * token, 8 * token + 8)
        sound = song[3200 * token : 3200 * (token + 1)]
        np.testing.assert_array_equal(found[8 * token + 7], extractor.step(sound, base[frames]))


def test_features_are_chosen_by_name() -> None:
    assert music_features("published").music_frames == 1
    assert music_features("causal").frame_dim == 51
    for unknown in ("librosa", "encodec", "encodec:"):
        with pytest.raises(ConfigError, match="expected causal, published or encodec:FOLDER"):
            music_features(unknown)


def test_music_of_another_rate_gives_as_many_frames() -> None:
    song = np.random.default_rng(2).normal(0, 0.1, 32000).astype(np.float32)
    assert extract_at(CausalFeatures(), song, 32000).shape == (60, 51)


def test_a_data_set_is_prepared_in_embeddings(
    encodec_folder: Path, folders: tuple[Path, Path], tiny_config: TrainConfig, tmp_path: Path
) -> None:
    told = replace(tiny_config.prepare, music_features=f"encodec:{encodec_folder}")
    prepare([folders[0]], [folders[1]], tmp_path, told)
    dataset = Dataset(tmp_path)
    assert (dataset.feature_dim, dataset.music_frames, dataset.has_own_features) == (16, 8, False)
    assert preset_of("tiny", dataset).gpt.music_dim == 8 * 16
    segment = dataset.of("train")[0]
    assert np.abs(np.asarray(dataset.music(segment)[-1], np.float32)).max() > 0
