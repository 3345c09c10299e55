"""Twenty people pan over one slide: latency of tiles, errors, memory of the server.

python benchmarks/viewer_load.py scan/mosaic
python benchmarks/viewer_load.py scan/mosaic --clients 20 --seconds 60

Starts `confostain view` as a process of its own. Each client has a view of 6 x 4 tiles that wanders over the tissue by
up to half a view at a time. As the page does, it asks over four connections for the tiles it does not have yet, and
moves on when they are there. Tiles sent to somebody else before, with the same ETag, count as cached;
those that have become finer since were rendered anew.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from urllib.parse import urlsplit

import psutil

VIEW = (6, 4)  # tiles of 256 px: 1536 x 1024
CONNECTIONS = 4  # of each client, as the page opens them
PAUSE = (0.2, 0.6)  # s between the end of a view and the next move


class Load:
    """What all clients have seen."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.sent: dict[str, bytes] = {}  # the ETag last seen of each tile
        self.cached: list[float] = []
        self.new: list[float] = []
        self.views: list[float] = []
        self.errors: list[str] = []

    async def view(self, browser: Browser, paths: list[str]) -> None:
        """Fetch all tiles of a view and note how long each took, and the last."""
        begin = time.perf_counter()
        await asyncio.gather(*(self._tile(browser, path) for path in paths))
        self.views.append(time.perf_counter() - begin)

    async def _tile(self, browser: Browser, path: str) -> None:
        status, seconds, etag = await browser.get(path)
        if status != 200:
            self.errors.append(f"{status} {path}")
        (self.cached if self.sent.get(path) == etag else self.new).append(seconds)
        self.sent[path] = etag

    async def pan(self, number: int, slide: dict, layer: str, until: float, hot: bool) -> None:
        """Wander about, at changing magnifications; `hot`: over a region that others have seen."""
        chance, browser = random.Random(number), Browser(self.url)
        mine: set[str] = set()
        level, x, y = 1, chance.random(), chance.random()
        while time.perf_counter() < until:
            if chance.random() < 0.15:
                level = chance.choice([0, 0, 1, 2, 3, 4])
            step = 0.5 * 256 * VIEW[0] * 2**level / slide["width"]
            x = min(1.0, max(0.0, x + chance.uniform(-step, step)))
            y = min(1.0, max(0.0, y + chance.uniform(-step, step)))
            place = (0.4 + 0.2 * x, 0.4 + 0.2 * y) if hot else (x, y)
            missing = set(view_paths(slide, layer, level, *place)) - mine
            if missing:
                await self.view(browser, sorted(missing))
            mine |= missing
            await asyncio.sleep(chance.uniform(*PAUSE))


class Browser:
    """A few connections that are kept open; as little work as possible, since it shares the processors."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname, parts.port
        self._free: asyncio.LifoQueue = asyncio.LifoQueue()
        for _ in range(CONNECTIONS):
            self._free.put_nowait(None)

    async def get(self, path: str) -> tuple[int, float, bytes]:
        """Status, seconds from sending the request to the last byte of the answer, and its ETag."""
        streams = await self._free.get()
        if streams is None or streams[0].at_eof():  # servers close connections that have been idle
            streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = streams
        begin = time.perf_counter()
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length, etag = (head.partition(name)[2].split(b"\r\n", 1)[0] for name in (b"content-length:", b"etag:"))
        await reader.readexactly(int(length or 0))
        seconds = time.perf_counter() - begin
        self._free.put_nowait(streams)
        return int(head.split(b" ", 2)[1]), seconds, etag


def view_paths(slide: dict, layer: str, level: int, x: float, y: float) -> list[str]:
    """The tiles of a view around a point, given in shares of the slide's width and height."""
    columns, rows = (-(-slide[side] // (256 << level)) for side in ("width", "height"))
    left = min(max(0, round(x * columns) - VIEW[0] // 2), max(0, columns - VIEW[0]))
    top = min(max(0, round(y * rows) - VIEW[1] // 2), max(0, rows - VIEW[1]))
    return [
        f"/api/slides/{slide['id']}/tiles/{layer}/{level}/{column}_{row}.jpg"
        for row in range(top, min(rows, top + VIEW[1]))
        for column in range(left, min(columns, left + VIEW[0]))
    ]


def start(arguments: list[str]) -> tuple[subprocess.Popen[bytes], str]:
    """A server of its own, and where it listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "confostain.cli", "view", *arguments, "--no-browser", "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    return server, f"http://127.0.0.1:{port}"


def wait_for(url: str) -> list[dict]:
    """The slides, as soon as the server answers."""
    while True:
        try:
            with urllib.request.urlopen(f"{url}/api/slides") as answer:
                return json.load(answer)
        except OSError:
            time.sleep(0.01)


def first_view(arguments: list[str]) -> tuple[float, float]:
    """From the command to the first stained tile of a view of the whole slide: seconds, and processor seconds."""
    begin = time.perf_counter()
    server, url = start(arguments)
    try:
        slide = wait_for(url)[0]
        level = next(n for n in range(slide["levels"]) if slide["width"] >> n <= 1400)
        urllib.request.urlopen(url + view_paths(slide, slide["layers"][0]["id"], level, 0.5, 0.5)[0]).close()
        seconds, used = time.perf_counter() - begin, psutil.Process(server.pid).cpu_times()
        return seconds, used.user + used.system
    finally:
        server.terminate()
        server.wait()


def percentile(values: list[float], share: float) -> float:
    """In milliseconds."""
    return 1000 * sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


async def moves(load: Load, slide: dict, layer: str, count: int) -> list[float]:
    """Seconds until new views at full resolution are complete, one client alone."""
    chance, browser = random.Random(0), Browser(load.url)
    for _ in range(count):
        await load.view(browser, view_paths(slide, layer, 0, chance.uniform(0.1, 0.9), chance.uniform(0.1, 0.9)))
        await asyncio.sleep(0.3)
    return load.views


async def pan_all(load: Load, slide: dict, layer: str, clients: int, seconds: float, process: psutil.Process) -> int:
    """All clients at once; returns the largest memory of the server seen, in bytes."""
    until, peak = time.perf_counter() + seconds, 0
    tasks = [asyncio.create_task(load.pan(n, slide, layer, until, hot=n % 4 != 0)) for n in range(clients)]
    while not all(task.done() for task in tasks):
        peak = max(peak, process.memory_info().rss)
        await asyncio.sleep(0.25)
    await asyncio.gather(*tasks)
    return peak


def main() -> None:
    """Read the command line, pan, and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("slide", help="what `confostain view` takes")
    parser.add_argument("--model", default="gareau")
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--starts", type=int, default=5, help="how often the first view is timed")
    parser.add_argument("--moves", type=int, default=100, help="how many new views of one client are timed")
    options = parser.parse_args()

    arguments = [options.slide, "--model", options.model]
    print(f"load average at the start {os.getloadavg()[0]:.1f}")
    if options.starts:
        firsts, used = zip(*(first_view(arguments) for _ in range(options.starts)), strict=True)
        print(
            f"first tile of the first view: median {statistics.median(firsts):.2f} s, worst {max(firsts):.2f} s"
            f" ({statistics.median(used):.2f} s of one processor)"
        )
    server, url = start(arguments)
    try:
        slide = wait_for(url)[0]
        layer, process = slide["layers"][0]["id"], psutil.Process(server.pid)
        alone = Load(url)
        taken = asyncio.run(moves(alone, slide, layer, options.moves))
        print(
            f"new view of {VIEW[0]} x {VIEW[1]} tiles at full resolution, one client: "
            f"p50 {percentile(taken, 0.5):.0f} ms, p95 {percentile(taken, 0.95):.0f} ms, {len(alone.errors)} errors"
        )
        load, before = Load(url), process.memory_info().rss
        peak = asyncio.run(pan_all(load, slide, layer, options.clients, options.seconds, process))
    finally:
        server.terminate()
        server.wait()
    tiles = len(load.cached) + len(load.new)
    print(f"{options.clients} clients, {options.seconds:.0f} s: {tiles} tiles, {len(load.errors)} errors")
    for name, values in (("cached tiles", load.cached), ("new tiles", load.new), ("whole views", load.views)):
        print(f"{name}: {len(values)}, p50 {percentile(values, 0.5):.0f} ms, p95 {percentile(values, 0.95):.0f} ms")
    print(f"server's memory: {before / 1e6:.0f} MB before, at most {peak / 1e6:.0f} MB")
    for error in load.errors[:5]:
        print(error)


if __name__ == "__main__":
    main()
