"""Grey plane: one channel of a scan, read lazily by region in stored values, whatever the file format."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from confostain.errors import ConfostainWarning, SlideError
from confostain.geometry import Region, Size

Pixels = npt.NDArray[Any]

MOST_CHANNELS = 16  # of a file; a scan has two

# Limits that keep damaged or malicious headers from taking all memory, disk space or time.
MOST_PIXELS = 1 << 34  # of a plane: 131,072 px wide and high; the largest scans have a tenth of that
LARGEST_TILE = 256 << 20  # bytes of a tile or chunk once decoded; each thread decodes one
LARGEST_WHOLE = 512 << 20  # bytes once decoded of what can only be decoded whole, such as a strip in LZW
LARGEST_UNPACKED = 8 << 30  # bytes of a plane that is decoded to a temporary file

DTYPES = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.float32))

_EXHAUSTED = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
_UNREACHABLE = {errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.ELOOP}


class Source(Protocol):
    """Source of the pixels of one plane. Safe to use from several threads at once."""

    @property
    def band(self) -> int:
        """Rows per band: bands can be read one after the other without decoding anything twice."""

    def fill(self, out: Pixels, x: int, y: int, step: int) -> None:
        """Fill `out` (n, w) from rows y, y + step, ... and columns x .. x + w, all inside the plane."""

    def close(self) -> None:
        """Close files; reading afterwards is an error."""


@dataclass(frozen=True, eq=False)
class Plane:
    """Grey plane. Several threads may read at once; memory does not depend on the plane's size.

    Attributes:
        name: file name, and channel where a file holds several.
        size: in level-0 pixels.
        dtype: uint8, uint16 or float32 in native byte order.
        microns_per_pixel: pixel size by the metadata; None where they give no plausible one.
        source: of the pixels.
        notes: what is known of its origin, for people: which image of the file, its orientation, and where the pixel
            size is from.
    """

    name: str
    size: Size
    dtype: np.dtype[Any]
    microns_per_pixel: float | None
    source: Source
    notes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < self.size.pixels <= MOST_PIXELS:
            raise SlideError(
                f"{self.name}: {self.size.width} x {self.size.height} px; expected 1 to {MOST_PIXELS} pixels in all;"
                " is the file damaged? export it again"
            )

    def read(self, region: Region) -> Pixels:
        """Pixels of a region (level 0), (height, width) in `dtype`; 0 outside the plane.

        Raises:
            SlideError: the file is damaged.
        """
        out = np.zeros((region.height, region.width), self.dtype)
        inside = region.intersection(self.size.region)
        if not inside.is_empty:
            self._fill(out[inside.slices_in(region)], inside.x, inside.y, 1)
        return out

    def read_rows(self, region: Region, step: int) -> Pixels:
        """One row in every `step` of a region inside the plane, near the middle: (ceil(height / step), width).

        Raises as `read` does.
        """
        out = np.empty((-(-region.height // step), region.width), self.dtype)
        self._fill(out, region.x, region.y + min(step // 2, (region.height - 1) % step), step)
        return out

    def scan(self, step: int) -> Iterator[tuple[int, Pixels]]:
        """One row in every `step` of the whole plane, in one pass: a sample for statistics.

        The plane is divided into ceil(height / step) rows of blocks. From each, one whole row of pixels is read, at the
        same distance from the top of the block, near its middle. The mean of `step` neighbours in such a row
        (`np.add.reduceat` along axis 1) estimates the mean of a block.

        Yields:
            (first, rows): rows is (n, width) in `dtype`, of block rows first, first + 1, ... Block rows come in order,
            each once; n varies, and is small.

        Raises:
            SlideError: as `read`.
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
        """Close files and remove temporary ones."""
        self.source.close()

    def _fill(self, out: Pixels, x: int, y: int, step: int) -> None:
        with as_slide_error(self.name):
            self.source.fill(out, x, y, step)


def file_label(path: Path) -> str:
    """Name of a file in messages and provenance.

    The files of all VivaScope scans have the same name, so theirs begins with the folder of the scan.
    """
    detector = path.parent.resolve()
    if not detector.name.startswith("DET#"):
        return path.name
    mosaic = detector.parent
    scan = mosaic.parent if mosaic.name.startswith("mosaic") else mosaic
    return (detector.relative_to(scan.parent) / path.name).as_posix()


@contextmanager
def as_slide_error(name: str) -> Iterator[None]:
    """Raise any exception of a decoder as a SlideError that names the file.

    Errors for lack of memory, disk space or file handles are not caused by the file and are passed on.
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
                f"{name}: cannot be opened ({os.strerror(number)}); expected a file or folder that can be read; "
                "check its path and its permissions"
            ) from error
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise SlideError(
            f"{name}: cannot be read ({reason}); expected a complete grey image; copy or export it again"
        ) from error


def check_bytes(name: str, what: str, count: int, most: int) -> None:
    """Check the size of what is to be decoded; SlideError where it is above `most` bytes."""
    if count > most:
        raise SlideError(
            f"{name}: {what} of {count / 1e6:,.0f} MB; expected at most {most / 1e6:,.0f} MB; save it as a tiled"
            " TIFF or OME-Zarr, in tiles of 256 to 4096 px"
        )


def colour_error(name: str, samples: int) -> SlideError:
    """Error for an image with `samples` values per pixel where one grey value is expected."""
    return SlideError(
        f"{name}: {samples} values per pixel (colour or transparency); expected one grey value; "
        "save each channel as a grey image, for example with: vips extract_band IN OUT.tif 0"
    )
