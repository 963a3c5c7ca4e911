"""Headless Chromium, driven through its debugging pipe: no driver and no socket is needed."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
_SOFTWARE_GL = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader")
_NO_GL = ("--disable-gpu", "--disable-3d-apis")
_QUIET = (
    "--headless=new", "--no-sandbox", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-default-apps", "--disable-sync",
    "--disable-extensions", "--disable-dev-shm-usage", "--remote-debugging-pipe",
)  # fmt: skip


def program() -> str | None:
    """Chromium's program, if there is one."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


#: Runs a program that finds two descriptors as 3 and 4, wherever they are here.
_ON_3_AND_4 = """
import os, sys
taken = os.dup(int(sys.argv[1])), os.dup(int(sys.argv[2]))
while min(taken) < 5:
    taken = os.dup(taken[0]), os.dup(taken[1])
os.dup2(taken[0], 3), os.dup2(taken[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """One page of Chromium.

    Attributes:
        requests: addresses that the page asked for, the page itself first.
        refused: what its policy blocked, and errors of its script.
    """

    def __init__(self, width: int, height: int, *, gl: bool = True) -> None:
        self.requests: list[str] = []
        self.refused: list[str] = []
        self._number = 0
        self._rest = b""
        self._profile = tempfile.TemporaryDirectory()
        theirs_in, self._to = os.pipe()
        self._from, theirs_out = os.pipe()
        found = program()
        assert found is not None
        # Chromium reads commands from descriptor 3 and answers on 4.
        self._process = subprocess.Popen(
            [
                sys.executable, "-c", _ON_3_AND_4, str(theirs_in), str(theirs_out), found, *_QUIET,
                *(_SOFTWARE_GL if gl else _NO_GL), f"--window-size={width},{height}",
                f"--user-data-dir={self._profile.name}", "about:blank",
            ],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self._session: str | None = None
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=page, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.call(f"{domain}.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._to)
        os.close(self._from)
        shutil.rmtree(self._profile.name, ignore_errors=True)

    def open(self, path: Path, hash_: str = "") -> None:
        """Open a file and wait until it was drawn."""
        self.call("Page.navigate", url=path.as_uri() + hash_)
        self.until("document.readyState === 'complete'")

    def until(self, condition: str, seconds: float = 60) -> None:
        """Wait for a condition."""
        end = time.monotonic() + seconds
        while not self.run(condition):
            assert time.monotonic() < end, f"never: {condition}; {self.refused}"
            time.sleep(0.05)

    def run(self, script: str) -> Any:
        """The value of an expression, or what its promise gives."""
        told = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        return told["result"].get("value")

    def key(self, key: str, *, shift: bool = False) -> None:
        """Press a key."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, modifiers=8 if shift else 0)

    def drag(self, start: tuple[int, int], end: tuple[int, int], button: str = "left") -> None:
        """Drag the mouse."""
        held = {"left": 1, "right": 2}[button]
        steps = [("mousePressed", start), ("mouseMoved", end), ("mouseReleased", end)]
        for kind, (x, y) in steps:
            self.call(
                "Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, buttons=held,
                clickCount=1,
            )  # fmt: skip

    def wheel(self, at: tuple[int, int], delta: float) -> None:
        """Turn the wheel."""
        x, y = at
        self.call("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=delta)

    def pinch(self, at: tuple[int, int], spread: tuple[int, int]) -> None:
        """Two fingers about a place, from one distance to another."""
        x, y = at
        for kind, apart in (("touchStart", spread[0]), ("touchMove", spread[1])):
            points = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}]
            self.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def dark(self, dark: bool) -> None:
        """What the system prefers."""
        feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[feature])

    def screenshot(self) -> np.ndarray:
        """(height, width, 3) uint8."""
        from PIL import Image

        data = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the DevTools protocol."""
        self._number += 1
        command: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            command["sessionId"] = self._session
        os.write(self._to, json.dumps(command).encode() + b"\0")
        while True:
            message = self._message()
            if message.get("id") == self._number:
                assert "error" not in message, f"{method}: {message['error']}"
                result: dict[str, Any] = message["result"]
                return result

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            data = os.read(self._from, 1 << 20)
            assert data, "Chromium ended"
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        parameters = message.get("params", {})
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif message.get("method") == "Log.entryAdded":
            self.refused.append(parameters["entry"]["text"])
        elif message.get("method") == "Runtime.exceptionThrown":
            self.refused.append(json.dumps(parameters["exceptionDetails"]))
        return message
