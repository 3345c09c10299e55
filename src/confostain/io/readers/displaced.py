"""Plane that is read displaced, so that it lies on another one."""

from __future__ import annotations

from dataclasses import dataclass, replace

from confostain.geometry import Size
from confostain.io.readers.plane import Pixels, Plane, Source


@dataclass(frozen=True)
class Displaced:
    """Source whose pixel (x, y) is that at (x + dx, y + dy) of another; 0 outside of it. See `Source`.

    Attributes:
        source: the other.
        size: of both, in pixels.
        dx: in pixels, to the right.
        dy: in pixels, down.
    """

    source: Source
    size: Size
    dx: int
    dy: int

    @property
    def band(self) -> int:
        """Rows that belong together."""
        return self.source.band

    def fill(self, out: Pixels, x: int, y: int, step: int) -> None:
        """Fill `out` (n, w) from rows y, y + step, ... and columns x .. x + w."""
        out.fill(0)
        left, top = x + self.dx, y + self.dy
        rows = [row for row in range(len(out)) if 0 <= top + row * step < self.size.height]
        first, last = max(0, -left), min(out.shape[1], self.size.width - left)
        if rows and first < last:
            part = out[rows[0] : rows[-1] + 1, first:last]
            self.source.fill(part, left + first, top + rows[0] * step, step)

    def close(self) -> None:
        """Close files."""
        self.source.close()


def displaced(plane: Plane, dx: int, dy: int) -> Plane:
    """Plane of the same size whose pixel (x, y) is that at (x + dx, y + dy) of `plane`; 0 outside of it."""
    return replace(plane, source=Displaced(plane.source, plane.size, dx, dy))
