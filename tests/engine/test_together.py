"""Several dancers stepped at once: each dances as if it were alone, whatever befalls the others."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from bailando.engine.backend_ort import OrtBackend
from bailando.engine.backends import Arrays, load_backend
from bailando.engine.bundle import Bundle
from bailando.engine.dancer import Dancer, default_bundle_path
from bailando.engine.manifest import Manifest
from bailando.engine.performance import Ensemble
from bailando.engine.runner import LiveOptions, LiveRunner
from bailando.engine.session import MotionChunk, Session, step_together
from bailando.engine.sources import FileSource
from bailando.engine.watchdog import WatchedBackend
from bailando.errors import BundleError
from bailando.motion.grounding import BodyConfig
from tests.engine.synthetic_bundle import WIDTH, groove_arrays, write_synthetic_bundle

OPTIONS: tuple[dict[str, Any], ...] = (
    {"seed": 3},
    {"seed": 4, "style": "salsa", "place_m": (2.5, 0.0), "groove": 0.5},
    {"seed": 5, "style": "waltz", "energy": 0.5, "refinement": BodyConfig(smoothing=True, root_follow=False)},
)
MUSIC = np.random.default_rng(0).normal(0, 0.3, (24, 8, WIDTH // 8)).astype(np.float32)


class Counting:
    """A backend that counts its runs, and can spoil what one row of a batch gets."""

    def __init__(self, bundle: Bundle, spoil: Mapping[int, int] | None = None) -> None:
        self._backend = load_backend(bundle, "cpu")
        self._spoil = dict(spoil or {})
        self.alone = self.together = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def step(self, graph: str, inputs: Mapping[str, Any], state: Any) -> tuple[Arrays, Any]:
        self.alone += 1
        return self._backend.step(graph, inputs, state)

    def step_many(
        self, graph: str, inputs: Mapping[str, Any], states: Sequence[Any]
    ) -> tuple[Arrays, list[Any]]:
        self.together += 1
        if self.together in self._spoil and graph == "gpt_step":
            raise RuntimeError("CUDA error: device lost")
        outputs, after = self._backend.step_many(graph, inputs, states)
        if (row := self._spoil.get(self.together)) is not None:
            outputs["upper_pose"][row] = np.nan
        return outputs, after


@pytest.fixture(scope="module")
def free(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("free") / "bundle"
    return Bundle.open(write_synthetic_bundle(folder, free_batch=True, groove=groove_arrays()))


def music(tokens: int) -> list[np.ndarray | None]:
    return [None, *MUSIC[: tokens - 1]]


def sessions_of(dancer: Dancer) -> list[Session]:
    return [dancer.session(**options) for options in OPTIONS]


def together(sessions: list[Session], tokens: list[np.ndarray | None]) -> list[tuple[MotionChunk, ...]]:
    return [step_together(sessions, token, [1.0] * len(sessions)) for token in tokens]


def assert_same(one: Sequence[MotionChunk], other: Sequence[MotionChunk]) -> None:
    assert [(c.upper_code, c.lower_code) for c in one] == [(c.upper_code, c.lower_code) for c in other]
    for a, b in zip(one, other, strict=True):
        assert (a.first_frame, a.cut) == (b.first_frame, b.cut)
        np.testing.assert_allclose(a.positions, b.positions, atol=1e-5)


@pytest.mark.parametrize("free_batch", [True, False])
def test_each_dances_as_it_would_alone(free_batch: bool, tmp_path: Path) -> None:
    bundle = write_synthetic_bundle(tmp_path / "b", free_batch=free_batch, groove=groove_arrays())
    dancer = Dancer.open(bundle, backend="cpu")
    company = together(sessions_of(dancer), music(20))
    for number, options in enumerate(OPTIONS):
        session = dancer.session(**options)
        assert_same([chunks[number] for chunks in company], [session.step(token) for token in music(20)])
    assert len({chunk.upper_code for chunk in company[-1]} | {chunk.upper_code for chunk in company[-2]}) > 2


def test_a_token_is_one_run_of_each_network(free: Bundle) -> None:
    counting = Counting(free)
    together(sessions_of(Dancer(free, counting)), music(10))
    assert (counting.together, counting.alone) == (10 + 9, 0)


def test_dancers_in_step_move_their_state_nowhere(free: Bundle) -> None:
    sessions = sessions_of(Dancer(free, load_backend(free, "cpu")))
    together(sessions, music(4))
    before = [session._gpt_state.buffers for session in sessions]
    together(sessions, list(MUSIC[:4]))
    assert all(session._gpt_state.buffers is before[0] for session in sessions)


@pytest.mark.parametrize("change", ["reset", "recentre", "snapshot", "alone", "fork"])
def test_what_befalls_one_is_nothing_to_the_others(free: Bundle, change: str) -> None:
    dancer = Dancer(free, load_backend(free, "cpu"))

    def befall(session: Session) -> None:
        if change == "snapshot":
            kept = session.snapshot()
            session.step(MUSIC[20])
            session.restore(kept)
        elif change == "alone":
            session.step(MUSIC[20])
        elif change == "fork":
            session.fork().step(MUSIC[20])
        else:
            getattr(session, change)()

    sessions = sessions_of(dancer)
    company = together(sessions, music(6))
    befall(sessions[1])
    company += together(sessions, list(MUSIC[6:14]))
    for number, options in enumerate(OPTIONS):
        session = dancer.session(**options)
        alone = [session.step(token) for token in music(6)]
        if number == 1:
            befall(session)
        alone += [session.step(token) for token in MUSIC[6:14]]
        assert_same([chunks[number] for chunks in company], alone)


def test_one_whose_pose_is_refused_stays_behind_alone(free: Bundle) -> None:
    # The 9th run is the decoder's of token 4: runs of the GPT and the decoder take turns from token 1 on.
    spoilt = Dancer(free, Counting(free, {9: 1}))
    sessions = sessions_of(spoilt)
    company = together(sessions, music(12))
    assert [session.rejected_poses for session in sessions] == [0, 1, 0]
    plain = Dancer(free, load_backend(free, "cpu"))
    for number in (0, 2):
        session = plain.session(**OPTIONS[number])
        assert_same([chunks[number] for chunks in company], [session.step(token) for token in music(12)])
    session = plain.session(**OPTIONS[1])
    for number, (token, (_, chunk, _)) in enumerate(zip(music(12), company, strict=True)):
        kept = session._decoder_state
        expected = session.step(token)
        assert (chunk.upper_code, chunk.lower_code) == (expected.upper_code, expected.lower_code)
        if number == 4:
            session._decoder_state = kept  # as the spoilt one did not accept its step
    np.testing.assert_allclose(
        sessions[1].snapshot().decoder_state["upper_before"], session.snapshot().decoder_state["upper_before"]
    )


def test_watchdog_repeats_the_step_of_all(free: Bundle) -> None:
    failing = Counting(free, {4: 0})
    watched = WatchedBackend(failing, lambda: load_backend(free, "cpu"))
    company = together(sessions_of(Dancer(free, watched)), music(10))
    assert watched.restarts == 1
    expected = together(sessions_of(Dancer(free, load_backend(free, "cpu"))), music(10))
    for one, other in zip(company, expected, strict=True):
        assert_same(one, other)


def test_ensemble_runs_each_network_once_a_token_and_obeys_for_one(free: Bundle) -> None:
    counting = Counting(free)
    dancer = Dancer(free, counting)
    ensemble = Ensemble(dancer, sessions_of(dancer))
    sound = np.random.default_rng(1).normal(0, 0.1, 3200 * 4).astype(np.float32)
    assert len(ensemble.feed(sound)) == 5
    assert (counting.together, counting.alone) == (5 + 4, 0)
    ensemble.controls.submit("reset", None, 1)
    (chunks,) = ensemble.feed(sound[:3200])
    assert [chunk.cut for chunk in chunks] == [False, True, False]


def test_a_run_warms_up_with_all_dancers(free: Bundle, tmp_path: Path) -> None:
    counting, song = Counting(free), tmp_path / "song.wav"
    soundfile.write(song, np.zeros(24_000), 24_000)
    dancer = Dancer(free, counting)
    options = LiveOptions(delay_ms=200, duration_s=0.2)
    LiveRunner(dancer, sessions_of(dancer), FileSource(song), [], options).run()
    assert counting.together > 10  # the token or two of the run itself are less
    assert counting.alone == 0


def test_graphs_whose_scales_all_rows_share_step_one_dancer_after_another(
    free: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs = {name: replace(graph, precision="int8-dynamic") for name, graph in free.manifest.graphs.items()}
    files = {name: free.file_bytes(name) for name in free.manifest.files}
    backend = load_backend(Bundle(free.path, replace(free.manifest, graphs=graphs), files), "cpu")
    rows: list[int] = []
    run = OrtBackend._run

    def noted(self: OrtBackend, graph: str, inputs: Any, states: Sequence[Any]) -> Any:
        rows.append(len(states))
        return run(self, graph, inputs, states)

    monkeypatch.setattr(OrtBackend, "_run", noted)
    together(sessions_of(Dancer(free, backend)), music(3))
    assert set(rows) == {1}


def test_no_session_moves_when_the_music_is_of_the_wrong_shape(free: Bundle) -> None:
    sessions = sessions_of(Dancer(free, load_backend(free, "cpu")))
    together(sessions, music(3))
    with pytest.raises(ValueError, match="music token"):
        step_together(sessions, MUSIC[0][:4], [1.0] * 3)
    assert [session.token for session in sessions] == [3, 3, 3]


def test_graph_that_is_not_as_free_as_its_manifest_says_is_refused(tmp_path: Path) -> None:
    freed = json.loads(
        (write_synthetic_bundle(tmp_path / "a", free_batch=True) / "manifest.json").read_text()
    )
    path = write_synthetic_bundle(tmp_path / "b", graphs=freed["graphs"])
    with pytest.raises(BundleError, match="'batch'"):
        Dancer.open(path, backend="cpu")


@pytest.mark.parametrize(
    ("shape", "words"),
    [(["batch", "batch"], "two axes"), ([1, 16], "some tensors only"), (["all", 16], "shape")],
)
def test_manifest_with_half_a_batch_is_refused(shape: list[Any], words: str, tmp_path: Path) -> None:
    path = write_synthetic_bundle(tmp_path / "b", free_batch=True)
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["graphs"]["gpt_step"]["state"][0]["shape"] = shape
    with pytest.raises(BundleError, match=words):
        Manifest.from_dict(manifest)


def test_manifest_with_a_free_batch_survives_writing(free: Bundle) -> None:
    again = Manifest.from_json(free.manifest.to_json())
    assert again == free.manifest
    assert again.graphs["gpt_step"].free_batch
    assert again.graphs["gpt_step"].tensor("memory").declared_shape == ("batch", 16)


@pytest.mark.parametrize("dancers", [2, 8])
def test_shipped_bundle_dances_together_as_alone(dancers: int) -> None:
    dancer = Dancer.open(default_bundle_path(), backend="cpu")
    width = dancer.feature_spec.frame_dim
    tokens = [None, *np.random.default_rng(2).normal(0, 0.5, (12, 8, width)).astype(np.float32)]
    sessions = [dancer.session(seed=seed) for seed in range(dancers)]
    company = together(sessions, tokens)
    for seed in (0, dancers - 1):
        session = dancer.session(seed=seed)
        alone = [session.step(token) for token in tokens]
        assert_same([chunks[seed] for chunks in company], alone)
