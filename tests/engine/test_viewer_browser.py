"""The page in a real browser: it draws the dance, sends commands and comes back by itself."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from typing import Literal

import chromium
import numpy as np
import pytest
from chromium import Chromium
from dance_frames import dance_frame
from vrm_factory import vrm_bytes
from waiting import wait_for

from bailando.engine.sinks.websocket import WebSocketSink
from bailando.engine.viewer import Command, Hello, ViewerServer
from bailando.motion.kinematics import forward_kinematics
from bailando.motion.skeleton import JOINT_NAMES, Skeleton

pytestmark = pytest.mark.skipif(chromium.EXECUTABLE is None, reason="no Chromium; apt-get install chromium")

HELLO = Hello(Skeleton.default(), styles=("open", "hip_hop"), title="A song under test")
BROWSER_SECONDS = 90.0


class Show:
    """A server with a dance at 60 frames a second, which can be stopped and started again."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.swing = 1.0
        self.peaks = [0.5] * 384
        self.port = 0
        self.start()

    def start(self) -> None:
        self._sink = WebSocketSink(ViewerServer(HELLO, self.port, on_command=self.commands.append))
        self._sink.open()
        self.port = self._sink.server.port
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._dance)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()
        self._sink.close()

    def _dance(self) -> None:
        begin = time.perf_counter()
        number = 0
        while not self._ended.wait(max(0.0, begin + number / 60 - time.perf_counter())):
            self._sink.send(dance_frame(number, self.swing))
            if number % 6 == 0:
                outline = {"waveform": self.peaks, "waveform_s": 6.4, "waveform_end_s": number / 60 + 0.1}
                self._sink.send_status({"latency_ms": {"p50": 7.25, "p99": 12.0}, "late_frames": 3} | outline)
            number += 1


@pytest.fixture(scope="module")
def show() -> Iterator[Show]:
    show = Show()
    yield show
    show.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with Chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def page(browser: Chromium, show: Show) -> Chromium:
    """The page, loaded once: a software renderer takes seconds to get ready."""
    open_page(browser, show, "?quality=low")
    return browser


def open_page(browser: Chromium, show: Show, query: str) -> None:
    browser.open(f"http://127.0.0.1:{show.port}/{query}")
    wait_for(lambda: browser.evaluate("window.bailandoViewer?.counts.shown > 2"), BROWSER_SECONDS)


def text_of(browser: Chromium, element: str) -> str:
    return str(browser.evaluate(f"document.getElementById('{element}').textContent"))


def test_page_draws_a_moving_dancer_from_60_frames_a_second(page: Chromium) -> None:
    frames, begin = page.evaluate("[bailandoViewer.counts.frames, performance.now()]")
    picture = page.screenshot()
    hand = page.evaluate("bailandoViewer.hands()[0]")
    wait_for(lambda: not np.allclose(page.evaluate("bailandoViewer.hands()[0]"), hand, atol=0.02), 60)
    wait_for(lambda: page.evaluate("bailandoViewer.counts.frames") > frames + 60, 10)
    later, end = page.evaluate("[bailandoViewer.counts.frames, performance.now()]")
    assert 50 < (later - frames) / (end - begin) * 1000 < 70
    bright = picture[40:210, 120:360, :3].min(axis=2) > 0.5
    assert bright.mean() > 0.01, "no bone-white dancer in the middle of the stage"


def test_page_shows_the_readings(page: Chromium) -> None:
    wait_for(lambda: text_of(page, "latency") == "7.3 ms", 10)
    assert text_of(page, "latency-tail") == "12 ms"
    assert text_of(page, "late") == "3"
    assert text_of(page, "bpm") == "120"
    assert text_of(page, "title") == "A song under test"
    assert page.evaluate("[...document.getElementById('style').options].map(o => o.value)") == [
        "open",
        "hip_hop",
    ]


def test_controls_send_their_commands(page: Chromium, show: Show) -> None:
    for button in ("stop", "start", "next"):
        page.evaluate(f"document.getElementById('{button}').click()")
    for control, value, event in (("style", "hip_hop", "change"), ("energy", 0.9, "input")):
        page.evaluate(
            f"(() => {{ const control = document.getElementById('{control}'); control.value = '{value}';"
            f"control.dispatchEvent(new Event('{event}')); }})()"
        )
    wait_for(lambda: len(show.commands) == 5, 10)
    expected = [Command(name) for name in ("stop", "start", "next")]
    assert show.commands == [*expected, Command("style", "hip_hop"), Command("energy", 0.9)]
    page.evaluate("document.getElementById('shuffle').click()")
    wait_for(lambda: len(show.commands) == 6, 10)
    shuffled = show.commands[-1]
    assert shuffled.name == "seed"
    assert isinstance(shuffled.value, int)


def test_waveform_draws_the_sound_that_the_status_brings(page: Chromium, show: Show) -> None:
    frames = "bailandoViewer.counts.frames"
    before = page.evaluate(frames)
    show.peaks = [1.0] * 192 + [0.0] * 192
    wait_for(lambda: page.evaluate(frames) > before + 60, 10)
    old, new = page.evaluate(
        "(() => { const c = document.getElementById('waveform'), third = Math.round(c.width / 3);"
        "const ink = x => c.getContext('2d').getImageData(x, 0, third, c.height).data"
        ".filter((v, i) => i % 4 == 3 && v).length; return [ink(0), ink(2 * third)]; })()"
    )
    assert old > 4 * new > 0


def test_page_comes_back_after_the_server_restarts(page: Chromium, show: Show) -> None:
    show.stop()
    try:
        wait_for(lambda: text_of(page, "notice") == "Waiting for the engine", 10)
    finally:
        show.start()
    wait_for(lambda: page.evaluate("bailandoViewer.counts.connections") == 2, 20)
    frames = page.evaluate("bailandoViewer.counts.frames")
    wait_for(lambda: page.evaluate("bailandoViewer.counts.frames") > frames + 30, 20)
    assert page.evaluate("document.getElementById('notice').hidden")


def test_a_dropped_file_that_is_no_avatar_is_named(page: Chromium) -> None:
    page.evaluate(
        "(() => { const data = new DataTransfer(); data.items.add(new File(['nonsense'], 'song.vrm'));"
        "dispatchEvent(new DragEvent('drop', {dataTransfer: data, cancelable: true})); })()"
    )
    wait_for(lambda: text_of(page, "notice").startswith("song.vrm:"), 20)
    assert page.evaluate("bailandoViewer.counts.avatars") == 0


def dropped_avatar(version: Literal[0, 1]) -> str:
    data = base64.b64encode(vrm_bytes(version)).decode()
    return (
        f"(() => {{ const bytes = Uint8Array.from(atob('{data}'), c => c.charCodeAt(0));"
        "const data = new DataTransfer(); data.items.add(new File([bytes], 'bones.vrm'));"
        "dispatchEvent(new DragEvent('drop', {dataTransfer: data, cancelable: true})); })()"
    )


def test_mannequin_and_dropped_avatars_hold_their_hands_where_kinematics_says(
    page: Chromium, show: Show
) -> None:
    show.swing = 0.0
    frame = dance_frame(0, swing=0.0)
    positions, _ = forward_kinematics(Skeleton.default(), frame.rotations, frame.root_position)
    wrists = [positions[JOINT_NAMES.index(f"{side}_wrist")] for side in ("left", "right")]

    def hands_are_there() -> bool:
        return np.allclose(page.evaluate("bailandoViewer.hands()"), wrists, atol=1e-3)

    wait_for(hands_are_there, 30)
    versions: tuple[Literal[0, 1], ...] = (1, 0)
    for count, version in enumerate(versions, start=1):
        page.evaluate(dropped_avatar(version))
        wait_for(lambda count=count: page.evaluate("bailandoViewer.counts.avatars") == count, 30)
        wait_for(hands_are_there, 30)


def test_transparent_page_leaves_the_background_to_the_compositor(browser: Chromium, show: Show) -> None:
    open_page(browser, show, "?quality=low&transparent=1")
    alpha = browser.screenshot()[..., 3]
    assert alpha[:60, :60].max() == 0, "the background is painted"
    assert alpha.max() == 1, "there is no dancer"
