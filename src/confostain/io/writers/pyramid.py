"""Image pyramid by area means, built while level 0 is computed, in memory that does not grow with the slide.

Blocks of full resolution arrive along the Z curve. Each is cut into the tiles of the file and averaged down
until it is a single tile; four such tiles make one of the next level. Every pixel of every level is the mean of
the level-0 pixels that it covers, at the right and lower edge too, where it covers fewer: what goes up is not the
means but the sums, and how many pixels are in a sum follows from its place. The sums are float32, which is exact up
to level 8 (an 8-bit value and two more bits a level fit in 24 bits), for 16-bit values up to level 4; beyond that
their last bits are rounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from confostain.geometry import Size

TILE = 256  # px, side of a tile in the file; the default of OpenSlide, QuPath and OpenSeadragon
WHITE = 255

Pixels = npt.NDArray[Any]  # (h, w, samples): uint8 of 3 colours, or uint8, uint16 or float32 of one grey plane
Sums = npt.NDArray[np.float32]
SUM_OF_TWO: dict[np.dtype[Any], np.dtype[Any]] = {
    np.dtype(np.uint8): np.dtype(np.uint16),
    np.dtype(np.uint16): np.dtype(np.uint32),
}


@dataclass(frozen=True, slots=True)
class PyramidTile:
    """One tile of the file: up to TILE x TILE pixels; None where all are white, in colour images only."""

    level: int
    column: int
    row: int
    pixels: Pixels | None


def level_sizes(size: Size) -> list[Size]:
    """Sizes of all levels, each half of the one before (rounded up), down to one tile."""
    sizes = [size]
    while max(sizes[-1].width, sizes[-1].height) > TILE:
        sizes.append(Size(-(-sizes[-1].width // 2), -(-sizes[-1].height // 2)))
    return sizes


def block_side(wanted: int) -> int:
    """Smallest allowed side of a block that is at least `wanted`: TILE times a power of two."""
    return TILE << max(0, -(-wanted // TILE) - 1).bit_length()


def summed(image: Pixels) -> Sums:
    """Sum of each 2 x 2 pixels: (h, w, samples) to float32 (ceil(h / 2), ceil(w / 2), samples).

    At an odd edge the sum is over the existing pixels.
    """
    upper, lower = image[0::2], image[1::2]
    rows: npt.NDArray[Any] = upper.astype(SUM_OF_TWO.get(image.dtype, np.dtype(np.float32)))
    rows[: len(lower)] += lower
    left, right = rows[:, 0::2], rows[:, 1::2]
    total = left.astype(np.float32)
    for channel in range(image.shape[2]):  # one channel at a time: long strided loops instead of triplets
        total[:, : right.shape[1], channel] += right[..., channel]
    return total


def covered(length: int, level: int) -> Sums:
    """Number of level-0 pixels under each pixel of a level along one axis: float32 (ceil(length / 2**level),)."""
    starts = np.arange(0, length, 1 << level)
    return np.minimum(1 << level, length - starts).astype(np.float32)


def rounded_mean(sums: Sums, size: Size, level: int, dtype: npt.DTypeLike = np.uint8) -> Pixels:
    """Sums over the pixels of level 0 as means, in the nearest value of the type: (h, w, samples).

    Args:
        sums: (h, w, samples), of a level.
        size: level-0 pixels that they cover.
        level: which.
        dtype: of the means: uint8, uint16 or float32.
    """
    rows = sums.reshape(len(sums), -1)  # the colours of a pixel side by side: long loops instead of triplets
    means = rows / covered(size.height, level)[:, np.newaxis]
    means /= np.repeat(covered(size.width, level), sums.shape[2])
    if np.dtype(dtype).kind == "u":
        means += np.float32(0.5)
    return means.astype(dtype).reshape(sums.shape)


def white_sums(size: Size, level: int, samples: int = 3) -> Sums:
    """The sums of a level over white pixels of level 0, as many as `size` says: (h, w, samples)."""
    counts = np.outer(covered(size.height, level), covered(size.width, level))
    return np.repeat(WHITE * counts[..., np.newaxis], samples, axis=2)


@dataclass(frozen=True, slots=True)
class CutBlock:
    """Tiles of the lower levels from one block of level 0, and its sums for the levels above."""

    tiles: list[PyramidTile]
    level: int
    column: int
    row: int
    sums: Pixels | None


def cut_block(block: Pixels | None, size: Size, column: int, row: int) -> CutBlock:
    """Cut a block of level 0 into tiles of all levels on which it is at least one tile.

    Args:
        block: (h, w, samples), or None for white.
        size: the block's size.
        column, row: place of the block's first tile on level 0, in tiles.
    """
    level, image = 0, block
    sums = block
    tiles: list[PyramidTile] = []
    while True:
        columns, rows = _tiles_across(size.width, level), _tiles_across(size.height, level)
        for y in range(rows):
            for x in range(columns):
                cut = None if image is None else image[y * TILE : (y + 1) * TILE, x * TILE : (x + 1) * TILE]
                tiles.append(PyramidTile(level, column + x, row + y, cut))
        if columns == 1 and rows == 1:
            return CutBlock(tiles, level, column, row, sums)
        level, column, row = level + 1, column // 2, row // 2
        if sums is not None:
            sums = summed(sums)
            image = rounded_mean(sums, size, level, block.dtype if block is not None else np.uint8)


def _tiles_across(length: int, level: int) -> int:
    """Number of tiles of a level over `length` level-0 pixels."""
    return -(-length // (TILE << level))


@dataclass(slots=True)
class _Waiting:
    """Tile of an upper level with the number of quarters that are still missing."""

    missing: int
    sums: Sums | None = None


@dataclass(slots=True)
class PyramidTop:
    """The upper levels: takes the sums of the blocks as they come and gives tiles as they become complete.

    Attributes:
        size: level-0 pixels.
        dtype: of the pixels: uint8, uint16 or float32.
        samples: values per pixel.
        levels: size of each level.
    """

    size: Size
    dtype: npt.DTypeLike = np.uint8
    samples: int = 3
    levels: list[Size] = field(init=False)
    _waiting: dict[tuple[int, int, int], _Waiting] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.levels = level_sizes(self.size)

    def add(self, cut: CutBlock) -> Iterator[PyramidTile]:
        """Tiles of the levels above the block's own that are complete with it."""
        level, column, row, sums = cut.level, cut.column, cut.row, cut.sums
        while level + 1 < len(self.levels):
            key = (level + 1, column // 2, row // 2)
            waiting = self._waiting.setdefault(key, _Waiting(self._quarters(*key)))
            if sums is not None:
                if waiting.sums is None:
                    waiting.sums = white_sums(self._covered_by(*key), level + 1, self.samples)
                _place(waiting.sums, (column % 2, row % 2), summed(sums))
            waiting.missing -= 1
            if waiting.missing:
                return
            level, column, row = key
            sums = self._waiting.pop(key).sums
            pixels = None if sums is None else rounded_mean(sums, self._covered_by(*key), level, self.dtype)
            yield PyramidTile(level, column, row, pixels)

    def _quarters(self, level: int, column: int, row: int) -> int:
        columns, rows = (_tiles_across(side, level - 1) for side in (self.size.width, self.size.height))
        return min(2, columns - 2 * column) * min(2, rows - 2 * row)

    def _covered_by(self, level: int, column: int, row: int) -> Size:
        """Size of the area under a tile in level-0 pixels."""
        side = TILE << level
        return Size(min(side, self.size.width - column * side), min(side, self.size.height - row * side))


def _place(whole: Sums, quarter: tuple[int, int], sums: Sums) -> None:
    x, y = (side * TILE // 2 for side in quarter)
    whole[y : y + sums.shape[0], x : x + sums.shape[1]] = sums
