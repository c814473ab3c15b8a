"""Backends that hang or fail, and the dance that goes on as if they had not."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from bailando.engine.backends import Arrays, Backend, load_backend
from bailando.engine.bundle import Bundle
from bailando.engine.dancer import Dancer
from bailando.engine.runner import LiveOptions, LiveRunner
from bailando.engine.sources import FileSource
from bailando.engine.telemetry import Status
from bailando.engine.watchdog import BackendGivenUpError, WatchedBackend
from tests.engine.synthetic_bundle import gpt_step_model, write_synthetic_bundle


class Saboteur:
    """A real backend whose steps hang or fail at chosen calls."""

    def __init__(self, backend: Backend, hangs_at: int = -1, fails_at: tuple[int, ...] = ()) -> None:
        self._backend = backend
        self._hangs_at = hangs_at
        self._fails_at = fails_at
        self.broken = ""
        self.calls = 0
        self.released = threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def step(self, graph: str, inputs: Mapping[str, Any], state: Any) -> tuple[Arrays, Any]:
        self.calls += 1
        if self.calls == self._hangs_at or self.broken == "hangs":
            self.released.wait(20.0)
        if self.calls in self._fails_at or self.broken == "fails":
            raise RuntimeError("CUDA error: device lost")
        return self._backend.step(graph, inputs, state)


def danced(backend: Backend, bundle: Bundle, tokens: int = 12) -> np.ndarray:
    session = Dancer(bundle, backend).session(seed=4)
    rng = np.random.default_rng(0)
    width = Dancer(bundle, backend).feature_spec.frame_dim
    music = [None, *rng.normal(0, 0.3, (tokens - 1, 8, width)).astype(np.float32)]
    return np.stack([session.step(token).positions for token in music])


@pytest.fixture(scope="module")
def bundle(bundle_path: Path) -> Bundle:
    return Bundle.open(bundle_path)


@pytest.mark.parametrize(("hangs_at", "fails_at"), [(9, ()), (8, ()), (-1, (9,)), (-1, (4, 11))])
def test_dance_after_a_restart_is_the_one_it_would_have_been(
    bundle: Bundle, hangs_at: int, fails_at: tuple[int, ...]
) -> None:
    plain = load_backend(bundle)
    saboteur = Saboteur(plain, hangs_at, fails_at)
    watched = WatchedBackend(saboteur, lambda: load_backend(bundle), patience_s=0.5)
    expected = danced(load_backend(bundle), bundle)
    np.testing.assert_array_equal(danced(watched, bundle), expected)
    saboteur.released.set()
    assert watched.restarts == 1


def test_backend_that_works_is_left_alone(bundle: Bundle) -> None:
    plain = load_backend(bundle, "cpu")
    watched = WatchedBackend(plain, lambda: load_backend(bundle, "cpu"))
    np.testing.assert_array_equal(danced(watched, bundle), danced(load_backend(bundle), bundle))
    assert watched.restarts == 0
    assert (watched.name, watched.reason) == (plain.name, plain.reason)


def test_new_start_that_fails_too_is_tried_again(bundle: Bundle) -> None:
    starts = [Saboteur(load_backend(bundle), fails_at=(1,)) for _ in range(2)]
    left = iter([*starts[1:], load_backend(bundle)])
    watched = WatchedBackend(starts[0], lambda: next(left))
    np.testing.assert_array_equal(danced(watched, bundle), danced(load_backend(bundle), bundle))
    assert watched.restarts == 2


def test_run_that_ends_gives_up_on_a_failing_backend(bundle: Bundle) -> None:
    watched = WatchedBackend(Saboteur(load_backend(bundle), fails_at=(1,)), lambda: load_backend(bundle))
    watched.given_up.set()
    with pytest.raises(BackendGivenUpError) as caught:
        danced(watched, bundle)
    assert "device lost" in str(caught.value.__cause__)


@pytest.mark.parametrize("fault", ["hangs", "fails"])
@pytest.mark.parametrize("end", ["stopped", "time over"])
def test_show_may_end_while_the_backend_is_broken(
    bundle: Bundle, tmp_path: Path, fault: str, end: str
) -> None:
    song = tmp_path / "song.wav"
    soundfile.write(song, np.random.default_rng(0).normal(0, 0.1, 2 * 44100), 44100)
    saboteur = Saboteur(load_backend(bundle))
    dancer = Dancer(bundle, WatchedBackend(saboteur, lambda: saboteur, patience_s=0.3))
    options = LiveOptions(duration_s=1.5 if end == "time over" else None)
    runner = LiveRunner(dancer, dancer.session(), FileSource(song), [], options)

    def break_it(status: Status) -> None:
        if status.time_s > 1.0 and not saboteur.broken:
            saboteur.broken = fault
            if end == "stopped":
                threading.Timer(0.2, runner.stop).start()

    status = runner.run(break_it, status_interval_s=0.05)
    saboteur.released.set()
    assert saboteur.broken
    assert status.time_s > 1.0


def test_snapshot_of_a_watched_session_can_be_restored(bundle: Bundle) -> None:
    watched = WatchedBackend(load_backend(bundle), lambda: load_backend(bundle))
    session = Dancer(bundle, watched).session(seed=1)
    session.step(None)
    snapshot = session.snapshot()
    token = np.zeros((8, Dancer(bundle, watched).feature_spec.frame_dim), np.float32)
    first = session.step(token).positions
    session.restore(snapshot)
    np.testing.assert_array_equal(session.step(token).positions, first)


def test_watched_dancer_is_opened_by_name(bundle_path: Path) -> None:
    assert Dancer.open(bundle_path, watch=True).watchdog is not None
    assert Dancer.open(bundle_path).watchdog is None


def test_bundle_that_was_replaced_meanwhile_does_not_take_over(tmp_path: Path) -> None:
    dancer = Dancer.open(write_synthetic_bundle(tmp_path / "bundle"), "cpu", watch=True)
    watchdog = dancer.watchdog
    assert watchdog is not None
    watchdog._backend = Saboteur(watchdog._backend, fails_at=(3,))
    (tmp_path / "bundle").rename(tmp_path / "old")
    write_synthetic_bundle(tmp_path / "bundle", gpt_step=gpt_step_model(poison=float("nan")))
    session = dancer.session()
    music = np.zeros((8, dancer.feature_spec.frame_dim), np.float32)
    for token in (None, music, music, music):
        session.step(token)
    assert watchdog.restarts == 1
    assert session.rejected_logits == 0
