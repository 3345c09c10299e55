"""The ways to look at a slide: its channels, its stains, or an H&E slide; each gives the pixels of any tile.

Full resolution is painted block by block, with the same painter as `confostain stain`. Coarser tiles are the mean
of these pixels where all of them have been painted, exactly as in the files. Until then they show a preview.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from confostain.arrays import Rgb
from confostain.geometry import Region, Size
from confostain.imaging.tissue import TissueMask
from confostain.inference.tile_stainer import TileStainer
from confostain.io.readers.histology import HistologySlide
from confostain.io.writers.pyramid import TILE, WHITE, Sums, level_sizes, rounded_mean, summed, white_sums
from confostain.models.stainer import Model
from confostain.slide import Slide
from confostain.viewer.preview import LEARN_LEVEL, Preview
from confostain.viewer.store import BlockStore

Source = Literal["network", "closed-form", "average"]
Work = Callable[[], object]

BLOCK = 512  # px of level 0 painted at once: two tiles, because a halo costs less around larger blocks
PREVIEW_LEVEL = 2  # from here on more than one block lies under a tile, too much to paint while somebody waits
MEAN_LEVEL = 4  # whose sums are kept for the whole slide: 16 px of level 0 to one, 5 % of its bytes


@dataclass(frozen=True)
class Place:
    """A tile of a slide's pyramid: level 0 is full resolution, each next level half of it."""

    level: int
    column: int
    row: int

    def level0_region(self, slide: Size) -> Region:
        """The pixels of level 0 that the tile shows."""
        side = TILE << self.level
        return Region(self.column * side, self.row * side, side, side).intersection(slide.region)


@dataclass(frozen=True)
class LayerInfo:
    """What the page says of a layer."""

    id: str
    label: str
    note: str
    kind: Literal["channel", "stain", "histology"]
    closed_form: bool


class Layer(Protocol):
    """One way to look at a slide. Several threads may use it at once."""

    info: LayerInfo

    def state(self, place: Place) -> str:
        """A word that changes when the tile would show something else than before."""

    def preparation(self, place: Place) -> tuple[Hashable, Work] | None:
        """What must be done before the tile can be rendered quickly, and a name for it: tiles may share it."""

    def render(self, place: Place) -> tuple[Rgb, Source]:
        """The tile's pixels, uint8 (h, w, 3), cut at the slide's border, and what they show."""

    def painted(self) -> list[float]:
        """For each level, the share of the slide whose pixels there are the layer's own, no preview."""

    def paint_next(self, level0_xy: tuple[float, float]) -> Work | None:
        """Work that replaces previews, from the nearest to that point on; None when all is done."""


class PaintedLayer:
    """A channel or a stain of a confocal slide, whose tissue has been found."""

    def __init__(
        self, info: LayerInfo, slide: Slide, load: Callable[[], Model], preview: Preview, store: BlockStore
    ) -> None:
        """Paint with the model that `load` gives on first use, where `preview` shows something."""
        self.info = info
        self._slide = slide
        self._size = Size(*slide.size)
        self._sizes = level_sizes(self._size)
        self._load = load
        self._preview = preview
        self._store = store
        self._loading = threading.Lock()
        self._painter: TileStainer | None = None
        self._blank = _without(slide.tissue, self._size) if preview.tissue_only else np.zeros(_grid(self._size), bool)
        self._averaged = self._blank.copy()  # blocks whose sums are known
        self._pending = ~self._blank  # blocks to be painted when nobody waits
        self._sums = white_sums(self._size, MEAN_LEVEL)  # over the painted pixels

    def state(self, place: Place) -> str:
        """A word that changes when the tile would show something else than before."""
        return "painted" if self._is_painted(place) else f"preview {self._preview.revision}"

    def preparation(self, place: Place) -> tuple[Hashable, Work] | None:
        """The block that a tile of full resolution, or of half of it, lies in."""
        if place.level >= PREVIEW_LEVEL:
            return None
        region = place.level0_region(self._size)
        block = (region.y // BLOCK, region.x // BLOCK)
        if self._blank[block] or self._key(*block) in self._store:
            return None
        return self._key(*block), lambda: self._paint(*block)

    def render(self, place: Place) -> tuple[Rgb, Source]:
        """The tile's pixels; a preview where painting them would take long."""
        region = place.level0_region(self._size)
        if not self._is_painted(place):
            if place.level < MEAN_LEVEL:
                for block in self._missing(region):  # some may have been painted before, and dropped since
                    self._pending[block] = True
            return self._preview.render(region, 1 << place.level), "closed-form"
        if place.level >= MEAN_LEVEL:
            return self._from_sums(place), "average"
        if place.level:
            return rounded_mean(_summed(self._joined(region), place.level), region.size, place.level), "average"
        return self._joined(region), "closed-form" if self.info.closed_form else "network"

    def painted(self) -> list[float]:
        """For each level, the share of the slide whose pixels there are the layer's own, no preview."""
        share = float(self._averaged.mean())
        return [1.0 if level < PREVIEW_LEVEL else share for level in range(len(self._sizes))]

    def paint_next(self, level0_xy: tuple[float, float]) -> Work | None:
        """Work that paints the nearest block that nobody has painted."""
        blocks = np.argwhere(self._pending)
        if not len(blocks):
            return None
        distances = ((blocks + 0.5) * BLOCK - level0_xy[::-1]) ** 2
        row, column = map(int, blocks[distances.sum(axis=1).argmin()])
        self._pending[row, column] = False
        return lambda: self._paint(row, column)

    def _is_painted(self, place: Place) -> bool:
        """Whether the tile's own pixels are known, or so few that they can be painted while someone waits."""
        region = place.level0_region(self._size)
        if place.level >= MEAN_LEVEL:
            return bool(self._averaged[_blocks_under(region)].all())
        return place.level < PREVIEW_LEVEL or not any(self._missing(region))

    def _missing(self, region: Region) -> Iterator[tuple[int, int]]:
        rows, columns = _blocks_under(region)
        for block in product(range(rows.start, rows.stop), range(columns.start, columns.stop)):
            if not self._blank[block] and self._key(*block) not in self._store:
                yield block

    def _key(self, row: int, column: int) -> tuple[object, ...]:
        return id(self), row, column

    def _ready(self) -> TileStainer:
        with self._loading:
            if self._painter is None:
                tissue = self._slide.tissue if self._preview.tissue_only else None
                self._painter = TileStainer(self._slide.read, self._size, self._load(), tissue)
            return self._painter

    def _block(self, row: int, column: int) -> Rgb | None:
        """One block of full resolution; None where it is white."""
        if self._blank[row, column]:
            return None
        kept = self._store.get(self._key(row, column))
        return self._paint(row, column) if kept is None else kept

    def _paint(self, row: int, column: int) -> Rgb | None:
        stainer = self._ready()
        rgb = stainer.stain_tile(stainer.grid(self._size.region, BLOCK).at(column, row))
        if rgb is not None:
            self._store.put(self._key(row, column), rgb)
            self._take_sums(row, column, rgb)
        self._averaged[row, column] = True
        self._pending[row, column] = False
        return rgb

    def _joined(self, level0_region: Region) -> Rgb:
        """A region put together from blocks."""
        rgb = np.full((level0_region.height, level0_region.width, 3), WHITE, np.uint8)
        rows, columns = _blocks_under(level0_region)
        for row, column in product(range(rows.start, rows.stop), range(columns.start, columns.stop)):
            block = self._block(row, column)
            if block is not None:
                of = Region(column * BLOCK, row * BLOCK, block.shape[1], block.shape[0])
                common = of.intersection(level0_region)
                rgb[common.slices_in(level0_region)] = block[common.slices_in(of)]
        return rgb

    def _take_sums(self, row: int, column: int, rgb: Rgb) -> None:
        sums, side = _summed(rgb, MEAN_LEVEL), BLOCK >> MEAN_LEVEL
        height, width = sums.shape[:2]
        self._sums[row * side : row * side + height, column * side : column * side + width] = sums
        if not self.info.closed_form:
            region = Region(column * BLOCK, row * BLOCK, rgb.shape[1], rgb.shape[0])
            coarse = _summed(sums, LEARN_LEVEL - MEAN_LEVEL)
            self._preview.learn(region, rounded_mean(coarse, region.size, LEARN_LEVEL))

    def _from_sums(self, place: Place) -> Rgb:
        side = TILE << (place.level - MEAN_LEVEL)
        x, y = place.column * side, place.row * side
        sums = _summed(self._sums[y : y + side, x : x + side], place.level - MEAN_LEVEL)
        return rounded_mean(sums, place.level0_region(self._size).size, place.level)


class HistologyLayer:
    """The one layer of an H&E slide."""

    info = LayerInfo("histology", "H&E", "a real section, as its scanner recorded it", "histology", False)

    def __init__(self, slide: HistologySlide) -> None:
        """Show `slide`."""
        self._slide = slide
        self._sizes = level_sizes(Size(*slide.size))

    def state(self, place: Place) -> str:
        """Always the same: pixels do not change."""
        return "scanned"

    def preparation(self, place: Place) -> tuple[Hashable, Work] | None:
        """Nothing."""
        return None

    def render(self, place: Place) -> tuple[Rgb, Source]:
        """The tile's pixels, from the nearest finer level of the file."""
        size = self._sizes[place.level]
        wanted = Region(place.column * TILE, place.row * TILE, TILE, TILE).intersection(size.region)
        microns = self._slide.microns_per_pixel * (1 << place.level)
        there = wanted.intersection(
            Size(*self._slide.size_at(microns)).region
        )  # whole pixels only: one less at an edge
        rgb = self._slide.read_region((there.x, there.y), (there.width, there.height), microns)
        edges = ((0, wanted.height - there.height), (0, wanted.width - there.width), (0, 0))
        return np.pad(rgb, edges, mode="edge"), "average"

    def painted(self) -> list[float]:
        """Everything."""
        return [1.0] * len(self._sizes)

    def paint_next(self, level0_xy: tuple[float, float]) -> Work | None:
        """Nothing."""
        return None


def _grid(size: Size) -> tuple[int, int]:
    """Rows and columns of blocks."""
    return -(-size.height // BLOCK), -(-size.width // BLOCK)


def _without(tissue: TissueMask, size: Size) -> npt.NDArray[np.bool_]:
    """Blocks without tissue: where `tissue.touches` says no, for all of them at once."""
    near = ndimage.maximum_filter(tissue.cells, 3)
    rows, columns = (np.arange(0, length, BLOCK // tissue.cell) for length in near.shape)
    return ~np.logical_or.reduceat(np.logical_or.reduceat(near, rows, axis=0), columns, axis=1)


def _blocks_under(level0_region: Region) -> tuple[slice, slice]:
    """Rows and columns of the blocks that a region meets."""
    return (
        slice(level0_region.y // BLOCK, -(-level0_region.bottom // BLOCK)),
        slice(level0_region.x // BLOCK, -(-level0_region.right // BLOCK)),
    )


def _summed(image: Rgb | Sums, times: int) -> Sums:
    """Sums of 2 x 2 pixels, so many times, as the pyramid of a file is made."""
    for _ in range(times):
        image = summed(image)
    return np.asarray(image, np.float32)
