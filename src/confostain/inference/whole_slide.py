"""A slide through a model into a file: read, stain, cut and encode overlap; memory does not grow with the slide.

Several threads each take a tile all the way (the arrays' work releases the interpreter lock); one thread
collects what they made, in Z order, and hands it to the writer.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

import confostain
from confostain.arrays import Progress, Rgb
from confostain.errors import OptionError, OutputError, SlideError
from confostain.geometry import Region, Size
from confostain.inference.tile_stainer import TileStainer
from confostain.inference.tiling import HaloTile, TileGrid
from confostain.io.writers.dicom import DicomWriter
from confostain.io.writers.ometiff import OmeTiffWriter
from confostain.io.writers.omezarr import OmeZarrWriter
from confostain.io.writers.output import SlideWriter, StainedImage, refuse_existing
from confostain.io.writers.picture import PngWriter
from confostain.io.writers.pyramid import TILE, WHITE, CutBlock, PyramidTile, PyramidTop, block_side, cut_block
from confostain.models.engines.processors import usable_processors
from confostain.models.registry import DEFAULT_MODEL, Model, load_model
from confostain.slide import Slide

MOST_THREADS = 16  # one thread writes, and could not keep up with more; each takes about 10 MB
DEFAULT_TILE = 1024  # px: per-tile cost is small, and two threads' tiles stay near 100 MB
WIDE_TILE = 2048  # px, for models that see far; four times the memory
HALO_COST = 1 / 3  # of a tile's pixels: above, the halo is worth the wider tile
WRITERS: dict[str, Callable[[Path, StainedImage, bool], SlideWriter]] = {
    ".tif": OmeTiffWriter,
    ".tiff": OmeTiffWriter,
    ".ome.zarr": OmeZarrWriter,
    ".dcm": DicomWriter,
    ".png": PngWriter,
}

Item = TypeVar("Item")
Result = TypeVar("Result")


def stain(
    pair: npt.NDArray[np.float32], model: str | os.PathLike[str] | Model = DEFAULT_MODEL, device: str = "auto"
) -> Rgb:
    """Stain an array.

    Args:
        pair: (2, h, w), R then F, in [0, 1]; any real dtype.
        model: a model's name, a trained stainer's folder, or any object like `confostain.models.registry.Model`.
        device: "auto", "cpu" or "cuda"; for a model given by name.

    Returns:
        uint8 (h, w, 3).

    Raises:
        SlideError: the array has another shape, or values that are not finite or outside [0, 1].
        ModelError: there is no model of that name.
    """
    pair = np.asarray(pair, np.float32)
    if pair.ndim != 3 or pair.shape[0] != 2 or pair.size == 0:
        raise SlideError(f"array of shape {pair.shape}: expected (2, height, width), reflectance then fluorescence")
    if not (pair.min() >= 0 and pair.max() <= 1):
        raise SlideError(f"array with values from {pair.min():g} to {pair.max():g}: expected finite values in [0, 1]")
    size = Size(pair.shape[2], pair.shape[1])
    chosen = _model(model, device)
    tiles = TileStainer(lambda region: pair[(slice(None), *region.slices_in(size.region))], size, chosen)
    rgb = np.full((size.height, size.width, 3), WHITE, np.uint8)
    for tile in tiles.grid(size.region, default_tile(chosen)):
        core = tiles.stain_tile(tile)
        if core is not None:
            rgb[tile.level0_core.slices_in(size.region)] = core
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
    overwrite: bool = False,
    progress: Progress | None = None,
) -> None:
    """Stain a slide, or a region of it, into a file.

    Args:
        slide: what `open_slide` gave.
        out: the result; its suffix chooses the format: `.ome.tif`, `.ome.zarr` or `.dcm` (pyramids; the last two are
            folders), or `.png` (a picture).
        model: a model's name, a trained stainer's folder, or any object like `confostain.models.registry.Model`.
        device: "auto", "cpu" or "cuda"; for a model given by name.
        tile: side of the tiles that are computed at once, in pixels; rounded up to 256, 512, 1024, ... It changes
            memory and speed, never a pixel. None for what suits the model.
        region: x, y, width, height in level-0 pixels; None for all.
        quality: JPEG quality 1..100, None for lossless. `.ome.zarr` and `.png` are always lossless, `.dcm` never.
        overwrite: whether an existing result may be replaced.
        progress: called now and then with the pixels done and the pixels in all.

    Raises:
        OptionError: a value outside what is allowed. ModelError: there is no such model.
        OutputError: the result cannot be written there. SlideError: the slide cannot be read to its end.
    """
    out, area = Path(out), _area(slide, region)
    chosen, start_writing = _model(model, device), _writer_of(out)
    side = _checked_side(default_tile(chosen) if tile is None else tile)
    if slide.reads_from(out):
        raise OutputError(f"{out} belongs to the slide that is being read; choose another name")
    refuse_existing(out, overwrite)  # all of this before the slide is surveyed, which may take a while
    with start_writing(out, _description(slide, chosen, area, quality), overwrite) as writer:
        tiles = TileStainer(slide.read, Size(*slide.size), chosen, slide.tissue)
        _run(tiles, tiles.grid(area, side), writer, progress or (lambda done, total: None))
        writer.complete()


def _run(tiles: TileStainer, grid: TileGrid, writer: SlideWriter, progress: Progress) -> None:
    side = grid.tile // TILE  # of a block, in tiles of the file

    def work(tile: HaloTile) -> tuple[CutBlock, list[tuple[PyramidTile, object]], int]:
        core = tile.level0_core
        cut = cut_block(tiles.stain_tile(tile), core.size, tile.column * side, tile.row * side)
        return cut, [(small, writer.encode(small)) for small in cut.tiles], core.size.pixels

    top, done, total = PyramidTop(grid.level0_area.size), 0, grid.level0_area.size.pixels
    progress(done, total)
    for cut, encoded, pixels in _in_order(work, grid):
        for small, data in encoded:
            writer.append(small, data)
        for small in top.add(cut):
            writer.append(small, writer.encode(small))
        done += pixels
        progress(done, total)


def _in_order(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Results of `work` in the order of the items, computed by as many threads as there are processors, up to 16.

    Two more items than threads are under way, no more, so that memory stays flat. When the consumer stops, by an error
    or by Ctrl-C, what has not begun is dropped.
    """
    threads = min(usable_processors(), MOST_THREADS)
    ahead: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="stain") as pool:
        try:
            for item in items:
                ahead.append(pool.submit(work, item))
                if len(ahead) > threads + 2:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


def default_tile(model: Model) -> int:
    """The side of the tiles that suits a model, in pixels."""
    read = (1 + model.receptive_field / DEFAULT_TILE) ** 2
    return DEFAULT_TILE if read <= 1 + HALO_COST else WIDE_TILE


def _model(model: str | os.PathLike[str] | Model, device: str) -> Model:
    return load_model(model, device) if isinstance(model, (str, os.PathLike)) else model


def _checked_side(tile: int) -> int:
    if not 1 <= tile <= 16_384:
        raise OptionError(f"tile of {tile} px: give a side from 1 to 16384")
    return block_side(tile)


def _area(slide: Slide, region: tuple[int, int, int, int] | None) -> Region:
    whole = Size(*slide.size).region
    if region is None:
        return whole
    area = Region(*region)
    if area.is_empty or area.intersection(whole) != area:
        raise OptionError(
            f"region {','.join(map(str, region))}: must hold pixels and lie inside the slide,"
            f" which is {whole.width} x {whole.height} px"
        )
    return area


def _writer_of(out: Path) -> Callable[[Path, StainedImage, bool], SlideWriter]:
    for suffix, writer in WRITERS.items():
        if out.name.lower().endswith(suffix):
            return writer
    raise OutputError(f"{out}: the suffix says no format that can be written; use .ome.tif, .ome.zarr, .dcm or .png")


def _description(slide: Slide, model: Model, area: Region, quality: int | None) -> StainedImage:
    reflectance, fluorescence = slide.ranges
    provenance = {
        "label": f"digitally stained: {model.name}",
        "use": confostain.RESEARCH_USE,
        "software": f"confostain {confostain.__version__}",
        "model": model.name,
        "weights SHA-256": model.weights_sha256 or "none (closed form)",
        "reflectance source": slide.sources[0],
        "fluorescence source": slide.sources[1],
        "reflectance range": f"{reflectance.dark:g} to {reflectance.bright:g}",
        "fluorescence range": f"{fluorescence.dark:g} to {fluorescence.bright:g}",
        "region": f"{area.x},{area.y},{area.width},{area.height}",
    }
    name = f"{slide.name}, digitally stained ({model.name})"
    return StainedImage(area.size, slide.microns_per_pixel, name, provenance, quality)
