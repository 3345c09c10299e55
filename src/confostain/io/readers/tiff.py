"""Reader of TIFF, BigTIFF and OME-TIFF: grey planes of the main image, channel names, pixel size."""

from __future__ import annotations

import logging
import math
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from confostain.errors import SlideError
from confostain.geometry import Size
from confostain.io.readers.plane import (
    Plane,
    Source,
    as_slide_error,
    checked_dtype,
    colour_error,
    file_label,
    microns,
    plausible_microns,
)
from confostain.io.readers.tiff_pixels import page_sources

# Problems that tifffile logs are errors here or do not matter; without a handler they would be printed to stderr in
# programs that have not configured logging.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_CHANNEL_AXES = frozenset("CSIQ")  # channel, sample, page sequence, unknown
_TIFF_UNITS = {2: "inch", 3: "cm"}


@dataclass(frozen=True)
class TiffPlanes:
    """Grey planes of a TIFF's main image, in file order."""

    planes: tuple[Plane, ...]
    channel_names: tuple[str, ...]  # from OME-XML; empty if it has none
    is_ome: bool


def open_tiff(path: Path) -> TiffPlanes:
    """Open the main image of `path`.

    Raises:
        SlideError: the file is damaged, in colour, or a stack in depth or time.
    """
    import tifffile

    name = file_label(path)
    with as_slide_error(name), tifffile.TiffFile(path) as tiff:
        series = tiff.series[0].levels[0]
        _check_axes(name, dict(zip(series.axes, series.shape, strict=True)))
        pages = [_checked_page(name, page) for page in series.pages]
        names, size = _ome_channels(tiff.ome_metadata)
        size = size or _imagej_pixel_size(tiff, pages[0]) or _tag_pixel_size(pages[0])
        sources = [(page, source) for page in pages for source in page_sources(name, page)]
        labels = [f"{name} (channel {i + 1})" if len(sources) > 1 else name for i in range(len(sources))]
        planes = tuple(_plane(label, *at, size) for label, at in zip(labels, sources, strict=True))
        if len(planes) * planes[0].size.pixels != math.prod(series.shape):
            raise SlideError(
                f"{name}: {len(pages)} pages for {math.prod(series.shape)} pixels; expected a page for each channel; "
                "export it again, for example as OME-TIFF"
            )
        is_ome = tiff.is_ome
    return TiffPlanes(planes, names if len(names) == len(planes) else (), is_ome)


def _check_axes(name: str, shape: dict[str, int]) -> None:
    """Raise SlideError for a stack in depth or time: only the channel axis may be longer than 1."""
    deep = {axis: n for axis, n in shape.items() if n > 1 and axis not in _CHANNEL_AXES | {"X", "Y"}}
    if deep:
        found = ", ".join(f"{axis}={n}" for axis, n in deep.items())
        raise SlideError(f"{name}: a stack ({found}); expected one plane per channel; export one plane or projection")


def _checked_page(name: str, page: Any) -> Any:
    """Page with all its tags; SlideError unless it is complete, grey, and of a known data type."""
    if page is None:
        raise SlideError(f"{name}: a plane that its metadata announces is missing; expected all; export it again")
    page = page.aspage()
    _check_tags(name, page)
    checked_dtype(name, page.dtype, int(np.max(page.bitspersample)))
    _check_grey(name, page)
    return page


def _check_tags(name: str, page: Any) -> None:
    """Raise SlideError for a page with unreadable tags: names or pixel size could be lost without notice."""
    handle, count_bytes = page.parent.filehandle, page.parent.tiff.tagnosize
    handle.seek(page.offset)
    announced = int.from_bytes(handle.read(count_bytes), "big" if page.parent.byteorder == ">" else "little")
    readable = len(list(page.tags.values()))
    if readable != announced:
        raise SlideError(
            f"{name}: truncated or damaged, {readable} tags can be read; expected {announced}; "
            "copy or export the file again"
        )


def _check_grey(name: str, page: Any) -> None:
    if page.photometric in (2, 5, 6, 8) or page.samplesperpixel > 2 or set(page.extrasamples) & {1, 2}:
        raise colour_error(name, page.samplesperpixel)
    if page.photometric != 1:
        kind = getattr(page.photometric, "name", page.photometric)
        raise SlideError(
            f"{name}: photometric interpretation {kind}; expected grey with black as zero (MINISBLACK); "
            "convert the image to plain grey"
        )


def _plane(name: str, page: Any, source: Source, microns_per_pixel: float | None) -> Plane:
    size = Size(page.imagewidth, page.imagelength)
    return Plane(name, size, page.dtype.newbyteorder("="), microns_per_pixel, source)


def _ome_channels(xml: str | None) -> tuple[tuple[str, ...], float | None]:
    """Channel names and pixel size (um/px) of the first image in OME-XML."""
    if not xml:
        return (), None
    pixels = next((e for e in ET.fromstring(xml).iter() if e.tag.endswith("}Pixels")), None)
    if pixels is None:
        return (), None
    names = tuple(e.get("Name", "") for e in pixels if e.tag.endswith("}Channel"))
    x, y = (_ome_length(pixels, f"PhysicalSize{axis}") for axis in "XY")
    return names, plausible_microns(x, y)


def _ome_length(pixels: ET.Element, key: str) -> float | None:
    value = pixels.get(key)
    return None if value is None else microns(float(value), pixels.get(f"{key}Unit", "um"))


def _imagej_pixel_size(tiff: Any, page: Any) -> float | None:
    if not tiff.imagej_metadata:
        return None
    unit = str(tiff.imagej_metadata.get("unit", "")).replace("\\u00B5", "u")
    return _from_resolution(page, unit)


def _tag_pixel_size(page: Any) -> float | None:
    return _from_resolution(page, _TIFF_UNITS.get(int(page.resolutionunit)))


def _from_resolution(page: Any, unit: str | None) -> float | None:
    """Pixel size (um/px) from the tags XResolution and YResolution, which are pixels per unit."""
    x, y = (
        microns(denominator / numerator, unit) if numerator else None
        for numerator, denominator in (page.tags.valueof(tag, (0, 1)) for tag in (282, 283))
    )
    return plausible_microns(x, y)
