"""A quick look at a stain before it is painted: a closed form of a few pixels, matched in colour to the real one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from confostain.arrays import Rgb
from confostain.geometry import Region
from confostain.slide import Slide

LEARN_LEVEL = 5  # means over 32 px of level 0 are compared, so that a network's fine structure averages out
RIDGE = 1.0  # samples' worth of "leave the closed form as it is"


class Preview:
    """Previews of one layer of one slide. Its colours follow the pixels painted so far.

    Attributes:
        revision: grows whenever the colours have changed.
        tissue_only: whether everything is white where there is no tissue.
    """

    def __init__(self, slide: Slide, formula: Callable[[npt.NDArray[np.float32]], Rgb], tissue_only: bool) -> None:
        """Start from `formula`, float32 (2, h, w) to uint8 (h, w, 3); with `tissue_only` white elsewhere."""
        self.revision = 0
        self._slide = slide
        self._formula = formula
        self.tissue_only = tissue_only
        self._correction: npt.NDArray[np.floating[Any]] = np.zeros((4, 3))
        self._normal = RIDGE * np.eye(4)  # X'X and X'y of the least squares, as far as blocks have come
        self._right = np.zeros((4, 3))
        self._blocks = 0
        self._lock = threading.Lock()

    def render(self, level0_region: Region, step: int) -> Rgb:
        """A region inside the slide at 1 / `step` of its size, which is a power of two."""
        pair = self._pair(level0_region, step)
        rgb: npt.NDArray[Any] = self._formula(pair) + _features(pair) @ self._correction
        if self.tissue_only:
            rgb = 255 - (255 - rgb) * self._coverage(level0_region, step)[..., np.newaxis]
        return np.asarray(np.rint(np.clip(rgb, 0, 255)), np.uint8)

    def learn(self, level0_region: Region, mean: Rgb) -> None:
        """Take the painted pixels of a region into account: their mean at LEARN_LEVEL."""
        pair = self._pair(level0_region, 1 << LEARN_LEVEL)
        known = self._coverage(level0_region, 1 << LEARN_LEVEL) == 1
        if not known.any():
            return
        features, residual = _features(pair)[known], (mean.astype(np.float32) - self._formula(pair))[known]
        with self._lock:
            self._normal += features.T @ features
            self._right += features.T @ residual
            self._blocks += 1
            if self._blocks.bit_count() == 1:  # after 1, 2, 4, 8, ... blocks: the colours settle
                self._correction = np.linalg.solve(self._normal, self._right)
                self.revision += 1

    def _pair(self, region: Region, step: int) -> npt.NDArray[np.float32]:
        cell = self._slide.tissue.cell
        if step < cell:
            return self._slide.read_reduced(region, step)
        return np.stack([_reduced(plane, _cells(region, cell), step // cell) for plane in self._slide.overview])

    def _coverage(self, region: Region, step: int) -> npt.NDArray[np.float32]:
        tissue = self._slide.tissue
        if step >= tissue.cell:
            return _reduced(tissue.cells.astype(np.float32), _cells(region, tissue.cell), step // tissue.cell)
        rows = (region.y + np.arange(0, region.height, step)) // tissue.cell
        columns = (region.x + np.arange(0, region.width, step)) // tissue.cell
        return tissue.cells[np.ix_(rows, columns)].astype(np.float32)


def _features(pair: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """What colours may depend on: float32 (h, w, 4)."""
    r, f = pair
    return np.stack([np.ones_like(r), r, f, r * f], axis=-1)


def _cells(region: Region, cell: int) -> Region:
    """The cells that a region meets, in cells; the region begins at a cell's corner."""
    x, y = region.x // cell, region.y // cell
    return Region(x, y, -(-region.right // cell) - x, -(-region.bottom // cell) - y)


def _reduced(plane: npt.NDArray[np.float32], cells: Region, factor: int) -> npt.NDArray[np.float32]:
    """Means of `factor` x `factor` cells; at the slide's border of as many as there are."""
    part = plane[cells.y : cells.bottom, cells.x : cells.right]
    if factor == 1:
        return part
    rows, columns = np.arange(0, part.shape[0], factor), np.arange(0, part.shape[1], factor)
    sums = np.add.reduceat(np.add.reduceat(part, rows, axis=0), columns, axis=1)
    return sums / (np.diff(rows, append=part.shape[0])[:, np.newaxis] * np.diff(columns, append=part.shape[1]))
