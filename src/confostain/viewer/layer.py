"""Layer of a slide: an image pyramid that the viewer shows, such as a channel, a stain or an H&E slide."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Literal, Protocol

from confostain.arrays import Rgb
from confostain.geometry import Region, Size
from confostain.io.writers.pyramid import TILE

PixelSource = Literal["network", "closed-form", "average"]  # what computed the pixels of a tile
Work = Callable[[], object]


@dataclass(frozen=True)
class TileIndex:
    """Index of a tile in a slide's pyramid: level 0 is full resolution, each next level half of the one before."""

    level: int
    column: int
    row: int

    def level0_region(self, slide: Size) -> Region:
        """Level-0 pixels that the tile shows."""
        side = TILE << self.level
        return Region(self.column * side, self.row * side, side, side).intersection(slide.region)


@dataclass(frozen=True)
class LayerInfo:
    """Description of a layer, as the page shows it.

    `colours` says what its colours mean where captions must: the two of a composite, or how an ICC profile was used.
    """

    id: str
    label: str
    note: str
    kind: Literal["channel", "stain", "histology"]
    closed_form: bool
    colours: str = ""


class Layer(Protocol):
    """An image pyramid of tiles of TILE x TILE pixels. Several threads may use it at once."""

    info: LayerInfo

    def version(self, tile: TileIndex) -> str:
        """A string that changes whenever the pixels of the tile change."""

    def preparation(self, tile: TileIndex) -> tuple[Hashable, Work] | None:
        """Key and work of what must be computed before the tile renders fast, shared by several tiles; or None."""

    def render(self, tile: TileIndex) -> tuple[Rgb, PixelSource]:
        """Pixels of the tile, uint8 (h, w, 3), cut at the slide's border, and what computed them."""

    def final_fractions(self) -> list[float]:
        """For each level, the fraction of the slide that shows final pixels instead of a preview, in [0, 1]."""

    def next_background_work(self, level0_xy: tuple[float, float]) -> Work | None:
        """Work that replaces previews by final pixels, the nearest to a point first; None if there is none left."""
