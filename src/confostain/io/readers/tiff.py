"""Opens TIFF, BigTIFF, OME-TIFF and ImageJ TIFF: the grey planes of the scan, with channel names and pixel size."""

from __future__ import annotations

import logging
import math
import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from confostain.errors import ConfostainWarning, SlideError
from confostain.geometry import Region, Size
from confostain.io.readers.channel_names import warn_of_pairs
from confostain.io.readers.grey_pixels import (
    SAME_GREY,
    EqualSamples,
    PaletteOfGreys,
    WithTransparency,
    grey_palette,
)
from confostain.io.readers.ome import (
    COMPANION_SUFFIX,
    OmeImage,
    companion_of,
    files_in_companion,
    ome_images,
    read_companion,
)
from confostain.io.readers.orientation import Inverted, upright
from confostain.io.readers.pixel_size import PixelSize, believed, microns
from confostain.io.readers.plane import (
    MOST_CHANNELS,
    Plane,
    Source,
    as_slide_error,
    colour_error,
    file_label,
)
from confostain.io.readers.stored_types import in_supported_type
from confostain.io.readers.tiff_pixels import contiguous_sources, page_sources

# Problems that tifffile logs are errors here or do not matter; without a handler they would be printed to stderr in
# programs that have not configured logging.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

COLOURS = (2, 5, 6, 8)  # photometric interpretations: RGB, CMYK, YCbCr, CIELAB
PALETTE = 3
LOSSY = (6, 7, 22610, 33003, 33005, 34712, 50001)  # compressions: JPEG, JPEG 2000, WebP
_CHANNEL_AXES = frozenset("CSIQ")  # channel, sample, page sequence, unknown
_TIFF_UNITS = {2: "inch", 3: "cm"}
MOST_PAGES = 1 << 14  # of a file; ImageJ stacks of a scan have two, pyramids a dozen
MOST_LISTED = 400  # characters of a list of images
CHECKED_ROWS = 16  # of an image in colour that may hold the same in red, green and blue
ORIENTATION = 274  # number of the tag
PAGE_NAME = 285


@dataclass(frozen=True)
class TiffPlanes:
    """The grey planes of one image in a TIFF, in file order.

    Attributes:
        planes: upright, as the orientation tag says.
        channel_names: from OME-XML, ImageJ labels or page names; empty where there are none.
        is_ome: whether the file is an OME-TIFF.
        image: which image of the file this is, in words; empty where there is but one.
        paths: the file of each plane.
    """

    planes: tuple[Plane, ...]
    channel_names: tuple[str, ...]
    is_ome: bool
    image: str = ""
    paths: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """One image of a TIFF.

    Attributes:
        number: its place in the file, from 0.
        series: of tifffile.
        size: in pixels.
        problem: why it cannot be a scan; None where it can.
        may_be_grey: whether it is in colour, but may hold the same in red, green and blue.
    """

    number: int
    series: Any
    size: Size
    problem: SlideError | None
    may_be_grey: bool = False

    def __str__(self) -> str:
        return f"image {self.number} of {self.size.width} x {self.size.height} px"


def open_tiff(path: Path, series: int | None = None) -> TiffPlanes:
    """Open the scan in a TIFF or a companion file: the largest image of grey planes, or the one of number `series`.

    Raises:
        SlideError: the file is damaged, or that image is in colour or no plain set of grey planes.
    """
    name = file_label(path)
    with as_slide_error(name), _opened(path) as tiff:
        stated = ome_images(name, tiff.ome_metadata)  # refuses what would exhaust memory in tifffile
        candidates = [_candidate(name, number, one) for number, one in enumerate(tiff.series)]
        chosen = _chosen(name, candidates, series)
        parts = _channels_in_pages(candidates, chosen) if series is None else [chosen]
        pages = [_checked_page(name, page) for part in parts for page in part.series.pages]
        described = described_images(stated, candidates)[chosen.number]
        pixel = pixel_size(name, tiff, pages[0], described)
        sources = _sources(name, sum(math.prod(part.series.shape) for part in parts), pages)
        labels = [f"{name} (channel {i + 1})" if len(sources) > 1 else name for i in range(len(sources))]
        told = "" if len(candidates) == len(parts) else f"{chosen} ({len(candidates)} in the file)"
        notes = {"image": told} if told else {}
        planes = tuple(_plane(label, *at, pixel, notes) for label, at in zip(labels, sources, strict=True))
        if chosen.may_be_grey:
            _check_rows(planes)
        names = _channel_names(tiff, described, pages, len(planes))
        files = tuple(Path(page.parent.filehandle.path) for page, _ in sources)
        return TiffPlanes(planes, names, bool(tiff.is_ome or described), told, files)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The TIFF with all its metadata: from its companion file where it has one."""
    import tifffile

    if path.name.lower().endswith(COMPANION_SUFFIX):
        companion, path = path, files_in_companion(path)[0]
    else:
        with tifffile.TiffFile(path) as alone:
            check_directories(path.name, alone)
            found = companion_of(path, alone.ome_metadata)
        if found is None:
            with tifffile.TiffFile(path) as tiff:
                yield tiff
            return
        companion = found
    with tifffile.TiffFile(path, omexml=read_companion(companion)) as tiff:
        yield tiff


def check_directories(name: str, tiff: Any) -> None:
    """Check the chain of directories of an open TIFF, one for each page, before tifffile follows it.

    Raises:
        SlideError: it is circular, leads out of the file, or is longer than any scan's.
    """
    file, layout, seen = tiff.filehandle, tiff.tiff, set[int]()
    file.seek(8 if layout.is_bigtiff else 4)
    place = struct.unpack(layout.offsetformat, file.read(layout.offsetsize))[0]
    while place:
        if place in seen or place + layout.tagnosize > file.size or len(seen) >= MOST_PAGES:
            raise SlideError(
                f"{name}: damaged, its chain of pages is circular, leads out of it, or has more than {MOST_PAGES};"
                " copy or export the file again"
            )
        seen.add(place)
        file.seek(place)
        (tags,) = struct.unpack(layout.tagnoformat, file.read(layout.tagnosize))
        file.seek(place + layout.tagnosize + tags * layout.tagsize)
        following = file.read(layout.offsetsize)
        if len(following) < layout.offsetsize:
            return  # tifffile says what is missing
        place = struct.unpack(layout.offsetformat, following)[0]


def _candidate(name: str, number: int, series: Any) -> Candidate:
    level = series.levels[0]
    shape = dict(zip(level.axes, level.shape, strict=True))
    size = Size(shape.get("X", 0), shape.get("Y", 0))
    try:
        _check_axes(name, shape)
    except SlideError as problem:
        return Candidate(number, level, size, problem)
    try:
        _check_grey(name, level.keyframe)
    except SlideError as problem:
        return Candidate(number, level, size, problem, level.keyframe.photometric in (2, 6))
    return Candidate(number, level, size, None)


def _chosen(name: str, candidates: Sequence[Candidate], series: int | None) -> Candidate:
    """The image to read, and a warning where that may surprise."""
    if series is not None:
        if not 0 <= series < len(candidates):
            found = ", ".join(f"{one.number}: {one.size.width} x {one.size.height} px" for one in candidates)
            raise SlideError(
                f"{name}: no image {series}; expected --series 0 to {len(candidates) - 1} ({found[:MOST_LISTED]})"
            )
        if (problem := candidates[series].problem) is not None:
            raise problem
        return candidates[series]
    readable = [one for one in candidates if one.problem is None]
    if not readable:
        if not candidates:
            raise SlideError(f"{name}: holds no image; expected a scan")
        largest = max(candidates, key=lambda one: one.size.pixels)
        if not largest.may_be_grey:
            raise largest.problem or SlideError(f"{name}: cannot be read")
        return largest
    chosen = max(readable, key=lambda one: one.size.pixels)  # the first of equals
    channels = _channels_in_pages(candidates, chosen)
    others = [one for one in readable if one not in channels and one.size.pixels > chosen.size.pixels / 4]
    skipped = [one for one in candidates if one.problem is not None and one.size.pixels > chosen.size.pixels]
    for one in (*others, *skipped):
        reason = "is no pair of grey planes" if one.problem else "is about as large"
        warnings.warn(
            f"{name}: {chosen} is taken; {one} {reason}; choose another with --series NUMBER (series=NUMBER)",
            ConfostainWarning,
            stacklevel=4,
        )
    return chosen


def _channels_in_pages(candidates: Sequence[Candidate], chosen: Candidate) -> list[Candidate]:
    """The chosen image, with the one other plane of its size where the two channels are pages of their own."""
    alike = [
        one for one in candidates if one.problem is None and one.size == chosen.size and len(one.series.shape) == 2
    ]
    return alike if len(alike) == 2 and chosen in alike else [chosen]


def _check_axes(name: str, shape: dict[str, int]) -> None:
    """Refuse stacks in depth or time, and more channels than any scan has."""
    deep = {axis: n for axis, n in shape.items() if n > 1 and axis not in _CHANNEL_AXES | {"X", "Y"}}
    channels = math.prod(n for axis, n in shape.items() if axis in _CHANNEL_AXES)
    if list(deep.values()) == [2] and channels == 1:
        warn_of_pairs(name, next(iter(deep)))
    elif deep:
        found = ", ".join(f"{axis}={n}" for axis, n in deep.items())
        raise SlideError(f"{name}: a stack ({found}); expected one plane per channel; export one plane or projection")
    if channels > MOST_CHANNELS:
        raise SlideError(f"{name}: {channels} channels; expected two, reflectance and fluorescence")


def _checked_page(name: str, page: Any) -> Any:
    """Page with all its tags; SlideError unless it is complete."""
    if page is None:
        raise SlideError(f"{name}: a plane that its metadata announces is missing; expected all; export it again")
    with _open_file(page):
        page = page.aspage()
        _check_tags(name, page)
    return page


@contextmanager
def _open_file(page: Any) -> Iterator[None]:
    """The file of a page open: the other files of a multi-file image come closed."""
    handle = page.parent.filehandle
    closed = handle.closed
    if closed:
        handle.open()
    try:
        yield
    finally:
        if closed:
            handle.close()


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
    if page.photometric in COLOURS or page.samplesperpixel > MOST_CHANNELS:
        raise colour_error(name, page.samplesperpixel)
    if page.photometric == PALETTE and page.dtype == np.uint8:
        grey_palette(name, page.colormap)
    elif page.photometric != 1 and not (page.photometric == 0 and page.dtype is not None and page.dtype.kind == "u"):
        kind = getattr(page.photometric, "name", page.photometric)
        raise SlideError(
            f"{name}: photometric interpretation {kind}; expected grey with black as zero (MINISBLACK); "
            "convert the image to plain grey"
        )


def _sources(name: str, values: int, pages: Sequence[Any]) -> list[tuple[Any, Source]]:
    """A page and a source for each plane of an image of so many values, as its metadata announce.

    Raises:
        SlideError: there are fewer or more planes than that.
    """
    planes = values // (pages[0].imagewidth * pages[0].imagelength)
    if len(pages) == 1 and planes > pages[0].samplesperpixel == 1:
        return [(pages[0], source) for source in contiguous_sources(name, pages[0], planes)]
    sources, samples = [], 0
    for page in pages:
        with _open_file(page):
            stored = page_sources(name, page)
            sources += [(page, source) for source in _grey_sources(name, page, stored)]
            samples += len(stored)
    if samples != planes:
        raise SlideError(
            f"{name}: {samples} planes; expected {planes}, as its metadata announce; export it again, for example"
            " as OME-TIFF"
        )
    return sources


def _grey_sources(name: str, page: Any, samples: list[Source]) -> list[Source]:
    """Sources of the grey planes among the samples of a page: transparency, colour and palettes are resolved."""
    alpha = samples[-1] if _has_alpha(page) else None
    grey = samples[:-1] if alpha else samples
    if page.photometric in COLOURS:
        is_lossy = page.compression in LOSSY
        if len(grey) != 3 or page.dtype.kind != "u":
            raise colour_error(name, page.samplesperpixel)
        grey = [EqualSamples(name, grey, SAME_GREY if is_lossy else 0)]
    elif page.photometric == PALETTE:
        grey = [PaletteOfGreys(source, grey_palette(name, page.colormap)) for source in grey]
    return [WithTransparency(source, alpha) for source in grey] if alpha else grey


def _check_rows(planes: Sequence[Plane]) -> None:
    """Read a few rows of planes that may turn out to be in colour; SlideError where they are."""
    for plane in planes:
        step = max(1, plane.size.height // CHECKED_ROWS)
        for y in range(0, plane.size.height, step):
            plane.read(Region(0, y, plane.size.width, 1))


def _has_alpha(page: Any) -> bool:
    return bool(set(page.extrasamples) & {1, 2})


def _plane(name: str, page: Any, source: Source, pixel: PixelSize | None, notes: dict[str, str]) -> Plane:
    stored = Size(page.imagewidth, page.imagelength)
    source, dtype = in_supported_type(name, source, page.dtype, int(np.max(page.bitspersample)))
    source = Inverted(source) if page.photometric == 0 else source
    orientation = int(page.tags.valueof(ORIENTATION, 1))
    source, size = upright(name, source, stored, orientation)
    if orientation != 1:
        notes = {**notes, "orientation": f"made upright, as tag 274 = {orientation} says"}
    if pixel:
        notes = {**notes, "pixel size from": pixel.source}
    return Plane(name, size, dtype, pixel.microns if pixel else None, source, notes)


def described_images(stated: Sequence[OmeImage], candidates: Sequence[Candidate]) -> list[OmeImage | None]:
    """What OME-XML says of each image of the file; None where it says nothing.

    tifffile leaves out images without pixels in this file, so that images are told by their size and name, in order.
    """
    images, found = iter(stated), []
    for one in candidates:
        wanted = (one.size.width, one.size.height)
        found.append(next((image for image in images if image.size == wanted and image.name == one.series.name), None))
    return found if any(found) else [None] * len(candidates)


def _channel_names(tiff: Any, described: OmeImage | None, pages: Sequence[Any], planes: int) -> tuple[str, ...]:
    """One name a plane, from OME-XML, ImageJ labels or page names; empty where there are not as many."""
    labels = (tiff.imagej_metadata or {}).get("Labels", ())
    page_names = [str(page.tags.valueof(PAGE_NAME, "")) for page in pages]
    for names in (described.channel_names if described else (), tuple(labels), tuple(page_names)):
        if len(names) == planes and any(names):
            return tuple(map(str, names))
    return ()


def pixel_size(name: str, tiff: Any, page: Any, described: OmeImage | None) -> PixelSize | None:
    """Pixel size of an image: by OME-XML, else by ImageJ, else by the resolution tags of its page."""
    stated = believed(name, *described.pixel, "OME-XML") if described else None
    if stated is None and tiff.imagej_metadata:
        stated = believed(name, *_lengths(page, str(tiff.imagej_metadata.get("unit", ""))), "ImageJ")
    return stated or believed(name, *_lengths(page, _TIFF_UNITS.get(int(page.resolutionunit))), "resolution tags")


def _lengths(page: Any, unit: str | None) -> tuple[float | None, float | None]:
    """Width and height of a pixel in um by the tags XResolution and YResolution, which are pixels per unit."""
    resolutions = (page.tags.valueof(tag, (0, 1)) for tag in (282, 283))
    x, y = (microns(below / above, unit) if above else None for above, below in resolutions)
    return x, y
