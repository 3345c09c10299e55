"""Levels of an H&E image: RGB regions of a pyramid, upright and over white, whatever the file format.

OpenSlide reads scanner formats and plain tiled TIFF, tifffile all other TIFF, zarr OME-Zarr, Pillow PNG and JPEG.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from confostain.arrays import Rgb
from confostain.errors import SlideError
from confostain.geometry import Region, Size
from confostain.io.readers.pixel_size import believed, number
from confostain.io.readers.plane import LARGEST_WHOLE, check_bytes
from confostain.io.readers.zarr import image_axes, image_group, pixel_size_of

if TYPE_CHECKING:
    import openslide
    from PIL.Image import Image as Picture


class Levels(Protocol):
    """Pyramid of RGB images, finest first.

    Attributes:
        sizes: of the levels in pixels.
        microns_per_pixel: of level 0 in um; None where the file gives no plausible one.
        icc_profile: ICC colour profile of the pixels; None where the file holds none, empty where it is damaged.
    """

    sizes: tuple[Size, ...]
    microns_per_pixel: float | None
    icc_profile: bytes | None

    def read(self, level: int, region: Region) -> Picture:
        """RGB image of a region inside that level."""

    def close(self) -> None:
        """Close the file."""


class OpenSlideLevels:
    """Levels of a slide that OpenSlide reads."""

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
        x, y = (number(self._slide.properties.get(f"openslide.mpp-{axis}")) for axis in "xy")
        pixel = believed(path.name, x, y, "OpenSlide")
        self.microns_per_pixel: float | None = pixel.microns if pixel else None
        self.icc_profile: bytes | None = _icc_profile(self._slide)

    def read(self, level: int, region: Region) -> Picture:
        """RGB image; transparent pixels, which were not scanned, are white."""
        down = self._slide.level_downsamples[level]
        corner = (round(region.x * down), round(region.y * down))
        return over_white(self._slide.read_region(corner, level, (region.width, region.height)))

    def close(self) -> None:
        """Close the file."""
        self._slide.close()


def _icc_profile(slide: openslide.OpenSlide) -> bytes | None:
    from PIL.ImageCms import PyCMSError

    try:
        profile = slide.color_profile
    except PyCMSError:
        return b""
    return None if profile is None else bytes(profile.tobytes())


class PictureLevels:
    """Only level of a PNG or JPEG, decoded whole; its resolution is used if it is plausible for a microscope."""

    def __init__(self, path: Path) -> None:
        from PIL import Image, ImageOps, UnidentifiedImageError

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # checked by `check_bytes`
                with Image.open(path) as picture:
                    check_bytes(path.name, "an image", 3 * picture.width * picture.height, LARGEST_WHOLE)
                    self.icc_profile: bytes | None = picture.info.get("icc_profile")
                    dots_per_inch = picture.info.get("dpi", (None, None))
                    upright = ImageOps.exif_transpose(picture)
                    _check_colour(path.name, upright)
                    self._picture = over_white(upright)
        except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
            raise SlideError(f"{path}: not an image that can be read ({error}); give another file") from error
        x, y = (25_400 / float(dots) if dots else None for dots in dots_per_inch)
        pixel = believed(path.name, x, y, "resolution of the picture")
        self.microns_per_pixel: float | None = pixel.microns if pixel else None
        self.sizes: tuple[Size, ...] = (Size(*self._picture.size),)

    def read(self, level: int, region: Region) -> Picture:
        """RGB image."""
        return self._picture.crop((region.x, region.y, region.right, region.bottom))

    def close(self) -> None:
        """Give the pixels back."""
        self._picture.close()


class ZarrLevels:
    """Levels of an OME-Zarr image with three 8-bit channels."""

    def __init__(self, path: Path) -> None:
        from confostain.io.readers.zarr_store import guarded_array

        group, metadata = image_group(path)
        image = metadata["multiscales"][0]
        axes = image_axes(image)
        self._levels = [guarded_array(path.name, group[dataset["path"]]) for dataset in image["datasets"]]
        first = self._levels[0]
        if axes != "cyx" or first.shape[0] != 3 or first.dtype != np.uint8:
            raise SlideError(
                f"{path.name}: axes {axes} of {first.shape}, {first.dtype}; expected an H&E image of three"
                " 8-bit channels; give another file"
            )
        self.sizes: tuple[Size, ...] = tuple(Size(level.shape[2], level.shape[1]) for level in self._levels)
        pixel = pixel_size_of(path.name, image)
        self.microns_per_pixel = pixel.microns if pixel else None
        self.icc_profile: bytes | None = None

    def read(self, level: int, region: Region) -> Picture:
        """RGB image."""
        planes = self._levels[level][:, region.y : region.bottom, region.x : region.right]
        return as_picture(np.moveaxis(planes, 0, 2))

    def close(self) -> None:
        """Do nothing: chunks are opened one by one."""


def as_picture(rgb: npt.NDArray[np.uint8]) -> Picture:
    """Pillow image of an array, uint8 (h, w, 3)."""
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(rgb))


def over_white(picture: Picture) -> Picture:
    """RGB image of a picture over white, as transparent pixels of a slide are glass."""
    from PIL import Image

    if not picture.has_transparency_data:
        return picture.convert("RGB")
    rgba = picture.convert("RGBA")
    white = Image.new("RGB", rgba.size, (255, 255, 255))
    white.paste(rgba, mask=rgba.getchannel("A"))
    return white


def blended_over_white(rgb: Rgb, alpha: npt.NDArray[np.uint8], is_premultiplied: bool) -> Rgb:
    """RGB, uint8 (h, w, 3), over white where `alpha`, uint8 (h, w), is below 255."""
    share = alpha[..., np.newaxis].astype(np.float32) / 255
    colour = rgb.astype(np.float32) if is_premultiplied else rgb * share
    return np.rint(np.minimum(colour + 255 * (1 - share), 255)).astype(np.uint8)


def _check_colour(name: str, picture: Picture) -> None:
    if picture.mode in ("1", "L", "LA", "I", "I;16", "I;16B", "F"):
        raise SlideError(f"{name}: a grey image; expected H&E in colour; is it a confocal channel?")
