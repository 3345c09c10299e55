"""Where the tissue is: a coarse mask found once per slide, and the coverage that each pixel reads off it.

The slide is seen as a grid of cells of 16 x 16 level-0 pixels (more on very large slides), one mean per cell
and channel. What either channel shows as tissue is tissue. Everything errs on the side of keeping: glass must
be flat, dark and found for certain, or there is none. A channel is judged against its own grain and contrast,
never against its absolute level, since the pedestal of a detector says nothing about the tissue.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from confostain.arrays import Mask
from confostain.geometry import Region, Size

Grid = npt.NDArray[np.float32]  # (rows, columns), one mean per cell

CELL = 16  # px; about as large as one cell of the tissue at 0.75 um/px

FLAT = 0.02  # of the channel's contrast, over 9 x 9 cells: measured 0.00-0.01 on glass, 0.04-0.2 in tissue
NOISE = 0.3  # energy of the medians over that of the grain: 0.15 for noise alone, 0.6-7 in tissue
MIN_SIDE = 5  # cells; in a narrower slide nothing can be told from its surroundings
MIN_GLASS = 0.01  # of the slide: less flat area than this is a lumen
APART = 0.8  # of the variance explained by a threshold: 0.64 for one bell-shaped mode, 0.75 for a ramp
GLASS_SPREADS = 6.0  # how many standard deviations above the glass tissue begins

# In level-0 pixels, so that they mean the same whatever the cell; the lengths in brackets hold at 0.75 um/px.
MIN_TISSUE_AREA = 12 * 16**2  # px; smaller pieces are dust (a speck of 40 um)
MAX_HOLE_AREA = 4096 * 16**2  # px; larger holes in the tissue are glass (0.6 mm2)
MEDIAN_HIDES = 4  # cells: a piece this large may be less than half of every 3 x 3 cells
MARGIN = 48  # px; tissue is kept with at least this much glass around it (36 um)


@dataclass(frozen=True, eq=False)
class TissueMask:
    """Cells with tissue, each `cell` level-0 pixels wide and high, of a slide of this size."""

    cells: Mask  # (ceil(height / cell), ceil(width / cell))
    cell: int
    size: Size

    @property
    def share(self) -> float:
        """Tissue, margin included, as a fraction of the slide's area."""
        return float(self.cells.mean()) if self.cells.size else 0.0

    def touches(self, region: Region) -> bool:
        """Whether any pixel of this region (level 0) has a coverage above 0."""
        return bool(self._corners(region).any())

    def fills(self, region: Region) -> bool:
        """Whether every pixel of this region (level 0) has a coverage of 1."""
        return bool(self._corners(region).all())

    def coverage(self, region: Region) -> npt.NDArray[np.float32]:
        """How far each pixel of a region (level 0) counts as tissue: float32 (height, width) in [0, 1].

        1 on every cell with tissue, falling to 0 across the cell beside it. A pixel's value comes from its
        place in the slide alone, so that any cut of the slide gives the same bits.
        """
        corners = self._corners(region).astype(np.float32)
        if corners.all() or not corners.any():
            return np.full((region.height, region.width), corners[0, 0], np.float32)
        row, down = self._place(region.y, region.bottom)
        column, right = self._place(region.x, region.right)
        left, step = corners[:, column], corners[:, column + 1] - corners[:, column]
        across = left + right * step  # (corner rows, width)
        result = across[row + 1] - across[row]
        result *= down[:, np.newaxis]
        result += across[row]
        return result

    def _corners(self, region: Region) -> Mask:
        """Of each corner of the cells that meet the region: whether a cell that it belongs to is tissue."""
        top, left = region.y // self.cell, region.x // self.cell
        bottom, right = (region.bottom - 1) // self.cell + 1, (region.right - 1) // self.cell + 1
        rows, columns = np.arange(top - 1, bottom + 1), np.arange(left - 1, right + 1)
        around = self.cells[np.ix_(rows.clip(0, len(self.cells) - 1), columns.clip(0, self.cells.shape[1] - 1))]
        pairs = around[1:] | around[:-1]
        return np.asarray(pairs[:, 1:] | pairs[:, :-1])

    def _place(self, start: int, stop: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """For each pixel in a line: its cell, counted from the first one's, and its place in it in (0, 1)."""
        pixels = np.arange(start, stop)
        within = (pixels % self.cell + 0.5) / self.cell
        return pixels // self.cell - start // self.cell, within.astype(np.float32)


def find_tissue(reflectance: Grid, fluorescence: Grid, size: Size, cell: int = CELL) -> TissueMask:
    """The tissue of a slide of this size, from the means of its cells in both channels, in stored units."""
    scanned = where_scanned(reflectance, fluorescence)
    seen = _tissue_in(reflectance, scanned, cell) | _tissue_in(fluorescence, scanned, cell)
    side = 2 * -(-MARGIN // cell) + 1
    grown = ndimage.maximum_filter(without_specks(seen, MIN_TISSUE_AREA // cell**2), side)
    return TissueMask(without_holes(grown, MAX_HOLE_AREA // cell**2), cell, size)


def where_scanned(reflectance: npt.NDArray[Any], fluorescence: npt.NDArray[Any]) -> Mask:
    """Where a scanner recorded anything, for stored values of any one shape: it pads the rest with zeros.

    Among negative values 0 is a value like any other, not a padding, and everything counts as scanned.
    """
    if min(reflectance.min(initial=0), fluorescence.min(initial=0)) < 0:
        return np.ones(reflectance.shape, bool)
    return np.asarray((reflectance != 0) | (fluorescence != 0))


def _tissue_in(means: Grid, scanned: Mask, cell: int) -> Mask:
    """Cells that are tissue as far as one channel tells: all of them where it shows no glass."""
    smooth = ndimage.median_filter(means, 3)  # a hot pixel is not tissue
    levels = smooth[scanned]
    if not levels.size or min(means.shape) < MIN_SIDE:
        return scanned
    low, high = np.percentile(levels, [0.5, 99.5])
    flat, noisy = _flat(means, smooth, FLAT * (high - low))
    if (flat | noisy)[scanned].all():
        return np.zeros_like(scanned)
    # Where there is next to no tissue the contrast is that of the noise, and noise alone tells the glass.
    glass = (noisy if noisy[scanned].mean() > 0.5 else flat) & scanned
    if np.count_nonzero(glass) < MIN_GLASS * levels.size:
        return scanned
    darkest = _darkest_mode(smooth[glass], levels.size)
    glass &= smooth <= darkest.max()
    least = FLAT * (high - low)
    seen = smooth > _brightest_glass(darkest, least)
    if MEDIAN_HIDES * cell**2 > MIN_TISSUE_AREA:
        seen |= means > _brightest_glass(means[glass], least)
    return np.asarray(seen & scanned)


def _brightest_glass(glass: Grid, least: float) -> float:
    """The level above which there is tissue, at least `least` above the typical glass."""
    level = np.median(glass)
    # The spread is read off the side away from the tissue: flat but dim tissue may hide on the other one.
    spread = np.sqrt(np.mean((level - glass[glass <= level]) ** 2))
    return float(level + max(GLASS_SPREADS * spread, least))


def _flat(means: Grid, smooth: Grid, limit: float) -> tuple[Mask, Mask]:
    """Cells whose surroundings vary less than `limit`, and those where they vary no more than noise would."""
    structure = ndimage.uniform_filter((smooth - ndimage.uniform_filter(smooth, 9)) ** 2, 9)
    grain = ndimage.uniform_filter((means - smooth) ** 2, 9)
    return structure <= limit**2, structure <= NOISE * grain


def _darkest_mode(levels: Grid, of: int) -> Grid:
    """Levels below every Otsu threshold that sets two modes apart: glass without flat tissue."""
    while True:
        threshold, apart = otsu(levels)
        darker = levels[levels < threshold]
        if apart < APART or not MIN_GLASS * of <= darker.size < levels.size:
            return levels
        levels = darker


def otsu(levels: npt.NDArray[np.floating[Any]]) -> tuple[float, float]:
    """The threshold with the largest variance between its two classes, and its share of the whole variance.

    Source: Otsu 1979, "A threshold selection method from gray-level histograms", IEEE Trans. SMC 9(1), 62-66.
    """
    levels = levels.astype(np.float64)  # float32 has too few steps between like values on a high pedestal
    counts, edges = np.histogram(levels, 512)
    centres = (edges[1:] + edges[:-1]) / 2
    below, sums = np.cumsum(counts)[:-1], np.cumsum(counts * centres)[:-1]
    mean, share = float(levels.mean()), below / levels.size
    with np.errstate(invalid="ignore", divide="ignore"):
        between = np.nan_to_num((mean * share - sums / levels.size) ** 2 / (share * (1 - share)))
    best, variance = int(between.argmax()), float(levels.var())
    return float(edges[best + 1]), float(between[best]) / variance if variance > 0 else 0.0


def without_specks(tissue: Mask, smallest: int) -> Mask:
    """Without the pieces of fewer cells than `smallest`."""
    labels, count = ndimage.label(tissue, np.ones((3, 3), int))
    keep = np.bincount(labels.ravel(), minlength=count + 1) >= min(smallest, tissue.size)
    keep[0] = False
    return np.asarray(keep[labels])


def without_holes(tissue: Mask, largest: int) -> Mask:
    """Fill what tissue encloses, such as lumina and fat, up to `largest` cells: only glass is larger."""
    labels, count = ndimage.label(~tissue)
    fill = np.bincount(labels.ravel(), minlength=count + 1) <= largest
    for border in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        fill[border] = False
    fill[0] = True
    return np.asarray(fill[labels])
