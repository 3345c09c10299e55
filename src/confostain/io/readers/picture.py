"""Reader of grey PNG and JPEG, decoded as a stream by libvips."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np

from confostain.errors import SlideError
from confostain.geometry import Size
from confostain.io.readers.orientation import upright
from confostain.io.readers.plane import (
    LARGEST_WHOLE,
    Plane,
    as_slide_error,
    check_bytes,
    checked_dtype,
    colour_error,
    file_label,
    plausible_microns,
)
from confostain.io.readers.sources import Unpacked

PNG_START = b"\x89PNG\r\n\x1a\n"

_DTYPES = {"uchar": np.uint8, "ushort": np.uint16}

# on truncated or invalid data libjpeg warns and fills up with grey; libpng fails
_FAIL_ON = {"pngload": "error", "jpegload": "warning"}


def open_picture(path: Path) -> Plane:
    """Open a grey PNG (8 or 16 bit) or JPEG.

    Raises:
        SlideError: its header is damaged, or it is in colour. Damaged pixels are found when they are read.
    """
    import pyvips

    name = file_label(path)
    with as_slide_error(name):
        image = pyvips.Image.new_from_file(str(path), access="sequential", revalidate=True)
        fail_on = _FAIL_ON.get(image.get("vips-loader"))
        if fail_on is None:
            raise SlideError(f"{name}: unknown format; expected TIFF, PNG or JPEG; convert the image")
        if image.bands != 1:
            raise colour_error(name, image.bands)
        bits = image.get("bits-per-sample") if "bits-per-sample" in image.get_fields() else 8
        dtype = checked_dtype(name, np.dtype(_DTYPES[image.format]), bits)
        orientation = int(image.get("orientation")) if "orientation" in image.get_fields() else 1
        if "interlaced" in image.get_fields():
            check_bytes(name, "an interlaced image", image.width * image.height * dtype.itemsize, LARGEST_WHOLE)
    stored = Size(image.width, image.height)
    has_scale = bool(image.xres and image.yres) and not _is_aspect_ratio(path)
    microns_per_pixel = plausible_microns(1e3 / image.xres, 1e3 / image.yres) if has_scale else None
    unpacked = Unpacked(name, stored, dtype, lambda target: _unpack(path, fail_on, target))
    source, size = upright(name, unpacked, stored, orientation)
    return Plane(name, size, dtype, microns_per_pixel, source)


def _is_aspect_ratio(path: Path) -> bool:
    """Whether the pHYs chunk of a PNG holds no scale but the shape of a pixel: its unit is 0 (PNG 1.2, 4.2.4.2)."""
    with path.open("rb") as file:
        if file.read(8) != PNG_START:
            return False
        while len(header := file.read(8)) == 8 and header[4:] != b"IDAT":
            length = int.from_bytes(header[:4], "big")
            if header[4:] == b"pHYs":
                return file.read(9)[8:] == b"\0"
            file.seek(length + 4, 1)  # and its checksum
    return False


def _unpack(path: Path, fail_on: str, target: BinaryIO) -> None:
    """Write the rows of `path` to `target`, uncompressed, as a stream.

    A few rows at a time are in memory; interlaced PNG and progressive JPEG are decoded whole.
    """
    import pyvips

    image = pyvips.Image.new_from_file(str(path), access="sequential", fail_on=fail_on, revalidate=True)
    image.rawsave_target(pyvips.Target.new_to_descriptor(target.fileno()))
