from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from confostain.geometry import Region, Size
from confostain.io.readers.plane import Plane
from confostain.survey import (
    KEPT_PIXELS,
    MAX_CELLS,
    SamplingLattice,
    Survey,
    sample_plane,
    sampling_lattice,
    survey_slide,
)

NUMBERS = np.random.default_rng(11)


class ArraySource:
    """A plane's pixels in memory, in bands of 10 rows; counts the rows that were read."""

    band = 10

    def __init__(self, pixels: npt.NDArray[Any]) -> None:
        self.pixels = pixels
        self.rows = 0

    def fill(self, out: npt.NDArray[Any], x: int, y: int, step: int) -> None:
        self.rows += len(out)
        out[...] = self.pixels[y : y + (len(out) - 1) * step + 1 : step, x : x + out.shape[1]]

    def close(self) -> None: ...


def plane(pixels: npt.NDArray[Any]) -> Plane:
    return Plane("painted", Size(pixels.shape[1], pixels.shape[0]), pixels.dtype, None, ArraySource(pixels))


def survey_of(reflectance: npt.NDArray[Any], fluorescence: npt.NDArray[Any] | None = None) -> Survey:
    return survey_slide(plane(reflectance), plane(reflectance if fluorescence is None else fluorescence))


def blotches(shape: tuple[int, int], brightness: float = 20000) -> npt.NDArray[np.uint16]:
    coarse = NUMBERS.random((shape[0] // 20 + 1, shape[1] // 20 + 1)) ** 2
    smooth = 1000 + brightness * np.kron(coarse, np.ones((20, 20)))[: shape[0], : shape[1]]
    return (smooth * NUMBERS.normal(1, 0.05, shape)).astype(np.uint16)


@pytest.fixture(scope="module")
def field() -> npt.NDArray[np.uint16]:
    return blotches((301, 405))


# sampling -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("row_step", "cell"), [(1, 16), (4, 16), (16, 16), (16, 64)])
def test_cells_at_the_border_hold_means_like_the_others(
    field: npt.NDArray[np.uint16], row_step: int, cell: int
) -> None:
    sample = sample_plane(plane(field), SamplingLattice(row_step, 3, cell))
    rows = field[min(row_step // 2, (301 - 1) % row_step) :: row_step]
    per_cell = cell // row_step
    for row, column in np.ndindex(sample.means.shape):
        inside = rows[row * per_cell : (row + 1) * per_cell, column * cell : (column + 1) * cell]
        assert sample.means[row, column] == pytest.approx(inside.mean(), rel=1e-5)
    assert sample.means.shape == (-(-301 // cell), -(-405 // cell))
    assert np.array_equal(sample.values, rows[:, ::3])


@given(st.integers(1, 200_000), st.integers(1, 200_000))
def test_the_sample_of_a_slide_of_any_size_is_bounded(width: int, height: int) -> None:
    lattice = sampling_lattice(Size(width, height))
    kept = -(-height // lattice.row_step) * -(-width // lattice.column_step)
    cells = -(-height // lattice.cell) * -(-width // lattice.cell)
    assert lattice.cell % lattice.row_step == 0
    assert kept < 3 * KEPT_PIXELS
    assert cells < MAX_CELLS + 200_000 // 16 + 200_000 // 16 + 1
    assert lattice.cell == 16 or cells > MAX_CELLS / 5


@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from([(1, 16), (4, 16), (16, 32)]), st.integers(1, 7))
def test_a_pixel_is_in_tissue_where_its_cell_is(height: int, width: int, steps: tuple[int, int], column: int) -> None:
    row_step, cell = steps
    lattice = SamplingLattice(row_step, column, cell)
    cells = np.random.default_rng(height * 100 + width).random((-(-height // cell), -(-width // cell))) < 0.5
    pixels = np.repeat(np.repeat(cells, cell, 0), cell, 1)[:height:row_step, :width:column]
    assert np.array_equal(lattice.expand(cells, pixels.shape), pixels)


def test_one_row_in_sixteen_of_a_large_slide_is_read() -> None:
    glass = np.zeros((8000, 9000), np.uint8)
    pixels = plane(glass)
    survey_slide(pixels, plane(glass))
    assert isinstance(pixels.source, ArraySource)
    assert pixels.source.rows == 8000 // 16


# ranges -------------------------------------------------------------------------------------------------------


def test_the_range_spans_the_tissue(field: npt.NDArray[np.uint16]) -> None:
    low, high = np.percentile(field, [0.5, 99.7])
    for intensity in survey_of(field).ranges:
        assert (intensity.dark, intensity.bright) == pytest.approx((low, high), rel=0.02)


def test_a_small_piece_on_much_glass_keeps_its_contrast() -> None:
    """Every 16th row of a slide this large is read, and the sample kept is bounded."""
    shape = (4300, 4000)
    glass = NUMBERS.normal(900, 20, shape).astype(np.uint16)
    glass[1500:1900, 2000:2500] = blotches((400, 500))
    survey = survey_of(glass)
    piece = np.percentile(glass[1500:1900, 2000:2500], 99.7)
    assert survey.ranges[0].bright == pytest.approx(piece, rel=0.05)
    assert survey.tissue.fills(Region(2000, 1500, 500, 400))
    assert survey.tissue.share < 0.05
    assert shape[0] * shape[1] > 16 * KEPT_PIXELS


def test_pixels_that_were_not_scanned_do_not_lower_the_dark_level() -> None:
    field = blotches((400, 500))
    field[:, 300:] = 0
    assert survey_of(field).ranges[0].dark > 800


FIELDS = {"all tissue": (400, 500), "tissue on glass": (600, 800)}


@pytest.mark.parametrize("shape", FIELDS.values(), ids=FIELDS)
@pytest.mark.parametrize(
    ("dtype", "gain", "offset"),
    [(np.uint16, 1, 30000), (np.uint16, 2, 7), (np.float32, 1, -300), (np.float32, 1, -3000), (np.float32, 0.1, 1e4)],
)
def test_gain_and_offset_change_nothing_but_the_ranges(
    shape: tuple[int, int], dtype: type, gain: float, offset: float
) -> None:
    field = NUMBERS.normal(900, 20, shape).astype(np.uint16)
    field[100:400, 200:500] = blotches((300, 300))
    if shape == FIELDS["all tissue"]:
        field = blotches(shape)
    plain, moved = survey_of(field), survey_of((field.astype(float) * gain + offset).astype(dtype))
    for one, other in zip(moved.ranges, plain.ranges, strict=True):
        assert one.dark == pytest.approx(other.dark * gain + offset, abs=0.05 * gain)
        assert one.bright == pytest.approx(other.bright * gain + offset, abs=0.05 * gain)
    assert np.array_equal(moved.tissue.cells, plain.tissue.cells)
    assert np.abs(moved.overview - plain.overview).max() < 1e-5


# overview, tissue, channels -------------------------------------------------------------------------------------


def test_the_overview_has_a_pixel_for_each_cell(field: npt.NDArray[np.uint16]) -> None:
    survey = survey_of(field, field[::-1, ::-1].copy())
    assert survey.overview.dtype == np.float32
    assert survey.overview.shape == (2, *survey.tissue.cells.shape)
    assert 0 <= survey.overview.min() < survey.overview.max() <= 1
    cell, intensity = field[16:32, 48:64].astype(np.float32).mean(), survey.ranges[0]
    assert survey.overview[0, 1, 3] == pytest.approx((cell - intensity.dark) / (intensity.bright - intensity.dark))


@pytest.mark.parametrize("shape", [(1, 1), (3, 50), (17, 16), (100, 33)])
def test_slides_smaller_than_anything_are_all_tissue(shape: tuple[int, int]) -> None:
    survey = survey_of(blotches(shape))
    assert survey.tissue.cells.all()
    assert survey.tissue.size == Size(shape[1], shape[0])


@pytest.mark.parametrize("value", [0, 7])
def test_an_empty_slide_has_no_tissue(value: int) -> None:
    survey = survey_of(np.full((200, 300), value, np.uint8))
    assert survey.tissue.share == 0
    assert not survey.overview.any()
    assert not survey.channels_look_swapped


def test_nuclei_in_the_reflectance_alone_mean_swapped_channels() -> None:
    plain = blotches((500, 600), 8000) + np.uint16(9000)
    dotted = plain.copy()
    for y, x in NUMBERS.integers(0, 500, (900, 2)):
        dotted[y : y + 6, x : x + 6] = np.minimum(dotted[y : y + 6, x : x + 6] * 2.0, 60000)
    assert survey_of(dotted, plain).channels_look_swapped
    assert not survey_of(plain, dotted).channels_look_swapped
    assert not survey_of(dotted, dotted).channels_look_swapped
