"""Preview of a stain: a closed-form stain of coarse pixels, colour-corrected by least squares to the stained blocks.

The correction has no constant term: where both channels are 0, on glass, a preview is as white as the closed form.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from confostain.arrays import Image, Pair, Rgb
from confostain.geometry import Region
from confostain.slide import Slide

LEARN_LEVEL = 5  # means over 32 px of level 0 are compared, so that the fine structure of a network averages out
FEATURES = 5  # regressors of the colour correction
RIDGE = 1.0  # weight of "no correction" in the least squares, in samples


class Preview:
    """Preview of one layer of one slide. Its colours follow the blocks stained so far.

    Attributes:
        revision: number of colour corrections so far.
        tissue_only: whether everything outside the tissue is white.
    """

    def __init__(self, slide: Slide, formula: Callable[[Pair], Rgb], tissue_only: bool) -> None:
        """Start from `formula`, float32 (2, h, w) in [0, 1] to uint8 (h, w, 3)."""
        self.revision = 0
        self.tissue_only = tissue_only
        self._slide = slide
        self._formula = formula
        self._correction: npt.NDArray[np.floating[Any]] = np.zeros((FEATURES, 3))
        self._xtx = RIDGE * np.eye(FEATURES)  # X'X and X'y of the least squares over all blocks so far
        self._xty = np.zeros((FEATURES, 3))
        self._blocks = 0
        self._lock = threading.Lock()

    def render(self, level0_region: Region, step: int) -> Rgb:
        """A region inside the slide at 1 / `step` of its size, uint8 (h, w, 3); `step` is a power of two."""
        pair = self._pair(level0_region, step)
        rgb: npt.NDArray[Any] = self._formula(pair) + _features(pair) @ self._correction
        if self.tissue_only:
            rgb = 255 - (255 - rgb) * self._coverage(level0_region, step)[..., np.newaxis]
        return np.asarray(np.rint(np.clip(rgb, 0, 255)), np.uint8)

    def learn(self, level0_region: Region, mean: Rgb) -> None:
        """Fit the colours to a stained region, given as its mean at LEARN_LEVEL."""
        pair = self._pair(level0_region, 1 << LEARN_LEVEL)
        in_tissue = self._coverage(level0_region, 1 << LEARN_LEVEL) == 1
        if not in_tissue.any():
            return
        features = _features(pair)[in_tissue]
        residual = (mean.astype(np.float32) - self._formula(pair))[in_tissue]
        with self._lock:
            self._xtx += features.T @ features
            self._xty += features.T @ residual
            self._blocks += 1
            if self._blocks.bit_count() == 1:  # after 1, 2, 4, 8, ... blocks: the colours converge
                self._correction = np.linalg.solve(self._xtx, self._xty)
                self.revision += 1

    def _pair(self, region: Region, step: int) -> Pair:
        cell = self._slide.tissue.cell
        if step < cell:
            return self._slide.read_reduced(region, step)
        return np.stack([_cell_means(plane, _cells(region, cell), step // cell) for plane in self._slide.overview])

    def _coverage(self, region: Region, step: int) -> Image:
        tissue = self._slide.tissue
        if step >= tissue.cell:
            return _cell_means(tissue.cells.astype(np.float32), _cells(region, tissue.cell), step // tissue.cell)
        rows = (region.y + np.arange(0, region.height, step)) // tissue.cell
        columns = (region.x + np.arange(0, region.width, step)) // tissue.cell
        return tissue.cells[np.ix_(rows, columns)].astype(np.float32)


def _features(pair: Pair) -> npt.NDArray[np.float32]:
    """Regressors of the colour correction: R, F, R * F, R^2 and F^2, float32 (h, w, FEATURES)."""
    r, f = pair
    return np.stack([r, f, r * f, r * r, f * f], axis=-1)


def _cells(region: Region, cell: int) -> Region:
    """Cells of the tissue mask that a region meets, in cells; the region starts at a corner of a cell."""
    x, y = region.x // cell, region.y // cell
    return Region(x, y, -(-region.right // cell) - x, -(-region.bottom // cell) - y)


def _cell_means(plane: Image, cells: Region, factor: int) -> Image:
    """Means of `factor` x `factor` cells; of fewer at the border of the slide."""
    part = plane[cells.y : cells.bottom, cells.x : cells.right]
    if factor == 1:
        return part
    rows, columns = np.arange(0, part.shape[0], factor), np.arange(0, part.shape[1], factor)
    sums = np.add.reduceat(np.add.reduceat(part, rows, axis=0), columns, axis=1)
    return sums / (np.diff(rows, append=part.shape[0])[:, np.newaxis] * np.diff(columns, append=part.shape[1]))
