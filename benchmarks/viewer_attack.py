"""An honest client of the viewer while others attack it: latency of a cached tile, saved annotations, memory.

python benchmarks/viewer_attack.py                      # a painted phantom, every attack and then all at once
python benchmarks/viewer_attack.py scan/mosaic --requests 2000 --attacks slow-bodies large-puts

Starts `confostain view` as a process of its own, and the attackers as another one. The honest client asks for one tile
again and again, every tenth time over a new connection, and saves an annotation every fiftieth time, as the page does:
again where others write just now. Memory is that of the server and its child processes together.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import multiprocessing
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from viewer_load import percentile, start, wait_for

PAUSE = 0.02  # s between requests of the honest client
LARGE = 8 << 20  # bytes, the most that the server takes


@dataclass(frozen=True)
class Target:
    """The server, and the path of a slide's annotations."""

    host: str
    port: int
    annotations: str

    def head(self, length: int) -> bytes:
        """Head of a PUT of annotations."""
        line = f"PUT {self.annotations} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nIf-Match: x\r\n"
        return f"{line}Content-Type: application/geo+json\r\nContent-Length: {length}\r\n\r\n".encode()


Attack = Callable[[Target], Awaitable[None]]


async def _drip(target: Target, first: bytes, drop: bytes, seconds: float) -> None:
    """Send `first`, and then `drop` after `drop`, until the server closes the connection."""
    _, writer = await asyncio.open_connection(target.host, target.port)
    try:
        writer.write(first)
        while not writer.is_closing():
            await writer.drain()
            await asyncio.sleep(seconds)
            writer.write(drop)
    finally:
        writer.close()


async def _put(target: Target, bodies: Iterator[bytes]) -> None:
    """Send one large body and read the beginning of the answer."""
    reader, writer = await asyncio.open_connection(target.host, target.port)
    try:
        body = next(bodies)
        writer.write(target.head(len(body)) + body)
        await writer.drain()
        await reader.read(1 << 16)
    finally:
        writer.close()


async def _many(count: int, one: Callable[[], Awaitable[None]]) -> None:
    """`count` clients that begin again whenever they fail."""

    async def endless() -> None:
        while True:
            with suppress(OSError):
                await one()
            await asyncio.sleep(random.uniform(0, 0.2))

    await asyncio.gather(*(endless() for _ in range(count)))


async def unfinished(target: Target) -> None:
    """1,100 requests that never end."""
    await _many(1100, lambda: _drip(target, b"GET / HTTP/1.1\r\nHost: local", b"", 3600))


async def slow_heads(target: Target) -> None:
    """400 requests whose headers come byte by byte."""
    await _many(400, lambda: _drip(target, b"GET / HTTP/1.1\r\nX: ", b"a", 0.5))


async def slow_bodies(target: Target) -> None:
    """600 requests whose bodies come byte by byte."""
    await _many(600, lambda: _drip(target, target.head(1000) + b"[", b" ", 0.5))


async def large_heads(target: Target) -> None:
    """40 requests with endless headers."""
    await _many(40, lambda: _drip(target, b"GET / HTTP/1.1\r\nX: ", b"a" * (1 << 16), 0))


async def large_puts(target: Target) -> None:
    """8 clients that save 8 MB: valid, wrong in millions of places, or large once it is parsed."""
    ring = ",".join(f"[{number}.5,{number}.25]" for number in range(40))
    polygon = f'{{"type":"Polygon","coordinates":[[{ring}]]}}'
    cell = f'{{"type":"Feature","geometry":{polygon},"properties":{{"name":"cell"}}}}'
    point = '{"type":"Feature","geometry":{"type":"MultiPoint","coordinates":['
    kinds = [
        ("[", cell, "]"),
        ("[" + point, "1", "]}}]"),
        ('[],"x":[', "[]", "]"),
        ('[],"x":[', '{"a":1}', "]"),
    ]
    bodies = cycle([_filled('{"type":"FeatureCollection","features":' + a, b, c + "}") for a, b, c in kinds])
    await _many(8, lambda: _put(target, bodies))


async def deep_json(target: Target) -> None:
    """8 clients that save 8 MB of brackets."""
    bodies = cycle([b"[" * LARGE, b'{"a":' * (LARGE // 5)])
    await _many(8, lambda: _put(target, bodies))


async def everything(target: Target) -> None:
    """All of these at once."""
    await asyncio.gather(*(attack(target) for attack in ATTACKS.values() if attack is not everything))


ATTACKS: dict[str, Attack] = {
    "unfinished": unfinished,
    "slow-heads": slow_heads,
    "slow-bodies": slow_bodies,
    "large-heads": large_heads,
    "large-puts": large_puts,
    "deep-json": deep_json,
    "everything": everything,
}


def _filled(begin: str, part: str, end: str) -> bytes:
    """JSON of LARGE bytes or little less."""
    count = (LARGE - len(begin) - len(end)) // (len(part) + 1)
    return (begin + ",".join([part] * count) + end).encode()


@contextmanager
def attacked(target: Target, attack: str | None) -> Iterator[None]:
    """Run an attack in a process of its own until the block ends."""
    if attack is None:
        yield
        return
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(attack, target), daemon=True)
    process.start()
    try:
        time.sleep(2)  # until it is in full swing
        yield
    finally:
        process.kill()
        process.join()


def _run(attack: str, target: Target) -> None:
    if hasattr(psutil, "RLIMIT_NOFILE"):
        hard = psutil.Process().rlimit(psutil.RLIMIT_NOFILE)[1]
        psutil.Process().rlimit(psutil.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(ATTACKS[attack](target))


@dataclass
class Honest:
    """A client, and what it has seen."""

    target: Target
    tile: str
    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    saves: int = 0
    refused: int = 0
    peak: int = 0

    def work(self, requests: int, server: psutil.Process) -> None:
        """Ask for the tile that many times, save now and then, and watch the server's memory."""
        connection = self._connected()
        for number in range(requests):
            if number % 10 == 0:
                connection.close()
            begin = time.perf_counter()
            try:
                status = self._get(connection)
            except (http.client.HTTPException, OSError):  # idle connections may be closed; browsers open them again
                connection.close()
                status = self._get(connection)
            self.seconds.append(time.perf_counter() - begin)
            if status != 200:
                self.errors.append(f"{status} for a tile")
            if number % 50 == 49:
                self._save()
            self.peak = max(self.peak, _memory(server))
            time.sleep(PAUSE)

    def _connected(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.target.host, self.target.port, timeout=60)

    def _get(self, connection: http.client.HTTPConnection) -> int:
        connection.request("GET", self.tile)
        response = connection.getresponse()
        response.read()
        return response.status

    def _save(self) -> None:
        """Save one annotation; once more where the server says that others write just now."""
        connection, path = self._connected(), self.target.annotations
        for _ in range(100):
            connection.request("GET", path)
            read = connection.getresponse()
            collection, etag = json.loads(read.read()), read.headers["ETag"]
            point = {"type": "Point", "coordinates": [self.saves, 0]}
            collection["features"].append({"type": "Feature", "geometry": point, "properties": {}})
            connection.request("PUT", path, json.dumps(collection), {"If-Match": etag})
            answer = connection.getresponse()
            answer.read()
            if answer.status == 200:
                self.saves += 1
                return
            self.refused += 1
            time.sleep(PAUSE)
        self.errors.append(f"{answer.status} for annotations")


def _memory(server: psutil.Process) -> int:
    """Bytes of a process and its children."""
    total = 0
    for process in (server, *server.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss
    return total


def painted(folder: Path) -> Path:
    """A phantom slide."""
    from confostain.geometry import Size
    from confostain.io.writers.vivascope import write_mosaic
    from confostain.simulation.phantom import Phantom

    phantom = Phantom(Size(2000, 1500), seed=1)
    write_mosaic(folder, phantom.size, phantom.recorded_bands(), phantom.microns_per_pixel)
    return folder / "mosaic"


def main() -> None:
    """Read the command line, attack, and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("slide", nargs="?", help="what `confostain view` takes; a painted phantom if left out")
    parser.add_argument("--requests", type=int, default=500, help="of the honest client during each attack")
    parser.add_argument("--attacks", nargs="+", choices=list(ATTACKS), default=list(ATTACKS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server, url = start([options.slide or str(painted(Path(folder))), "--model", "gareau"])
        try:
            slide = wait_for(url)[0]
            parts, place = urlsplit(url), f"/api/slides/{slide['id']}"
            target = Target(str(parts.hostname), int(parts.port or 80), f"{place}/annotations")
            for attack in (None, *options.attacks):
                honest = Honest(target, f"{place}/tiles/{slide['layers'][0]['id']}/0/0_0.jpg")
                with attacked(target, attack):
                    honest.work(options.requests, psutil.Process(server.pid))
                print(
                    f"{attack or 'no attack'}: tile p50 {percentile(honest.seconds, 0.5):.0f} ms, p95"
                    f" {percentile(honest.seconds, 0.95):.0f} ms, worst {percentile(honest.seconds, 1):.0f} ms;"
                    f" {honest.saves} saved, {honest.refused} times later than asked; {len(honest.errors)} errors;"
                    f" memory at most {honest.peak / 1e6:.0f} MB",
                    flush=True,
                )
                for error in honest.errors[:5]:
                    print(f"  {error}")
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
