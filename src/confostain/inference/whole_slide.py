"""Streaming whole-slide engine: tiles are computed by several threads and stored in order, in flat memory.

A tile function computes one tile. A sink takes what it returns: first in the thread that computed it (cutting,
encoding), then in the calling thread, in the order of the grid. Staining and despeckling are such tile functions;
files and arrays are such sinks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import numpy.typing as npt

from confostain.arrays import Progress
from confostain.errors import OptionError
from confostain.geometry import Region, Size
from confostain.inference.tiling import HaloTile, TileGrid
from confostain.io.readers.source_files import SourceFiles
from confostain.io.writers.output import SlideWriter
from confostain.io.writers.pyramid import TILE, CutBlock, Pixels, PyramidTile, PyramidTop, block_side, cut_block
from confostain.models.engines.processors import usable_processors

MOST_THREADS = 16  # one thread stores, and could not keep up with more; each takes about 10 MB
DEFAULT_TILE = 1024  # px: 2048 takes two to three times the memory, and -4 to +8 % more time: docs/speed.md
MOST_TILE = 16_384  # px

Item = TypeVar("Item")
Result = TypeVar("Result")
Computed = TypeVar("Computed")
Ready = TypeVar("Ready")
Taken_contra = TypeVar("Taken_contra", contravariant=True)  # by a sink


class Sink(Protocol[Taken_contra, Ready]):
    """Receiver of computed tiles."""

    def prepare(self, tile: HaloTile, computed: Taken_contra) -> Ready:
        """What `store` needs of a tile. Called by several threads at once."""

    def store(self, tile: HaloTile, ready: Ready) -> None:
        """Store a prepared tile. Called by one thread, in the order of the grid."""


class ArraySink:
    """Sink into an array (h, w) or (h, w, samples) that covers a region; None leaves a tile as it was."""

    def __init__(self, array: npt.NDArray[Any], region: Region) -> None:
        self._array, self._region = array, region

    def prepare(self, tile: HaloTile, computed: npt.NDArray[Any] | None) -> None:
        """Copy a tile to its place; tiles do not overlap, so threads write different pixels."""
        if computed is not None:
            self._array[tile.level0_core.slices_in(self._region)] = computed

    def store(self, tile: HaloTile, ready: None) -> None:
        """Nothing remains to be stored."""


Block = tuple[CutBlock, list[tuple[PyramidTile, object]]]


class PyramidSink:
    """Sink into the writer of a pyramid: takes tiles (h, w, samples) of a grid along the Z curve, None for white ones.

    The side of the grid's tiles is the side of a file's tile times a power of two, see `tile_side`.
    """

    def __init__(self, writer: SlideWriter, grid: TileGrid) -> None:
        image = writer.image
        self._writer, self._file_tiles = writer, grid.tile // TILE
        self._top = PyramidTop(image.size, image.dtype, image.samples)

    def prepare(self, tile: HaloTile, computed: Pixels | None) -> Block:
        """Cut a tile into the file's tiles, average it to further levels, and encode all of these."""
        place = tile.column * self._file_tiles, tile.row * self._file_tiles
        cut = cut_block(computed, tile.level0_core.size, *place)
        return cut, [(small, self._writer.encode(small)) for small in cut.tiles if small.level < self._writer.levels]

    def store(self, tile: HaloTile, ready: Block) -> None:
        """Append the encoded tiles, and those of upper levels that are complete with them."""
        cut, encoded = ready
        for small, data in encoded:
            self._writer.append(small, data)
        for small in self._top.add(cut):
            if small.level < self._writer.levels:
                self._writer.append(small, self._writer.encode(small))


def process_tiles(
    compute: Callable[[HaloTile], Computed],
    grid: TileGrid,
    sink: Sink[Computed, Ready],
    progress: Progress | None = None,
) -> None:
    """Compute all tiles of a grid and store them.

    Args:
        compute: the tile function; called by several threads at once.
        grid: the tiles, in the order in which they are stored.
        sink: where they go.
        progress: called at the beginning and after each tile with the pixels done and the pixels in all.
    """

    def work(tile: HaloTile) -> tuple[HaloTile, Ready]:
        return tile, sink.prepare(tile, compute(tile))

    tell = progress or (lambda done, total: None)
    done, total = 0, grid.level0_area.size.pixels
    tell(done, total)
    for tile, ready in in_order(work, grid):
        sink.store(tile, ready)
        done += tile.level0_core.size.pixels
        tell(done, total)


def write_image(
    compute: Callable[[HaloTile], Pixels | None],
    grid: TileGrid,
    writer: SlideWriter,
    files: SourceFiles,
    progress: Progress | None = None,
) -> None:
    """Compute all tiles of a grid into an open writer, and complete its file.

    Args:
        compute: the tile function: (h, w, samples), or None for a white tile; called by several threads at once.
        grid: along the Z curve; the side of its tiles as of `tile_side`.
        writer: open; whoever opened it closes it, which removes what is not complete.
        files: that the tiles are computed from.
        progress: as of `process_tiles`.

    Raises:
        SlideError: the files have changed since they were opened.
    """
    process_tiles(compute, grid, PyramidSink(writer, grid), progress)
    files.check_unchanged()
    writer.complete()


def in_order(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Results of `work` in the order of the items, computed by as many threads as there are processors, up to 16.

    Two more items than threads are under way, no more, so that memory stays flat. When the consumer stops, by an error
    or by Ctrl-C, what has not begun is dropped.
    """
    threads = min(usable_processors(), MOST_THREADS)
    ahead: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="confostain-tiles") as pool:
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


def tile_side(tile: int | None) -> int:
    """Side of the tiles that are computed at once for a file: `tile`, rounded up to 256, 512, 1024, ... pixels.

    Raises:
        OptionError: it is not from 1 to 16384.
    """
    return block_side(checked_tile(tile))


def checked_tile(tile: int | None) -> int:
    """Side of the tiles that are computed at once; None for the default. Raises as `tile_side`."""
    if tile is None:
        return DEFAULT_TILE
    if not 1 <= tile <= MOST_TILE:
        raise OptionError(f"tile of {tile} px: expected a side from 1 to {MOST_TILE}; leave it out for the default")
    return tile


def checked_region(region: tuple[int, int, int, int] | None, size: Size) -> Region:
    """Rectangle of a slide of that size in level-0 pixels, given as x, y, width, height; None for the whole slide.

    Raises:
        OptionError: it holds no pixel, or does not lie inside the slide.
    """
    if region is None:
        return size.region
    area = Region(*region)
    if area.is_empty or area.intersection(size.region) != area:
        raise OptionError(
            f"region {','.join(map(str, region))}: must hold pixels and lie inside the slide,"
            f" which is {size.width} x {size.height} px"
        )
    return area
