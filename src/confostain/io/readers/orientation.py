"""Orientation and polarity of stored images: planes upright (TIFF tag 274, EXIF) and with black as zero."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from confostain.errors import SlideError
from confostain.geometry import Size
from confostain.io.readers.plane import Pixels, Source

TRANSPOSED_BAND = 64  # rows walked over at a time where upright rows are stored columns

# For each value of the tag: whether stored rows are upright columns, and whether upright rows and columns run backwards
# after that (TIFF 6.0, page 36: which side of the scene row 0 and column 0 are).
TURNS = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


@dataclass(frozen=True)
class Upright:
    """The pixels of a plane that is stored turned or mirrored; see `Source`.

    Attributes:
        source: of the pixels as stored.
        stored: width and height as stored.
        transposed: whether stored rows are upright columns.
        rows_reversed, columns_reversed: whether upright rows or columns run against the stored ones.
    """

    source: Source
    stored: Size
    transposed: bool
    rows_reversed: bool
    columns_reversed: bool

    @property
    def size(self) -> Size:
        """Width and height upright."""
        return Size(self.stored.height, self.stored.width) if self.transposed else self.stored

    @property
    def band(self) -> int:
        """Rows that belong together."""
        return TRANSPOSED_BAND if self.transposed else self.source.band

    def fill(self, out: Pixels, x: int, y: int, step: int) -> None:
        """Fill `out` (n, w) from upright rows y, y + step, ... and columns x .. x + w."""
        rows, columns = out.shape
        last = y + (rows - 1) * step
        top = self.size.height - 1 - last if self.rows_reversed else y
        left = self.size.width - x - columns if self.columns_reversed else x
        if self.transposed:
            block = np.empty((columns, last - y + 1), out.dtype)
            self.source.fill(block, top, left, 1)
            taken = block[:, ::step].T
        else:
            taken = np.empty_like(out)
            self.source.fill(taken, left, top, step)
        backwards = slice(None, None, -1)
        rows_as = backwards if self.rows_reversed else slice(None)
        out[...] = taken[rows_as, backwards if self.columns_reversed else slice(None)]

    def close(self) -> None:
        """Give back file handles."""
        self.source.close()


@dataclass(frozen=True)
class Inverted:
    """The pixels of an integer plane that is stored with white as zero (MINISWHITE); see `Source`."""

    source: Source

    @property
    def band(self) -> int:
        """Rows that belong together."""
        return self.source.band

    def fill(self, out: Pixels, x: int, y: int, step: int) -> None:
        """Fill `out` (n, w) from rows y, y + step, ... and columns x .. x + w."""
        self.source.fill(out, x, y, step)
        np.invert(out, out=out)  # of unsigned integers: the largest value minus this one

    def close(self) -> None:
        """Give back file handles."""
        self.source.close()


def upright(name: str, source: Source, stored: Size, orientation: int) -> tuple[Source, Size]:
    """The source and the size of a plane as it is to be seen.

    Args:
        name: of the file, for errors.
        source: of the pixels as stored.
        stored: width and height as stored.
        orientation: the value of the tag, 1 to 8.

    Raises:
        SlideError: another value.
    """
    if orientation == 1:
        return source, stored
    if orientation not in TURNS:
        raise SlideError(f"{name}: orientation {orientation}; expected 1 to 8; export the image again")
    turned = Upright(source, stored, *TURNS[orientation])
    return turned, turned.size
