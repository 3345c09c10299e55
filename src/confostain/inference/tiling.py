"""Tiles with a halo on an aligned grid: pure geometry, no network and no file.

A network sees a neighbourhood of each pixel. Every tile is therefore read with a halo at least as wide as the
receptive field reaches, from a corner aligned to the network's stride in *slide* coordinates, and only its core
is kept. A pixel then sees the same input whatever the tile size, so the result is the same too. Beyond the
slide's border pixels are mirrored, again as a function of the slide coordinate alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from confostain.geometry import Region, Size

Reader = Callable[[Region], npt.NDArray[Any]]  # (channels, h, w) of a region inside the slide


@dataclass(frozen=True, slots=True)
class HaloTile:
    """Tile with its halo. All regions are in level-0 pixels of the slide.

    Attributes:
        column, row: place on the grid of cores.
        level0_core: the pixels this tile contributes; lies inside the stained area.
        level0_input: the pixels its model must see; may hang over the slide's border.
    """

    column: int
    row: int
    level0_core: Region
    level0_input: Region

    @property
    def core_in_input(self) -> tuple[slice, slice]:
        """Row and column slices that cut the core out of a result that covers the input."""
        return self.level0_core.slices_in(self.level0_input)


@dataclass(frozen=True, slots=True)
class TileGrid:
    """Grid of cores of `tile` x `tile` pixels over a rectangle of a slide (smaller at its right and bottom).

    Attributes:
        level0_area: what is to be computed.
        tile: side of a core in pixels.
        receptive_field: side in pixels of the square of input that one output pixel depends on; 1: none but itself.
        stride: the model takes inputs whose corner and size are multiples of this, in slide coordinates.
    """

    level0_area: Region
    tile: int
    receptive_field: int = 1
    stride: int = 1

    @property
    def columns(self) -> int:
        """Number of cores from left to right."""
        return -(-self.level0_area.width // self.tile)

    @property
    def rows(self) -> int:
        """Number of cores from top to bottom."""
        return -(-self.level0_area.height // self.tile)

    def at(self, column: int, row: int) -> HaloTile:
        """The tile at a place of the grid."""
        area = self.level0_area
        core = Region(area.x + column * self.tile, area.y + row * self.tile, self.tile, self.tile).intersection(area)
        return HaloTile(column, row, core, with_halo(core, self.receptive_field, self.stride))

    def __iter__(self) -> Iterator[HaloTile]:
        return (self.at(column, row) for column, row in z_order(self.columns, self.rows))


def with_halo(core: Region, receptive_field: int, stride: int) -> Region:
    """Input region that a model needs to compute the pixels of `core`."""
    return aligned(core.grown(receptive_field // 2), stride)


def aligned(region: Region, stride: int) -> Region:
    """The smallest rectangle around `region` whose edges are multiples of `stride`."""
    x, y = region.x // stride * stride, region.y // stride * stride
    right, bottom = -(-region.right // stride) * stride, -(-region.bottom // stride) * stride
    return Region(x, y, right - x, bottom - y)


def z_order(columns: int, rows: int) -> Iterator[tuple[int, int]]:
    """Places (column, row) of a grid along the Z curve (Morton order).

    Four neighbours follow each other, then four such groups, and so on: a pyramid can be built on the way with
    only a few tiles of each level waiting for their neighbours.
    """
    side = 1 << max(columns - 1, rows - 1, 0).bit_length()
    stack = [(0, 0, side)] if columns and rows else []
    while stack:
        column, row, side = stack.pop()
        if column >= columns or row >= rows:
            continue
        if side == 1:
            yield column, row
            continue
        half = side // 2
        stack += [(column + dx, row + dy, half) for dy in (half, 0) for dx in (half, 0)]


def mirrored(start: int, stop: int, length: int) -> npt.NDArray[np.intp]:
    """Indices in [0, length) for the coordinates start..stop-1, mirrored at both borders.

    The border pixel itself is not repeated (..., 2, 1, 0, 1, 2, ...), and mirroring goes on as often as needed,
    so that slides smaller than a halo work too.
    """
    period = max(2 * (length - 1), 1)
    index = np.arange(start, stop) % period
    return np.minimum(index, period - index) if length > 1 else np.zeros_like(index)


def read_mirrored(read: Reader, slide: Size, region: Region) -> npt.NDArray[Any]:
    """Pixels of a region that may hang over the slide's border, mirrored there.

    Args:
        read: returns (channels, h, w), of any type, for a region inside the slide.
        slide: size of the slide in level-0 pixels.
        region: what is wanted, in level-0 pixels; not empty.

    Returns:
        (channels, region.height, region.width), of the same type.
    """
    if region.intersection(slide.region) == region:
        return read(region)
    columns = mirrored(region.x, region.right, slide.width)
    rows = mirrored(region.y, region.bottom, slide.height)
    x, y = int(columns.min()), int(rows.min())
    inside = read(Region(x, y, int(columns.max()) - x + 1, int(rows.max()) - y + 1))
    return np.ascontiguousarray(inside[:, (rows - y)[:, None], columns - x])
