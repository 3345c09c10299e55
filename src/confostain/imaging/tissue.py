"""Tissue mask of a confocal scan: a coarse grid of cells, and the coverage of each pixel interpolated from it.

The slide is divided into cells of 16 x 16 level-0 pixels (more on very large slides), with one mean per cell and
channel. A cell is tissue if either channel says so. In doubt a cell is tissue: glass must be flat, dark and identified
with certainty, or the slide counts as all tissue. A channel is judged by its own noise and contrast, not by its
absolute level, since the dark level of a detector says nothing about the tissue.
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

CELL = 16  # px; 12 um at the reference pixel size, about as large as one cell of the tissue

FLAT = 0.02  # of the channel's contrast, over 9 x 9 cells: measured 0.00-0.01 on glass, 0.04-0.2 in tissue
NOISE = 0.3  # variance of the median-filtered means over that of the rest: 0.15 for noise alone, 0.6-7 in tissue
MIN_SIDE = 5  # cells; in a narrower slide no cell has surroundings to compare it with
MIN_GLASS = 0.01  # of the slide: a smaller flat area is a lumen
MIN_EXPLAINED = 0.8  # of the variance, by a threshold between two modes: 0.64 for one bell-shaped mode, 0.75 for a ramp
GLASS_DEVIATIONS = 6.0  # standard deviations of the glass above its level at which tissue begins

# In level-0 pixels, so that they do not depend on the size of the cells; lengths in um are at the reference pixel size.
MIN_TISSUE_AREA = 12 * 16**2  # px; smaller pieces are dust (40 um across)
MAX_HOLE_AREA = 4096 * 16**2  # px; larger holes in the tissue are glass (0.6 mm2)
MEDIAN_HIDES = 4  # cells: a piece of up to this many can be removed by the 3 x 3 median
MARGIN = 48  # px; glass around the tissue that is kept with it (36 um)


@dataclass(frozen=True, eq=False)
class TissueMask:
    """Tissue mask of a slide in cells.

    Attributes:
        cells: bool (ceil(height / cell), ceil(width / cell)), true on tissue and a margin around it.
        cell: width and height of a cell in level-0 pixels.
        size: of the slide in level-0 pixels.
    """

    cells: Mask
    cell: int
    size: Size

    @property
    def share(self) -> float:
        """Tissue and its margin as a share of the slide, 0 to 1."""
        return float(self.cells.mean()) if self.cells.size else 0.0

    def touches(self, region: Region) -> bool:
        """Whether any pixel of a region (level 0) has a coverage above 0."""
        return bool(self._corners(region).any())

    def fills(self, region: Region) -> bool:
        """Whether every pixel of a region (level 0) has a coverage of 1."""
        return bool(self._corners(region).all())

    def coverage(self, region: Region) -> npt.NDArray[np.float32]:
        """Weight of each pixel of a region (level 0) as tissue: float32 (height, width) in [0, 1].

        1 on every cell with tissue, falling linearly to 0 across the cell beside it. It depends only on a pixel's
        position in the slide, so the result does not depend on how the slide is tiled.
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
        """Whether any of the four cells at each cell corner in the region is tissue: bool (rows + 1, columns + 1)."""
        top, left = region.y // self.cell, region.x // self.cell
        bottom, right = (region.bottom - 1) // self.cell + 1, (region.right - 1) // self.cell + 1
        rows, columns = np.arange(top - 1, bottom + 1), np.arange(left - 1, right + 1)
        around = self.cells[np.ix_(rows.clip(0, len(self.cells) - 1), columns.clip(0, self.cells.shape[1] - 1))]
        pairs = around[1:] | around[:-1]
        return np.asarray(pairs[:, 1:] | pairs[:, :-1])

    def _place(self, start: int, stop: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Cell of each pixel along one axis, counted from the first one's, and position within the cell in (0, 1)."""
        pixels = np.arange(start, stop)
        within = (pixels % self.cell + 0.5) / self.cell
        return pixels // self.cell - start // self.cell, within.astype(np.float32)


def find_tissue(reflectance: Grid, fluorescence: Grid, size: Size, cell: int = CELL) -> TissueMask:
    """Tissue mask of a slide, from the means of its cells.

    Args:
        reflectance: mean of each cell in stored units, float32 (rows, columns).
        fluorescence: likewise.
        size: of the slide in level-0 pixels.
        cell: side of a cell in level-0 pixels.
    """
    scanned = where_scanned(reflectance, fluorescence)
    return joined_tissue(
        tissue_in_channel(reflectance, scanned, cell) | tissue_in_channel(fluorescence, scanned, cell), size, cell
    )


def joined_tissue(mask: Mask, size: Size, cell: int) -> TissueMask:
    """Tissue mask of a slide from its tissue cells: without specks and holes, with a margin."""
    side = 2 * -(-MARGIN // cell) + 1
    grown = ndimage.maximum_filter(without_specks(mask, MIN_TISSUE_AREA // cell**2), side)
    return TissueMask(without_holes(grown, MAX_HOLE_AREA // cell**2), cell, size)


def where_scanned(reflectance: npt.NDArray[Any], fluorescence: npt.NDArray[Any]) -> Mask:
    """Mask of the pixels that were scanned, for stored values of both channels, any shape: scanners pad with zeros.

    Where negative values occur, 0 is no padding, and all pixels count as scanned.
    """
    if min(reflectance.min(initial=0), fluorescence.min(initial=0)) < 0:
        return np.ones(reflectance.shape, bool)
    return np.asarray((reflectance != 0) | (fluorescence != 0))


def tissue_in_channel(means: Grid, scanned: Mask, cell: int) -> Mask:
    """Tissue cells by one channel alone; all cells where it shows no glass."""
    smooth = ndimage.median_filter(means, 3)  # a hot pixel is not tissue
    levels = smooth[scanned]
    if not levels.size or min(means.shape) < MIN_SIDE:
        return scanned
    low, high = np.percentile(levels, [0.5, 99.5])
    flat, noisy = _flat(means, smooth, FLAT * (high - low))
    if (flat | noisy)[scanned].all():
        return np.zeros_like(scanned)
    # With hardly any tissue the contrast is that of the noise, and only the noise identifies the glass.
    glass = (noisy if noisy[scanned].mean() > 0.5 else flat) & scanned
    if np.count_nonzero(glass) < MIN_GLASS * levels.size:
        return scanned
    darkest = _darkest_mode(smooth[glass], levels.size)
    glass &= smooth <= darkest.max()
    least = FLAT * (high - low)
    mask = smooth > _brightest_glass(darkest, least)
    if MEDIAN_HIDES * cell**2 > MIN_TISSUE_AREA:
        mask |= means > _brightest_glass(means[glass], least)
    return np.asarray(mask & scanned)


def _brightest_glass(glass: Grid, least: float) -> float:
    """Level above which there is tissue, at least `least` above the median of the glass."""
    level = np.median(glass)
    # Standard deviation of the dark side only: on the bright side there may be flat, dim tissue.
    deviation = np.sqrt(np.mean((level - glass[glass <= level]) ** 2))
    return float(level + max(GLASS_DEVIATIONS * deviation, least))


def _flat(means: Grid, smooth: Grid, limit: float) -> tuple[Mask, Mask]:
    """Masks of the cells whose surroundings vary less than `limit`, and of those where they vary as noise does."""
    structure = ndimage.uniform_filter((smooth - ndimage.uniform_filter(smooth, 9)) ** 2, 9)
    noise = ndimage.uniform_filter((means - smooth) ** 2, 9)
    return structure <= limit**2, structure <= NOISE * noise


def _darkest_mode(levels: Grid, total: int) -> Grid:
    """Levels of the darkest mode, by repeated Otsu thresholds: glass without flat tissue. `total`: cells scanned."""
    while True:
        threshold, explained = otsu(levels)
        darker = levels[levels < threshold]
        if explained < MIN_EXPLAINED or not MIN_GLASS * total <= darker.size < levels.size:
            return levels
        levels = darker


def otsu(levels: npt.NDArray[np.floating[Any]]) -> tuple[float, float]:
    """Otsu threshold, which maximises the variance between its two classes, and that variance as a share of the total.

    Source: Otsu 1979, "A threshold selection method from gray-level histograms", IEEE Trans. SMC 9(1), 62-66.
    """
    levels = levels.astype(np.float64)  # float32 is too coarse for small differences on a high dark level
    counts, edges = np.histogram(levels, 512)
    centres = (edges[1:] + edges[:-1]) / 2
    below, sums = np.cumsum(counts)[:-1], np.cumsum(counts * centres)[:-1]
    mean, share = float(levels.mean()), below / levels.size
    with np.errstate(invalid="ignore", divide="ignore"):
        between = np.nan_to_num((mean * share - sums / levels.size) ** 2 / (share * (1 - share)))
    best, variance = int(between.argmax()), float(levels.var())
    return float(edges[best + 1]), float(between[best]) / variance if variance > 0 else 0.0


def without_specks(tissue: Mask, smallest: int) -> Mask:
    """Mask without connected pieces of fewer cells than `smallest`."""
    labels, count = ndimage.label(tissue, np.ones((3, 3), int))
    keep = np.bincount(labels.ravel(), minlength=count + 1) >= min(smallest, tissue.size)
    keep[0] = False
    return np.asarray(keep[labels])


def without_holes(tissue: Mask, largest: int) -> Mask:
    """Mask with holes of up to `largest` cells filled, such as lumina and fat; larger ones are glass."""
    labels, count = ndimage.label(~tissue)
    fill = np.bincount(labels.ravel(), minlength=count + 1) <= largest
    for border in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        fill[border] = False
    fill[0] = True
    return np.asarray(fill[labels])
