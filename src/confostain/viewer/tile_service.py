"""Tile service: renders requested tiles in order of urgency, encodes them as JPEG or PNG, and caches them."""

from __future__ import annotations

import math
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import imagecodecs
import numpy as np
from cachetools import LRUCache

from confostain.arrays import Rgb
from confostain.io.writers.pyramid import TILE
from confostain.models.engines.processors import usable_processors
from confostain.viewer.layer import Layer, PixelSource, TileIndex, Work
from confostain.viewer.priority_executor import PriorityExecutor, Rank, Task, View

TileFormat = Literal["jpg", "png"]

JPEG_QUALITY = 90
MEMORY_BYTES = 128 << 20  # about 4000 encoded tiles
ACTIVE_SECONDS = 60.0  # after the last request for a layer, during which its previews are replaced in the background
QUIET_SECONDS = 0.3  # without a request for a tile before background work starts: panning has priority


@dataclass(frozen=True)
class EncodedTile:
    """An encoded tile.

    Attributes:
        data: JPEG or PNG.
        source: what computed its pixels.
        etag: its version, as HTTP writes it.
    """

    data: bytes
    source: PixelSource
    etag: str


@dataclass(frozen=True)
class _ActiveLayer:
    """A layer that a client looks at: since when (s, monotonic) and where."""

    last_request: float
    layer: Layer
    level0_focus: tuple[float, float]


class TileService:
    """Encoded tiles of all layers of all slides."""

    def __init__(self, threads: int | None = None) -> None:
        """Render in `threads` threads, by default one for each processor."""
        self._cache: LRUCache[str, EncodedTile] = LRUCache(MEMORY_BYTES, getsizeof=lambda tile: len(tile.data))
        self._cache_lock = threading.Lock()
        self._last_tile_request = 0.0  # s, monotonic
        self._active: dict[int, _ActiveLayer] = {}  # by id(layer)
        self._process_id = secrets.token_hex(4)  # part of each ETag: those of an earlier process are never valid
        self.executor = PriorityExecutor(threads or usable_processors(), self._background_work)

    def etag(self, layer: Layer, tile: TileIndex, form: TileFormat) -> str:
        """ETag of the tile as it would be rendered now."""
        words = f"{self._process_id}-{id(layer):x}-{tile.level}-{tile.column}-{tile.row}-{form}-{layer.version(tile)}"
        return f'"{words.replace(" ", "-")}"'

    def cached(self, etag: str) -> EncodedTile | None:
        """Tile of that ETag, if it is in the cache."""
        self._last_tile_request = time.monotonic()
        with self._cache_lock:
            return self._cache.get(etag)

    def tasks(
        self,
        layer: Layer,
        tile: TileIndex,
        form: TileFormat,
        level0_focus: tuple[float, float] | None,
        view: View | None,
    ) -> Iterator[Task]:
        """Tasks that render a tile, each to be finished before the next is taken; the last returns an EncodedTile.

        The coarsest tiles and those nearest to the focus are the most urgent. Tiles that need the same preparation
        wait for one task, so that no two threads compute the same.
        """
        self.mark_active(layer, level0_focus or _centre(tile))
        rank = _rank(tile, level0_focus)
        preparation = layer.preparation(tile)
        if preparation is not None:
            yield self.executor.submit(preparation[0], rank, preparation[1], view)
        yield self.executor.submit((id(layer), tile, form), rank, lambda: self._render(layer, tile, form), view)

    def mark_active(self, layer: Layer, level0_focus: tuple[float, float] | None = None) -> None:
        """Note that a client looks at this layer; without a focus it looks where it looked before."""
        known = self._active.get(id(layer))
        focus = level0_focus or (known.level0_focus if known else (0.0, 0.0))
        self._active[id(layer)] = _ActiveLayer(time.monotonic(), layer, focus)

    def close(self) -> None:
        """Stop the threads."""
        self.executor.close()

    def _render(self, layer: Layer, index: TileIndex, form: TileFormat) -> EncodedTile:
        etag = self.etag(layer, index, form)
        tile = self.cached(etag)
        if tile is None:
            rgb, source = layer.render(index)
            tile = EncodedTile(encode(rgb, form), source, etag)
            if self.etag(layer, index, form) == etag:  # else its version changed meanwhile: unknown which it shows
                with self._cache_lock:
                    self._cache[etag] = tile
        return tile

    def _background_work(self) -> Work | None:
        """Work for a thread without tasks, for the layer requested last."""
        now = time.monotonic()
        if now - self._last_tile_request < QUIET_SECONDS:
            return None
        active = list(self._active.values())  # at once: other threads add to it
        for one in sorted(active, key=lambda one: -one.last_request):
            is_active = now - one.last_request < ACTIVE_SECONDS
            if is_active and (work := one.layer.next_background_work(one.level0_focus)) is not None:
                return work
        return None


def encode(rgb: Rgb, form: TileFormat) -> bytes:
    """Pixels, uint8 (h, w, 3), as JPEG without chroma subsampling, or as PNG, which is lossless."""
    rgb = np.ascontiguousarray(rgb)
    if form == "png":
        return bytes(imagecodecs.png_encode(rgb, level=1))
    return bytes(
        imagecodecs.jpeg8_encode(rgb, level=JPEG_QUALITY, colorspace="rgb", outcolorspace="ycbcr", subsampling="444")
    )


def _rank(tile: TileIndex, level0_focus: tuple[float, float] | None) -> Rank:
    distance = 0.0 if level0_focus is None else math.dist(_centre(tile), level0_focus)
    return -tile.level, distance


def _centre(tile: TileIndex) -> tuple[float, float]:
    side = TILE << tile.level
    return (tile.column + 0.5) * side, (tile.row + 0.5) * side
