"""Reader of H&E slides (OpenSlide formats, PNG, JPEG, TIFF): regions at any requested pixel size.

OpenSlide is in the extras `train` and `view`; PNG, JPEG and TIFF without a pyramid need Pillow only.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np

from confostain.arrays import Rgb
from confostain.errors import OptionError, SlideError
from confostain.geometry import Region, Size
from confostain.io.readers.plane import MICRONS_PER_PIXEL, plausible_microns

if TYPE_CHECKING:
    from PIL.Image import Image as Picture
    from PIL.Image import Resampling

_PICTURES = {".png", ".jpg", ".jpeg"}
_TIFFS = {".tif", ".tiff"}

KERNEL = 2  # px of the coarser grid: radius of the resampling kernel
WHOLE = 1e-3  # zooms this near a whole number are taken for it
ROUNDING = 0.01  # px: the rounding error of a pixel size in a file must not remove the last row


class _Levels(Protocol):
    """Pyramid of RGB images, finest first."""

    sizes: tuple[Size, ...]
    microns_per_pixel: float | None

    def read(self, level: int, region: Region) -> Picture:
        """RGB image of a region inside that level."""

    def close(self) -> None: ...


class HistologySlide:
    """H&E slide whose regions can be read at any pixel size.

    Attributes:
        path: of the file.
        size: (width, height) of level 0 in pixels.
        microns_per_pixel: pixel size of level 0 in um.
    """

    def __init__(self, path: Path, levels: _Levels, microns_per_pixel: float) -> None:
        self.path = path
        self._levels = levels
        self.size = levels.sizes[0]
        self.microns_per_pixel = microns_per_pixel

    def __repr__(self) -> str:
        """Path, size and pixel size; reads no pixel."""
        width, height = self.size
        return f"<HistologySlide {self.path.name!r}: {width} x {height} px, {self.microns_per_pixel:g} um/px>"

    def size_at(self, microns_per_pixel: float) -> Size:
        """(width, height) of the slide in pixels of that size, whole pixels only."""
        scale = self.microns_per_pixel / microns_per_pixel
        return Size(*(max(1, int(length * scale + ROUNDING)) for length in self.size))

    def read_region(
        self, scaled_xy: tuple[int, int], size: tuple[int, int], microns_per_pixel: float | None = None
    ) -> Rgb:
        """Pixels of a region at a pixel size, uint8 (height, width, 3), resampled as `resampling_at` says.

        Args:
            scaled_xy: left upper corner, in pixels of the requested size (frame of `size_at`).
            size: (width, height) in pixels of the requested size.
            microns_per_pixel: requested pixel size in um, not finer than half the slide's own; by default the slide's
                own, where these pixels are those of level 0.

        Raises:
            SlideError: the region does not lie inside the slide, or the file cannot be read there.
        """
        microns_per_pixel = microns_per_pixel or self.microns_per_pixel
        whole = self.size_at(microns_per_pixel)
        region = Region(*scaled_xy, *size)
        if region.is_empty or region.intersection(whole.region) != region:
            raise SlideError(
                f"{self.path}: region {region.x},{region.y},{region.width},{region.height} at "
                f"{microns_per_pixel:g} um/px; expected one inside its {whole.width} x {whole.height} px at that size; "
                "give another region"
            )
        zoom = microns_per_pixel / self.microns_per_pixel
        level = self._level(zoom)
        extent = self._levels.sizes[level]
        zoom_x, zoom_y = zoom * extent.width / self.size.width, zoom * extent.height / self.size.height
        box = (region.x * zoom_x, region.y * zoom_y, region.right * zoom_x, region.bottom * zoom_y)
        reach_x, reach_y = (math.ceil(KERNEL * max(1, zoom)) for zoom in (zoom_x, zoom_y))
        x, y = max(0, math.floor(box[0]) - reach_x), max(0, math.floor(box[1]) - reach_y)
        right, bottom = (
            min(extent.width, math.ceil(box[2]) + reach_x),
            min(extent.height, math.ceil(box[3]) + reach_y),
        )
        try:
            picture = self._levels.read(level, Region(x, y, right - x, bottom - y))
        except Exception as error:  # OpenSlide, libtiff and libjpeg each raise their own
            raise SlideError(
                f"{self.path}: cannot be read at {x},{y} of level {level} ({error}); copy it again"
            ) from error
        inner = (box[0] - x, box[1] - y, min(box[2], extent.width) - x, min(box[3], extent.height) - y)
        return np.asarray(picture.resize(size, resampling_at(zoom_x, zoom_y), box=inner))

    def _level(self, zoom: float) -> int:
        """Coarsest level that is at least as fine as requested."""
        widths = [size.width for size in self._levels.sizes]
        fine = [level for level, width in enumerate(widths) if widths[0] / width <= zoom * 1.001]
        return fine[-1] if fine else 0

    def strips(self, microns_per_pixel: float, rows: int = 1024) -> Iterator[tuple[int, Rgb]]:
        """Whole slide at a pixel size in strips from top to bottom: first row, and pixels, uint8 (h, width, 3)."""
        width, height = self.size_at(microns_per_pixel)
        for y in range(0, height, rows):
            yield y, self.read_region((0, y), (width, min(rows, height - y)), microns_per_pixel)

    def close(self) -> None:
        """Close the file."""
        self._levels.close()

    def __enter__(self) -> Self:
        """Slide, to be closed at the end of a `with` statement."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file, after an error too."""
        self.close()


def resampling_at(*zooms: float) -> Resampling:
    """Resampling filter for pixels that become `zooms` times as wide and high: area mean for whole numbers.

    For others an antialiased bicubic kernel: Pillow's box filter takes whole pixels only, say one here and two there,
    which would move edges by up to a third of a pixel and change the noise from one pixel to the next.
    """
    from PIL.Image import Resampling

    is_whole = all(round(zoom) >= 1 and abs(zoom - round(zoom)) < WHOLE for zoom in zooms)
    return Resampling.BOX if is_whole else Resampling.BICUBIC


def open_histology(path: str | os.PathLike[str], microns_per_pixel: float | None = None) -> HistologySlide:
    """Open an H&E slide (any format that OpenSlide reads) or a plain image (.png, .jpg, .tif).

        with confostain.open_histology("section.svs") as slide:
            rgb = slide.read_region((0, 0), (512, 512), microns_per_pixel=0.75)

    Args:
        path: the file.
        microns_per_pixel: pixel size of level 0 in um, used where the file does not say it.

    Raises:
        SlideError: the file is missing or unreadable, or neither it nor the caller says the pixel size.
        OptionError: a pixel size outside 0.05 to 20 um is given.
    """
    path = Path(path)
    if microns_per_pixel is not None and plausible_microns(microns_per_pixel) is None:
        low, high = MICRONS_PER_PIXEL
        raise OptionError(f"pixel size {microns_per_pixel:g} um: expected {low:g} to {high:g}; give um per pixel")
    if not path.is_file():
        raise SlideError(f"{path}: no such file; expected an H&E slide or image; check the path")
    levels = _opened(path)
    known = levels.microns_per_pixel or microns_per_pixel
    if not known:
        levels.close()
        raise SlideError(f"{path}: does not say its pixel size; expected one; give it as microns_per_pixel (--mpp)")
    return HistologySlide(path, levels, known)


def _opened(path: Path) -> _Levels:
    if path.suffix.lower() in _PICTURES:
        return _PlainImage(path)
    try:
        return _OpenSlideLevels(path)
    except SlideError:
        if path.suffix.lower() not in _TIFFS:
            raise
    return _PlainImage(path)  # a TIFF in strips, which OpenSlide does not read


class _OpenSlideLevels:
    """Pyramid of a slide that OpenSlide reads."""

    def __init__(self, path: Path) -> None:
        try:
            import openslide
        except ImportError as error:
            raise SlideError(
                f"{path}: H&E slides need OpenSlide, which is not installed; run: pip install 'confostain[view]'"
            ) from error
        try:
            self._slide = openslide.OpenSlide(path)
        except openslide.OpenSlideError as error:
            raise SlideError(f"{path}: not a slide that OpenSlide reads ({error}); give another file") from error
        self.sizes: tuple[Size, ...] = tuple(Size(width, height) for width, height in self._slide.level_dimensions)
        stated = self._slide.properties.get("openslide.mpp-x")
        self.microns_per_pixel: float | None = float(stated) if stated else None

    def read(self, level: int, region: Region) -> Picture:
        """RGB image; transparent pixels, which were not scanned, are white."""
        from PIL import Image

        down = self._slide.level_downsamples[level]
        corner = (round(region.x * down), round(region.y * down))
        rgba = self._slide.read_region(corner, level, (region.width, region.height))
        white = Image.new("RGB", rgba.size, (255, 255, 255))
        white.paste(rgba, mask=rgba.getchannel("A"))
        return white

    def close(self) -> None:
        self._slide.close()


class _PlainImage:
    """Image without a pyramid; its resolution is used if it is plausible for a microscope."""

    def __init__(self, path: Path) -> None:
        from PIL import Image, UnidentifiedImageError

        try:
            with Image.open(path) as picture:
                dots_per_inch = picture.info.get("dpi", (0, 0))
                self._picture = picture.convert("RGB")
        except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
            raise SlideError(f"{path}: not an image that can be read ({error}); give another file") from error
        self.microns_per_pixel = plausible_microns(*(25_400 / float(dots) if dots else None for dots in dots_per_inch))
        self.sizes: tuple[Size, ...] = (Size(*self._picture.size),)

    def read(self, level: int, region: Region) -> Picture:
        return self._picture.crop((region.x, region.y, region.right, region.bottom))

    def close(self) -> None:
        self._picture.close()
