"""Tiles as the page asks for them: rendered on demand in order of urgency, encoded, kept."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import imagecodecs
import numpy as np

from confostain.arrays import Rgb
from confostain.io.writers.pyramid import TILE
from confostain.models.engines.processors import usable_processors
from confostain.viewer.layers import Layer, Place, Source, Work
from confostain.viewer.priority_executor import Order, PriorityExecutor, Rank, View
from confostain.viewer.store import MemoryStore

Format = Literal["jpg", "png"]

JPEG_QUALITY = 90
INTEREST = 60.0  # s after the last request for a layer during which its previews are replaced unasked
QUIET = 0.3  # s without a request for a tile before previews are replaced: a hand that pans comes first


@dataclass(frozen=True)
class Tile:
    """An encoded tile, and what it shows."""

    data: bytes
    source: Source
    etag: str


class TileService:
    """Takes requests for tiles, has them computed, and keeps what was computed."""

    def __init__(self, threads: int | None = None) -> None:
        """Compute in `threads` threads, as many as there are processors by default."""
        self._kept = MemoryStore()
        self._asked = 0.0  # when somebody asked for a tile
        self._interest: dict[int, tuple[float, Layer, tuple[float, float]]] = {}
        self._era = secrets.token_hex(4)  # no tile of an earlier program is ever taken for one of this
        self.workshop = PriorityExecutor(threads or usable_processors(), self._idle)

    def etag(self, layer: Layer, place: Place, form: Format) -> str:
        """What the tile would carry if it were rendered now."""
        words = f"{self._era}-{id(layer):x}-{place.level}-{place.column}-{place.row}-{form}-{layer.state(place)}"
        return f'"{words.replace(" ", "-")}"'

    def kept(self, etag: str) -> Tile | None:
        """The tile of that tag if it has been rendered before."""
        self._asked = time.monotonic()
        data = self._kept.get(etag)
        return None if data is None else _unpacked(data, etag)

    def orders(
        self, layer: Layer, place: Place, form: Format, level0_focus: tuple[float, float] | None, view: View | None
    ) -> Iterator[Order]:
        """Have a tile rendered, the coarsest and the nearest to the focus first: one order after the other.

        The result of the last one is the Tile. Tiles that share a preparation wait for the same order, so that the
        threads never do the same thing.
        """
        self.attend(layer, level0_focus or _centre(place))
        rank = _rank(place, level0_focus)
        preparation = layer.preparation(place)
        if preparation is not None:
            yield self.workshop.order(preparation[0], rank, preparation[1], view)
        yield self.workshop.order((id(layer), place, form), rank, lambda: self._render(layer, place, form), view)

    def attend(self, layer: Layer, level0_focus: tuple[float, float] | None = None) -> None:
        """Somebody looks at this layer, there."""
        known = self._interest.get(id(layer))
        focus = level0_focus or (known[2] if known else (0.0, 0.0))
        self._interest[id(layer)] = (time.monotonic(), layer, focus)

    def close(self) -> None:
        """Stop."""
        self.workshop.close()

    def _render(self, layer: Layer, place: Place, form: Format) -> Tile:
        etag = self.etag(layer, place, form)
        tile = self.kept(etag)
        if tile is None:
            rgb, source = layer.render(place)
            tile = Tile(encoded(rgb, form), source, etag)
            if self.etag(layer, place, form) == etag:  # else it became finer meanwhile: nobody knows which was shown
                self._kept.put(etag, _packed(tile))
        return tile

    def _idle(self) -> Work | None:
        """Work for a thread without orders: the layer looked at last goes first."""
        now = time.monotonic()
        if now - self._asked < QUIET:
            return None
        for since, layer, focus in sorted(self._interest.values(), key=lambda one: -one[0]):
            if now - since < INTEREST and (work := layer.paint_next(focus)) is not None:
                return work
        return None


def encoded(rgb: Rgb, form: Format) -> bytes:
    """As JPEG without colour subsampling, or as PNG, which is lossless."""
    rgb = np.ascontiguousarray(rgb)
    if form == "png":
        return bytes(imagecodecs.png_encode(rgb, level=1))
    return bytes(
        imagecodecs.jpeg8_encode(rgb, level=JPEG_QUALITY, colorspace="rgb", outcolorspace="ycbcr", subsampling="444")
    )


def _rank(place: Place, level0_focus: tuple[float, float] | None) -> Rank:
    distance = 0.0 if level0_focus is None else math.dist(_centre(place), level0_focus)
    return -place.level, distance


def _centre(place: Place) -> tuple[float, float]:
    side = TILE << place.level
    return (place.column + 0.5) * side, (place.row + 0.5) * side


SOURCES: tuple[Source, ...] = ("network", "closed-form", "average")


def _packed(tile: Tile) -> bytes:
    return bytes([SOURCES.index(tile.source)]) + tile.data


def _unpacked(data: bytes, etag: str) -> Tile:
    return Tile(data[1:], SOURCES[data[0]], etag)
