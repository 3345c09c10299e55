"""Grey planes that are stored in other ways: as red, green and blue alike, by a palette of greys, with transparency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from confostain.errors import SlideError
from confostain.io.readers.plane import Pixels, Source

SAME_GREY = 2  # levels of 8-bit: JPEG rounds red, green and blue of a grey image apart


@dataclass(frozen=True)
class EqualSamples:
    """Source of a grey plane that is stored as several samples of the same values; see `Source`.

    Attributes:
        name: of the file, for errors.
        samples: sources of red, green and blue.
        tolerance: in stored units, by which these may differ.
    """

    name: str
    samples: Sequence[Source]
    tolerance: int

    @property
    def band(self) -> int:
        """Rows that belong together."""
        return self.samples[0].band

    def fill(self, out: Pixels, x: int, y: int, step: int) -> None:
        """Fill `out` (n, w) from rows y, y + step, ... and columns x .. x + w; SlideError where there is colour."""
        other = np.empty_like(out)
        self.samples[1].fill(out, x, y, step)  # green: the nearest to grey where they differ by rounding
        for sample in (self.samples[0], self.samples[2]):
            sample.fill(other, x, y, step)
            if int(np.abs(other.astype(np.int64) - out).max(initial=0)) > self.tolerance:
                raise SlideError(
                    f"{self.name}: a colour image; expected a grey one; save each channel as a grey image, for example"
                    " with: vips extract_band IN OUT.tif 0"
                )

    def close(self) -> None:
        """Close files."""
        for sample in self.samples:
            sample.close()


@dataclass(frozen=True)
class PaletteOfGreys:
    """Source of a grey plane that is stored as positions in a palette of greys; see `Source`.

    Attributes:
        source: of the positions.
        greys: (256,) in the type of the plane.
    """

    source: Source
    greys: npt.NDArray[np.uint8]

    @property
    def band(self) -> int:
        """Rows that belong together."""
        return self.source.band

    def fill(self, out: Pixels, x: int, y: int, step: int) -> None:
        """Fill `out` (n, w) from rows y, y + step, ... and columns x .. x + w."""
        self.source.fill(out, x, y, step)
        out[...] = self.greys[out]

    def close(self) -> None:
        """Close files."""
        self.source.close()


@dataclass(frozen=True)
class WithTransparency:
    """Source of a grey plane beside its transparency: where that is total, nothing was scanned; see `Source`.

    Attributes:
        grey: source of the plane; its pixels are 0 where they are transparent.
        alpha: source of the opacity.
    """

    grey: Source
    alpha: Source

    @property
    def band(self) -> int:
        """Rows that belong together."""
        return self.grey.band

    def fill(self, out: Pixels, x: int, y: int, step: int) -> None:
        """Fill `out` (n, w) from rows y, y + step, ... and columns x .. x + w."""
        alpha = np.empty_like(out)
        self.grey.fill(out, x, y, step)
        self.alpha.fill(alpha, x, y, step)
        out[alpha == 0] = 0

    def close(self) -> None:
        """Close files."""
        self.grey.close()
        self.alpha.close()


def grey_palette(name: str, colours: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint8]:
    """Greys of a palette of 16-bit red, green and blue, (3, n) to (n,); SlideError where there is a colour."""
    levels = (colours >> 8).astype(np.uint8)
    if (levels != levels[:1]).any():
        raise SlideError(f"{name}: a palette of colours; expected greys; save each channel as a grey image")
    return levels[0]
