"""Patch extraction from confocal and H&E slides, resampled to 0.75 um/px, behind one interface."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from confostain.arrays import REFERENCE_MPP, Rgb
from confostain.data.manifest import Kind, write_confocal, write_histology
from confostain.errors import SlideError
from confostain.geometry import Region, Size
from confostain.imaging.linear_stain import gareau
from confostain.imaging.patch_quality import (
    OVERVIEW_MICRONS,
    HistologyBackground,
    find_background,
    rejection_reason,
)
from confostain.io.readers.histology import KERNEL, HistologySlide, open_histology, resampling_at
from confostain.slide import Slide, open_slide

Pixels = npt.NDArray[Any]

SAME = 1e-3  # relative: pixel sizes this near are one, and the slide's own pixels are kept
OVERVIEW_PIXELS = 1 << 26  # of the slide at once: 200 MB


class Cutter(Protocol):
    """One slide, to be cut into patches. Regions are in pixels of 0.75 um. Several threads may read at once.

    Attributes:
        kind: what the patches are.
        suffix: of their files.
        name: of the slide.
        sources: names of its files.
        paths: the files themselves, in that order, without what repeats.
        size: (width, height) in pixels of 0.75 um.
        scale: level-0 pixels in one of those.
    """

    kind: Kind
    suffix: str
    name: str
    sources: tuple[str, ...]
    paths: tuple[Path, ...]
    size: Size
    scale: float

    def tissue_share(self, scaled_region: Region) -> float:
        """How much of a region is tissue. The first call looks at the whole slide, and is for one thread alone."""

    def read(self, scaled_region: Region) -> Pixels:
        """The pixels of a region inside the slide."""

    def fault(self, pixels: Pixels) -> str | None:
        """Why a patch with enough tissue should be left out."""

    def picture(self, pixels: Pixels) -> Rgb:
        """A patch for the eye."""

    def write(self, path: Path, pixels: Pixels) -> None:
        """Store a patch."""

    def close(self) -> None:
        """Close the files."""


class ConfocalCutter:
    """A confocal slide; patches are float32 (2, h, w) in [0, 1], R then F.

    Raises:
        SlideError: the slide cannot be opened, or nobody knows its pixel size.
    """

    kind: Kind = "confocal"
    suffix = ".ome.tif"

    def __init__(self, path: Path, microns_per_pixel: float | None = None, swap_channels: bool = False) -> None:
        self._slide: Slide = open_slide(path, swap_channels=swap_channels, microns_per_pixel=microns_per_pixel)
        if self._slide.microns_per_pixel is None:
            self._slide.close()
            raise SlideError(f"{path}: does not say its pixel size; give it with --mpp, in um per pixel")
        scale = REFERENCE_MPP / self._slide.microns_per_pixel
        self.scale = 1.0 if abs(scale - 1) < SAME else scale
        self.name = self._slide.name
        self.sources: tuple[str, ...] = self._slide.sources
        self.paths: tuple[Path, ...] = self._slide.paths
        self.size = Size(*(int(length / self.scale + 1e-6) for length in self._slide.size))

    def tissue_share(self, scaled_region: Region) -> float:
        """Share by the slide's tissue mask."""
        region = _covering(scaled_region, self.scale, 0).intersection(self._slide.size.region)
        return float(self._slide.tissue.coverage(region).mean())

    def read(self, scaled_region: Region) -> Pixels:
        """Normalised pixels, resampled as those of H&E where the slide has another pixel size."""
        from PIL import Image

        margin = math.ceil(KERNEL * max(1, self.scale))
        region = _covering(scaled_region, self.scale, margin).intersection(self._slide.size.region)
        pair = self._slide.read(region)
        left, top = scaled_region.x * self.scale - region.x, scaled_region.y * self.scale - region.y
        box = (
            left,
            top,
            min(region.width, left + scaled_region.width * self.scale),
            min(region.height, top + scaled_region.height * self.scale),
        )
        size = (scaled_region.width, scaled_region.height)
        resized = [Image.fromarray(channel).resize(size, resampling_at(self.scale), box=box) for channel in pair]
        return np.stack([np.asarray(channel) for channel in resized]).clip(0, 1)

    def fault(self, pixels: Pixels) -> str | None:
        """Nothing: what has tissue is kept."""
        return None

    def picture(self, pixels: Pixels) -> Rgb:
        """The linear stain."""
        return gareau(pixels)

    def write(self, path: Path, pixels: Pixels) -> None:
        """Write an OME-TIFF."""
        write_confocal(path, pixels, REFERENCE_MPP)

    def close(self) -> None:
        """Close the files."""
        self._slide.close()


class HistologyCutter:
    """An H&E slide; patches are uint8 (h, w, 3).

    Raises:
        SlideError: the slide cannot be opened, or nobody knows its pixel size.
    """

    kind: Kind = "histology"
    suffix = ".png"

    def __init__(self, path: Path, microns_per_pixel: float | None = None) -> None:
        self._slide = open_histology(path, microns_per_pixel)
        self._ground: HistologyBackground | None = None
        self.name = path.stem
        self.sources: tuple[str, ...] = (path.name,)
        self.paths: tuple[Path, ...] = (path,)
        self.scale = REFERENCE_MPP / self._slide.microns_per_pixel
        self.size = self._slide.size_at(REFERENCE_MPP)

    @property
    def ground(self) -> HistologyBackground:
        """The slide's glass and tissue, found on first use."""
        if self._ground is None:
            self._ground = find_background(read_overview(self._slide))
        return self._ground

    def tissue_share(self, scaled_region: Region) -> float:
        """Share by Otsu's threshold on the overview."""
        return self.ground.tissue_share(scaled_region)

    def read(self, scaled_region: Region) -> Pixels:
        """Read as `HistologySlide.read_region` does."""
        corner, size = (scaled_region.x, scaled_region.y), (scaled_region.width, scaled_region.height)
        return self._slide.read_region(corner, size, REFERENCE_MPP)

    def fault(self, pixels: Pixels) -> str | None:
        """Ink, folds or blur."""
        return rejection_reason(pixels, self.ground)

    def picture(self, pixels: Pixels) -> Rgb:
        """The patch itself."""
        return pixels

    def write(self, path: Path, pixels: Pixels) -> None:
        """Write a PNG."""
        write_histology(path, pixels, REFERENCE_MPP)

    def close(self) -> None:
        """Close the file."""
        self._slide.close()


def read_overview(slide: HistologySlide) -> Rgb:
    """The whole slide at 12 um/px, uint8 (h, w, 3), read in bands of rows."""
    zoom = OVERVIEW_MICRONS / slide.microns_per_pixel
    rows = max(1, int(OVERVIEW_PIXELS / (slide.size.width * zoom)))
    return np.concatenate([band for _, band in slide.strips(OVERVIEW_MICRONS, rows)])


def _covering(scaled_region: Region, scale: float, margin: int) -> Region:
    """The whole level-0 pixels that a region in patch pixels covers, and a margin around them."""
    x, y = math.floor(scaled_region.x * scale), math.floor(scaled_region.y * scale)
    right, bottom = math.ceil(scaled_region.right * scale), math.ceil(scaled_region.bottom * scale)
    return Region(x, y, right - x, bottom - y).grown(margin)
