"""A headless Chromium, and `confostain` servers whose pages it opens."""

import io
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
FLAGS = [
    "--no-sandbox",  # CI runs as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WAIT = 120_000  # ms: CI's machines are shared


@contextmanager
def serving(command: str, *arguments: str) -> Iterator[str]:
    """Run `confostain COMMAND` until the block ends; its address."""
    line = [sys.executable, "-m", "confostain.cli", command, *arguments, "--port", "0", "--no-browser"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=environment) as server:
        try:
            assert server.stdout is not None
            yield re.search(r"http://\S+", server.stdout.readline()).group()
        finally:
            server.terminate()


class Server:
    """`confostain COMMAND` at an address that stays the same, however often it is killed and started again."""

    def __init__(self, command: str, *arguments: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}/"
        self._line = [sys.executable, "-m", "confostain.cli", command, *arguments, "--port", str(port), "--no-browser"]
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self._process = subprocess.Popen(self._line, stdout=subprocess.PIPE, text=True, env=environment)
        assert self._process.stdout is not None
        assert self._process.stdout.readline().startswith("http://")

    def kill(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.communicate()
        self._process = None

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()


@contextmanager
def chromium() -> Iterator["playwright.Browser"]:
    """A browser that is closed when the block ends."""
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class Window:
    """A browser window, its errors, and the hosts that it sent requests to."""

    def __init__(self, browser: "playwright.Browser", address: str, **options: object) -> None:
        self.context = browser.new_context(
            **{"viewport": {"width": 1200, "height": 800}, "reduced_motion": "reduce"} | options
        )
        self.page = self.context.new_page()
        self.address = address
        self.problems: list[str] = []
        self.hosts: set[str] = set()
        self.page.on("console", lambda message: message.type == "error" and self.problems.append(message.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))

    @property
    def own_host(self) -> str:
        return urlsplit(self.address).netloc


class Reader(Window):
    """A window that shows the viewer."""

    def open(self, link: str = "") -> "playwright.Page":
        self.page.goto(self.address + link)
        self.until(lambda: self.state().get("mpp") or self.state().get("px"))
        self.until(lambda: self.image().std() > 5)
        return self.page

    def until(self, met: Callable[[], object]) -> None:
        end = time.monotonic() + WAIT / 1000
        while not met():
            assert time.monotonic() < end, f"did not happen; the page says {self.problems}"
            self.page.wait_for_timeout(100)

    def settle(self) -> None:
        """Wait until nothing moves: two pictures of the window, one after the other, are the same."""
        before = b""
        while (now := self.page.screenshot() + self.page.url.encode()) != before:
            before = now
            self.page.wait_for_timeout(300)

    def state(self) -> dict[str, str]:
        """What the address says of the view."""
        return dict(part.split("=", 1) for part in self.page.url.partition("#")[2].split("&") if "=" in part)

    def image(self, pane: int = 0) -> npt.NDArray[np.uint8]:
        """The pixels of a pane's picture, without what is drawn above it."""
        data = self.page.locator(".pane-image canvas").nth(pane).evaluate("canvas => canvas.toDataURL()")
        return rgb(io.BytesIO(b64decode(data.partition(",")[2])))

    def screen(self) -> npt.NDArray[np.uint8]:
        """The stage as it is seen."""
        return rgb(io.BytesIO(self.page.locator("#stage").screenshot()))

    def saved(self) -> dict[str, object]:
        slide = self.state()["slide"]
        return self.page.evaluate(f"fetch('/api/slides/{slide}/annotations').then(answer => answer.json())")

    def clear(self) -> None:
        """Leave no annotations to the next test."""
        self.page.evaluate(
            """async (path) => {
              const version = (await fetch(path)).headers.get("ETag");
              const body = JSON.stringify({ type: "FeatureCollection", features: [] });
              const headers = { "If-Match": version, "Content-Type": "application/geo+json" };
              await fetch(path, { method: "PUT", headers, body });
            }""",
            f"/api/slides/{self.state()['slide']}/annotations",
        )

    def download(self, key: str) -> bytes:
        with self.page.expect_download(timeout=WAIT) as pending:
            self.page.keyboard.press(key)
        return Path(pending.value.path()).read_bytes()


def rgb(file: io.BytesIO) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.open(file).convert("RGB"))


def colour(picture: npt.NDArray[np.uint8]) -> float:
    """How far pixels are from grey, on average: 0 for a channel, far above for a stain."""
    return float(np.ptp(picture.astype(np.int16), axis=-1).mean())
