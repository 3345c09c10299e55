"""Slide survey: intensity ranges, tissue mask, overview and swapped-channel check, measured in one pass over a slide.

The pass reads every row of a small slide and one in 16 rows of a large one. What it keeps in memory is bounded,
whatever the size of the slide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from confostain.arrays import Mask, Pair
from confostain.geometry import Region, Size
from confostain.imaging.channels import look_swapped
from confostain.imaging.intensity import IntensityRange, measured_range, normalise
from confostain.imaging.tissue import CELL, Grid, TissueMask, find_tissue, where_scanned
from confostain.io.readers.plane import Plane

READ_PIXELS = 1 << 22  # rows are skipped until about so many pixels of a plane are read: every 16th of a large slide
MAX_CELLS = 1_200_000  # above, the cells of the tissue mask are doubled: 32 px wide for a scan of 25 x 25 mm
KEPT_PIXELS = 1 << 19  # values kept of each channel for its percentiles, whatever the size of the slide
FIELDS = 6  # fields read at full resolution to tell the channels apart
FIELD_SIDE = 256  # px


@dataclass(frozen=True, eq=False)
class Survey:
    """Statistics of one slide.

    Attributes:
        ranges: of R and F, in stored units.
        tissue: tissue mask in cells of 16 px or more.
        channels_look_swapped: whether R shows nuclei where F shows none; False when unsure.
        overview: float32 (2, rows, columns) in [0, 1], one pixel for each cell of the tissue mask.
    """

    ranges: tuple[IntensityRange, IntensityRange]
    tissue: TissueMask
    channels_look_swapped: bool
    overview: Pair


def survey_slide(reflectance: Plane, fluorescence: Plane) -> Survey:
    """Survey of a slide, measured on its two planes, which have the same size.

    Raises:
        SlideError: a file is damaged.
    """
    size = reflectance.size
    lattice = sampling_lattice(size)
    r, f = (sample_plane(plane, lattice) for plane in (reflectance, fluorescence))
    tissue = find_tissue(r.means, f.means, size, lattice.cell)
    scanned = where_scanned(r.values, f.values)
    in_tissue = lattice.expand(tissue.cells, r.values.shape)[scanned]
    ranges = (measured_range(r.values[scanned], in_tissue), measured_range(f.values[scanned], in_tissue))
    fields = _fields_in_tissue(tissue)
    swapped = bool(fields) and look_swapped(
        np.stack([normalise(reflectance.read(field), ranges[0]) for field in fields]),
        np.stack([normalise(fluorescence.read(field), ranges[1]) for field in fields]),
    )
    overview = np.stack([normalise(r.means, ranges[0]), normalise(f.means, ranges[1])])
    return Survey(ranges, tissue, swapped, overview)


@dataclass(frozen=True)
class SamplingLattice:
    """Spacing of the pixels that a survey reads, in level-0 pixels.

    Attributes:
        row_step: distance between the rows read.
        column_step: distance between the pixels kept from these rows.
        cell: side of the cells of the tissue mask; a multiple of `row_step`, so that each row lies in one row of cells.
    """

    row_step: int
    column_step: int
    cell: int

    def expand(self, cells: Mask, shape: tuple[int, ...]) -> Mask:
        """Value of `cells` (cell rows, cell columns) at each of the pixels kept: bool of this `shape`."""
        rows = np.arange(shape[0]) * self.row_step // self.cell
        columns = np.arange(shape[1]) * self.column_step // self.cell
        return np.asarray(cells[np.ix_(rows, columns)])


def sampling_lattice(size: Size) -> SamplingLattice:
    """Sampling lattice for a slide of that size."""
    row_step, cell = 1, CELL
    while row_step < CELL and size.pixels > row_step * READ_PIXELS:
        row_step *= 2
    while size.pixels > cell**2 * MAX_CELLS:
        cell *= 2
    return SamplingLattice(row_step, max(1, size.pixels // (row_step * KEPT_PIXELS)), cell)


@dataclass(frozen=True, eq=False)
class PlaneSample:
    """Sample of one plane.

    Attributes:
        means: mean of each cell, float32 (cell rows, cell columns), estimated from the rows read.
        values: pixels kept, in stored units, (rows, columns).
    """

    means: Grid
    values: npt.NDArray[Any]


def sample_plane(plane: Plane, lattice: SamplingLattice) -> PlaneSample:
    """Cell means and single pixels of a plane, read in one pass."""
    width, block_rows = plane.size.width, -(-plane.size.height // lattice.row_step)
    columns = np.arange(0, width, lattice.cell)
    cell_of_row = np.arange(block_rows) * lattice.row_step // lattice.cell
    values = np.empty((block_rows, -(-width // lattice.column_step)), plane.dtype)
    sums = np.zeros((cell_of_row[-1] + 1, len(columns)), np.float32)
    for first, rows in plane.scan(lattice.row_step):
        values[first : first + len(rows)] = rows[:, :: lattice.column_step]
        for row, line in enumerate(np.add.reduceat(rows, columns, axis=1, dtype=np.float32), first):
            sums[cell_of_row[row]] += line
    sums /= np.bincount(cell_of_row)[:, np.newaxis] * np.diff(columns, append=width)
    return PlaneSample(sums, values)


def _fields_in_tissue(tissue: TissueMask) -> list[Region]:
    """A few fields at full resolution, spread evenly over the tissue."""
    cells = np.flatnonzero(tissue.cells)
    if not len(cells):
        return []
    chosen = cells[(2 * np.arange(FIELDS) + 1) * len(cells) // (2 * FIELDS)]
    level0_yx = np.column_stack(np.unravel_index(chosen, tissue.cells.shape)) * tissue.cell - FIELD_SIDE // 2
    corners = np.clip(level0_yx, 0, [tissue.size.height - FIELD_SIDE, tissue.size.width - FIELD_SIDE])
    return [Region(int(x), int(y), FIELD_SIDE, FIELD_SIDE) for y, x in corners]
