"""Reader of grey PNG and JPEG, decoded as a stream by libvips."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np

from confostain.errors import SlideError
from confostain.geometry import Size
from confostain.io.readers.plane import (
    Plane,
    as_slide_error,
    checked_dtype,
    colour_error,
    file_label,
    plausible_microns,
)
from confostain.io.readers.sources import Unpacked

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
    size = Size(image.width, image.height)
    microns_per_pixel = plausible_microns(1e3 / image.xres, 1e3 / image.yres) if image.xres and image.yres else None
    source = Unpacked(size, dtype, lambda target: _unpack(path, fail_on, target))
    return Plane(name, size, dtype, microns_per_pixel, source)


def _unpack(path: Path, fail_on: str, target: BinaryIO) -> None:
    """Write the rows of `path` to `target`, uncompressed, as a stream.

    A few rows at a time are in memory; interlaced PNG and progressive JPEG are decoded whole.
    """
    import pyvips

    image = pyvips.Image.new_from_file(str(path), access="sequential", fail_on=fail_on, revalidate=True)
    image.rawsave_target(pyvips.Target.new_to_descriptor(target.fileno()))
