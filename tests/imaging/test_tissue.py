from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage
from skimage.filters import threshold_otsu

from confostain.geometry import Region, Size
from confostain.imaging.tissue import CELL, MARGIN, TissueMask, find_tissue, where_scanned
from confostain.simulation.phantom import Phantom

Picture = npt.NDArray[np.float64]
SHAPE = (640, 800)
RNG = np.random.default_rng(5)


def cell_means(image: Picture, cell: int = CELL) -> npt.NDArray[np.float32]:
    """From one row in 16, which is all that is read of a large slide."""
    rows = image[min(CELL // 2, (image.shape[0] - 1) % CELL) :: CELL]
    columns = np.arange(0, image.shape[1], cell)
    sums = np.add.reduceat(rows, columns, axis=1) / np.diff(columns, append=image.shape[1])
    lines = np.arange(0, len(rows), cell // CELL)
    return (np.add.reduceat(sums, lines) / np.diff(lines, append=len(rows))[:, np.newaxis]).astype(np.float32)


def tissue_of(reflectance: Picture, fluorescence: Picture, cell: int = CELL) -> TissueMask:
    height, width = reflectance.shape
    return find_tissue(cell_means(reflectance, cell), cell_means(fluorescence, cell), Size(width, height), cell)


def noise(shape: tuple[int, int] = SHAPE, level: float = 900, spread: float = 20) -> Picture:
    return RNG.normal(level, spread, shape)


def texture(shape: tuple[int, int] = SHAPE, low: float = 3000, high: float = 30000) -> Picture:
    """Tissue as the microscope sees it: brightness varies by a factor over 10 to 50 px."""
    coarse = RNG.random((shape[0] // 24 + 2, shape[1] // 24 + 2)) ** 2
    return low + (high - low) * np.kron(coarse, np.ones((24, 24)))[: shape[0], : shape[1]]


def disc(radius: float, shape: tuple[int, int] = SHAPE) -> npt.NDArray[np.bool_]:
    y, x = np.mgrid[: shape[0], : shape[1]]
    return (y - shape[0] / 2) ** 2 + (x - shape[1] / 2) ** 2 <= radius**2


def covered(mask: TissueMask, pixels: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """The least and the greatest coverage on these pixels."""
    coverage = mask.coverage(mask.size.region)[pixels]
    return float(coverage.min()), float(coverage.max())


EMPTY: dict[str, Callable[[], Picture]] = {
    "black": lambda: np.zeros(SHAPE),
    "constant": lambda: np.full(SHAPE, 1000.0),
    "read noise": noise,
    "speckle of few looks": lambda: 200 + 1000 * RNG.gamma(4, 1 / 4, SHAPE),
    "uneven light": lambda: noise((1600, 1600)) + 300 * np.outer(*[np.linspace(0, 1, 1600)] * 2),
    "hot pixels": lambda: noise() + 60000 * (RNG.random(SHAPE) < 1e-4),
    "8 bits with hardly any noise": lambda: np.rint(noise(level=12, spread=0.4)),
    "noise around nothing": lambda: noise(level=0),
    "8 bits of uneven light": lambda: np.rint(np.full(SHAPE, 12) + np.linspace(0, 3, SHAPE[1])),
}


@pytest.mark.parametrize("kind", EMPTY)
def test_empty_glass_holds_no_tissue(kind: str) -> None:
    mask = tissue_of(EMPTY[kind](), EMPTY[kind]())
    assert mask.share == 0
    assert not mask.touches(mask.size.region)


def test_a_field_without_glass_is_all_tissue_dark_parts_included() -> None:
    assert tissue_of(texture(), texture()).share == 1


def test_a_channel_that_shows_nothing_leaves_the_word_to_the_other() -> None:
    tissue = np.where(disc(200), texture(), noise())
    for pair in ((tissue, np.zeros(SHAPE)), (noise(), tissue)):
        assert 0.2 < tissue_of(*pair).share < 0.6


def test_a_slide_too_narrow_to_tell_is_all_tissue() -> None:
    assert tissue_of(noise((40, 300)), noise((40, 300))).share == 1


def test_tissue_is_whole_and_glass_is_bare() -> None:
    mask = tissue_of(np.where(disc(200), texture(), noise()), np.where(disc(200), texture(), noise()))
    assert covered(mask, disc(200 + CELL)) == (1, 1)
    assert covered(mask, ~disc(200 + 7 * CELL)) == (0, 0)


def test_a_dim_border_is_kept_though_otsu_would_cut_it_off() -> None:
    body = np.where(disc(150), texture(low=15000), noise(level=2000, spread=100))
    image = np.where(disc(220), body, noise())  # the border lies at 4 percent of the body's brightness
    assert covered(tissue_of(image, noise()), disc(220)) == (1, 1)


def test_what_only_one_channel_shows_is_kept() -> None:
    left, right = disc(220), disc(220)
    left[:, 400:], right[:, :400] = False, False
    mask = tissue_of(np.where(left, texture(), noise()), np.where(right, texture(), noise()))
    assert covered(mask, left | right) == (1, 1)


def test_a_lumen_is_kept_and_glass_in_a_ring_is_not() -> None:
    shape = (1600, 1600)
    for hole, expected in ((200, 1.0), (690, 0.0)):
        ring = disc(hole + 100, shape) & ~disc(hole, shape)
        mask = tissue_of(np.where(ring, texture(shape), noise(shape)), noise(shape))
        assert covered(mask, ring) == (1, 1)
        assert covered(mask, disc(hole / 2, shape)) == (expected, expected)


def test_smooth_tissue_is_not_taken_for_glass() -> None:
    flat = disc(350) & ~disc(100)  # more than there is glass
    mask = tissue_of(np.where(flat, noise(level=9000), np.where(disc(100), texture(), noise())), noise())
    assert covered(mask, flat) == (1, 1)
    assert not mask.cells[0, 0]


def test_a_very_small_piece_is_found_and_dust_is_not() -> None:
    shape = (3000, 3000)
    for radius, found in ((60, True), (18, False)):  # 0.1 percent of the slide, and a speck
        mask = tissue_of(np.where(disc(radius, shape), 20000, noise(shape)), noise(shape))
        assert mask.touches(Region(1500, 1500, 1, 1)) is found


def test_what_was_not_scanned_is_not_taken_for_the_glass() -> None:
    image = np.where(disc(200), texture(), noise())
    image[:, 700:] = 0
    mask = tissue_of(image, image)
    bare = ~disc(200 + 7 * CELL)
    assert covered(mask, bare) == (0, 0)
    assert covered(mask, disc(200)) == (1, 1)


@pytest.mark.parametrize("pedestal", [-30000, -15000, 32768, 1e6])
@pytest.mark.parametrize("scale", [1, 0.002])
def test_neither_pedestal_nor_gain_matters(pedestal: float, scale: float) -> None:
    for image in (texture(), np.where(disc(200), texture(), noise())):
        plain = tissue_of(image, image)
        moved = tissue_of(scale * (image + pedestal), scale * (image + pedestal))
        assert np.array_equal(moved.cells, plain.cells)
        assert covered(moved, disc(200)) == (1, 1)


def test_zero_is_not_scanned_unless_it_is_a_value_like_others() -> None:
    stored = np.array([0, 0, 3, 5])
    assert where_scanned(stored, stored[::-1] * 0).tolist() == [False, False, True, True]
    assert where_scanned(stored - 1, stored).all()
    assert where_scanned(stored, stored - 1.5).all()


def test_areas_are_the_same_whatever_the_cell() -> None:
    shape = (3200, 3200)
    hole = np.maximum(*np.abs(np.mgrid[: shape[0], : shape[1]] - shape[0] / 2))  # chessboard distance to the middle
    for cell in (16, 32):
        for side, found in ((32, False), (64, True)):  # 1024 and 4096 px, on both grids of cells
            piece = noise(shape)
            piece[1600 : 1600 + side, 1600 : 1600 + side] = 20000
            mask = tissue_of(piece, noise(shape), cell)
            assert mask.touches(Region(1600, 1600, side, side)) is found
            if found:
                assert mask.fills(Region(1600 - MARGIN, 1616, side + 2 * MARGIN, side - 32))
                assert not mask.touches(Region(1400, 1616, 100, side - 32))
        for half, filled in ((432, 1.0), (720, 0.0)):  # 0.75 and 2.1 million px, less the margin
            ring = (hole > half) & (hole < half + 200)
            mask = tissue_of(np.where(ring, texture(shape), noise(shape)), noise(shape), cell)
            assert covered(mask, hole < 200) == (filled, filled)


def test_a_painted_slide_loses_no_pixel_of_its_tissue(phantom: Phantom) -> None:
    pair, truth = phantom.pair(phantom.size.region), phantom.tissue(phantom.size.region)
    mask = tissue_of(pair[0].astype(float), pair[1].astype(float))
    assert covered(mask, truth) == (1, 1)
    assert not mask.cells[0, 0]


# coverage -----------------------------------------------------------------------------------------------------


def checkered(rows: int = 9, columns: int = 12) -> TissueMask:
    cells = np.random.default_rng(7).random((rows, columns)) < 0.3
    return TissueMask(cells, CELL, Size(columns * CELL - 5, rows * CELL - 11))


def slow_coverage(mask: TissueMask, x: int, y: int) -> float:
    """Bilinear between the corners of the cell, where a corner is 1 if it touches a cell with tissue."""

    def is_tissue(row: int, column: int) -> bool:
        rows, columns = mask.cells.shape
        return bool(mask.cells[min(max(row, 0), rows - 1), min(max(column, 0), columns - 1)])

    def corner(row: int, column: int) -> float:
        return float(any(is_tissue(row - i, column - j) for i in (0, 1) for j in (0, 1)))

    (row, down), (column, right) = divmod((y + 0.5) / CELL, 1), divmod((x + 0.5) / CELL, 1)
    row, column = int(row), int(column)
    above = corner(row, column) * (1 - right) + corner(row, column + 1) * right
    below = corner(row + 1, column) * (1 - right) + corner(row + 1, column + 1) * right
    return above * (1 - down) + below * down


def test_coverage_is_bilinear_and_exactly_one_on_every_cell_with_tissue() -> None:
    mask = checkered()
    coverage = mask.coverage(mask.size.region)
    slow = [[slow_coverage(mask, x, y) for x in range(mask.size.width)] for y in range(mask.size.height)]
    assert np.abs(coverage - slow).max() < 1e-6
    on_cells = np.kron(mask.cells, np.ones((CELL, CELL), bool))[: mask.size.height, : mask.size.width]
    assert (coverage[on_cells] == 1).all()


@given(st.integers(0, 150), st.integers(0, 110), st.integers(1, 60), st.integers(1, 60))
def test_any_cut_gives_the_same_bits(x: int, y: int, width: int, height: int) -> None:
    mask = checkered()
    region = Region(x, y, width, height).intersection(mask.size.region)
    part, whole = mask.coverage(region), mask.coverage(mask.size.region)
    assert np.array_equal(part, whole[region.slices_in(mask.size.region)])
    assert mask.touches(region) or not part.any()
    assert not mask.fills(region) or (part == 1).all()


def test_large_regions_are_answered_without_computing() -> None:
    for value in (True, False):
        mask = TissueMask(np.full((10, 10), value), CELL, Size(160, 160))
        assert (mask.touches(mask.size.region), mask.fills(mask.size.region)) == (value, value)
        assert (mask.coverage(Region(3, 5, 90, 70)) == float(value)).all()


# whole mosaics, seen at about 10 um/px: a pixel is about as large as a cell ---------------------------------------

THUMBNAILS = Path(__file__).parents[3] / "shared" / "data" / "cm" / "thumbnails"
GLASS = {  # x, y, width, height of what a person calls glass
    ("scan0_R-thumbnail.jpg", "scan0_F-thumbnail.jpg"): (40, 20, 140, 50),
    ("scan3_R-thumbnail.jpg", "scan3_F-thumbnail.jpg"): (10, 200, 70, 250),
    ("scan6-R.png", "scan6-F.png"): (300, 360, 60, 140),
    ("CM-R.png", "CM-F.png"): (440, 260, 50, 40),
    ("R_crop_thumbnail.jpg", "F_crop_thumbnail.jpg"): (200, 5, 60, 60),
}


@pytest.mark.skipif(not THUMBNAILS.is_dir(), reason="real mosaics lie beside the checkout, in ../shared; absent here")
@pytest.mark.parametrize("pair", GLASS, ids=lambda pair: pair[0])
def test_real_mosaics_lose_their_glass_and_nothing_else(pair: tuple[str, str]) -> None:
    reflectance, fluorescence = (np.asarray(Image.open(THUMBNAILS / name).convert("L"), np.float32) for name in pair)
    height, width = reflectance.shape
    mask = find_tissue(reflectance, fluorescence, Size(width * CELL, height * CELL))
    assert mask.cells[Region(*GLASS[pair]).slices_in(Region(0, 0, width, height))].mean() < 0.1  # dust
    for channel in (reflectance, fluorescence):
        smooth = ndimage.median_filter(channel, 5)
        assert mask.cells[smooth > threshold_otsu(channel)].mean() > 0.999
