"""Patch extractors of confocal and H&E slides: one interface for patches at 0.75 um/px."""

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

SAME = 1e-3  # relative: pixel sizes this near count as equal, and pixels are not resampled
OVERVIEW_PIXELS = 1 << 26  # of the slide read at once: 200 MB


class PatchExtractor(Protocol):
    """One slide as a source of patches. Regions are in pixels of 0.75 um. Several threads may read at once.

    Attributes:
        kind: of the patches.
        suffix: of their files.
        name: of the slide.
        sources: names of the slide's files.
        paths: of these files, in that order, each once.
        size: (width, height) in pixels of 0.75 um.
        scale: level-0 pixels per pixel of 0.75 um.
    """

    kind: Kind
    suffix: str
    name: str
    sources: tuple[str, ...]
    paths: tuple[Path, ...]
    size: Size
    scale: float

    def tissue_share(self, scaled_region: Region) -> float:
        """Tissue as a share of a region, 0 to 1. The first call reads the whole slide; only one thread may make it."""

    def read(self, scaled_region: Region) -> Pixels:
        """Pixels of a region inside the slide."""

    def rejection_reason(self, pixels: Pixels) -> str | None:
        """Reason to leave out a patch that has enough tissue; None if there is none."""

    def preview(self, pixels: Pixels) -> Rgb:
        """Patch as RGB, uint8 (h, w, 3), for contact sheets."""

    def write(self, path: Path, pixels: Pixels) -> None:
        """Write a patch to a file."""

    def close(self) -> None:
        """Close the files."""


class ConfocalPatchExtractor:
    """Patch extractor of a confocal slide; patches are float32 (2, h, w) in [0, 1], R then F.

    Raises:
        SlideError: the slide cannot be opened, or its pixel size is unknown.
    """

    kind: Kind = "confocal"
    suffix = ".ome.tif"

    def __init__(self, path: Path, microns_per_pixel: float | None = None, swap_channels: bool = False) -> None:
        self._slide: Slide = open_slide(path, swap_channels=swap_channels, microns_per_pixel=microns_per_pixel)
        if self._slide.microns_per_pixel is None:
            self._slide.close()
            raise SlideError(f"{path}: does not say its pixel size; expected one; give it with --mpp, in um per pixel")
        scale = REFERENCE_MPP / self._slide.microns_per_pixel
        self.scale = 1.0 if abs(scale - 1) < SAME else scale
        self.name = self._slide.name
        self.sources: tuple[str, ...] = self._slide.sources
        self.paths: tuple[Path, ...] = self._slide.files.paths
        self.size = Size(*(int(length / self.scale + 1e-6) for length in self._slide.size))

    def tissue_share(self, scaled_region: Region) -> float:
        """Tissue share by the tissue mask of the scan."""
        region = _level0_from_scaled(scaled_region, self.scale, 0).intersection(self._slide.size.region)
        return float(self._slide.tissue.coverage(region).mean())

    def read(self, scaled_region: Region) -> Pixels:
        """Pixels scaled to [0, 1]; resampled as H&E is, if the slide has another pixel size."""
        from PIL import Image

        margin = math.ceil(KERNEL * max(1, self.scale))
        region = _level0_from_scaled(scaled_region, self.scale, margin).intersection(self._slide.size.region)
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

    def rejection_reason(self, pixels: Pixels) -> str | None:
        """None: every patch with enough tissue is kept."""
        return None

    def preview(self, pixels: Pixels) -> Rgb:
        """Patch stained by the linear composite."""
        return gareau(pixels)

    def write(self, path: Path, pixels: Pixels) -> None:
        """Write an OME-TIFF."""
        write_confocal(path, pixels, REFERENCE_MPP)

    def close(self) -> None:
        """Close the files."""
        self._slide.close()


class HistologyPatchExtractor:
    """Patch extractor of an H&E slide; patches are uint8 (h, w, 3).

    Raises:
        SlideError: the slide cannot be opened, or its pixel size is unknown.
    """

    kind: Kind = "histology"
    suffix = ".png"

    def __init__(self, path: Path, microns_per_pixel: float | None = None) -> None:
        self._slide = open_histology(path, microns_per_pixel)
        self._background: HistologyBackground | None = None
        self.name = path.stem
        self.sources: tuple[str, ...] = (path.name,)
        self.paths: tuple[Path, ...] = (path,)
        self.scale = REFERENCE_MPP / self._slide.microns_per_pixel
        self.size = self._slide.size_at(REFERENCE_MPP)

    @property
    def background(self) -> HistologyBackground:
        """Glass and tissue of the slide, measured on first use."""
        if self._background is None:
            self._background = find_background(read_overview(self._slide))
        return self._background

    def tissue_share(self, scaled_region: Region) -> float:
        """Tissue share by the tissue mask of an overview."""
        return self.background.tissue_share(scaled_region)

    def read(self, scaled_region: Region) -> Pixels:
        """Pixels as of `HistologySlide.read_region`."""
        corner, size = (scaled_region.x, scaled_region.y), (scaled_region.width, scaled_region.height)
        return self._slide.read_region(corner, size, REFERENCE_MPP)

    def rejection_reason(self, pixels: Pixels) -> str | None:
        """Ink, folds or blur, or None."""
        return rejection_reason(pixels, self.background)

    def preview(self, pixels: Pixels) -> Rgb:
        """Patch, unchanged."""
        return pixels

    def write(self, path: Path, pixels: Pixels) -> None:
        """Write a PNG."""
        write_histology(path, pixels, REFERENCE_MPP)

    def close(self) -> None:
        """Close the file."""
        self._slide.close()


def read_overview(slide: HistologySlide) -> Rgb:
    """Overview of a slide at 12 um/px, uint8 (h, w, 3), read in bands of rows."""
    zoom = OVERVIEW_MICRONS / slide.microns_per_pixel
    rows = max(1, int(OVERVIEW_PIXELS / (slide.size.width * zoom)))
    return np.concatenate([band for _, band in slide.strips(OVERVIEW_MICRONS, rows)])


def _level0_from_scaled(scaled_region: Region, scale: float, margin: int) -> Region:
    """Level-0 region of whole pixels that covers a region in pixels of 0.75 um, with a margin."""
    x, y = math.floor(scaled_region.x * scale), math.floor(scaled_region.y * scale)
    right, bottom = math.ceil(scaled_region.right * scale), math.ceil(scaled_region.bottom * scale)
    return Region(x, y, right - x, bottom - y).grown(margin)
