"""H&E slides: opened by OpenSlide, or as a plain picture; any region at a requested pixel size.

Openslide-python comes with the training extra; plain pictures (PNG, JPEG, TIFF) need Pillow only.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
import numpy.typing as npt

from confostain.errors import SlideError
from confostain.geometry import Region, Size
from confostain.io.readers.plane import plausible_microns

if TYPE_CHECKING:
    from PIL.Image import Image as Picture
    from PIL.Image import Resampling

_PICTURES = {".png", ".jpg", ".jpeg"}
_TIFFS = {".tif", ".tiff"}

KERNEL = 2  # px, of the coarser grid: as far as the resampling looks to each side
WHOLE = 1e-3  # zooms this near a whole number are one
ROUNDING = 0.01  # px: a pixel size out of a file, a ratio of whole numbers, must not cost the last row


class _Levels(Protocol):
    """Where pixels come from: a pyramid of pictures, finest first."""

    sizes: tuple[Size, ...]
    microns_per_pixel: float | None

    def read(self, level: int, region: Region) -> Picture:
        """RGB pixels of a region that lies inside that level."""

    def close(self) -> None: ...


class HistologySlide:
    """An H&E slide whose regions can be read at any pixel size.

    Attributes:
        path: the file.
        size: (width, height) of level 0 in pixels.
        microns_per_pixel: of level 0.
    """

    def __init__(self, path: Path, levels: _Levels, microns_per_pixel: float) -> None:
        self.path = path
        self._levels = levels
        self.size = (levels.sizes[0].width, levels.sizes[0].height)
        self.microns_per_pixel = microns_per_pixel

    def size_at(self, microns_per_pixel: float) -> tuple[int, int]:
        """(width, height) of the slide at that pixel size, whole pixels only."""
        scale = self.microns_per_pixel / microns_per_pixel
        width, height = (max(1, int(length * scale + ROUNDING)) for length in self.size)
        return width, height

    def read_region(
        self, scaled_xy: tuple[int, int], size: tuple[int, int], microns_per_pixel: float
    ) -> npt.NDArray[np.uint8]:
        """Read a region, resampled as `resampling_at` says.

        Args:
            scaled_xy: upper left corner, in pixels of the requested size (frame of `size_at`).
            size: (width, height) in pixels of the requested size.
            microns_per_pixel: the requested pixel size; not finer than half the slide's own.

        Returns:
            uint8 (height, width, 3), RGB.

        Raises:
            SlideError: the region does not lie inside the slide, or the file cannot be read there.
        """
        width, height = self.size_at(microns_per_pixel)
        region = Region(*scaled_xy, *size)
        if region.is_empty or region.intersection(Size(width, height).region) != region:
            raise SlideError(
                f"{self.path}: region {region.x},{region.y},{region.width},{region.height} at "
                f"{microns_per_pixel:g} um/px; expected one inside its {width} x {height} px at that size"
            )
        zoom = microns_per_pixel / self.microns_per_pixel
        level = self._level(zoom)
        of = self._levels.sizes[level]
        zoom_x, zoom_y = zoom * of.width / self.size[0], zoom * of.height / self.size[1]
        box = (region.x * zoom_x, region.y * zoom_y, region.right * zoom_x, region.bottom * zoom_y)
        reach_x, reach_y = (math.ceil(KERNEL * max(1, zoom)) for zoom in (zoom_x, zoom_y))
        x, y = max(0, math.floor(box[0]) - reach_x), max(0, math.floor(box[1]) - reach_y)
        right, bottom = min(of.width, math.ceil(box[2]) + reach_x), min(of.height, math.ceil(box[3]) + reach_y)
        try:
            picture = self._levels.read(level, Region(x, y, right - x, bottom - y))
        except Exception as error:  # OpenSlide, libtiff and libjpeg each raise their own
            raise SlideError(f"{self.path}: cannot be read at {x},{y} of level {level} ({error})") from error
        inner = (box[0] - x, box[1] - y, min(box[2], of.width) - x, min(box[3], of.height) - y)
        return np.asarray(picture.resize(size, resampling_at(zoom_x, zoom_y), box=inner))

    def _level(self, zoom: float) -> int:
        """The coarsest level that is still at least as fine as requested."""
        widths = [size.width for size in self._levels.sizes]
        fine = [level for level, width in enumerate(widths) if widths[0] / width <= zoom * 1.001]
        return fine[-1] if fine else 0

    def strips(self, microns_per_pixel: float, rows: int = 1024) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
        """The whole slide at a pixel size, from top to bottom: the first row of each strip, and uint8 (h, width, 3)."""
        width, height = self.size_at(microns_per_pixel)
        for y in range(0, height, rows):
            yield y, self.read_region((0, y), (width, min(rows, height - y)), microns_per_pixel)

    def close(self) -> None:
        """Close the file."""
        self._levels.close()

    def __enter__(self) -> Self:
        """The slide itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()


def resampling_at(*zooms: float) -> Resampling:
    """How pixels become larger ones, `zooms` times as wide and high: by their mean where whole ones make up one.

    Elsewhere by an antialiased bicubic kernel. Pillow's box takes whole pixels only, say one here and two there, which
    would move edges by up to a third of a pixel and change the noise from one pixel to the next.
    """
    from PIL.Image import Resampling

    is_whole = all(round(zoom) >= 1 and abs(zoom - round(zoom)) < WHOLE for zoom in zooms)
    return Resampling.BOX if is_whole else Resampling.BICUBIC


def open_histology(path: str | os.PathLike[str], microns_per_pixel: float | None = None) -> HistologySlide:
    """Open an H&E slide (anything OpenSlide reads) or a plain picture (.png, .jpg, .tif).

    Args:
        path: the file.
        microns_per_pixel: pixel size of level 0, where the file does not say it.

    Raises:
        SlideError: the file is missing or unreadable, or nobody says its pixel size.
    """
    path = Path(path)
    if not path.is_file():
        raise SlideError(f"{path}: no such file; expected an H&E slide or picture")
    levels = _opened(path)
    known = levels.microns_per_pixel or microns_per_pixel
    if not known:
        levels.close()
        raise SlideError(f"{path}: does not say its pixel size; give it in um per pixel")
    return HistologySlide(path, levels, known)


def _opened(path: Path) -> _Levels:
    if path.suffix.lower() in _PICTURES:
        return _OnePicture(path)
    try:
        return _OpenSlideLevels(path)
    except SlideError:
        if path.suffix.lower() not in _TIFFS:
            raise
    return _OnePicture(path)  # a TIFF in strips: no slide to OpenSlide


class _OpenSlideLevels:
    """The pyramid of a slide that OpenSlide reads."""

    def __init__(self, path: Path) -> None:
        try:
            import openslide
        except ImportError as error:
            raise SlideError(f"{path}: H&E slides are read by OpenSlide; pip install 'confostain[train]'") from error
        try:
            self._slide = openslide.OpenSlide(path)
        except openslide.OpenSlideError as error:
            raise SlideError(f"{path}: not a slide that OpenSlide reads ({error})") from error
        self.sizes: tuple[Size, ...] = tuple(Size(width, height) for width, height in self._slide.level_dimensions)
        said = self._slide.properties.get("openslide.mpp-x")
        self.microns_per_pixel: float | None = float(said) if said else None

    def read(self, level: int, region: Region) -> Picture:
        """RGB pixels; transparent ones, never scanned, are white."""
        from PIL import Image

        down = self._slide.level_downsamples[level]
        corner = (round(region.x * down), round(region.y * down))
        rgba = self._slide.read_region(corner, level, (region.width, region.height))
        white = Image.new("RGB", rgba.size, (255, 255, 255))
        white.paste(rgba, mask=rgba.getchannel("A"))
        return white

    def close(self) -> None:
        self._slide.close()


class _OnePicture:
    """A plain picture: one level; its resolution is believed where it can be that of a microscope."""

    def __init__(self, path: Path) -> None:
        from PIL import Image, UnidentifiedImageError

        try:
            with Image.open(path) as picture:
                dots_per_inch = picture.info.get("dpi", (0, 0))
                self._picture = picture.convert("RGB")
        except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
            raise SlideError(f"{path}: not a picture that can be read ({error})") from error
        self.microns_per_pixel = plausible_microns(*(25_400 / float(dots) if dots else None for dots in dots_per_inch))
        self.sizes: tuple[Size, ...] = (Size(*self._picture.size),)

    def read(self, level: int, region: Region) -> Picture:
        return self._picture.crop((region.x, region.y, region.right, region.bottom))

    def close(self) -> None:
        self._picture.close()
