"""One grey plane of a slide, read lazily in level-0 pixels, wherever and however its pixels are stored."""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from confostain.errors import ConfostainWarning, SlideError
from confostain.geometry import Region, Size

Pixels = npt.NDArray[Any]

DTYPES = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.float32))

# Slides are sampled at 0.2 to 1 um/px, their thumbnails at 10. Outside this range stands a print resolution
# (72 or 300 dpi is 353 or 85 um/px) or a placeholder, which says nothing about the microscope.
MICRONS_PER_PIXEL = (0.05, 20.0)

_MICRONS = {
    "nm": 1e-3, "nanometer": 1e-3, "um": 1.0, "µm": 1.0, "μm": 1.0, "micron": 1.0, "microns": 1.0,
    "micrometer": 1.0, "micrometre": 1.0, "mm": 1e3, "millimeter": 1e3, "cm": 1e4, "centimeter": 1e4,
    "inch": 25_400.0, "in": 25_400.0, "m": 1e6, "meter": 1e6, "angstrom": 1e-4, "å": 1e-4,
}  # fmt: skip


_EXHAUSTED = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
_UNREACHABLE = {errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.ELOOP}


class Source(Protocol):
    """Where the pixels of one plane come from. Safe to use from several threads at once."""

    @property
    def band(self) -> int:
        """How many rows belong together: reading within a band costs no other band's bytes twice."""

    def fill(self, out: Pixels, x: int, y: int, step: int) -> None:
        """Fill `out` (n, w) from rows y, y + step, ... and columns x .. x + w, all inside the plane."""

    def close(self) -> None:
        """Give back file handles; reading afterwards is an error."""


@dataclass(frozen=True, eq=False)
class Plane:
    """One grey plane. Several threads may read at once; memory does not depend on the plane's size."""

    name: str  # file name, and channel where a file holds several
    size: Size  # level-0 pixels
    dtype: np.dtype[Any]  # uint8, uint16 or float32 in this machine's byte order
    microns_per_pixel: float | None  # as the metadata say; None where they say nothing plausible
    source: Source

    def read(self, region: Region) -> Pixels:
        """Pixels of `region` (level 0) as (height, width) in `dtype`; 0 outside the plane.

        Raises SlideError where the file is damaged, and on NaN or infinite values.
        """
        out = np.zeros((region.height, region.width), self.dtype)
        inside = region.intersection(self.size.region)
        if not inside.is_empty:
            self._fill(out[inside.slices_in(region)], inside.x, inside.y, 1)
        return out

    def read_rows(self, region: Region, step: int) -> Pixels:
        """One row in every `step` of a region inside the plane, from near the middle: (ceil(height / step), width).

        Raises as `read` does.
        """
        out = np.empty((-(-region.height // step), region.width), self.dtype)
        self._fill(out, region.x, region.y + min(step // 2, (region.height - 1) % step), step)
        return out

    def scan(self, step: int) -> Iterator[tuple[int, Pixels]]:
        """Walk once over the plane, seeing one row in every `step`: the cheap pass behind statistics.

        Think of the plane as ceil(height / step) rows of blocks. For each of them one whole row of raw pixels
        comes, always equally far below the top of its block, as near to its middle as fits the last one.
        Yields (first, rows): rows is (n, width) in `dtype`; its row i belongs to block row first + i. Block
        rows come in order, each once; n varies; little is held at a time.

        So the mean of `step` neighbours in a row (`np.add.reduceat` along axis 1) estimates a block's mean,
        and a histogram of everything yielded is a fair sample of the plane. Raises as `read` does.
        """
        offset = min(step // 2, (self.size.height - 1) % step)
        for top in range(0, self.size.height, self.source.band):
            first = -((offset - top) // step)  # first block row whose sampled row lies at or below `top`
            rows = range(offset + first * step, min(top + self.source.band, self.size.height), step)
            if rows:
                out = np.empty((len(rows), self.size.width), self.dtype)
                self._fill(out, 0, rows[0], step)
                yield first, out

    def close(self) -> None:
        """Give back file handles and temporary files."""
        self.source.close()

    def _fill(self, out: Pixels, x: int, y: int, step: int) -> None:
        with refusing(self.name):
            self.source.fill(out, x, y, step)
        if self.dtype.kind == "f" and not np.isfinite(out).all():
            raise SlideError(
                f"{self.name}: NaN or infinite values between rows {y} and {y + (len(out) - 1) * step}; "
                "expected finite grey values; replace them and save the file again"
            )


def file_label(path: Path) -> str:
    """The name of a file in messages and provenance; the files of all VivaScope scans share one name, so theirs
    begins with the folder of the scan.
    """
    detector = path.parent.resolve()
    if not detector.name.startswith("DET#"):
        return path.name
    mosaic = detector.parent
    scan = mosaic.parent if mosaic.name.startswith("mosaic") else mosaic
    return (detector.relative_to(scan.parent) / path.name).as_posix()


@contextmanager
def refusing(name: str) -> Iterator[None]:
    """Turn whatever a decoder raises on a damaged or foreign file into one SlideError that names it.

    Lack of memory, of room on the disk or of file handles is not the file's fault and goes through as it is.
    """
    try:
        yield
    except (SlideError, MemoryError, ConfostainWarning):
        raise
    except Exception as error:  # decoders raise anything from struct.error to RecursionError on damaged files
        number = error.errno if isinstance(error, OSError) else None
        if number in _EXHAUSTED:
            raise
        if number in _UNREACHABLE:
            raise SlideError(
                f"{name}: cannot be opened ({os.strerror(number)}); expected a file or folder that may be read; "
                "check its path and its permissions"
            ) from error
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise SlideError(
            f"{name}: cannot be read ({reason}); expected a complete grey image; copy or export it again"
        ) from error


def checked_dtype(name: str, dtype: np.dtype[Any] | None, bits: int) -> np.dtype[Any]:
    """`dtype` in this machine's byte order; SlideError unless uint8, uint16 or float32 in all its bits."""
    native = dtype.newbyteorder("=") if dtype is not None else None
    if native not in DTYPES or native.itemsize * 8 != bits:
        found = "unknown" if native is None else f"{native} ({bits} bits)"
        raise SlideError(
            f"{name}: pixels are {found}; expected uint8, uint16 or float32; convert the image to one of them"
        )
    return native


def refuse_colour(name: str, samples: int) -> SlideError:
    """The error for an image with `samples` values per pixel where one grey value is expected."""
    return SlideError(
        f"{name}: {samples} values per pixel (colour or transparency); expected one grey value; "
        "save each channel as a grey image, for example with: vips extract_band IN OUT.tif 0"
    )


def plausible_microns(x: float | None, y: float | None = None) -> float | None:
    """`x` (um/px) where it can be a microscope's pixel size and `y`, if known, is within 1 %; else None.

    To six digits: what lies beyond comes from writing it as pixels per centimetre or per inch.
    """
    low, high = MICRONS_PER_PIXEL
    if x is None or not (math.isfinite(x) and low <= x <= high):
        return None
    return None if y is not None and abs(y - x) > 0.01 * x else float(f"{x:.6g}")


def microns(value: float, unit: str | None) -> float | None:
    """A length in micrometres; None where the unit is missing or unknown."""
    scale = _MICRONS.get((unit or "").strip().lower())
    return None if scale is None else value * scale
