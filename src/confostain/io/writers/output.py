"""Description of a result image, and the interface of its writers."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol, Self
from unicodedata import category

import numpy as np

from confostain.errors import OptionError, OutputError
from confostain.geometry import Size
from confostain.io.writers.pyramid import PyramidTile

UNPRINTABLE = {"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"}  # control, format, surrogate, unassigned, separators of lines
UINT8 = np.dtype(np.uint8)


@dataclass(frozen=True)
class ResultImage:
    """Description of a result image: a stain in 8-bit colour, or one grey plane.

    Attributes:
        size: level-0 pixels.
        microns_per_pixel: level-0 scale; None only where the format can do without.
        name: what viewers show as the image's name.
        provenance: how the image came to be, as readable key-value pairs.
        quality: JPEG quality 1..100, or None for lossless; None for grey planes.
        dtype: of the pixels: uint8 for colour; uint8, uint16 or float32 for grey planes.
        samples: values per pixel: 3 for colour, 1 for grey planes.
        channel: name of the channel in formats that name channels.
        level0_xy: left upper pixel in the slide that the image is a region of.
        reduction: width and height in pixels of the slide of what one pixel shows.

    Characters of the texts that cannot be shown, which XML and DICOM forbid, are replaced.
    """

    size: Size
    microns_per_pixel: float | None
    name: str
    provenance: Mapping[str, str] = field(default_factory=dict)
    quality: int | None = 90
    dtype: np.dtype[Any] = UINT8
    samples: Literal[1, 3] = 3
    channel: str = "digitally stained RGB"
    level0_xy: tuple[int, int] = (0, 0)
    reduction: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", printable(self.name))
        object.__setattr__(self, "provenance", {key: printable(text) for key, text in self.provenance.items()})
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise OptionError(f"JPEG quality {self.quality}: give a whole number from 1 to 100")
        if self.samples == 1 and self.quality is not None:
            raise OptionError(f"JPEG quality {self.quality} for a grey plane: expected None, grey planes are lossless")

    def shape_of(self, size: Size) -> tuple[int, ...]:
        """Shape of the array of a level: (h, w, 3) for colour, (h, w) for grey planes."""
        return (size.height, size.width, 3) if self.samples == 3 else (size.height, size.width)

    def position_um(self, level: int = 0) -> tuple[float, float]:
        """Centre of the left upper pixel of a level, (x, y) in um from that of the slide that this is a region of.

        A pixel of level k is the mean of s x s pixels of the slide, s being 2^k times the reduction, so its centre lies
        (s - 1) / 2 of these further. The pixel size must be known.
        """
        scale, half = (self.microns_per_pixel or 1.0) / self.reduction, (2**level * self.reduction - 1) / 2
        x, y = ((place + half) * scale for place in self.level0_xy)
        return x, y

    @property
    def provenance_text(self) -> str:
        """Provenance as one line."""
        return " ".join(f"{key}: {value}".rstrip(".") + "." for key, value in self.provenance.items())


def printable(text: str) -> str:
    """Text in which control characters, and bytes of file names that are no text, are replaced."""
    return "".join("\N{REPLACEMENT CHARACTER}" if category(sign) in UNPRINTABLE else sign for sign in text)


@cache
def srgb_profile() -> bytes:
    """ICC profile of sRGB (IEC 61966-2-1) by LittleCMS, with a fixed date so that results are reproducible."""
    from PIL import ImageCms

    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)  # ICC.1 header, bytes 24-35: date of creation
    return bytes(profile)


def known_scale(image: ResultImage, path: Path) -> float:
    """Pixel size of an image in um, for a format that needs one.

    Raises:
        OutputError: it is unknown.
    """
    if image.microns_per_pixel is None:
        raise OutputError(
            f"{path}: the pixel size is unknown; expected one for a whole-slide image; give it with --mpp"
        )
    return image.microns_per_pixel


class SlideWriter(Protocol):
    """Writer of one result image: takes the tiles of a pyramid in any order.

    Nothing stands under the final name before `complete`.
    """

    @property
    def image(self) -> ResultImage: ...  # noqa: D102
    @property
    def levels(self) -> int:
        """Number of levels that are stored, 1 for level 0 only; tiles of further levels need not come."""

    def encode(self, tile: PyramidTile) -> object:
        """Encode a tile for `append`. Called from several threads at once."""

    def append(self, tile: PyramidTile, encoded: object) -> None:
        """Store an encoded tile. Called from one thread."""

    def complete(self) -> None:
        """Write the rest and rename the result to its final name."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None:
        """Remove an incomplete result."""
