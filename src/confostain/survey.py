"""Slide survey: intensity ranges, tissue mask, overview and swapped-channel check, measured in one pass over a slide.

The pass reads every row of a small slide and one in 16 rows of a large one. What it keeps in memory is bounded,
whatever the size of the slide.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from confostain.arrays import Mask, Pair
from confostain.geometry import Region, Size
from confostain.imaging.channels import look_swapped
from confostain.imaging.defects import (
    Defects,
    find_defects,
    isolated,
    largest_value,
    not_scanned,
    outside_of,
    without_outliers,
)
from confostain.imaging.intensity import IntensityRange, measured_range, normalise
from confostain.imaging.registration import displacement
from confostain.imaging.tissue import CELL, Grid, TissueMask, joined_tissue, tissue_in_channel, where_scanned
from confostain.io.readers.plane import Plane

READ_PIXELS = 1 << 22  # rows are skipped until about so many pixels of a plane are read: every 16th of a large slide
MAX_CELLS = 1_200_000  # above, the cells of the tissue mask are doubled: 32 px wide for a scan of 25 x 25 mm
KEPT_PIXELS = 1 << 19  # values kept of each channel for its percentiles, whatever the size of the slide
FIELDS = 6  # fields read at full resolution to tell the channels apart
FIELD_SIDE = 256  # px
FAINT = 0.15  # standard deviation over mean: less contrast than any tissue has
REGISTRATION_SIDE = 1024  # px of the field on which R and F are registered
FEWEST_VALUES = 64  # of a channel: fewer that are the same say nothing


@dataclass(frozen=True)
class Exposure:
    """Exposure of one channel.

    Attributes:
        saturated: share of the tissue at the largest value of the data type, 0 to 1.
        is_constant: whether all of the tissue has one value.
        shows_nothing: whether the channel alone shows no tissue and has hardly any contrast: it holds noise only.
    """

    saturated: float = 0.0
    is_constant: bool = False
    shows_nothing: bool = False


NO_DEFECTS, WELL_EXPOSED = Defects(), Exposure()


@dataclass(frozen=True, eq=False)
class Survey:
    """Statistics of one slide.

    Attributes:
        ranges: of R and F, in stored units.
        tissue: tissue mask in cells of 16 px or more.
        channels_look_swapped: whether R shows nuclei where F shows none; False when unsure.
        overview: float32 (2, rows, columns) in [0, 1], one pixel for each cell of the tissue mask.
        defects: areas that were not scanned, hot and dead pixels.
        exposures: of R and F.
        displacement: (x, y) of F against R in pixels; None where there is no clear answer.
    """

    ranges: tuple[IntensityRange, IntensityRange]
    tissue: TissueMask
    channels_look_swapped: bool
    overview: Pair
    defects: Defects = NO_DEFECTS
    exposures: tuple[Exposure, Exposure] = (WELL_EXPOSED, WELL_EXPOSED)
    displacement: tuple[int, int] | None = None


def survey_slide(
    reflectance: Plane,
    fluorescence: Plane,
    given: tuple[IntensityRange | None, IntensityRange | None] = (None, None),
    in_both: Region | None = None,
) -> Survey:
    """Survey of a slide, measured on its two planes, which have the same size.

    Args:
        reflectance: R.
        fluorescence: F.
        given: intensity ranges that are not to be measured.
        in_both: part that both channels cover; None for all. Outside of it nothing counts as scanned.

    Raises:
        SlideError: a file is damaged.
    """
    size = reflectance.size
    lattice = sampling_lattice(size)
    r, f = (sample_plane(plane, lattice) for plane in (reflectance, fluorescence))
    defects = find_defects(r.values, f.values, (r.alone, f.alone))
    in_both = in_both or size.region
    has_numbers = not_scanned(r.values, f.values, False) is None and np.isfinite(r.means + f.means).all()
    if defects or in_both != size.region or not has_numbers:
        r, f = sample_pair(reflectance, fluorescence, lattice, defects, in_both)
    scanned_cells = where_scanned(r.means, f.means)
    in_r, in_f = (tissue_in_channel(one.means, scanned_cells, lattice.cell) for one in (r, f))
    tissue = joined_tissue(in_r | in_f, size, lattice.cell)
    scanned = where_scanned(r.values, f.values)
    in_tissue = lattice.expand(tissue.cells, r.values.shape)[scanned]
    ranges = (
        given[0] or measured_range(r.values[scanned], in_tissue),
        given[1] or measured_range(f.values[scanned], in_tissue),
    )

    def read(part: Region) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        return reflectance.read(part), fluorescence.read(part)

    fields = [read(part) for part in _fields_in_tissue(tissue)]
    swapped = bool(fields) and look_swapped(*_normalised(fields, ranges, defects.has_gaps))
    overview = np.stack([normalise(r.means, ranges[0]), normalise(f.means, ranges[1])])
    exposures = tuple(
        _exposure(one.values[scanned][in_tissue], not found.any()) for one, found in ((r, in_r), (f, in_f))
    )
    found = None
    if fields and not (exposures[0].is_constant or exposures[1].is_constant):
        centre = _field_in_middle(tissue)
        found = displacement(*(one[0] for one in _normalised([read(centre)], ranges, defects.has_gaps)))
    return Survey(ranges, tissue, swapped, overview, defects, (exposures[0], exposures[1]), found)


def _normalised(
    fields: list[tuple[npt.NDArray[Any], npt.NDArray[Any]]], ranges: tuple[IntensityRange, IntensityRange], gaps: bool
) -> list[npt.NDArray[np.float32]]:
    """R and F of fields in [0, 1], each (n, h, w); 0 where nothing was scanned."""
    stacks: list[list[npt.NDArray[np.float32]]] = [[], []]
    for pair in fields:
        missing = not_scanned(pair[0], pair[1], gaps)
        for stack, values, intensity in zip(stacks, pair, ranges, strict=True):
            stack.append(normalise(values, intensity))
            if missing is not None:
                stack[-1][missing] = 0
    return [np.stack(stack) for stack in stacks]


def _exposure(values: npt.NDArray[Any], shows_nothing: bool) -> Exposure:
    """Exposure of a channel, from a sample of its stored values in tissue."""
    top = largest_value(values.dtype)
    saturated = float((values == top).mean()) if top is not None and values.size else 0.0
    is_faint = bool(
        values.size
        and (values.std() < FAINT * abs(values.mean()) or (top and np.ptp(np.percentile(values, [1, 99])) < top / 100))
    )
    is_constant = values.size >= FEWEST_VALUES and bool(values.min() == values.max())
    return Exposure(saturated, is_constant, shows_nothing and is_faint)


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
        alone: for the smallest and the largest value of an integer type, the share of its pixels that are isolated.
    """

    means: Grid
    values: npt.NDArray[Any]
    alone: dict[int, float] = field(default_factory=dict)


def sample_plane(plane: Plane, lattice: SamplingLattice) -> PlaneSample:
    """Cell means and single pixels of a plane, read in one pass."""
    width, block_rows = plane.size.width, -(-plane.size.height // lattice.row_step)
    columns = np.arange(0, width, lattice.cell)
    cell_of_row = np.arange(block_rows) * lattice.row_step // lattice.cell
    values = np.empty((block_rows, -(-width // lattice.column_step)), plane.dtype)
    sums = np.zeros((cell_of_row[-1] + 1, len(columns)), np.float32)
    top = largest_value(plane.dtype)
    found = {value: np.zeros(2, np.int64) for value in (0, top) if value is not None and top is not None}
    for first, rows in plane.scan(lattice.row_step):
        values[first : first + len(rows)] = rows[:, :: lattice.column_step]
        for row, line in enumerate(np.add.reduceat(rows, columns, axis=1, dtype=np.float32), first):
            sums[cell_of_row[row]] += line
        for value, counts in found.items():
            if number := np.count_nonzero(rows == value):
                counts += np.count_nonzero(isolated(rows, value)), number
    sums /= np.bincount(cell_of_row)[:, np.newaxis] * np.diff(columns, append=width)
    return PlaneSample(sums, values, {value: single / every for value, (single, every) in found.items() if every})


def sample_pair(
    reflectance: Plane, fluorescence: Plane, lattice: SamplingLattice, defects: Defects, in_both: Region
) -> tuple[PlaneSample, PlaneSample]:
    """Cell means and single pixels of a pair with defects: pixels that were not scanned count as 0 in both channels."""
    size = reflectance.size
    columns = np.arange(0, size.width, lattice.cell)
    sums = np.zeros((2, -(-size.height // lattice.cell), len(columns)), np.float64)
    counts = np.zeros_like(sums[0])
    kept: tuple[list[npt.NDArray[Any]], list[npt.NDArray[Any]]] = ([], [])
    for band in size.region.tiles(Size(size.width, lattice.cell)):
        pair = [plane.read_rows(band, lattice.row_step) for plane in (reflectance, fluorescence)]
        pair = [without_outliers(rows, values) for rows, values in zip(pair, defects.outliers, strict=True)]
        missing = not_scanned(pair[0], pair[1], defects.has_gaps)
        outside = outside_of(in_both, band)
        if outside is not None:
            outside = outside[min(lattice.row_step // 2, (band.height - 1) % lattice.row_step) :: lattice.row_step]
            missing = outside if missing is None else missing | outside
        for channel, rows in enumerate(pair):
            if missing is not None:
                rows[missing] = 0
            kept[channel].append(rows[:, :: lattice.column_step])
            sums[channel, band.y // lattice.cell] = np.add.reduceat(rows, columns, axis=1, dtype=np.float64).sum(axis=0)
        there = np.ones(pair[0].shape, bool) if missing is None else ~missing
        counts[band.y // lattice.cell] = np.add.reduceat(there, columns, axis=1, dtype=np.float64).sum(axis=0)
    r, f = (sums / np.maximum(counts, 1)).astype(np.float32)
    return PlaneSample(r, np.concatenate(kept[0])), PlaneSample(f, np.concatenate(kept[1]))


def _field_in_middle(tissue: TissueMask) -> Region:
    """Field of up to `REGISTRATION_SIDE` around the tissue cell that is in the middle of all, row by row."""
    cells, size = np.argwhere(tissue.cells), tissue.size
    row, column = cells[len(cells) // 2]
    width, height = min(size.width, REGISTRATION_SIDE), min(size.height, REGISTRATION_SIDE)
    x = int(np.clip(column * tissue.cell - width // 2, 0, size.width - width))
    y = int(np.clip(row * tissue.cell - height // 2, 0, size.height - height))
    return Region(x, y, width, height)


def _fields_in_tissue(tissue: TissueMask) -> list[Region]:
    """A few fields at full resolution, spread evenly over the tissue."""
    cells = np.flatnonzero(tissue.cells)
    if not len(cells):
        return []
    chosen = cells[(2 * np.arange(FIELDS) + 1) * len(cells) // (2 * FIELDS)]
    level0_yx = np.column_stack(np.unravel_index(chosen, tissue.cells.shape)) * tissue.cell - FIELD_SIDE // 2
    corners = np.clip(level0_yx, 0, [tissue.size.height - FIELD_SIDE, tissue.size.width - FIELD_SIDE])
    return [Region(int(x), int(y), FIELD_SIDE, FIELD_SIDE) for y, x in corners]
