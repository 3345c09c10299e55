"""A pyramid built while its full resolution is being computed, in memory that does not grow with the slide.

Blocks of full resolution arrive along the Z curve. Each is cut into the tiles of the file and averaged down
until it is a single tile; four such tiles make one of the next level. Every level is the mean over its level-0
pixels: block sums are kept in float32, which is exact here, because an 8-bit value and two more bits a level fit
in its 24 bits up to level 8 and beyond that only the last bits of the mean are rounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from confostain.geometry import Size

TILE = 256  # side of a tile in the file; what OpenSlide, QuPath and OpenSeadragon use by default
WHITE = 255

Rgb = npt.NDArray[np.uint8]
Mean = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PyramidTile:
    """One tile of the file: up to TILE x TILE pixels, None where all are white."""

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
    """The smallest side of a block that is at least `wanted`: TILE times a power of two."""
    return TILE << max(0, -(-wanted // TILE) - 1).bit_length()


def halved(image: Rgb | Mean) -> Mean:
    """Mean of each 2 x 2 pixels: (h, w, 3) to float32 (ceil(h / 2), ceil(w / 2), 3).

    At an odd edge the mean is over the pixels that are there.
    """
    wide = np.uint16 if image.dtype == np.uint8 else np.float32
    upper, lower = image[0::2], image[1::2]
    rows: npt.NDArray[Any] = upper.astype(wide)
    rows[: len(lower)] += lower
    if len(lower) < len(upper):
        rows[-1] *= 2
    left, right = rows[:, 0::2], rows[:, 1::2]
    total = left.astype(np.float32)
    for channel in range(image.shape[2]):  # one channel at a time: long strided loops instead of triplets
        total[:, : right.shape[1], channel] += right[..., channel]
    if right.shape[1] < left.shape[1]:
        total[:, -1] *= 2
    total *= np.float32(0.25)
    return total


def rounded(mean: Mean) -> Rgb:
    """A mean as the nearest 8-bit value."""
    return (mean + np.float32(0.5)).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class CutBlock:
    """What one block of full resolution gives: its tiles of the lower levels and the mean that goes on upwards."""

    tiles: list[PyramidTile]
    level: int
    column: int
    row: int
    mean: Mean | None


def cut_block(block: Rgb | None, size: Size, column: int, row: int) -> CutBlock:
    """Cut a block of level 0 into tiles of all levels on which it is at least one tile.

    Args:
        block: uint8 (h, w, 3), or None for white.
        size: the block's size.
        column, row: place of the block's first tile on level 0, in tiles.
    """
    level, image = 0, block
    mean: Mean | None = None
    tiles: list[PyramidTile] = []
    while True:
        columns, rows = -(-size.width // TILE), -(-size.height // TILE)
        for y in range(rows):
            for x in range(columns):
                cut = None if image is None else image[y * TILE : (y + 1) * TILE, x * TILE : (x + 1) * TILE]
                tiles.append(PyramidTile(level, column + x, row + y, cut))
        if columns == 1 and rows == 1:
            return CutBlock(tiles, level, column, row, mean if level else _as_mean(block))
        size = Size(-(-size.width // 2), -(-size.height // 2))
        level, column, row = level + 1, column // 2, row // 2
        if image is not None:
            mean = halved(image if mean is None else mean)
            image = rounded(mean)


def _as_mean(block: Rgb | None) -> Mean | None:
    return None if block is None else block.astype(np.float32)


@dataclass(slots=True)
class _Waiting:
    """A tile of an upper level of which not all four quarters have come."""

    missing: int
    mean: Mean | None = None


@dataclass(slots=True)
class PyramidTop:
    """The upper levels: takes the means of the blocks as they come and gives tiles as they become complete."""

    size: Size
    levels: list[Size] = field(init=False)
    _waiting: dict[tuple[int, int, int], _Waiting] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.levels = level_sizes(self.size)

    def add(self, cut: CutBlock) -> Iterator[PyramidTile]:
        """Tiles above the block's own levels that its arrival completes."""
        level, column, row, mean = cut.level, cut.column, cut.row, cut.mean
        while level + 1 < len(self.levels):
            key = (level + 1, column // 2, row // 2)
            waiting = self._waiting.setdefault(key, _Waiting(self._quarters(*key)))
            if mean is not None:
                self._place(waiting, key, (column % 2, row % 2), halved(mean))
            waiting.missing -= 1
            if waiting.missing:
                return
            level, column, row = key
            mean = self._waiting.pop(key).mean
            yield PyramidTile(level, column, row, None if mean is None else rounded(mean))

    def _quarters(self, level: int, column: int, row: int) -> int:
        below = self.levels[level - 1]
        columns, rows = -(-below.width // TILE), -(-below.height // TILE)
        return min(2, columns - 2 * column) * min(2, rows - 2 * row)

    def _place(self, waiting: _Waiting, key: tuple[int, int, int], quarter: tuple[int, int], mean: Mean) -> None:
        level, column, row = key
        if waiting.mean is None:
            height = min(TILE, self.levels[level].height - row * TILE)
            width = min(TILE, self.levels[level].width - column * TILE)
            waiting.mean = np.full((height, width, 3), WHITE, np.float32)
        x, y = (side * TILE // 2 for side in quarter)
        waiting.mean[y : y + mean.shape[0], x : x + mean.shape[1]] = mean
