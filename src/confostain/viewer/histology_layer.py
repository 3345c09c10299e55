"""Layer of an H&E slide: tiles read from the pyramid of its file."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from confostain.arrays import Rgb
from confostain.geometry import Region, Size
from confostain.io.readers.histology import HistologySlide
from confostain.io.writers.pyramid import TILE, level_sizes
from confostain.viewer.colour_profile import ColourProfile
from confostain.viewer.layer import LayerInfo, PixelSource, TileIndex, Work


class HistologyLayer:
    """The only layer of an H&E slide."""

    def __init__(self, slide: HistologySlide, label: str = "H&E") -> None:
        """Show `slide`; `label` is other than "H&E" for a stain that was written to a file."""
        about = "real H&E section, as scanned" if label == "H&E" else "stain read from its file"
        self._profile = ColourProfile(slide.icc_profile)
        self.info = LayerInfo("histology", label, about, "histology", False, self._profile.said)
        self._slide = slide
        self._sizes = level_sizes(Size(*slide.size))

    def version(self, tile: TileIndex) -> str:
        """Always the same: the pixels do not change."""
        return "scanned"

    def preparation(self, tile: TileIndex) -> tuple[Hashable, Work] | None:
        """None."""
        return None

    def render(self, tile: TileIndex) -> tuple[Rgb, PixelSource]:
        """Pixels of the tile, resampled from the nearest finer level of the file, in sRGB."""
        size = self._sizes[tile.level]
        region = Region(tile.column * TILE, tile.row * TILE, TILE, TILE).intersection(size.region)
        microns = self._slide.microns_per_pixel * (1 << tile.level)
        # The file holds whole pixels only: at the right and lower edge one less, where the pyramid rounds up.
        available = region.intersection(Size(*self._slide.size_at(microns)).region)
        rgb = self._slide.read_region((available.x, available.y), (available.width, available.height), microns)
        edges = ((0, region.height - available.height), (0, region.width - available.width), (0, 0))
        return np.pad(self._profile.to_srgb(rgb), edges, mode="edge"), "average"

    def final_fractions(self) -> list[float]:
        """1 for each level."""
        return [1.0] * len(self._sizes)

    def next_background_work(self, level0_xy: tuple[float, float]) -> Work | None:
        """None."""
        return None
