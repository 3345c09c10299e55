"""Sizes and rectangles in pixels. x runs right, y runs down; each rectangle says in which coordinate frame it lies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from confostain.errors import OptionError


class Size(NamedTuple):
    """Width and height in pixels. Also a pair: unpacked, indexed and compared as `(width, height)`."""

    width: int
    height: int

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.width * self.height

    @property
    def region(self) -> Region:
        """Rectangle of this size at the origin."""
        return Region(0, 0, self.width, self.height)


@dataclass(frozen=True, slots=True)
class Region:
    """Half-open rectangle [x, x + width) x [y, y + height) in pixels of one frame (level 0 unless named)."""

    x: int
    y: int
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width < 0 or self.height < 0:
            raise OptionError(
                f"region {self.x},{self.y},{self.width},{self.height}: expected a width and height of at least 0;"
                " give the left upper corner and the size"
            )

    @property
    def right(self) -> int:
        """First column to the right of the rectangle."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """First row below the rectangle."""
        return self.y + self.height

    @property
    def size(self) -> Size:
        """Width and height."""
        return Size(self.width, self.height)

    @property
    def is_empty(self) -> bool:
        """Whether the rectangle holds no pixel."""
        return self.width == 0 or self.height == 0

    def intersection(self, other: Region) -> Region:
        """Rectangle common to both; empty (width or height 0) where they do not meet."""
        x, y = max(self.x, other.x), max(self.y, other.y)
        return Region(x, y, max(0, min(self.right, other.right) - x), max(0, min(self.bottom, other.bottom) - y))

    def grown(self, margin: int) -> Region:
        """Rectangle with `margin` more pixels on every side."""
        return Region(self.x - margin, self.y - margin, self.width + 2 * margin, self.height + 2 * margin)

    def reduced(self, factor: int) -> Region:
        """Rectangle in blocks of `factor` x `factor` pixels, counted from the origin: those that this one meets."""
        x, y = self.x // factor, self.y // factor
        return Region(x, y, -(-self.right // factor) - x, -(-self.bottom // factor) - y)

    def enlarged(self, factor: int) -> Region:
        """Rectangle in pixels of this one in blocks of `factor` x `factor` pixels."""
        return Region(self.x * factor, self.y * factor, self.width * factor, self.height * factor)

    def tiles(self, tile: Size) -> list[Region]:
        """Rectangles side by side that cover this one, row by row; smaller ones at the right and lower edge."""
        return [
            Region(x, y, min(tile.width, self.right - x), min(tile.height, self.bottom - y))
            for y in range(self.y, self.bottom, tile.height)
            for x in range(self.x, self.right, tile.width)
        ]

    def slices_in(self, outer: Region) -> tuple[slice, slice]:
        """Row and column slices that cut this rectangle out of an array that covers `outer`."""
        return (
            slice(self.y - outer.y, self.bottom - outer.y),
            slice(self.x - outer.x, self.right - outer.x),
        )


def level0_from_um(xy_um: tuple[float, float], size_um: tuple[float, float], microns_per_pixel: float) -> Region:
    """Rectangle in level-0 pixels of one in micrometres, both measured from the left upper corner of the slide.

    Corner and size are each rounded to the nearest whole pixel, so that regions of one size in um have one size in
    pixels, wherever they lie.

    Raises:
        OptionError: a length is not a finite number, or a size is negative.
    """
    if not all(map(math.isfinite, (*xy_um, *size_um))) or min(size_um) < 0:
        raise OptionError(
            f"region at {xy_um} um of {size_um} um: expected finite numbers, and a size of at least 0;"
            " give the left upper corner and the size in um"
        )
    x, y, width, height = (math.floor(length / microns_per_pixel + 0.5) for length in (*xy_um, *size_um))
    return Region(x, y, width, height)
