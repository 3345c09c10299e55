"""Staining of arrays and of whole slides, tile by tile, by a closed form or a network."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from confostain.arrays import Progress, Rgb
from confostain.errors import OptionError, OutputError, SlideError
from confostain.geometry import Region, Size
from confostain.imaging.stain_colours import DYES, Dye, StainColours
from confostain.inference.reduced_slide import reduced
from confostain.inference.result import (
    Written,
    check_pixel_size,
    colour_facts,
    provenance,
    reduction_for,
    result_name,
)
from confostain.inference.tile_stainer import TileStainer
from confostain.inference.tiling import HaloTile
from confostain.inference.whole_slide import (
    ArraySink,
    checked_region,
    checked_tile,
    process_tiles,
    tile_side,
    write_image,
)
from confostain.io.writers.atomic import refuse_existing
from confostain.io.writers.dicom import DicomWriter
from confostain.io.writers.ometiff import OmeTiffWriter
from confostain.io.writers.omezarr import OmeZarrWriter, ShardedOmeZarrWriter
from confostain.io.writers.output import ResultImage, SlideWriter
from confostain.io.writers.picture import PngWriter
from confostain.io.writers.pyramid import WHITE
from confostain.models.registry import DEFAULT_MODEL, load_density, load_model
from confostain.models.stainer import Model
from confostain.slide import CHANNELS, Slide

OpenWriter = Callable[[Path, ResultImage, bool], SlideWriter]

WRITERS: dict[str, OpenWriter] = {
    ".tif": OmeTiffWriter,
    ".tiff": OmeTiffWriter,
    ".dcm": DicomWriter,
    ".png": PngWriter,
}
DENSITY_UNITS: dict[Dye, str] = {"haematoxylin": "1 is a typical nucleus", "eosin": "1 is typical stroma"}
OME_ZARR_WRITERS: dict[str, OpenWriter] = {writer.ngff: writer for writer in (OmeZarrWriter, ShardedOmeZarrWriter)}


def stain(
    pair: npt.ArrayLike,
    model: str | os.PathLike[str] | Model = DEFAULT_MODEL,
    device: str = "auto",
    microns_per_pixel: float | None = None,
    colours: StainColours | None = None,
) -> Rgb:
    """Digital stain of an array, computed tile by tile in as many threads as there are processors.

    Args:
        pair: (2, h, w), R then F, in [0, 1]; any real dtype.
        model: a model's name, a trained stainer's folder, or any object like `confostain.models.stainer.Model`.
        device: "auto", "cpu" or "cuda"; for a model given by name or folder.
        microns_per_pixel: pixel size in um, 0.05 to 20; a warning tells where the model was not trained for it. The
            array is not resampled. None: unknown, nothing is checked.
        colours: of a laboratory, see `read_stain_colours`; None: the model's own. For a model given by name or folder.

    Returns:
        uint8 (h, w, 3).

    Raises:
        SlideError: the array has another shape, or values that are not finite or outside [0, 1].
        ModelError: there is no model of that name.
        OptionError: another device, or a pixel size that cannot be a microscope's.
    """
    pair = np.asarray(pair, np.float32)
    if pair.ndim != 3 or pair.shape[0] != 2 or pair.size == 0:
        raise SlideError(f"array of shape {pair.shape}: expected (2, height, width), reflectance then fluorescence")
    if not (pair.min() >= 0 and pair.max() <= 1):
        raise SlideError(f"array with values from {pair.min():g} to {pair.max():g}: expected finite values in [0, 1]")
    size = Size(pair.shape[2], pair.shape[1])
    chosen = _model(model, device, colours)
    check_pixel_size(chosen, microns_per_pixel)
    tiles = TileStainer(lambda region: pair[(slice(None), *region.slices_in(size.region))], size, chosen)
    rgb = np.full((size.height, size.width, 3), WHITE, np.uint8)
    grid = tiles.grid(size.region, checked_tile(None))
    process_tiles(tiles.stain_tile, grid, ArraySink(rgb, size.region))
    return rgb


def stain_slide(
    slide: Slide,
    out: str | os.PathLike[str],
    *,
    model: str | os.PathLike[str] | Model = DEFAULT_MODEL,
    device: str = "auto",
    tile: int | None = None,
    region: tuple[int, int, int, int] | None = None,
    quality: int | None = 90,
    ome_zarr: str = "0.4",
    colours: StainColours | None = None,
    density: Dye | None = None,
    record_names: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Written:
    """Digital stain of a slide, or of a region of it, in a file.

    A slide that is finer than what a network was trained for is reduced by a whole factor k, as the network's card says
    (`ModelCard.microns_per_pixel`): each pixel of the result shows the mean of k x k pixels. A warning
    (`ConfostainWarning`) tells where the model was not trained for the slide's pixel size.

    Args:
        slide: what `open_slide` gave.
        out: the result; its suffix chooses the format: `.ome.tif`, `.ome.zarr` or `.dcm` (pyramids; the last two are
            folders), or `.png` (a picture).
        model: a model's name, a trained stainer's folder, or any object like `confostain.models.stainer.Model`.
        device: "auto", "cpu" or "cuda"; for a model given by name or folder.
        tile: side of the tiles that are computed at once, in pixels; rounded up to 256, 512, 1024, ... It changes
            memory and speed, never a pixel. None for 1024.
        region: x, y, width, height in level-0 pixels; None for all. Grown to whole blocks where the slide is reduced.
        quality: JPEG quality 1..100, None for lossless. `.ome.zarr` and `.png` are always lossless, `.dcm` never.
        ome_zarr: version of OME-Zarr (NGFF) of `.ome.zarr`: "0.4", or "0.5", with few files, each of many tiles.
        colours: of a laboratory, see `read_stain_colours`; None: the model's own. For a model given by name or folder.
        density: dye whose density is written instead of colours: float32, 1 for a typical nucleus (haematoxylin) or for
            typical stroma (eosin), lossless, as `.ome.tif`. For a model of densities given by name or folder.
        record_names: whether the names of the slide and of its files, which may hold a patient's, are written.
        overwrite: whether an existing result may be replaced.
        progress: called now and then with the pixels done and the pixels in all.

    Returns:
        What was written: path, size, levels, pixel size, model and seconds.

    Raises:
        OptionError: a value outside what is allowed, or a slide too coarse for the model. ModelError: there is no such
            model.
        OutputError: the result cannot be written there. SlideError: the slide cannot be read to its end.
    """
    begin, out = time.perf_counter(), Path(out)
    level0_area, open_writer = checked_region(region, slide.size), _writer_of(out, ome_zarr)
    if density is not None and colours is not None:
        raise OptionError("colours with a density, which has none; leave one of them out")
    if density is None:
        chosen = _model(model, device, colours)
    else:
        chosen, quality = _density_model(model, density, device, open_writer, out), None
    factor = reduction_for(chosen, slide.microns_per_pixel)
    view, area = reduced(slide, factor), level0_area.reduced(factor)
    side = tile_side(tile)
    if slide.files.holds(out):
        raise OutputError(f"{out} belongs to the slide that is being read; choose another name")
    refuse_existing(out, overwrite)  # all of this before the slide is surveyed, which may take a while
    check_pixel_size(chosen, view.microns_per_pixel)
    image = _described(slide, chosen, area, factor, quality, record_names)
    if density is not None:
        image = _as_density(image, density)
    slide.refuse_constant()
    empty = WHITE if density is None else 0
    tiles = TileStainer(view.read, view.size, chosen, view.tissue, view.not_scanned, empty)

    def compute(tile: HaloTile) -> npt.NDArray[Any] | None:
        made = tiles.stain_tile(tile)
        if made is None and density is not None:  # what is left out is white
            return np.zeros((tile.level0_core.height, tile.level0_core.width, 1), np.float32)
        return made

    with open_writer(out, image, overwrite) as writer:
        write_image(compute, tiles.grid(area, side), writer, slide.files, progress)
    seconds = time.perf_counter() - begin
    return Written(out, image.size, writer.levels, image.microns_per_pixel, chosen.name, seconds, factor)


def _model(model: str | os.PathLike[str] | Model, device: str, colours: StainColours | None) -> Model:
    if isinstance(model, (str, os.PathLike)):
        return load_model(model, device, colours)
    if colours is not None:
        raise OptionError("colours: expected a model given by name or folder; give one, or leave the colours out")
    return model


def _density_model(
    model: str | os.PathLike[str] | Model, density: Dye, device: str, open_writer: OpenWriter, out: Path
) -> Model:
    if density not in DYES:
        raise OptionError(f"density {density!r}: expected {' or '.join(DYES)}")
    if open_writer is not OmeTiffWriter:
        raise OutputError(f"{out}: a density is written as TIFF; give a name that ends in .ome.tif")
    if not isinstance(model, (str, os.PathLike)):
        raise OptionError("density: expected a model given by name or folder")
    return load_density(model, density, device)


def _as_density(image: ResultImage, density: Dye) -> ResultImage:
    """The description of a stain as that of the density of one dye."""
    label = f"density of {density}: {image.provenance['model']}"
    facts = dict(image.provenance) | {"label": label, "unit": DENSITY_UNITS[density]}
    return replace(
        image,
        name=image.name.replace("Digitally stained", f"Density of {density}", 1),
        provenance=facts,
        dtype=np.dtype(np.float32),
        samples=1,
        channel=f"density of {density}",
    )


def _writer_of(out: Path, ome_zarr: str) -> OpenWriter:
    if out.name.lower().endswith(".ome.zarr"):
        if ome_zarr not in OME_ZARR_WRITERS:
            raise OptionError(f"OME-Zarr {ome_zarr}: expected {' or '.join(OME_ZARR_WRITERS)}")
        return OME_ZARR_WRITERS[ome_zarr]
    for suffix, writer in WRITERS.items():
        if out.name.lower().endswith(suffix):
            return writer
    raise OutputError(f"{out}: the suffix says no format that can be written; use .ome.tif, .ome.zarr, .dcm or .png")


def _described(
    slide: Slide, model: Model, area: Region, factor: int, quality: int | None, record_names: bool
) -> ResultImage:
    """Description of the result; `area` is in pixels of the result, blocks of `factor` x `factor` of the slide."""
    label, channels = f"digitally stained: {model.name}", CHANNELS
    level0_area = area.enlarged(factor).intersection(slide.size.region)
    facts = provenance(label, model, dict(zip(channels, slide.ranges, strict=True)), level0_area)
    facts |= colour_facts(getattr(model, "colours", None))
    if factor > 1:
        facts["reduced by"] = str(factor)
    if slide.moved != (0, 0):
        facts["fluorescence moved"] = f"{-slide.moved[0]},{-slide.moved[1]}"
    if record_names:
        sources = zip(channels, slide.sources, strict=True)
        facts |= {"slide": slide.name, **{f"{channel} source": source for channel, source in sources}}
    name = result_name(f"Digitally stained ({model.name})", slide.name if record_names else None)
    scale, corner = reduced(slide, factor).microns_per_pixel, (level0_area.x, level0_area.y)
    return ResultImage(area.size, scale, name, facts, quality, level0_xy=corner, reduction=factor)
