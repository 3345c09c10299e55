"""Writer of a two-channel scan in the folder layout of VivaScope mosaics, band by band."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt

from confostain.errors import OutputError
from confostain.geometry import Size
from confostain.io.writers.atomic import as_output_error, complete_or_absent

DETECTORS = ("DET#1", "DET#2")  # reflectance, fluorescence
MOSAIC = "mosaic"  # folder name of the mosaic


def write_mosaic(
    folder: Path,
    size: Size,
    bands: Iterable[npt.NDArray[np.uint16]],
    microns_per_pixel: float,
    overwrite: bool = False,
) -> None:
    """Write `folder`/mosaic/DET#n/highres_raw.tif: uncompressed 16-bit TIFF, BigTIFF above 4 GB.

    One band at a time is in memory. Both files are complete or absent.

    Args:
        folder: of the scan.
        size: in pixels.
        bands: uint16 (2, rows, width) each, reflectance then fluorescence, from top to bottom.
        microns_per_pixel: pixel size in um.
        overwrite: whether existing files may be replaced.

    Raises:
        OutputError: a file exists and `overwrite` is off, the bands do not add up to `size`, or writing fails.
    """
    paths = [folder / MOSAIC / detector / "highres_raw.tif" for detector in DETECTORS]
    with as_output_error(folder):
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        partial = [stack.enter_context(complete_or_absent(path, overwrite)) for path in paths]
        starts = [_write_header(path, size, microns_per_pixel) for path in partial]
        files = [stack.enter_context(path.open("r+b")) for path in partial]
        for file, start in zip(files, starts, strict=True):
            file.seek(start)
        rows = 0
        for band in bands:
            if band.dtype != np.uint16 or band.ndim != 3 or band.shape[::2] != (2, size.width):
                raise OutputError(
                    f"a band of {band.dtype} {band.shape}; expected uint16 (2, rows, {size.width}); "
                    "cut the slide into bands of its full width"
                )
            rows += band.shape[1]
            for file, plane in zip(files, band, strict=True):
                file.write(np.ascontiguousarray(plane, "<u2").data)
        if rows != size.height:
            raise OutputError(f"bands of {rows} rows in all; expected {size.height}; give every row once")


def _write_header(path: Path, size: Size, microns_per_pixel: float) -> int:
    """Write a TIFF of one strip with a gap for its pixels; return the position of the gap in bytes."""
    import tifffile

    per_centimetre = 1e4 / microns_per_pixel
    with tifffile.TiffWriter(path, bigtiff=2 * size.pixels > 4_000_000_000, byteorder="<") as tiff:
        place = tiff.write(
            None,
            shape=(size.height, size.width),
            dtype=np.uint16,
            photometric="minisblack",
            resolution=(per_centimetre, per_centimetre),
            resolutionunit="CENTIMETER",
            metadata=None,
            software="confostain",
            returnoffset=True,
        )
    if place is None:
        raise OutputError(
            f"{path}: no space for an image of {size.width} x {size.height} px; expected more; free disk space"
        )
    return int(place[0])
