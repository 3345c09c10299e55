from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from confostain.errors import OptionError
from confostain.geometry import Region, Size, level0_from_um

SIDES = st.integers(0, 60)
PLACES = st.integers(-40, 40)
REGIONS = st.builds(Region, PLACES, PLACES, SIDES, SIDES)


def test_a_size_is_a_pair() -> None:
    size = Size(30, 20)
    width, height = size
    assert (width, height) == (30, 20) == size == Size(*size)
    assert size != (20, 30)
    assert (size[0], size[1], size.width, size.height, len(size)) == (30, 20, 30, 20, 2)
    assert (size.pixels, size.region, hash(size)) == (600, Region(0, 0, 30, 20), hash((30, 20)))
    assert repr(size) == "Size(width=30, height=20)"


def mask(region: Region) -> np.ndarray:
    """Where a rectangle lies, on a canvas that holds all of them: the slow twin of the rectangle's arithmetic."""
    y, x = np.mgrid[-50:110, -50:110]
    return (x >= region.x) & (x < region.right) & (y >= region.y) & (y < region.bottom)


@given(REGIONS, REGIONS)
def test_the_intersection_holds_the_pixels_of_both(one: Region, other: Region) -> None:
    common = one.intersection(other)
    assert np.array_equal(mask(common), mask(one) & mask(other))
    assert common.is_empty == (not mask(common).any())


@given(REGIONS, st.integers(1, 25), st.integers(1, 25))
def test_tiles_cover_a_region_once(region: Region, width: int, height: int) -> None:
    tiles = region.tiles(Size(width, height))
    assert np.array_equal(sum((mask(tile).astype(int) for tile in tiles), 0 * mask(region)), mask(region))
    assert all(tile.width <= width and tile.height <= height and not tile.is_empty for tile in tiles)
    assert len(tiles) == math.ceil(region.width / width) * math.ceil(region.height / height)


@given(REGIONS, REGIONS)
def test_slices_cut_a_region_out_of_an_array(outer: Region, other: Region) -> None:
    inner = outer.intersection(other)
    if not inner.is_empty:
        y, x = np.mgrid[outer.y : outer.bottom, outer.x : outer.right]
        rows, columns = inner.slices_in(outer)
        assert (y[rows, columns].min(), y[rows, columns].max()) == (inner.y, inner.bottom - 1)
        assert (x[rows, columns].min(), x[rows, columns].max()) == (inner.x, inner.right - 1)


LENGTHS = st.floats(-1e5, 1e5)
SCALES = st.floats(0.05, 20)


@given(LENGTHS, LENGTHS, st.floats(0, 1e5), st.floats(0, 1e5), SCALES)
def test_micrometres_become_the_nearest_pixels(x: float, y: float, width: float, height: float, scale: float) -> None:
    region = level0_from_um((x, y), (width, height), scale)
    exact = np.array([x, y, width, height]) / scale
    assert np.abs([region.x, region.y, region.width, region.height] - exact).max() <= 0.5 + 1e-6


@given(st.integers(-1000, 1000), st.integers(-1000, 1000), SIDES, SIDES, st.sampled_from([0.25, 0.5, 0.75, 1.0, 0.33]))
def test_whole_pixels_come_back(x: int, y: int, width: int, height: int, scale: float) -> None:
    region = level0_from_um((x * scale, y * scale), (width * scale, height * scale), scale)
    assert region == Region(x, y, width, height)


@given(LENGTHS, LENGTHS, st.floats(0, 1e4), SCALES)
def test_one_size_in_um_is_one_size_in_pixels(x: float, other_x: float, width: float, scale: float) -> None:
    one, other = (level0_from_um((at, 0), (width, 1), scale) for at in (x, other_x))
    assert one.size == other.size


@pytest.mark.parametrize("length", [-1, float("nan"), float("inf")])
def test_a_length_that_makes_no_region_is_refused(length: float) -> None:
    with pytest.raises(OptionError, match=r"um: expected finite numbers"):
        level0_from_um((0, 0), (10, length), 0.75)
    with pytest.raises(OptionError, match=r"expected a width and height of at least 0"):
        Region(0, 0, 5, -1)
