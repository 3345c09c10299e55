"""H&E in TIFF files: the largest colour image of a file, upright, as 8-bit RGB over white."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from confostain.arrays import Rgb
from confostain.errors import ConfostainWarning, SlideError
from confostain.geometry import Region, Size
from confostain.io.readers.histology_levels import Levels, OpenSlideLevels, as_picture, blended_over_white
from confostain.io.readers.ome import ome_images
from confostain.io.readers.orientation import TURNS
from confostain.io.readers.plane import LARGEST_TILE, LARGEST_WHOLE, MOST_PIXELS, as_slide_error, check_bytes
from confostain.io.readers.tiff import ORIENTATION, PALETTE, Candidate, check_directories, described_images, pixel_size

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, YCBCR = 0, 1, 2, 6  # photometric interpretations
PREMULTIPLIED, ALPHA = 1, 2  # extra samples
ICC_PROFILE = 34675  # tag InterColorProfile
MAX_SAMPLE_VALUES = (341, 281)  # tags SMaxSampleValue and MaxSampleValue
PLAIN_COMPRESSIONS = (1, 5, 7, 8, 32946)  # none, LZW, JPEG, deflate: what OpenSlide reads everywhere
SAMPLED = 16  # regions of a 16-bit image that are read for its brightest value
SAMPLED_SIDE = 256  # px


def open_tiff_levels(path: Path) -> Levels:
    """Levels of the largest colour image of a TIFF, with the pixel size of that image.

    Scanner formats, and plain tiled pyramids that OpenSlide reads right, are read by OpenSlide.

    Raises:
        SlideError: the file is damaged, or holds no image in colour.
    """
    import tifffile

    vendor = _openslide_format(path)
    if vendor not in (None, "generic-tiff"):
        return OpenSlideLevels(path)
    with as_slide_error(path.name):
        tiff = tifffile.TiffFile(path)
        try:
            check_directories(path.name, tiff)
            levels = TiffLevels(path.name, tiff)
        except BaseException:
            tiff.close()
            raise
    if vendor and levels.is_plain:
        known, by_openslide = levels.microns_per_pixel, OpenSlideLevels(path)
        if by_openslide.sizes[0] == levels.sizes[0]:
            levels.close()
            by_openslide.microns_per_pixel, by_openslide.icc_profile = known, levels.icc_profile
            return by_openslide
        by_openslide.close()
    return levels


def _openslide_format(path: Path) -> str | None:
    try:
        import openslide
    except ImportError:
        return None
    vendor: str | None = openslide.OpenSlide.detect_format(path)
    return vendor


class TiffLevels:
    """Levels of the largest colour image of an open TIFF, read by tifffile; see `Levels`.

    Attributes:
        is_plain: whether it is upright 8-bit RGB in tiles of a common compression.
    """

    def __init__(self, name: str, tiff: Any) -> None:
        import zarr

        stated = ome_images(name, tiff.ome_metadata)
        candidates = [_candidate(name, number, series) for number, series in enumerate(tiff.series)]
        chosen = _largest(name, candidates)
        page = chosen.series.keyframe
        self._tiff, self._page, self._lock = tiff, page, threading.Lock()
        self._planes_first = chosen.series.axes[-1] == "X"
        self._turn = TURNS[int(page.tags.valueof(ORIENTATION, 1))]
        _check_layout(name, page)
        series = chosen.series
        self._levels = [zarr.open_array(series.aszarr(level=level), mode="r") for level in range(len(series.levels))]
        stored = [_size_of(level) for level in series.levels]
        self.sizes: tuple[Size, ...] = tuple(Size(h, w) if self._turn[0] else Size(w, h) for w, h in stored)
        pixel = pixel_size(name, tiff, page, described_images(stated, candidates)[chosen.number])
        self.microns_per_pixel = pixel.microns if pixel else None
        profile = page.tags.valueof(ICC_PROFILE)
        self.icc_profile: bytes | None = bytes(profile) if profile else None
        self._bits = 8 if page.dtype == np.uint8 else self._bits_in_use(name)
        self.is_plain = (
            page.is_tiled and page.dtype == np.uint8 and page.samplesperpixel == 3 and page.planarconfig == 1
            and page.photometric in (RGB, YCBCR) and self._turn == TURNS[1] and page.compression in PLAIN_COMPRESSIONS
        )  # fmt: skip

    def read(self, level: int, region: Region) -> Picture:
        """RGB image."""
        transposed, rows_reversed, columns_reversed = self._turn
        width, height = self.sizes[level]
        x = width - region.right if columns_reversed else region.x
        y = height - region.bottom if rows_reversed else region.y
        rows, columns = slice(y, y + region.height), slice(x, x + region.width)
        rgb = self._rgb(self._stored(level, columns, rows) if transposed else self._stored(level, rows, columns))
        upright = rgb.swapaxes(0, 1) if transposed else rgb
        return as_picture(upright[:: -1 if rows_reversed else 1, :: -1 if columns_reversed else 1])

    def close(self) -> None:
        """Close the file."""
        self._tiff.close()

    def _stored(self, level: int, rows: slice, columns: slice) -> npt.NDArray[Any]:
        """Pixels as they are stored, (h, w, samples)."""
        with self._lock:
            if not self._planes_first:
                return np.asarray(self._levels[level][rows, columns])
            planes = np.asarray(self._levels[level][..., rows, columns])
        return np.moveaxis(planes.reshape(-1, *planes.shape[-2:]), 0, 2)

    def _rgb(self, stored: npt.NDArray[Any]) -> Rgb:
        page = self._page
        if page.photometric == PALETTE:
            return np.asarray((page.colormap >> 8).astype(np.uint8)[:, stored[..., 0]].transpose(1, 2, 0))
        eight = stored if stored.dtype == np.uint8 else _in_8_bit(stored, self._bits)
        colours = np.ascontiguousarray(eight[..., :3])
        if page.photometric == WHITE_IS_ZERO:
            colours = ~colours
        extra = page.extrasamples[0] if page.extrasamples and eight.shape[2] > 3 else 0
        return (
            blended_over_white(colours, eight[..., 3], extra == PREMULTIPLIED)
            if extra in (PREMULTIPLIED, ALPHA)
            else colours
        )

    def _bits_in_use(self, name: str) -> int:
        """Bits of the brightest value of a 16-bit image: as its tags say, else as a sample of it shows."""
        stated = [int(np.max(self._page.tags.valueof(tag, 0))) for tag in MAX_SAMPLE_VALUES]
        brightest = next((value for value in stated if value), 0)
        if not brightest:
            level = len(self.sizes) - 1
            brightest = max(int(self._sample(level, number).max(initial=0)) for number in range(SAMPLED))
        bits = next(bits for bits in (8, 10, 12, 14, 16) if brightest < 1 << bits)
        if bits < 16 and not any(stated):
            warnings.warn(
                f"{name}: 16-bit colours of at most {brightest}; they are taken for {bits} bits, {(1 << bits) - 1} is"
                " white; if that is wrong, convert the image to 8 bits",
                ConfostainWarning,
                stacklevel=2,
            )
        return bits

    def _sample(self, level: int, number: int) -> npt.NDArray[Any]:
        """One of `SAMPLED` regions, evenly spread."""
        size = self.sizes[level]
        stored = Size(size.height, size.width) if self._turn[0] else size
        across, down = number % 4, number // 4
        x, y = (stored.width - SAMPLED_SIDE) * across // 3, (stored.height - SAMPLED_SIDE) * down // 3
        x, y = max(0, x), max(0, y)
        right, bottom = min(stored.width, x + SAMPLED_SIDE), min(stored.height, y + SAMPLED_SIDE)
        return self._stored(level, slice(y, bottom), slice(x, right))[..., :3]


def _in_8_bit(values: npt.NDArray[Any], bits: int) -> npt.NDArray[np.uint8]:
    if bits <= 8:
        return np.minimum(values, 255).astype(np.uint8)
    return np.minimum(values >> (bits - 8), 255).astype(np.uint8)


def _size_of(level: Any) -> tuple[int, int]:
    shape = dict(zip(level.axes, level.shape, strict=True))
    return shape["X"], shape["Y"]


def _candidate(name: str, number: int, series: Any) -> Candidate:
    shape = dict(zip(series.axes, series.shape, strict=True))
    return Candidate(number, series, Size(shape.get("X", 0), shape.get("Y", 0)), _problem(name, shape, series.keyframe))


def _problem(name: str, shape: dict[str, int], page: Any) -> SlideError | None:
    """Why an image is no H&E; None where it can be."""
    values = {axis: n for axis, n in shape.items() if axis not in "XY" and n > 1}
    count = next(iter(values.values()), 1)
    if len(values) > 1 or not set(values) <= set("SCIQ"):
        return SlideError(f"{name}: a stack ({values}); expected one colour image; export one plane")
    colour = page.photometric in (RGB, YCBCR) and count in (3, 4)
    planes = page.photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO) and count in (3, 4)
    palette = page.photometric == PALETTE and count == 1 and page.dtype == np.uint8
    if not (colour or planes or palette):
        kind = getattr(page.photometric, "name", page.photometric)
        return SlideError(
            f"{name}: {count} values per pixel ({kind}); expected H&E in red, green and blue; convert it to RGB"
        )
    if page.dtype not in (np.uint8, np.uint16):
        return SlideError(f"{name}: colours are {page.dtype}; expected 8 or 16 bits; convert the image to 8-bit RGB")
    return None


def _largest(name: str, candidates: list[Candidate]) -> Candidate:
    """The largest image that can be H&E; a warning tells of a larger one that cannot."""
    if not candidates:
        raise SlideError(f"{name}: holds no image; expected H&E")
    largest = max(candidates, key=lambda one: one.size.pixels)
    readable = [one for one in candidates if one.problem is None]
    if not readable:
        raise largest.problem or SlideError(f"{name}: holds no image; expected H&E")
    chosen = max(readable, key=lambda one: one.size.pixels)  # the first of equals
    if largest.size.pixels > chosen.size.pixels:
        warnings.warn(
            f"{name}: {chosen} is taken; {largest} is no colour image; is this the H&E slide?",
            ConfostainWarning,
            stacklevel=3,
        )
    return chosen


def _check_layout(name: str, page: Any) -> None:
    """Check that parts that are decoded whole fit into memory."""
    if not 0 < page.imagewidth * page.imagelength <= MOST_PIXELS:
        raise SlideError(f"{name}: {page.imagewidth} x {page.imagelength} px; expected at most {MOST_PIXELS} in all")
    pixel_bytes = page.samplesperpixel * page.dtype.itemsize
    if page.is_tiled:
        check_bytes(name, "tiles", page.tilewidth * page.tilelength * pixel_bytes, LARGEST_TILE)
    elif page.compression != 1:
        rows = min(page.rowsperstrip, page.imagelength)
        check_bytes(name, "compressed strips", rows * page.imagewidth * pixel_bytes, LARGEST_WHOLE)
