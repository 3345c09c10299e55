"""Tile stainer: a tile of a slide is read with its halo and stained; where there is no tissue it is white.

Result files and the tiles that the viewer computes on request come from it alike, so they hold the same pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Protocol

import numpy as np
import numpy.typing as npt

from confostain.arrays import Mask, Rgb
from confostain.geometry import Region, Size
from confostain.inference.tiling import HaloTile, Reader, TileGrid, read_mirrored, with_halo
from confostain.io.writers.pyramid import WHITE
from confostain.models.stainer import Model

STEP = 256  # px; only what holds tissue is computed, rounded up: networks run faster on shapes they have seen


class Tissue(Protocol):
    """Tissue mask: `TissueMask` of a slide, or of its reduced view."""

    def touches(self, region: Region) -> bool: ...  # noqa: D102
    def fills(self, region: Region) -> bool: ...  # noqa: D102
    def coverage(self, region: Region) -> npt.NDArray[np.float32]: ...  # noqa: D102


@dataclass(frozen=True)
class TileStainer:
    """Stainer of the tiles of one slide, or of its reduced view; several threads may use it at once.

    Attributes:
        read: returns float32 (2, h, w) in [0, 1] for a region inside the slide.
        size: of the slide in level-0 pixels.
        model: what stains.
        tissue: where there is something to stain; None for everywhere.
        not_scanned: returns the mask of pixels of a region that were not scanned and stay white, or None for none.
    """

    read: Reader
    size: Size
    model: Model
    tissue: Tissue | None = None
    not_scanned: Callable[[Region], Mask | None] = lambda region: None

    def grid(self, area: Region, side: int) -> TileGrid:
        """Grid of tiles over an area, `side` pixels wide and high, each with the halo that the model needs."""
        return TileGrid(area, side, self.model.receptive_field, self.model.stride)

    def stain_tile(self, tile: HaloTile) -> Rgb | None:
        """Stained core of a tile, uint8 (h, w, 3); None where there is no tissue, which is white."""
        core = tile.level0_core
        if self.tissue is None or self.tissue.fills(core):
            return self._white_where_not_scanned(self._stained(core), core)
        touched = _touched(self.tissue, core)
        if touched.is_empty:
            return None
        rgb = np.full((core.height, core.width, 3), WHITE, np.uint8)
        rgb[touched.slices_in(core)] = _on_white(self._stained(touched), self.tissue.coverage(touched))
        return self._white_where_not_scanned(rgb, core)

    def _white_where_not_scanned(self, rgb: Rgb, core: Region) -> Rgb:
        missing = self.not_scanned(core)
        if missing is not None:
            rgb = rgb.copy()
            rgb[missing] = WHITE
        return rgb

    def _stained(self, core: Region) -> Rgb:
        seen = with_halo(core, self.model.receptive_field, self.model.stride)
        return self.model(read_mirrored(self.read, self.size, seen))[core.slices_in(seen)]


def _touched(tissue: Tissue, core: Region) -> Region:
    """The part of a core, in steps from its corner, outside which no pixel has a coverage above 0."""
    steps = product(range(core.y, core.bottom, STEP), range(core.x, core.right, STEP))
    squares = [Region(x, y, STEP, STEP).intersection(core) for y, x in steps]
    touched = [square for square in squares if tissue.touches(square)]
    if not touched:
        return Region(core.x, core.y, 0, 0)
    x, y = min(square.x for square in touched), min(square.y for square in touched)
    right, bottom = max(square.right for square in touched), max(square.bottom for square in touched)
    return Region(x, y, right - x, bottom - y)


def _on_white(rgb: Rgb, coverage: npt.NDArray[np.float32]) -> Rgb:
    """Colours that fade to white where there is no tissue, uint8 (h, w, 3)."""
    absorbed = (255 - rgb).astype(np.float32)
    absorbed *= coverage[..., np.newaxis]
    return np.asarray(255 - np.rint(absorbed).astype(np.uint8))
