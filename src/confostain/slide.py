"""Slide: the two channels of one confocal scan, read region by region as float32 in [0, 1]."""

from __future__ import annotations

import math
import re
import threading
import uuid
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from confostain.arrays import Mask, Pair
from confostain.errors import ConfostainWarning, OptionError, SlideError
from confostain.geometry import Region, Size, level0_from_um
from confostain.imaging.area_mean import AreaMean
from confostain.imaging.defects import GAP_RUN, Pixels, not_scanned, outside_of, without_outliers
from confostain.imaging.intensity import IntensityRange, normalise
from confostain.imaging.tissue import TissueMask
from confostain.io.readers.displaced import displaced
from confostain.io.readers.layouts import Channels, open_channels
from confostain.io.readers.pixel_size import agreed
from confostain.io.readers.plane import Plane
from confostain.io.readers.source_files import SourceFiles
from confostain.survey import Survey, survey_slide

if TYPE_CHECKING:
    from dask.array import Array as DaskArray

StrPath = str | PathLike[str]

CHANNELS = ("reflectance", "fluorescence")
LEAST_DISPLACEMENT = 2  # px: less is within the width of a nucleus' edge
MOST_SATURATED = 0.2  # of the tissue: above, what is bright can no longer be told apart
NOT_FINER = 1e-3  # relative: a thumbnail's pixel size this little below the slide's own is taken for it
THUMBNAIL_READ = Size(2048, 1024)  # px read at a time for a thumbnail: 17 MB for both channels
_SUFFIX = re.compile(r"(\.ome)?\.(tiff?|btf|tf8|png|jpe?g|zarr)$", re.IGNORECASE)


class Slide:
    """Confocal scan of two channels, reflectance (R) and fluorescence (F), in level-0 pixels.

    Regions are float32 (2, height, width), R then F, each channel scaled to [0, 1] by an intensity range that holds
    for the whole slide. Open a slide with `open_slide` and close it, or use it in a `with` statement. Several threads
    may read at once. Intensity ranges and tissue mask are measured on first use, in one pass over the slide.

    Attributes:
        name: of the scan or its file.
        layout: of the files, in words.
        microns_per_pixel: pixel size in um; None where neither the files nor the caller say it.
        moved: (x, y) in pixels by which the fluorescence was displaced and has been moved back.
        files: that hold R and F, or the one file or OME-Zarr folder that holds both.
    """

    def __init__(
        self,
        channels: Channels,
        name: str,
        microns_per_pixel: float | None = None,
        ranges: tuple[IntensityRange | None, IntensityRange | None] = (None, None),
        moved: tuple[int, int] = (0, 0),
    ) -> None:
        """Slide of two planes.

        Args:
            channels: the planes.
            name: of the slide.
            microns_per_pixel: pixel size in um where the planes know none.
            ranges: intensity ranges instead of measured ones.
            moved: (x, y) in px by which F has been displaced against R before it was registered.
        """
        self.name = name
        self._planes = (channels.reflectance, channels.fluorescence)
        self._channels = channels
        self.files = SourceFiles(channels.paths)
        self.layout = channels.layout
        self.microns_per_pixel = channels.microns_per_pixel or microns_per_pixel
        self._given = ranges
        self.moved = moved
        self._survey_done: Survey | None = None
        self._survey_lock = threading.Lock()

    def __repr__(self) -> str:
        """Name, layout, size, data type and pixel size; reads no pixel."""
        width, height = self.size
        scale = f"{self.microns_per_pixel:g} um/px" if self.microns_per_pixel else "pixel size unknown"
        return f"<Slide {self.name!r}: {self.layout}, {width} x {height} px, {self.dtype.name}, {scale}>"

    @property
    def size(self) -> Size:
        """(width, height) of level 0 in pixels."""
        return self._planes[0].size

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of the stored pixels: uint8, uint16 or float32."""
        return self._planes[0].dtype

    @property
    def sources(self) -> tuple[str, str]:
        """Names of the files that hold R and F."""
        return self._planes[0].name, self._planes[1].name

    @property
    def ranges(self) -> tuple[IntensityRange, IntensityRange]:
        """Intensity ranges of R and F: the stored values that become 0 and 1. Given, or measured on first use."""
        return self._survey.ranges

    @property
    def tissue(self) -> TissueMask:
        """Tissue mask, in cells of 16 px or more. Measured on first use."""
        return self._survey.tissue

    @property
    def channels_look_swapped(self) -> bool:
        """Whether R shows nuclei where F shows none; False when unsure. Measured on first use."""
        return self._survey.channels_look_swapped

    @property
    def overview(self) -> Pair:
        """Whole slide with one pixel for each cell of the tissue mask: float32 (2, rows, columns) in [0, 1].

        Measured on first use; on a large slide from one row of pixels in each row of cells. `thumbnail` reads all rows.
        """
        return self._survey.overview

    def read_region(self, level0_xy: tuple[int, int], size: tuple[int, int]) -> Pair:
        """Pixels of a region, float32 (2, height, width) in [0, 1], R then F; 0 outside the slide.

        Args:
            level0_xy: left upper pixel, at level 0.
            size: (width, height) in pixels.

        Raises:
            OptionError: a size is negative.
            SlideError: a file is damaged.
        """
        return self.read(Region(*level0_xy, *size))

    def read_region_um(self, xy_um: tuple[float, float], size_um: tuple[float, float]) -> Pair:
        """Pixels of a region given in micrometres from the left upper corner of the slide; result as `read_region`.

        Args:
            xy_um: left upper corner in um, rounded to the nearest pixel.
            size_um: (width, height) in um, rounded to the nearest pixel.

        Raises:
            OptionError: the pixel size is unknown, a size is negative, or a length is not a finite number.
            SlideError: a file is damaged.
        """
        return self.read(level0_from_um(xy_um, size_um, self._known_microns_per_pixel()))

    def read(self, level0_region: Region) -> Pair:
        """Pixels of a rectangle at level 0; result and errors as `read_region`."""
        pair = np.zeros((2, level0_region.height, level0_region.width), np.float32)
        inside = level0_region.intersection(self.size.region)
        if inside.is_empty:
            return pair
        stored, missing = self._read_stored(inside)
        part = inside.slices_in(level0_region)
        for values, intensity, channel in zip(stored, self.ranges, pair, strict=True):
            normalise(values, intensity, out=channel[part])
            if missing is not None:
                channel[part][missing] = 0
        return pair

    def not_scanned(self, level0_region: Region) -> Mask | None:
        """Mask of the pixels of a region inside the slide that were not scanned, (h, w); None where all were.

        Raises:
            SlideError: a file is damaged.
        """
        return self._read_stored(level0_region)[1] if self._may_have_gaps else None

    def _read_stored(self, inside: Region) -> tuple[list[Pixels], Mask | None]:
        """Stored values of R and F without hot and dead pixels, and where nothing was scanned."""
        defects = self._survey.defects
        if not (defects.outliers != ((), ()) or self._may_have_gaps):
            return [plane.read(inside) for plane in self._planes], None
        reach = GAP_RUN - 1  # what a pixel's answer depends on
        around = Region(inside.x - reach, inside.y - reach, inside.width + 2 * reach, inside.height + 2 * reach)
        around = around.intersection(self.size.region)
        stored = [plane.read(around) for plane in self._planes]
        missing = self._missing(around, stored)
        part = inside.slices_in(around)
        stored = [without_outliers(one, values)[part] for one, values in zip(stored, defects.outliers, strict=True)]
        return stored, None if missing is None or not missing[part].any() else missing[part]

    def _missing(self, level0_region: Region, stored: Sequence[Pixels]) -> Mask | None:
        """Where nothing was scanned: by the values, or beyond the edge of a channel that has been moved."""
        missing = not_scanned(stored[0], stored[1], self._survey.defects.has_gaps)
        outside = outside_of(self._in_both, level0_region)
        return outside if missing is None else missing if outside is None else missing | outside

    @property
    def _in_both(self) -> Region:
        """Part of the slide that both channels cover, after one has been moved."""
        x, y = self.moved
        return Region(-x, -y, *self.size).intersection(self.size.region)

    @property
    def _may_have_gaps(self) -> bool:
        return (
            self.moved != (0, 0) or self._survey.defects.has_gaps or "f" in {plane.dtype.kind for plane in self._planes}
        )

    def read_reduced(self, level0_region: Region, step: int) -> Pair:
        """Estimate of a region inside the slide at 1 / `step` of its size, for previews.

        Only one row in every `step` is read: each pixel is the mean of `step` neighbours in that row.

        Returns:
            float32 (2, ceil(height / step), ceil(width / step)) in [0, 1].

        Raises:
            SlideError: a file is damaged.
        """
        columns = np.arange(0, level0_region.width, step)
        pair = np.empty((2, -(-level0_region.height // step), len(columns)), np.float32)
        rows = [plane.read_rows(level0_region, step) for plane in self._planes]
        missing = not_scanned(rows[0], rows[1], self._survey.defects.has_gaps) if self._may_have_gaps else None
        for values, intensity, channel in zip(rows, self.ranges, pair, strict=True):
            if missing is not None:
                values[missing] = values.dtype.type(intensity.dark)
            np.add.reduceat(values, columns, axis=1, dtype=np.float32, out=channel)
            channel /= np.diff(columns, append=level0_region.width)
            normalise(channel, intensity, out=channel)
        return pair

    def thumbnail(self, um_per_px: float) -> Pair:
        """Whole slide at a coarser pixel size, by area means: float32 (2, height, width) in [0, 1].

        Every pixel of the slide is read once, in pieces: memory depends on the thumbnail, not on the slide. Pixels at
        the right and lower edge are means over the part of the slide that they cover.

        Args:
            um_per_px: pixel size of the result in um; any number that is not below the slide's own.

        Raises:
            OptionError: the pixel size of the slide is unknown, or `um_per_px` is finer.
            SlideError: a file is damaged.
        """
        scale = um_per_px / self._known_microns_per_pixel()
        if not 1 - NOT_FINER < scale < float("inf"):
            raise OptionError(
                f"{self.name}: thumbnail of {um_per_px:g} um/px; expected at least the slide's"
                f" {self.microns_per_pixel:g} um/px; give a larger number, or read regions with read_region"
            )
        mean = AreaMean(self.size, max(scale, 1.0), channels=2)
        for piece in self.size.region.tiles(THUMBNAIL_READ):
            mean.add(piece, self.read(piece))
        return mean.image()

    def to_dask(self, chunk: int = 1024) -> DaskArray:
        """Whole slide as a lazy dask array, float32 (2, height, width) in [0, 1], R then F.

        Nothing is read before `compute`; then each chunk is one region, read by dask's threads. The slide must stay
        open until then, and it cannot be sent to other processes.

        Args:
            chunk: side of a chunk in pixels; both channels are in one chunk.

        Raises:
            OptionError: dask is not installed, or `chunk` is below 1.
        """
        try:
            import dask.array
        except ModuleNotFoundError as error:
            raise OptionError(
                "to_dask needs dask, which is not installed; run: pip install 'confostain[dask]'"
            ) from error
        if chunk < 1:
            raise OptionError(f"chunks of {chunk} px: expected a side of at least 1 px; 1024 is a good size")
        name = f"confostain-{uuid.uuid4().hex}"  # every array has a name of its own
        regions = self.size.region.tiles(Size(chunk, chunk))
        tasks = {(name, 0, at.y // chunk, at.x // chunk): (self.read, at) for at in regions}
        sides = [tuple(min(chunk, length - at) for at in range(0, length, chunk)) for length in reversed(self.size)]
        make: Any = dask.array.Array  # without types
        lazy: DaskArray = make(tasks, name, chunks=((2,), *sides), dtype=np.float32)
        return lazy

    def facts(self) -> dict[str, object]:
        """Layout, files, size, data type, um/px, tissue share and intensity ranges, and where these are from.

        Ready for JSON.
        """
        reflectance, fluorescence = self.ranges
        notes = dict(self._planes[1].notes) | dict(self._planes[0].notes)
        return {
            "layout": self.layout,
            "image": notes.get("image", "the only one"),
            "reflectance": self.sources[0],
            "fluorescence": self.sources[1],
            "channels_told_apart_by": self._channels.told_apart_by,
            "size": list(self.size),
            "orientation": notes.get("orientation", "as stored"),
            "dtype": self.dtype.name,
            "microns_per_pixel": self.microns_per_pixel,
            "microns_per_pixel_from": self._scale_source(),
            "tissue_share": self.tissue.share,
            "reflectance_range": [reflectance.dark, reflectance.bright],
            "fluorescence_range": [fluorescence.dark, fluorescence.bright],
            **{
                f"{channel}_range_from": "given" if one else "measured"
                for channel, one in zip(CHANNELS, self._given, strict=True)
            },
            "fluorescence_moved": list(self.moved),
            "not_scanned": "areas at the largest value" if self._survey.defects.has_gaps else "nothing found",
            "hot_or_dead_pixels": [
                channel for channel, found in zip(CHANNELS, self._survey.defects.outliers, strict=True) if found
            ],
        }

    @property
    def reflectance_plane(self) -> Plane:
        """Reflectance channel as stored, in the units of its file."""
        return self._planes[0]

    def close(self) -> None:
        """Close the files."""
        self._channels.close()

    def __enter__(self) -> Self:
        """Slide, to be closed at the end of a `with` statement."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the files, after an error too."""
        self.close()

    def _scale_source(self) -> str | None:
        if self._channels.microns_per_pixel:
            return next(plane.notes["pixel size from"] for plane in self._planes if plane.microns_per_pixel)
        return "given" if self.microns_per_pixel else None

    def _known_microns_per_pixel(self) -> float:
        if self.microns_per_pixel is None:
            raise OptionError(
                f"{self.name}: the pixel size is unknown; expected one in um per pixel; give it to open_slide as"
                " microns_per_pixel (--mpp), or read in pixels"
            )
        return self.microns_per_pixel

    @property
    def _survey(self) -> Survey:
        with self._survey_lock:  # threads that read the first regions at once share one survey
            if self._survey_done is None:
                survey = survey_slide(*self._planes, given=self._given, in_both=self._in_both)
                self._warn_of(survey)
                self._survey_done = survey
            return self._survey_done

    def _warn_of(self, survey: Survey) -> None:
        if not survey.tissue.cells.any():
            warnings.warn(
                f"{self.name}: no tissue found in {self.sources[0]} or {self.sources[1]}; the result will be white;"
                " look at both files: is this the right slide, and was the scan exposed?",
                ConfostainWarning,
                stacklevel=4,
            )
        else:
            self._warn_of_exposure(survey)
        if survey.displacement is not None and max(map(abs, survey.displacement)) >= LEAST_DISPLACEMENT:
            x, y = survey.displacement
            warnings.warn(
                f"{self.name}: reflectance and fluorescence are displaced, the fluorescence by {x} px to the right and"
                f" {y} px down; align them with --register (register=True)",
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

    def _warn_of_exposure(self, survey: Survey) -> None:
        for source, channel, exposure in zip(self.sources, CHANNELS, survey.exposures, strict=True):
            if exposure.is_constant:
                seen = "is the same everywhere"
            elif exposure.saturated > MOST_SATURATED:
                seen = f"is saturated in {exposure.saturated:.0%} of the tissue"
            elif exposure.shows_nothing:
                seen = "shows noise only"
            else:
                continue
            warnings.warn(
                f"{self.name}: {channel} ({source}) {seen}; a stain of it would mislead; expected a channel that shows"
                " tissue; check the laser, the dye and the gain, and scan again",
                ConfostainWarning,
                stacklevel=5,
            )

    def refuse_constant(self) -> None:
        """Check that both channels hold an image.

        Raises:
            SlideError: there is tissue, but one channel has the same value everywhere.
        """
        if not self.tissue.cells.any():
            return
        for source, channel, exposure in zip(self.sources, CHANNELS, self._survey.exposures, strict=True):
            if exposure.is_constant:
                raise SlideError(
                    f"{source}: {channel} has the same value in all tissue; expected an image; check that the file is"
                    " the right one and that the channel was scanned"
                )


def open_slide(
    path: StrPath | None = None,
    *,
    reflectance: StrPath | None = None,
    fluorescence: StrPath | None = None,
    swap_channels: bool = False,
    microns_per_pixel: float | None = None,
    series: int | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    register: bool = False,
) -> Slide:
    """Open a slide: a VivaScope folder, a two-channel OME-TIFF or OME-Zarr, or one file per channel.

    Args:
        path: the slide, where one path holds both channels.
        reflectance: file of the reflectance channel, instead of `path`.
        fluorescence: file of the fluorescence channel, instead of `path`.
        swap_channels: take the channel that would be reflectance for fluorescence, and the other way round.
        microns_per_pixel: pixel size in um, where the files do not say it; it must not contradict them.
        series: number of the image, from 0, in a file that holds several; None for the largest one.
        ranges: of "reflectance" and "fluorescence", or one of them: the stored values that become 0 and 1, where
            several slides must share one range. By default they are measured.
        register: whether the fluorescence is moved by whole pixels onto the reflectance, where a displacement can be
            measured; what one channel lacks at the edges then counts as not scanned.

    Raises:
        SlideError: no known layout is there, or a file is damaged or not grey.
        OptionError: a pixel size outside 0.05 to 20 um, or one that contradicts the file's by more than 2 %; a range
            that is none.
    """
    agreed("", None, microns_per_pixel)  # before any file is opened
    given = given_ranges(ranges or {})
    path, reflectance, fluorescence = (p if p is None else Path(p) for p in (path, reflectance, fluorescence))
    channels = open_channels(path, reflectance=reflectance, fluorescence=fluorescence, series=series)
    try:
        agreed(channels.reflectance.name, channels.microns_per_pixel, microns_per_pixel)
    except OptionError:
        channels.close()
        raise
    if swap_channels:
        channels = replace(
            channels,
            reflectance=channels.fluorescence,
            fluorescence=channels.reflectance,
            told_apart_by=f"{channels.told_apart_by}, then swapped",
        )
    name = _name(path or reflectance or Path(), channels.reflectance.name)
    slide = Slide(channels, name, microns_per_pixel, given)
    return _registered(slide, channels, given) if register else slide


def _registered(slide: Slide, channels: Channels, given: tuple[IntensityRange | None, IntensityRange | None]) -> Slide:
    """The slide with its fluorescence moved onto its reflectance; a warning where no displacement can be measured."""
    found = survey_slide(channels.reflectance, channels.fluorescence, given).displacement
    if found is None:
        warnings.warn(
            f"{slide.name}: the displacement of its channels cannot be measured; nothing is moved; look at both",
            ConfostainWarning,
            stacklevel=3,
        )
        return slide
    moved = replace(channels, fluorescence=displaced(channels.fluorescence, *found))
    return Slide(moved, slide.name, slide.microns_per_pixel, given, found)


def given_ranges(ranges: Mapping[str, tuple[float, float]]) -> tuple[IntensityRange | None, IntensityRange | None]:
    """Intensity ranges of R and F as a caller gives them; None for a channel that is not among them.

    Raises:
        OptionError: another channel, or a range whose values are not two finite numbers, the first below the second.
    """
    for channel, (low, high) in ranges.items():
        if channel not in CHANNELS:
            raise OptionError(f"range of {channel!r}: expected one of reflectance or fluorescence")
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise OptionError(
                f"range of {channel} from {low:g} to {high:g}: expected two numbers, the first below the second"
            )
    r, f = (IntensityRange(*map(float, ranges[channel])) if channel in ranges else None for channel in CHANNELS)
    return r, f


def _name(path: Path, source: str) -> str:
    """Scan and mosaic as the name of the `source` says, else the name of the file or folder at `path`."""
    scan, detector, _ = source.rpartition("/DET#")
    return scan if detector else _SUFFIX.sub("", path.resolve().name)
