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
        not_scanned: returns the mask of pixels of a region that were not scanned and stay empty, or None for none.
        empty: value where there is nothing: white, or no density.
    """

    read: Reader
    size: Size
    model: Model
    tissue: Tissue | None = None
    not_scanned: Callable[[Region], Mask | None] = lambda region: None
    empty: int = WHITE

    def grid(self, area: Region, side: int) -> TileGrid:
        """Grid of tiles over an area, `side` pixels wide and high, each with the halo that the model needs."""
        return TileGrid(area, side, self.model.receptive_field, self.model.stride)

    def stain_tile(self, tile: HaloTile) -> Rgb | None:
        """What the model makes of the core of a tile, (h, w, samples); None where there is no tissue."""
        core = tile.level0_core
        if self.tissue is None or self.tissue.fills(core):
            return self._empty_where_not_scanned(self._stained(core), core)
        touched = _touched(self.tissue, core)
        if touched.is_empty:
            return None
        stained = self._stained(touched)
        made = np.full((core.height, core.width, *stained.shape[2:]), self.empty, stained.dtype)
        made[touched.slices_in(core)] = self._faded(stained, self.tissue.coverage(touched))
        return self._empty_where_not_scanned(made, core)

    def _empty_where_not_scanned(self, made: Rgb, core: Region) -> Rgb:
        missing = self.not_scanned(core)
        if missing is not None:
            made = made.copy()
            made[missing] = self.empty
        return made

    def _faded(self, stained: Rgb, coverage: npt.NDArray[np.float32]) -> Rgb:
        """What was made, fading to empty where there is no tissue."""
        lacking = np.subtract(self.empty, stained, dtype=np.float32) * coverage[..., np.newaxis]
        if stained.dtype.kind == "f":
            return np.asarray(self.empty - lacking, stained.dtype)
        return np.asarray(self.empty - np.rint(lacking).astype(np.uint8))

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
