"""Takes the speckle out of a reflectance channel: an array, or a whole slide streamed from file to file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from confostain.arrays import Image, Progress
from confostain.errors import OptionError, OutputError, SlideError
from confostain.geometry import Region, Size
from confostain.inference.tiling import HaloTile, TileGrid, read_mirrored
from confostain.io.readers.plane import Plane
from confostain.io.writers.output import complete_or_absent, refuse_existing
from confostain.models.despeckler import Despeckler
from confostain.models.engines.processors import usable_processors
from confostain.models.registry import DEFAULT_DESPECKLER, load_despeckler

DEFAULT_TILE = 1024  # px
FILE_TILE = 256  # px, side of the tiles in the TIFF that is written
BRIGHT_PERCENTILE = 99.7  # what stands for 1 in integer images, where the detector's range says little


def despeckle(
    reflectance: npt.ArrayLike, model: str | Despeckler = DEFAULT_DESPECKLER, tile: int = DEFAULT_TILE
) -> Image:
    """Take the speckle out of one image.

    Args:
        reflectance: (h, w); floats as a share of the range, 0 dark and 1 bright, or integers as the detector gave
            them, which are brought to that range by their 99.7th percentile and back.
        model: a despeckler, its name, or the folder of one.
        tile: side of the squares computed at once, in pixels; it changes memory and speed, never a pixel.

    Returns:
        float32 (h, w), on the scale of the input, not negative.

    Raises:
        SlideError: the array has another shape, or values that are not finite or negative.
        ModelError: there is no such model.
    """
    image = np.asarray(reflectance)
    if image.ndim != 2 or image.size == 0 or image.dtype.kind not in "uif":
        raise SlideError(f"array of shape {image.shape} and type {image.dtype}: expected grey values (height, width)")
    if not (np.isfinite(image).all() and image.min() >= 0):
        raise SlideError("array with values that are negative or not finite: expected brightness from 0 upwards")
    bright = _bright(image) if image.dtype.kind in "ui" else 1.0
    size = Size(image.shape[1], image.shape[0])
    work = _Work(lambda region: _share(image[region.slices_in(size.region)], bright), size, _model(model))
    clean = np.empty(image.shape, np.float32)
    squares = list(work.grid(tile))
    with ThreadPoolExecutor(usable_processors(), thread_name_prefix="despeckle") as pool:
        for square, core in zip(squares, pool.map(work.clean, squares), strict=True):
            clean[square.level0_core.slices_in(size.region)] = core
    return clean * np.float32(bright)


def despeckle_plane(
    plane: Plane,
    out: str | os.PathLike[str],
    *,
    model: str | Despeckler = DEFAULT_DESPECKLER,
    tile: int = DEFAULT_TILE,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> None:
    """Despeckle one grey plane of any size into a file; memory does not grow with its height.

    Args:
        plane: the reflectance channel of a slide, or a grey image.
        out: `.tif` or `.tiff`, tiled, of the plane's dtype and scale.
        model: a despeckler, its name, or the folder of one.
        tile: side of the squares computed at once, in pixels, rounded up to multiples of 256; it never changes a pixel.
        overwrite: whether an existing file may be replaced.
        progress: called now and then with the pixels done and the pixels in all.

    Raises:
        OutputError: the result cannot be written there. SlideError: the plane cannot be read to its end.
        ModelError: there is no such model.
    """
    import tifffile

    out = Path(out)
    if out.suffix.lower() not in (".tif", ".tiff"):
        raise OutputError(f"{out}: a despeckled image is written as TIFF; give a name that ends in .tif")
    refuse_existing(out, overwrite)
    bright = _bright(_sampled(plane)) if plane.dtype.kind == "u" else 1.0
    work = _Work(lambda region: _share(plane.read(region), bright), plane.size, _model(model))
    microns = plane.microns_per_pixel
    with complete_or_absent(out, overwrite) as partial, tifffile.TiffWriter(partial, bigtiff=_is_big(plane)) as tiff:
        tiff.write(
            _file_tiles(work, -(-tile // FILE_TILE) * FILE_TILE, plane.dtype, bright, progress),
            shape=(plane.size.height, plane.size.width),
            dtype=plane.dtype,
            tile=(FILE_TILE, FILE_TILE),
            compression="adobe_deflate",
            predictor=True,
            software="confostain",
            resolution=(1e4 / microns, 1e4 / microns) if microns else None,
            resolutionunit="CENTIMETER" if microns else None,
        )


@dataclass(frozen=True)
class _Work:
    """One image and what is done to it."""

    read: Callable[[Region], Image]  # (h, w), 1 being bright
    size: Size
    model: Despeckler

    def grid(self, tile: int) -> TileGrid:
        if tile < 1:
            raise OptionError(f"tile of {tile} px: expected a positive number")
        return TileGrid(self.size.region, tile, self.model.receptive_field, self.model.stride)

    def clean(self, tile: HaloTile) -> Image:
        """The despeckled core of a tile, (h, w)."""
        noisy = read_mirrored(lambda region: self.read(region)[np.newaxis], self.size, tile.level0_input)
        return self.model(noisy)[0][tile.core_in_input]


def _file_tiles(
    work: _Work, side: int, dtype: np.dtype[Any], bright: float, progress: Progress | None
) -> Iterator[npt.NDArray[Any]]:
    """The tiles of the file, row by row; one row of computed squares is held at a time."""
    grid, width = work.grid(side), work.size.width
    with ThreadPoolExecutor(usable_processors(), thread_name_prefix="despeckle") as pool:
        for row in range(grid.rows):
            squares = [grid.at(column, row) for column in range(grid.columns)]
            strip = np.empty((squares[0].level0_core.height, width), dtype)
            for square, clean in zip(squares, pool.map(work.clean, squares), strict=True):
                core = square.level0_core
                strip[:, core.x : core.right] = _stored(clean, dtype, bright)
                if progress is not None:
                    progress(core.y * width + core.height * core.right, work.size.pixels)
            for y in range(0, strip.shape[0], FILE_TILE):
                for x in range(0, width, FILE_TILE):
                    yield strip[y : y + FILE_TILE, x : x + FILE_TILE]


def _stored(clean: Image, dtype: np.dtype[Any], bright: float) -> npt.NDArray[Any]:
    """Back from shares of the range to stored values."""
    values = clean * np.float32(bright)
    if dtype.kind == "f":
        return values.astype(dtype)
    return np.rint(np.clip(values, 0, np.iinfo(dtype).max)).astype(dtype)


def _share(raw: npt.NDArray[Any], bright: float) -> Image:
    return raw.astype(np.float32) * np.float32(1 / bright)


def _bright(values: npt.NDArray[Any]) -> float:
    """What stands for 1; 1 for an image that is black."""
    return max(float(np.percentile(values, BRIGHT_PERCENTILE)), 1.0)


def _sampled(plane: Plane) -> npt.NDArray[Any]:
    """Some 2 million of the plane's values, evenly spread."""
    step = max(1, round((plane.size.pixels / (1 << 21)) ** 0.5))
    return np.concatenate([rows[:, ::step].ravel() for _, rows in plane.scan(step)])


def _is_big(plane: Plane) -> bool:
    return plane.size.pixels * plane.dtype.itemsize > 2**32 - 2**25


def _model(model: str | Despeckler) -> Despeckler:
    return load_despeckler(model) if isinstance(model, str) else model
