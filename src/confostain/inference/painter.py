"""Stains one tile of a slide at a time: read with a halo, stain, cut, white where there is no tissue.

What writes files and what shows tiles on request both paint with this, so they give the same pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from confostain.geometry import Region, Size
from confostain.imaging.tissue import TissueMask
from confostain.inference.models import Model
from confostain.inference.tiling import HaloTile, Reader, TileGrid, read_mirrored

Rgb = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class SlidePainter:
    """Stains tiles of one slide; several threads may use it at once.

    Attributes:
        read: returns float32 (2, h, w) in [0, 1] for a region inside the slide.
        size: of the slide in level-0 pixels.
        model: what stains.
        tissue: where there is something to stain; None for everywhere.
    """

    read: Reader
    size: Size
    model: Model
    tissue: TissueMask | None = None

    def grid(self, area: Region, side: int) -> TileGrid:
        """The tiles of an area, `side` pixels wide and high, each with the halo that the model needs."""
        return TileGrid(area, side, self.model.receptive_field, self.model.stride)

    def paint(self, tile: HaloTile) -> Rgb | None:
        """The stained core of a tile; None where there is no tissue, which is white."""
        core = tile.level0_core
        if self.tissue is not None and not self.tissue.touches(core):
            return None
        rgb = self.model(read_mirrored(self.read, self.size, tile.level0_input))[tile.core_in_input]
        if self.tissue is None or self.tissue.fills(core):
            return rgb
        return _on_white(rgb, self.tissue.coverage(core))


def _on_white(rgb: Rgb, coverage: npt.NDArray[np.float32]) -> Rgb:
    """Fade to white where there is no tissue."""
    absorbed = (255 - rgb).astype(np.float32)
    absorbed *= coverage[..., np.newaxis]
    return np.asarray(255 - np.rint(absorbed).astype(np.uint8))
