"""Opens PNG and JPEG, and unpacks through libvips what cannot be read in pieces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from confostain.errors import SlideError
from confostain.geometry import Size
from confostain.io.planes import Plane, checked_dtype, plausible_microns, refuse_colour, refusing
from confostain.io.sources import Unpacked

_FORMATS = {"uchar": np.uint8, "ushort": np.uint16, "float": np.float32}
_LOADERS = ("pngload", "jpegload")


def open_picture(path: Path) -> Plane:
    """Open a grey PNG (8 or 16 bit) or JPEG; SlideError where it is damaged at first sight, or in colour."""
    import pyvips

    with refusing(path.name):
        image = pyvips.Image.new_from_file(str(path), access="sequential", revalidate=True)
        if not image.get("vips-loader").startswith(_LOADERS):
            raise SlideError(f"{path.name}: unknown format; expected TIFF, PNG or JPEG; convert the image")
        if image.bands != 1:
            raise refuse_colour(path.name, image.bands)
        bits = image.get("bits-per-sample") if "bits-per-sample" in image.get_fields() else 8
        dtype = checked_dtype(path.name, np.dtype(_FORMATS.get(image.format, np.int32)), bits)
    size = Size(image.width, image.height)
    microns_per_pixel = (
        plausible_microns(1e3 / image.xres, 1e3 / image.yres) if image.xres and image.yres else None
    )
    return Plane(
        path.name,
        size,
        dtype,
        microns_per_pixel,
        Unpacked(size, dtype, lambda target: unpack_with_vips(path, target, dtype)),
    )


def unpack_with_vips(
    path: Path, target: int, dtype: np.dtype[Any], page: int | None = None, band: int | None = None
) -> None:
    """Stream one grey plane of `path` to the file descriptor `target`, uncompressed, in rows of `dtype`.

    Memory holds a few rows at a time, except for interlaced PNG and progressive JPEG, which come whole.
    """
    import pyvips

    # libjpeg only warns where data end early or make no sense, and fills up with grey
    fail_on = "warning" if page is None and _is_jpeg(path) else "error"
    options = {} if page is None else {"page": page}
    image = pyvips.Image.new_from_file(
        str(path), access="sequential", fail_on=fail_on, revalidate=True, **options
    )
    image = image if band is None else image[band]
    if image.bands != 1 or _FORMATS.get(image.format) != dtype.type:
        raise ValueError(f"libvips sees {image.bands} x {image.format}")
    image.rawsave_target(pyvips.Target.new_to_descriptor(target))


def _is_jpeg(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\xff\xd8"
