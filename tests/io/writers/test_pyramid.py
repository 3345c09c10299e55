from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from confostain.geometry import Size
from confostain.inference.tiling import TileGrid
from confostain.io.writers.pyramid import TILE, PyramidTile, PyramidTop, block_side, cut_block, level_sizes

Rgb = npt.NDArray[np.uint8]
MeanOfLevel = Callable[[Rgb, int], Rgb]


def built(image: Rgb | None, size: Size, side: int) -> tuple[dict[tuple[int, int, int], Rgb | None], int]:
    """All tiles of the pyramid, and the most tiles that waited for their neighbours at any time."""
    tiles: dict[tuple[int, int, int], Rgb | None] = {}
    top, waited = PyramidTop(size), 0

    def keep(tile: PyramidTile) -> None:
        assert (tile.level, tile.column, tile.row) not in tiles
        tiles[tile.level, tile.column, tile.row] = tile.pixels

    for place in TileGrid(size.region, side):
        block = None if image is None else image[place.level0_core.slices_in(size.region)]
        if block is not None and (block == 255).all():
            block = None
        per_block = side // TILE
        cut = cut_block(block, place.level0_core.size, place.column * per_block, place.row * per_block)
        for tile in [*cut.tiles, *top.add(cut)]:
            keep(tile)
        waited = max(waited, len(top._waiting))
    return tiles, waited


def level_of(tiles: dict[tuple[int, int, int], Rgb | None], level: int, size: Size) -> Rgb:
    """The tiles of a level side by side, taken out of the pyramid."""
    canvas = np.full((size.height, size.width, 3), 255, np.uint8)
    for row in range(-(-size.height // TILE)):
        for column in range(-(-size.width // TILE)):
            rgb = tiles.pop((level, column, row))
            if rgb is not None:
                place = canvas[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]
                assert rgb.shape == place.shape
                place[:] = rgb
    return canvas


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 1600), st.integers(1, 1600), st.sampled_from([256, 512, 1024]), st.booleans())
def test_every_level_is_complete_and_the_mean_of_level_0(
    mean_of_level: MeanOfLevel, width: int, height: int, side: int, partly_white: bool
) -> None:
    image = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    if partly_white:
        image[:, : width // 2] = 255
    size = Size(width, height)
    tiles, _ = built(image, size, side)
    for level, level_size in enumerate(level_sizes(size)):
        np.testing.assert_array_equal(level_of(tiles, level, level_size), mean_of_level(image, level))
    assert not tiles
    assert level_size.width <= TILE
    assert level_size.height <= TILE


def test_an_odd_edge_counts_once() -> None:
    image = np.zeros((1, 1283, 3), np.uint8)
    image[:, -1] = 240
    tiles, _ = built(image, Size(1283, 1), 256)
    edges = [level_of(tiles, level, size)[0, -1, 0] for level, size in enumerate(level_sizes(Size(1283, 1)))]
    assert edges == [240, 240, 80, 80]  # covering 1, 1, 3 and 3 pixels


def test_white_blocks_make_white_tiles_and_mix_with_others() -> None:
    tiles, _ = built(None, Size(1000, 700), 256)
    assert set(tiles.values()) == {None}
    top = PyramidTop(Size(512, 256))
    black = cut_block(np.zeros((256, 256, 3), np.uint8), Size(256, 256), 0, 0)
    assert list(top.add(black)) == []
    (tile,) = top.add(cut_block(None, Size(256, 256), 1, 0))
    assert tile.pixels is not None
    assert (tile.pixels[:, :128] == 0).all()
    assert (tile.pixels[:, 128:] == 255).all()


def test_few_tiles_wait_however_large_the_slide() -> None:
    _, waited = built(None, Size(256 * 64, 256 * 64), 256)
    assert waited <= 6  # one a level


@pytest.mark.parametrize(
    ("wanted", "side"), [(1, 256), (256, 256), (257, 512), (1024, 1024), (1025, 2048), (2000, 2048)]
)
def test_blocks_are_tiles_times_a_power_of_two(wanted: int, side: int) -> None:
    assert block_side(wanted) == side
