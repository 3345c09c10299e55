"""Despeckling of arrays and of whole slides: the reflectance channel without its speckle, tile by tile."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from confostain.arrays import Image, Progress
from confostain.errors import OutputError, SlideError
from confostain.geometry import Region, Size
from confostain.imaging.intensity import IntensityRange, image_range, range_share, stored_values
from confostain.inference.result import Written, check_pixel_size, provenance, result_name
from confostain.inference.tiling import HaloTile, Reader, TileGrid, read_mirrored
from confostain.inference.whole_slide import (
    ArraySink,
    checked_region,
    checked_tile,
    process_tiles,
    tile_side,
    write_image,
)
from confostain.io.readers.layouts import open_grey
from confostain.io.readers.plane import Plane
from confostain.io.readers.source_files import SourceFiles
from confostain.io.writers.atomic import refuse_existing
from confostain.io.writers.ometiff import OmeTiffWriter, PlainTiffWriter
from confostain.io.writers.output import ResultImage
from confostain.models.despeckler import Despeckler
from confostain.models.registry import DEFAULT_DESPECKLER, load_despeckler
from confostain.slide import Slide

SHARES = IntensityRange(0, 1)  # of arrays of floats, which are shares of the range already
STILL_DARK = 0.05  # share of the range: a despeckled pixel above it lies in tissue, so that its 0 was a dead pixel
SAMPLED_PIXELS = 1 << 21  # of a grey image, of which its range is measured


def despeckle(
    reflectance: npt.ArrayLike,
    model: str | os.PathLike[str] | Despeckler = DEFAULT_DESPECKLER,
    device: str = "auto",
    tile: int | None = None,
) -> Image:
    """Despeckled reflectance image, computed tile by tile in as many threads as there are processors.

    Args:
        reflectance: (h, w); floats as shares of the range, 0 dark and 1 bright, or integers as the detector gave
            them, which become shares of the intensity range measured on the array, and are brought back.
        model: a despeckler, its name, or the folder of a trained one.
        device: "auto", "cpu" or "cuda"; for a model given by name or folder.
        tile: side of the tiles computed at once, in pixels; it changes memory and speed, never a pixel. None for 1024.

    Returns:
        float32 (h, w), on the scale of the input, not negative.

    Raises:
        SlideError: the array has another shape, or values that are not finite or negative.
        ModelError: there is no such model.
        OptionError: another device, or a tile outside 1 to 16384 px.
    """
    image = np.asarray(reflectance)
    if image.ndim != 2 or image.size == 0 or image.dtype.kind not in "uif":
        raise SlideError(f"array of shape {image.shape} and type {image.dtype}: expected grey values (height, width)")
    if not (np.isfinite(image).all() and image.min() >= 0):
        raise SlideError("array with values that are negative or not finite: expected brightness from 0 upwards")
    intensity = SHARES if image.dtype.kind == "f" else image_range(image)
    return despeckle_stored(image, intensity, _model(model, device), tile)


def despeckle_stored(
    image: npt.NDArray[Any], intensity: IntensityRange, model: Despeckler, tile: int | None = None
) -> Image:
    """Despeckled image (h, w) of stored values whose intensity range is known: float32 (h, w), in stored units.

    Raises:
        OptionError: a tile outside 1 to 16384 px.
    """
    size = Size(image.shape[1], image.shape[0])
    tiles = TileDespeckler(lambda part: image[part.slices_in(size.region)][np.newaxis], size, model, intensity)
    clean = np.empty(image.shape, np.float32)
    grid = tiles.grid(size.region, checked_tile(tile))
    process_tiles(tiles.despeckle_tile, grid, ArraySink(clean, size.region))
    return clean


def despeckle_slide(
    slide: Slide | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    model: str | os.PathLike[str] | Despeckler = DEFAULT_DESPECKLER,
    device: str = "auto",
    tile: int | None = None,
    region: tuple[int, int, int, int] | None = None,
    record_names: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Written:
    """Despeckled reflectance channel of a slide, or of a region of it, in a file.

    Values become shares of the slide's own range of R (of the range measured on a grey image), and are brought back.

    Args:
        slide: what `open_slide` gave, or the path of one grey image.
        out: the result, of the input's type and scale, lossless: `.ome.tif` for a pyramidal OME-TIFF, `.tif` for a
            plain tiled TIFF.
        model: a despeckler, its name, or the folder of a trained one.
        device: "auto", "cpu" or "cuda"; for a model given by name or folder.
        tile: side of the tiles computed at once, in pixels; rounded up to 256, 512, 1024, ... It changes memory and
            speed, never a pixel. None for 1024.
        region: x, y, width, height in level-0 pixels; None for all.
        record_names: whether the names of the slide and of its file, which may hold a patient's, are written.
        overwrite: whether an existing file may be replaced.
        progress: called now and then with the pixels done and the pixels in all.

    Returns:
        What was written: path, size, levels, pixel size, model and seconds.

    Raises:
        OptionError: a value outside what is allowed. ModelError: there is no such model.
        OutputError: the result cannot be written there. SlideError: the image cannot be read to its end.
    """
    begin, out = time.perf_counter(), Path(out)
    with _opened(slide) as channel:
        plane = channel.plane
        area, chosen = checked_region(region, plane.size), _model(model, device)
        open_writer, side = _writer_of(out), tile_side(tile)
        if channel.files.holds(out):
            raise OutputError(f"{out} belongs to the slide that is being read; choose another name")
        refuse_existing(out, overwrite)  # all of this before the range is measured, which may take a while
        check_pixel_size(chosen, channel.microns_per_pixel)
        intensity = channel.measured_range()
        image = _described(channel, chosen, intensity, area, record_names)
        tiles = TileDespeckler(lambda part: plane.read(part)[np.newaxis], plane.size, chosen, intensity)

        def compute(place: HaloTile) -> npt.NDArray[Any]:
            return _as_stored(tiles.despeckle_tile(place), plane.dtype)[..., np.newaxis]

        with open_writer(out, image, overwrite) as writer:
            write_image(compute, tiles.grid(area, side), writer, channel.files, progress)
    seconds = time.perf_counter() - begin
    return Written(out, image.size, writer.levels, image.microns_per_pixel, chosen.name, seconds)


@dataclass(frozen=True)
class TileDespeckler:
    """Despeckler of the tiles of one grey image; several threads may use it at once.

    Attributes:
        read: returns the stored values (1, h, w) of a region inside the image.
        size: of the image in level-0 pixels.
        model: what despeckles.
        intensity: what stands for 0 and for 1, in stored units.
    """

    read: Reader
    size: Size
    model: Despeckler
    intensity: IntensityRange

    def grid(self, area: Region, side: int) -> TileGrid:
        """Grid of tiles over an area, `side` pixels wide and high, each with the halo that the model needs."""
        return TileGrid(area, side, self.model.receptive_field, self.model.stride)

    def despeckle_tile(self, tile: HaloTile) -> Image:
        """Despeckled core of a tile in stored units, float32 (h, w)."""
        raw = read_mirrored(self.read, self.size, tile.level0_input)
        missing = ~np.isfinite(raw) if raw.dtype.kind == "f" else None
        if missing is not None and missing.any():
            raw = np.where(missing, np.float32(self.intensity.dark), raw)
        clean = self.model(range_share(raw, self.intensity))[0][tile.core_in_input]
        values = stored_values(clean, self.intensity)
        if missing is not None:  # no numbers stay none
            values[missing[0][tile.core_in_input]] = np.nan
        if self.intensity.dark > 0:  # the zeros around a scan are no light, and stay zeros
            values[(raw[0][tile.core_in_input] == 0) & (clean < STILL_DARK)] = 0
        return values


@dataclass(frozen=True)
class _Channel:
    """Grey image to be despeckled, with what the slide or file that it is of says about it."""

    plane: Plane
    name: str
    microns_per_pixel: float | None
    measured_range: Callable[[], IntensityRange]
    files: SourceFiles


@contextmanager
def _opened(slide: Slide | str | os.PathLike[str]) -> Iterator[_Channel]:
    """Reflectance channel of a slide, or a grey image opened for as long as it is needed."""
    if isinstance(slide, Slide):
        yield _Channel(
            slide.reflectance_plane, slide.name, slide.microns_per_pixel, lambda: slide.ranges[0], slide.files
        )
        return
    path = Path(slide)
    plane = open_grey(path)
    try:
        yield _Channel(
            plane,
            path.name,
            plane.microns_per_pixel,
            lambda: image_range(_sampled(plane)),
            SourceFiles([path]),
        )
    finally:
        plane.close()


def _sampled(plane: Plane) -> npt.NDArray[Any]:
    """Sample of about 2 million stored values, evenly spread over the plane: (n,)."""
    step = max(1, round((plane.size.pixels / SAMPLED_PIXELS) ** 0.5))
    return np.concatenate([rows[:, ::step].ravel() for _, rows in plane.scan(step)])


def _as_stored(values: Image, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Values of a stored type: the nearest integers that it holds, or floats as they are."""
    if dtype.kind == "f":
        return values.astype(dtype)
    return np.rint(np.clip(values, 0, np.iinfo(dtype).max)).astype(dtype)


def _described(
    channel: _Channel, model: Despeckler, intensity: IntensityRange, area: Region, record_names: bool
) -> ResultImage:
    facts = provenance("despeckled reflectance", model, {"reflectance": intensity}, area)
    if record_names:
        facts |= {"slide": channel.name, "reflectance source": channel.plane.name}
    return ResultImage(
        area.size,
        channel.microns_per_pixel,
        result_name(f"Despeckled ({model.name})", channel.name if record_names else None),
        facts,
        quality=None,
        dtype=channel.plane.dtype,
        samples=1,
        channel="despeckled reflectance",
        level0_xy=(area.x, area.y),
    )


def _writer_of(out: Path) -> type[OmeTiffWriter] | type[PlainTiffWriter]:
    if out.name.lower().endswith((".ome.tif", ".ome.tiff")):
        return OmeTiffWriter
    if out.suffix.lower() in (".tif", ".tiff"):
        return PlainTiffWriter
    raise OutputError(f"{out}: a despeckled image is written as TIFF; give a name that ends in .tif or .ome.tif")


def _model(model: str | os.PathLike[str] | Despeckler, device: str) -> Despeckler:
    return load_despeckler(model, device) if isinstance(model, (str, os.PathLike)) else model
