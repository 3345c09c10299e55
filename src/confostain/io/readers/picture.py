"""Reader of grey PNG and JPEG, decoded as a stream by libvips."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from confostain.errors import SlideError
from confostain.geometry import Size
from confostain.io.readers.grey_pixels import SAME_GREY
from confostain.io.readers.orientation import upright
from confostain.io.readers.pixel_size import believed
from confostain.io.readers.plane import (
    LARGEST_WHOLE,
    Plane,
    as_slide_error,
    check_bytes,
    colour_error,
    file_label,
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
        bits = image.get("bits-per-sample") if "bits-per-sample" in image.get_fields() else 8
        if bits < 8 and image.bands == 1:
            raise SlideError(f"{name}: {bits} bits per pixel; expected 8 or 16; convert the image to 8-bit grey")
        dtype = np.dtype(_DTYPES[image.format])
        orientation = int(image.get("orientation")) if "orientation" in image.get_fields() else 1
        if "interlaced" in image.get_fields():
            whole = image.width * image.height * image.bands * dtype.itemsize
            check_bytes(name, "an interlaced image", whole, LARGEST_WHOLE)
        _check_grey(name, image)
    stored = Size(image.width, image.height)
    has_scale = bool(image.xres and image.yres) and not _is_aspect_ratio(path)
    pixel = believed(name, 1e3 / image.xres, 1e3 / image.yres, "resolution of the picture") if has_scale else None
    unpacked = Unpacked(name, stored, dtype, lambda target: _unpack(path, fail_on, target))
    source, size = upright(name, unpacked, stored, orientation)
    notes = {"orientation": f"made upright, as EXIF orientation {orientation} says"} if orientation != 1 else {}
    if pixel:
        notes["pixel size from"] = pixel.source
    return Plane(name, size, dtype, pixel.microns if pixel else None, source, notes)


def _check_grey(name: str, image: Any) -> None:
    """Check that red, green and blue of an image are alike, where it has them; its pixels are decoded for that."""
    tolerance = SAME_GREY if image.get("vips-loader") == "jpegload" else 0
    if image.bands >= 3:
        apart = (image[0] - image[1]).abs().bandjoin((image[2] - image[1]).abs())
        if apart.max() > tolerance:
            raise colour_error(name, image.bands)


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
    """Write the grey rows of `path` to `target`, uncompressed, as a stream; transparent pixels as 0.

    A few rows at a time are in memory; interlaced PNG and progressive JPEG are decoded whole.
    """
    import pyvips

    image = pyvips.Image.new_from_file(str(path), access="sequential", fail_on=fail_on, revalidate=True)
    if image.bands > 1:
        grey = image[1] if image.bands >= 3 else image[0]
        image = (image[image.bands - 1] == 0).ifthenelse(0, grey) if image.hasalpha() else grey
        image = image.cast(grey.format)
    image.rawsave_target(pyvips.Target.new_to_descriptor(target.fileno()))
