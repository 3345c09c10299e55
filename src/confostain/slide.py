"""A slide: the two raw channels of one scan, its intensity range and its tissue, measured once."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from confostain.errors import ConfostainWarning, OptionError
from confostain.geometry import Region, Size
from confostain.imaging.intensity import IntensityRange, normalise
from confostain.imaging.tissue import TissueMask
from confostain.io.readers.layouts import Channels, open_channels
from confostain.io.readers.plane import MICRONS_PER_PIXEL, plausible_microns
from confostain.survey import Survey, survey_slide

StrPath = str | PathLike[str]

_SUFFIX = re.compile(r"(\.ome)?\.(tiff?|btf|tf8|png|jpe?g|zarr)$", re.IGNORECASE)
SAME_PIXEL_SIZE = 0.02  # relative; the stated size may be rounded


class Slide:
    """One scan. Reads any region, normalised to [0, 1] by ranges that hold for the whole slide.

    Open one with `open_slide`; close it, or use it in a `with` statement. Several threads may read at once.
    """

    def __init__(self, channels: Channels, name: str, microns_per_pixel: float | None = None) -> None:
        """Take two planes, reflectance and fluorescence; `microns_per_pixel` where the planes know none."""
        self.name = name
        self._planes = (channels.reflectance, channels.fluorescence)
        self._channels = channels
        self.layout = channels.layout
        self.microns_per_pixel = channels.microns_per_pixel or microns_per_pixel

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of level 0 in pixels."""
        size = self._planes[0].size
        return size.width, size.height

    @property
    def dtype(self) -> np.dtype[Any]:
        """How pixels are stored: uint8, uint16 or float32."""
        return self._planes[0].dtype

    @property
    def sources(self) -> tuple[str, str]:
        """The names of the files that hold R and F."""
        return self._planes[0].name, self._planes[1].name

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that hold R and F, or the one file or OME-Zarr folder that holds both."""
        return self._channels.paths

    def is_made_of(self, path: Path) -> bool:
        """Whether writing to `path` would destroy what this slide is read from."""
        target = path.resolve()
        files = [source.resolve() for source in self.paths]
        return any(target == file or target in file.parents or file in target.parents for file in files)

    @property
    def ranges(self) -> tuple[IntensityRange, IntensityRange]:
        """What stands for 0 and 1 in R and in F, in stored units. Measured on first use."""
        return self._survey.ranges

    @property
    def tissue(self) -> TissueMask:
        """Where the tissue is. Measured on first use."""
        return self._survey.tissue

    @property
    def channels_look_swapped(self) -> bool:
        """Whether R shows nuclei where F shows none; False when unsure. Measured on first use."""
        return self._survey.channels_look_swapped

    def read_region(self, level0_xy: tuple[int, int], size: tuple[int, int]) -> npt.NDArray[np.float32]:
        """Normalised pixels, float32 (2, height, width) in [0, 1], R then F; 0 outside the slide.

        `level0_xy` is the left and upper pixel, `size` width and height. Raises SlideError where a file is
        damaged, OptionError for a negative size.
        """
        return self.read(Region(*level0_xy, *size))

    def read(self, region: Region) -> npt.NDArray[np.float32]:
        """As `read_region`, for a rectangle in level-0 pixels."""
        pair = np.zeros((2, region.height, region.width), np.float32)
        inside = region.intersection(Size(*self.size).region)
        if inside.is_empty:
            return pair
        for plane, intensity, channel in zip(self._planes, self.ranges, pair, strict=True):
            normalise(plane.read(inside), intensity, out=channel[inside.slices_in(region)])
        return pair

    def read_reduced(self, region: Region, step: int) -> npt.NDArray[np.float32]:
        """A region inside the slide at 1 / `step` of its size, for a quick look.

        Only one row in every `step` is read, so each pixel is an estimate: the mean of `step` neighbours in a row.
        Returns float32 (2, ceil(height / step), ceil(width / step)) in [0, 1]; raises as `read_region` does.
        """
        columns = np.arange(0, region.width, step)
        pair = np.empty((2, -(-region.height // step), len(columns)), np.float32)
        for plane, intensity, channel in zip(self._planes, self.ranges, pair, strict=True):
            np.add.reduceat(plane.read_rows(region, step), columns, axis=1, dtype=np.float32, out=channel)
            channel /= np.diff(columns, append=region.width)
            normalise(channel, intensity, out=channel)
        return pair

    @property
    def overview(self) -> npt.NDArray[np.float32]:
        """The whole slide, one pixel for each cell of the tissue mask: float32 (2, rows, columns) in [0, 1].

        Measured on first use, from one row of pixels in each row of cells where the slide is large.
        """
        return self._survey.overview

    def facts(self) -> dict[str, object]:
        """What one wants to know of a slide, ready for JSON."""
        reflectance, fluorescence = self.ranges
        return {
            "layout": self.layout,
            "reflectance": self.sources[0],
            "fluorescence": self.sources[1],
            "size": list(self.size),
            "dtype": self.dtype.name,
            "microns_per_pixel": self.microns_per_pixel,
            "tissue_share": self.tissue.share,
            "reflectance_range": [reflectance.dark, reflectance.bright],
            "fluorescence_range": [fluorescence.dark, fluorescence.bright],
        }

    def close(self) -> None:
        """Give back file handles."""
        self._channels.close()

    def __enter__(self) -> Slide:
        """Close at the end of a `with` statement."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close, whatever happened."""
        self.close()

    @cached_property
    def _survey(self) -> Survey:
        survey = survey_slide(*self._planes)
        if not survey.tissue.cells.any():
            warnings.warn(
                f"{self.name}: no tissue found in {self.sources[0]} or {self.sources[1]}; the result will be white;"
                " look at both files: is this the right slide, and was the scan exposed?",
                ConfostainWarning,
                stacklevel=4,
            )
        if survey.channels_look_swapped:
            warnings.warn(
                f"{self.name}: the channels look swapped, nuclei show in {self.sources[0]}, taken for reflectance;"
                " swap them with --swap-channels (swap_channels=True), or leave that out if given",
                ConfostainWarning,
                stacklevel=4,
            )
        return survey


def open_slide(
    path: StrPath | None = None,
    *,
    reflectance: StrPath | None = None,
    fluorescence: StrPath | None = None,
    swap_channels: bool = False,
    microns_per_pixel: float | None = None,
) -> Slide:
    """Open a slide: a VivaScope folder, a two-channel OME-TIFF or OME-Zarr, or one file per channel.

    Args:
        path: the slide, where one path holds both channels.
        reflectance: the file of the reflectance channel, instead of `path`.
        fluorescence: the file of the fluorescence channel, instead of `path`.
        swap_channels: take what would be reflectance for fluorescence, and back.
        microns_per_pixel: where the files do not say it; it must not contradict them.

    Raises:
        SlideError: no known layout there, or a file that is damaged or not grey.
        OptionError: a pixel size outside 0.05 to 20 um, or one that contradicts the file's by more than 2 %.
    """
    if microns_per_pixel is not None and plausible_microns(microns_per_pixel) is None:
        low, high = MICRONS_PER_PIXEL
        raise OptionError(f"pixel size {microns_per_pixel:g} um: expected {low:g} to {high:g}; give um per pixel")
    path, reflectance, fluorescence = (p if p is None else Path(p) for p in (path, reflectance, fluorescence))
    channels = open_channels(path, reflectance=reflectance, fluorescence=fluorescence)
    stated = channels.microns_per_pixel
    if stated and microns_per_pixel and abs(microns_per_pixel / stated - 1) > SAME_PIXEL_SIZE:
        channels.close()
        raise OptionError(
            f"pixel size {microns_per_pixel:g} um given, but {channels.reflectance.name} states {stated:g};"
            " expected the same; leave the given one out, or correct the file"
        )
    if swap_channels:
        channels = replace(channels, reflectance=channels.fluorescence, fluorescence=channels.reflectance)
    name = _name(path or reflectance or Path(), channels.reflectance.name)
    return Slide(channels, name, microns_per_pixel)


def _name(path: Path, source: str) -> str:
    """Scan and mosaic as the name of the `source` says, else the name of the file or folder at `path`."""
    scan, detector, _ = source.rpartition("/DET#")
    return scan if detector else _SUFFIX.sub("", path.resolve().name)
