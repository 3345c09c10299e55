"""Reader of H&E slides (OpenSlide formats, TIFF, OME-Zarr, PNG, JPEG): regions at any requested pixel size.

OpenSlide is in the extras `train` and `view`; the others need it not.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from confostain.arrays import Rgb
from confostain.errors import OptionError, SlideError
from confostain.geometry import Region, Size
from confostain.io.readers.histology_levels import Levels, OpenSlideLevels, PictureLevels, ZarrLevels
from confostain.io.readers.histology_tiff import open_tiff_levels
from confostain.io.readers.pixel_size import agreed
from confostain.io.readers.plane import as_slide_error
from confostain.io.readers.zarr import is_zarr

if TYPE_CHECKING:
    from PIL.Image import Resampling

PICTURES = {".png", ".jpg", ".jpeg"}
TIFFS = {".tif", ".tiff", ".btf", ".tf8"}

KERNEL = 2  # px of the coarser grid: radius of the resampling kernel
WHOLE = 1e-3  # zooms this near a whole number are taken for it
ROUNDING = 0.01  # px: the rounding error of a pixel size in a file must not remove the last row


class HistologySlide:
    """H&E slide whose regions can be read at any pixel size.

    Attributes:
        path: of the file.
        size: (width, height) of level 0 in pixels.
        microns_per_pixel: pixel size of level 0 in um.
        icc_profile: ICC colour profile of the pixels, which `read_region` does not apply; None where the file holds
            none, empty where it is damaged.
    """

    def __init__(self, path: Path, levels: Levels, microns_per_pixel: float) -> None:
        self.path = path
        self._levels = levels
        self.size = levels.sizes[0]
        self.microns_per_pixel = microns_per_pixel
        self.icc_profile = levels.icc_profile

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


def open_histology(
    path: str | os.PathLike[str], microns_per_pixel: float | None = None, *, assumed: float | None = None
) -> HistologySlide:
    """Open an H&E slide (any format that OpenSlide reads, TIFF, OME-Zarr) or a plain image (.png, .jpg).

        with confostain.open_histology("section.svs") as slide:
            rgb = slide.read_region((0, 0), (512, 512), microns_per_pixel=0.75)

    Args:
        path: the file.
        microns_per_pixel: pixel size of level 0 in um, where the file does not say it; it must not contradict it.
        assumed: pixel size of level 0 in um that is taken where neither the file nor the caller says one.

    Raises:
        SlideError: the file is missing or unreadable, or neither it nor the caller says the pixel size.
        OptionError: a pixel size outside 0.05 to 20 um, or one that contradicts the file's by more than 2 %.
    """
    path = Path(path)
    agreed("", None, microns_per_pixel)  # before the file is opened
    if not (path.is_file() or is_zarr(path)):
        raise SlideError(f"{path}: no such file; expected an H&E slide or image; check the path")
    with as_slide_error(str(path)):
        levels = _open_levels(path)
    try:
        known = agreed(path.name, levels.microns_per_pixel, microns_per_pixel)
    except OptionError:
        levels.close()
        raise
    known = known or assumed
    if not known:
        levels.close()
        raise SlideError(f"{path}: does not say its pixel size; expected one; give it as microns_per_pixel (--mpp)")
    return HistologySlide(path, levels, known)


def _open_levels(path: Path) -> Levels:
    if is_zarr(path):
        return ZarrLevels(path)
    suffix = path.suffix.lower()
    if suffix in PICTURES:
        return PictureLevels(path)
    return open_tiff_levels(path) if suffix in TIFFS else OpenSlideLevels(path)
