"""Sizes and rectangles. Every one says in which frame it stands; x runs right, y runs down."""

from __future__ import annotations

from dataclasses import dataclass

from confostain.errors import OptionError


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height in pixels."""

    width: int
    height: int

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.width * self.height

    @property
    def region(self) -> Region:
        """The rectangle at the origin with this size."""
        return Region(0, 0, self.width, self.height)


@dataclass(frozen=True, slots=True)
class Region:
    """A half-open rectangle [x, x + width) x [y, y + height) in pixels of one frame (level 0 unless named)."""

    x: int
    y: int
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width < 0 or self.height < 0:
            raise OptionError(
                f"region {self.x},{self.y},{self.width},{self.height}: width and height must not be negative"
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
        """The rectangle common to both; empty (width or height 0) where they do not meet."""
        x, y = max(self.x, other.x), max(self.y, other.y)
        return Region(x, y, max(0, min(self.right, other.right) - x), max(0, min(self.bottom, other.bottom) - y))

    def grown(self, margin: int) -> Region:
        """The rectangle with `margin` more pixels on every side."""
        return Region(self.x - margin, self.y - margin, self.width + 2 * margin, self.height + 2 * margin)

    def slices_in(self, outer: Region) -> tuple[slice, slice]:
        """Row and column slices that cut this rectangle out of an array that covers `outer`."""
        return (
            slice(self.y - outer.y, self.bottom - outer.y),
            slice(self.x - outer.x, self.right - outer.x),
        )
