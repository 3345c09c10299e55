"""Image pyramid by area means, built while level 0 is computed, in memory that does not grow with the slide.

Blocks of level 0 arrive along the Z curve. Each is cut into tiles and reduced until it is a single tile; four such
tiles make one of the next level. Every pixel of every level is the mean of the level-0 pixels that it covers, at the
right and lower edge too, where it covers fewer. For that, sums are passed upwards and not means; the number of pixels
in a sum follows from its position. The sums are float32, which is exact up to level 8 (an 8-bit value and two more
bits per level fit into 24 bits); above, their last bits are rounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from confostain.arrays import Rgb
from confostain.geometry import Size

TILE = 256  # px, side of a tile in the file; the default of OpenSlide, QuPath and OpenSeadragon
WHITE = 255

Sums = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PyramidTile:
    """Tile of one level: up to TILE x TILE pixels, uint8 (h, w, 3), or None if all are white."""

    level: int
    column: int
    row: int
    rgb: Rgb | None


def level_sizes(size: Size) -> list[Size]:
    """Sizes of all levels, each half of the one before (rounded up), down to one tile."""
    sizes = [size]
    while max(sizes[-1].width, sizes[-1].height) > TILE:
        sizes.append(Size(-(-sizes[-1].width // 2), -(-sizes[-1].height // 2)))
    return sizes


def block_side(wanted: int) -> int:
    """Smallest allowed side of a block that is at least `wanted`: TILE times a power of two."""
    return TILE << max(0, -(-wanted // TILE) - 1).bit_length()


def summed(image: Rgb | Sums) -> Sums:
    """Sums over 2 x 2 pixels: (h, w, 3) to float32 (ceil(h / 2), ceil(w / 2), 3).

    At an odd edge the sum is over the existing pixels.
    """
    upper, lower = image[0::2], image[1::2]
    rows: npt.NDArray[Any] = upper.astype(np.uint16 if image.dtype == np.uint8 else np.float32)
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


def rounded_mean(sums: Sums, size: Size, level: int) -> Rgb:
    """Means from sums over level-0 pixels, rounded to nearest: uint8 (h, w, 3).

    Args:
        sums: of one level, (h, w, 3).
        size: of the area that they cover, in level-0 pixels.
        level: of the sums.
    """
    rows = sums.reshape(len(sums), -1)  # the colours of a pixel side by side: long loops instead of triplets
    means = rows / covered(size.height, level)[:, np.newaxis]
    means /= np.repeat(covered(size.width, level), sums.shape[2])
    means += np.float32(0.5)
    return means.astype(np.uint8).reshape(sums.shape)


def white_sums(size: Size, level: int) -> Sums:
    """Sums of a level over a white area of `size` level-0 pixels: float32 (h, w, 3)."""
    counts = np.outer(covered(size.height, level), covered(size.width, level))
    return np.repeat(WHITE * counts[..., np.newaxis], 3, axis=2)


@dataclass(frozen=True, slots=True)
class CutBlock:
    """Tiles of the lower levels from one block of level 0, and its sums for the levels above."""

    tiles: list[PyramidTile]
    level: int
    column: int
    row: int
    sums: Rgb | Sums | None


def cut_block(block: Rgb | None, size: Size, column: int, row: int) -> CutBlock:
    """Tiles of a block of level 0, on all levels on which it is at least one tile.

    Args:
        block: uint8 (h, w, 3), or None for white.
        size: of the block.
        column, row: position of the block's first tile on level 0, in tiles.
    """
    level, image = 0, block
    sums: Rgb | Sums | None = block
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
            image = rounded_mean(sums, size, level)


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
    """Upper levels of a pyramid: takes the sums of blocks in any order and returns tiles once they are complete."""

    size: Size
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
                    waiting.sums = white_sums(self._covered_by(*key), level + 1)
                _place(waiting.sums, (column % 2, row % 2), summed(sums))
            waiting.missing -= 1
            if waiting.missing:
                return
            level, column, row = key
            sums = self._waiting.pop(key).sums
            rgb = None if sums is None else rounded_mean(sums, self._covered_by(*key), level)
            yield PyramidTile(level, column, row, rgb)

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
