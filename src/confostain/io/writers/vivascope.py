"""Writes a two-channel scan laid out as the VivaScope lays out its mosaics, band by band."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt

from confostain.errors import OutputError
from confostain.geometry import Size
from confostain.io.writers.output import complete_or_absent, writing_to

DETECTORS = ("DET#1", "DET#2")  # reflectance, fluorescence
MOSAIC = "mosaic"  # name of the one mosaic in the scan's folder


def write_mosaic(
    folder: Path,
    size: Size,
    bands: Iterable[npt.NDArray[np.uint16]],
    microns_per_pixel: float,
    overwrite: bool = False,
) -> None:
    """Write `folder`/mosaic/DET#n/highres_raw.tif: uncompressed 16-bit TIFF, BigTIFF above 4 GB.

    `bands` are (2, rows, width) uint16, reflectance then fluorescence, from top to bottom. One band at a time is in
    memory. The files take their names only when both are complete.

    Raises:
        OutputError: a file exists and `overwrite` is off, the bands do not make up `size`, or the disk refuses.
    """
    paths = [folder / MOSAIC / detector / "highres_raw.tif" for detector in DETECTORS]
    with writing_to(folder):
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
    """Make a TIFF of one strip with a hole where its pixels belong; return where the hole begins, in bytes."""
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
        raise OutputError(f"{path}: the disk took no picture of {size.width} x {size.height} px; make room")
    return int(place[0])
