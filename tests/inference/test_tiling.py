from collections.abc import Callable
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from confostain.geometry import Region, Size
from confostain.inference.tiling import TileGrid, aligned, mirrored, read_mirrored, z_order

Image = npt.NDArray[np.float32]
sides = st.integers(1, 70)


def painted(width: int, height: int) -> Image:
    return np.random.default_rng(width * 1000 + height).random((2, height, width), dtype=np.float32)


def through_tiles(image: Image, grid: TileGrid, model: Callable[[Image], Image]) -> Image:
    size = Size(image.shape[2], image.shape[1])
    result = np.full_like(image, np.nan)
    for tile in grid:
        seen = read_mirrored(
            lambda region: image[(slice(None), *region.slices_in(size.region))], size, tile.level0_input
        )
        result[(slice(None), *tile.level0_core.slices_in(size.region))] = model(seen)[
            (slice(None), *tile.core_in_input)
        ]
    return result


@given(sides, sides, st.integers(1, 80), st.integers(1, 40), st.sampled_from([1, 2, 3, 4, 8]))
def test_an_identity_model_returns_the_slide_bit_exactly(
    width: int, height: int, tile: int, receptive_field: int, stride: int
) -> None:
    image = painted(width, height)
    grid = TileGrid(Size(width, height).region, tile, receptive_field, stride)
    assert np.array_equal(through_tiles(image, grid, lambda seen: seen), image)


def pooled_and_spread(seen: Image) -> Image:
    """A model with stride 4 and receptive field 4 + 2 * 4: means of 4 x 4, each mixed with its neighbours."""
    assert seen.shape[1] % 4 == 0
    assert seen.shape[2] % 4 == 0
    means = seen.reshape(2, seen.shape[1] // 4, 4, seen.shape[2] // 4, 4).mean(axis=(2, 4))
    mixed = ndimage.uniform_filter(means, size=(0, 3, 3), mode="constant")
    return np.asarray(np.kron(mixed, np.ones((1, 4, 4))), np.float32)


def blurred(seen: Image) -> Image:
    return np.asarray(ndimage.uniform_filter(seen, size=(0, 7, 7), mode="constant", cval=9), np.float32)


@pytest.mark.parametrize(
    ("model", "receptive_field", "stride"), [(blurred, 7, 1), (pooled_and_spread, 15, 4)], ids=["1", "4"]
)
@given(width=sides, height=sides, tiles=st.tuples(st.integers(5, 80), st.integers(5, 80)))
def test_a_bounded_receptive_field_gives_the_same_result_at_every_tile_size(
    model: Callable[[Image], Image],
    receptive_field: int,
    stride: int,
    width: int,
    height: int,
    tiles: tuple[int, int],
) -> None:
    image, area = painted(width, height), Size(width, height).region
    one, other = (through_tiles(image, TileGrid(area, tile, receptive_field, stride), model) for tile in tiles)
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)


@given(st.integers(0, 30), st.integers(0, 30), sides, sides)
def test_a_region_gives_the_pixels_of_the_whole(x: int, y: int, width: int, height: int) -> None:
    image = painted(100, 100)
    region = Region(x, y, width, height).intersection(Region(0, 0, 100, 100))
    whole = through_tiles(image, TileGrid(Region(0, 0, 100, 100), 64, 15, 4), pooled_and_spread)
    part = through_tiles(image, TileGrid(region, 32, 15, 4), pooled_and_spread)
    cut = (slice(None), *region.slices_in(Region(0, 0, 100, 100)))
    np.testing.assert_allclose(part[cut], whole[cut], rtol=0, atol=1e-6)


@given(st.integers(-200, 200), st.integers(1, 200), st.integers(1, 50))
def test_mirroring_is_numpys_reflection(start: int, count: int, length: int) -> None:
    line = np.arange(length)
    before, after = max(0, -start), max(0, start + count - length)
    expected = np.pad(line, (before, after), mode="reflect")[start + before :][:count]
    assert np.array_equal(line[mirrored(start, start + count, length)], expected)


@given(st.integers(1, 40), st.integers(1, 40))
def test_z_order_visits_each_place_once_and_each_quad_together(columns: int, rows: int) -> None:
    places = list(z_order(columns, rows))
    assert sorted(places) == [(c, r) for c in range(columns) for r in range(rows)]
    quads = [(c // 2, r // 2) for c, r in places]
    assert sum(one != other for one, other in pairwise(quads)) == len(set(quads)) - 1


def test_an_empty_grid_has_no_tile() -> None:
    assert list(z_order(0, 5)) == []


@given(st.integers(-50, 50), st.integers(-50, 50), sides, sides, st.integers(1, 16))
def test_alignment_grows_to_the_next_multiples(x: int, y: int, width: int, height: int, stride: int) -> None:
    region, grown = Region(x, y, width, height), aligned(Region(x, y, width, height), stride)
    assert all(edge % stride == 0 for edge in (grown.x, grown.y, grown.right, grown.bottom))
    assert grown.intersection(region) == region
    assert grown.width < width + 2 * stride
    assert grown.height < height + 2 * stride
