"""A real browser (Chromium without a window), told what to do over its debugging protocol; tests skip where there is none."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.testing.deadlines import within

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
)
WITHIN_S: Final = 60.0


class Tab:
    """One page of the browser."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0

    def open(self, url: str) -> None:
        """Go to an address."""
        self._call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def value(self, expression: str) -> Any:
        """Return the value of an expression in the page."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def text(self, selector: str) -> str:
        """Return what a person reads in the first element that fits; "" where it is hidden or absent."""
        return str(self.value(f"(document.querySelector({json.dumps(selector)}) || {{innerText: ''}}).innerText"))

    def click(self, selector: str) -> None:
        """Click the first element that fits."""
        self.value(f"document.querySelector({json.dumps(selector)}).click()")

    def wait(self, condition: str) -> None:
        """Wait until an expression is true in the page."""
        until_s = time.monotonic() + within(WITHIN_S)
        while not self.value(f"Boolean({condition})"):
            assert time.monotonic() < until_s, f"{condition} was not true within {WITHIN_S:g} s: {self.text('body')[:2000]}"
            time.sleep(0.05)

    def press(self, key: str, control: bool = False) -> None:
        """Press and release a key where the focus is: one character, or a name such as Enter."""
        named = {"Enter": (13, "\r"), "Escape": (27, ""), "Tab": (9, "")}
        code, text = named.get(key, (ord(key.upper()[0]), "" if control else key))
        key_of = {"key": key, "windowsVirtualKeyCode": code, "modifiers": 2 if control else 0}
        self._call("Input.dispatchKeyEvent", type="keyDown", text=text, **key_of)
        self._call("Input.dispatchKeyEvent", type="keyUp", **key_of)

    def enter(self, text: str) -> None:
        """Put a text where the focus is, as if it were typed."""
        self._call("Input.insertText", text=text)

    def look(self, width: int, height: int = 900, scheme: str = "light") -> None:
        """Make the window so many pixels wide and high, and prefer light or dark colours."""
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self._call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def online(self, connected: bool) -> None:
        """Cut the network of the page, or connect it again."""
        self._call("Network.enable")
        self._call(
            "Network.emulateNetworkConditions", offline=not connected, latency=0, downloadThroughput=-1, uploadThroughput=-1
        )

    def run_first(self, script: str) -> None:
        """Have a script run before those of each page that is opened from now on."""
        self._call("Page.enable")
        self._call("Page.addScriptToEvaluateOnNewDocument", source=script)

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message: dict[str, Any] = json.loads(self._socket.recv(timeout=within(WITHIN_S)))
            if message.get("id") == self._number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result


def chromium() -> str:
    """Return the browser's program; the test is skipped where there is none."""
    program = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(_NAMES)} is installed")
    return program


@contextmanager
def browsing(folder: Path) -> Iterator[Tab]:
    """Start a browser with a profile of its own below `folder` and yield its page."""
    profile = folder / "profile"
    command = [chromium(), *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
    quiet = {**os.environ, "DBUS_SESSION_BUS_ADDRESS": "disabled:"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=quiet)
    try:
        with connect(_page_address(profile), proxy=None, max_size=None) as socket:
            yield Tab(socket)
    finally:
        process.terminate()
        process.wait(within(WITHIN_S))


def _page_address(profile: Path) -> str:
    """Return the address of the first page's debugging socket."""
    import httpx

    note, until_s = profile / "DevToolsActivePort", time.monotonic() + within(WITHIN_S)
    while time.monotonic() < until_s:
        lines = note.read_text().splitlines() if note.exists() else []
        if len(lines) == 2:
            pages = httpx.get(f"http://127.0.0.1:{lines[0]}/json/list", trust_env=False).json()
            addresses = [str(page["webSocketDebuggerUrl"]) for page in pages if page["type"] == "page"]
            if addresses:
                return addresses[0]
        time.sleep(0.05)
    raise AssertionError(f"the browser did not start within {WITHIN_S:g} s")
