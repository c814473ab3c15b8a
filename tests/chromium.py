"""A real browser for tests: headless Chromium, driven over its DevTools protocol."""

from __future__ import annotations

import base64
import io
import json
import shutil
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.image import imread
from waiting import wait_for
from websockets.sync.client import connect

EXECUTABLE = shutil.which("chromium") or shutil.which("google-chrome")
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--no-first-run", "--hide-scrollbars", "--disable-dev-shm-usage"),
    *("--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"),
    "--remote-debugging-port=0",
)
START_SECONDS = 60.0


class Chromium:
    """One tab. Use as a context manager; leaving it ends the browser."""

    def __init__(self, width: int = 480, height: int = 300) -> None:
        self._size = {"width": width, "height": height}
        self._ending = ExitStack()
        self._count = 0
        self._session: str | None = None

    def __enter__(self) -> Chromium:
        with self._ending:
            folder = tempfile.TemporaryDirectory(prefix="bailando-chromium-", ignore_cleanup_errors=True)
            profile = Path(self._ending.enter_context(folder))
            self._socket = self._ending.enter_context(connect(self._start(profile), max_size=None))
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            self.call("Emulation.setDeviceMetricsOverride", **self._size, deviceScaleFactor=1, mobile=False)
            self._ending = self._ending.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.close()

    def _start(self, profile: Path) -> str:
        process = subprocess.Popen(
            [str(EXECUTABLE), *_FLAGS, f"--user-data-dir={profile}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._ending.callback(process.wait, 20)
        self._ending.callback(process.terminate)
        port_file = profile / "DevToolsActivePort"
        wait_for(lambda: port_file.exists() and len(port_file.read_text().split()) == 2, START_SECONDS)
        port, path = port_file.read_text().split()
        return f"ws://127.0.0.1:{port}{path}"

    def call(self, method: str, **parameters: Any) -> Any:
        """Call a method of the DevTools protocol and return its result."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(self._socket.recv(timeout=START_SECONDS))
            if answer.get("id") == self._count:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, url: str) -> None:
        """Load a page."""
        self.call("Page.navigate", url=url)
        wait_for(lambda: self.evaluate("document.readyState") == "complete", START_SECONDS)

    def evaluate(self, expression: str) -> Any:
        """Return what an expression (or its promise) comes to in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def screenshot(self) -> npt.NDArray[np.float32]:
        """Return what the page looks like, (height, width, 4), 0 to 1, transparent where nothing is."""
        self.call("Emulation.setDefaultBackgroundColorOverride", color={"r": 0, "g": 0, "b": 0, "a": 0})
        data = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        picture: npt.NDArray[np.float32] = imread(io.BytesIO(data), format="png")
        return picture
