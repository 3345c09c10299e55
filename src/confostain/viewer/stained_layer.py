"""Layer of a confocal slide: a channel or a stain, computed block by block on demand.

Full resolution is computed by the `TileStainer` that `confostain stain` uses. A coarser tile is the mean of these
pixels once all of them are computed, exactly as in the files that `confostain stain` writes; until then it is a
preview.

A slide that is reduced for a network has the pixels of its reduced view, each shown in all level-0 pixels of its block.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from itertools import product

import numpy as np
from scipy import ndimage

from confostain.arrays import Mask, Rgb
from confostain.geometry import Region, Size
from confostain.imaging.tissue import TissueMask
from confostain.inference.reduced_slide import reduced
from confostain.inference.tile_stainer import TileStainer
from confostain.io.writers.pyramid import TILE, WHITE, Sums, level_sizes, rounded_mean, summed, white_sums
from confostain.models.stainer import Model
from confostain.slide import Slide
from confostain.viewer.block_store import BlockStore
from confostain.viewer.layer import LayerInfo, PixelSource, TileIndex, Work
from confostain.viewer.preview import LEARN_LEVEL, Preview

BLOCK = 512  # px of level 0 computed at once: two tiles, because a halo costs less around a larger block
PREVIEW_LEVEL = 2  # from here on a tile covers more than one block: too much to compute while a client waits
MEAN_LEVEL = 4  # whose sums are kept in memory for the whole slide: 16 px of level 0 to one, 5 % of its bytes


class StainedLayer:
    """A channel or a stain of a confocal slide whose tissue mask has been computed.

    Blocks are BLOCK x BLOCK pixels of level 0 and are indexed by (row, column).
    """

    def __init__(
        self,
        info: LayerInfo,
        slide: Slide,
        load: Callable[[], Model],
        preview: Preview,
        store: BlockStore,
        reduction: int = 1,
    ) -> None:
        """Compute pixels with the model that `load` returns at first use; show `preview` until then.

        `reduction` is the factor by which the slide is reduced for the model.
        """
        self.info = info
        self._slide = slide
        self._size = Size(*slide.size)
        self._sizes = level_sizes(self._size)
        self._load = load
        self._preview = preview
        self._store = store
        self._reduction = reduction
        self._stainer: TileStainer | None = None
        self._stainer_lock = threading.Lock()
        tissue_only = preview.tissue_only
        self._blank = (
            _without_tissue(slide.tissue, reduction) if tissue_only else np.zeros(_block_counts(self._size), bool)
        )
        self._summed = self._blank.copy()  # blocks whose sums are known
        self._pending = ~self._blank  # blocks for background work
        self._sums = white_sums(self._size, MEAN_LEVEL)  # of the computed pixels, (h, w, 3) at MEAN_LEVEL

    def version(self, tile: TileIndex) -> str:
        """A string that changes whenever the pixels of the tile change."""
        return "final" if self._is_final(tile) else f"preview {self._preview.revision}"

    def preparation(self, tile: TileIndex) -> tuple[Hashable, Work] | None:
        """Key and computation of the block that a tile of level 0 or 1 lies in, unless it is known."""
        if tile.level >= PREVIEW_LEVEL:
            return None
        region = tile.level0_region(self._size)
        block = (region.y // BLOCK, region.x // BLOCK)
        if self._blank[block] or self._key(*block) in self._store:
            return None
        return self._key(*block), lambda: self._stain_block(*block)

    def render(self, tile: TileIndex) -> tuple[Rgb, PixelSource]:
        """Pixels of the tile; a preview where computing them takes long."""
        region = tile.level0_region(self._size)
        if not self._is_final(tile):
            if tile.level < MEAN_LEVEL:
                for block in self._unknown_blocks(region):  # includes blocks that the store has evicted
                    self._pending[block] = True
            return self._preview.render(region, 1 << tile.level), "closed-form"
        if tile.level >= MEAN_LEVEL:
            return self._mean_from_sums(tile), "average"
        if tile.level:
            sums = _repeatedly_summed(self._assemble(region), tile.level)
            return rounded_mean(sums, region.size, tile.level), "average"
        return self._assemble(region), "closed-form" if self.info.closed_form else "network"

    def final_fractions(self) -> list[float]:
        """For each level, the fraction of the slide that shows final pixels instead of a preview, in [0, 1]."""
        fraction = float(self._summed.mean())
        return [1.0 if level < PREVIEW_LEVEL else fraction for level in range(len(self._sizes))]

    def next_background_work(self, level0_xy: tuple[float, float]) -> Work | None:
        """Computation of the pending block nearest to a point."""
        blocks = np.argwhere(self._pending)
        if not len(blocks):
            return None
        squared_distances = ((blocks + 0.5) * BLOCK - level0_xy[::-1]) ** 2
        row, column = map(int, blocks[squared_distances.sum(axis=1).argmin()])
        self._pending[row, column] = False
        return lambda: self._stain_block(row, column)

    def _is_final(self, tile: TileIndex) -> bool:
        """Whether the tile's own pixels are known, or few enough to be computed while a client waits."""
        region = tile.level0_region(self._size)
        if tile.level >= MEAN_LEVEL:
            return bool(self._summed[_block_slices(region)].all())
        return tile.level < PREVIEW_LEVEL or not any(self._unknown_blocks(region))

    def _unknown_blocks(self, level0_region: Region) -> Iterator[tuple[int, int]]:
        for block in _blocks(level0_region):
            if not self._blank[block] and self._key(*block) not in self._store:
                yield block

    def _key(self, row: int, column: int) -> tuple[object, ...]:
        return id(self), row, column

    def _tile_stainer(self) -> TileStainer:
        with self._stainer_lock:
            if self._stainer is None:
                view = reduced(self._slide, self._reduction)
                masks = (view.tissue, view.not_scanned) if self._preview.tissue_only else ()
                self._stainer = TileStainer(view.read, view.size, self._load(), *masks)
            return self._stainer

    def _stained(self, level0_region: Region) -> Rgb | None:
        """Stained pixels of a region, of a reduced slide in the pixels of level 0; None if all are white."""
        stainer, factor = self._tile_stainer(), self._reduction
        area = level0_region.reduced(factor)
        rgb = stainer.stain_tile(stainer.grid(area, BLOCK).at(0, 0))
        if rgb is None or factor == 1:
            return rgb
        rgb = rgb.repeat(factor, axis=0).repeat(factor, axis=1)
        return rgb[level0_region.slices_in(area.enlarged(factor))]

    def _block(self, row: int, column: int) -> Rgb | None:
        """Pixels of a block; None if all are white."""
        if self._blank[row, column]:
            return None
        stored = self._store.get(self._key(row, column))
        return self._stain_block(row, column) if stored is None else stored

    def _stain_block(self, row: int, column: int) -> Rgb | None:
        block = Region(column * BLOCK, row * BLOCK, BLOCK, BLOCK)
        rgb = self._stained(block.intersection(self._size.region))
        if rgb is not None:
            self._store.put(self._key(row, column), rgb)
            self._add_sums(row, column, rgb)
        self._summed[row, column] = True
        self._pending[row, column] = False
        return rgb

    def _assemble(self, level0_region: Region) -> Rgb:
        """Pixels of a region at full resolution, put together from blocks."""
        rgb = np.full((level0_region.height, level0_region.width, 3), WHITE, np.uint8)
        for row, column in _blocks(level0_region):
            block = self._block(row, column)
            if block is not None:
                covered = _block_region(row, column, block)
                common = covered.intersection(level0_region)
                rgb[common.slices_in(level0_region)] = block[common.slices_in(covered)]
        return rgb

    def _add_sums(self, row: int, column: int, rgb: Rgb) -> None:
        sums, side = _repeatedly_summed(rgb, MEAN_LEVEL), BLOCK >> MEAN_LEVEL
        height, width = sums.shape[:2]
        self._sums[row * side : row * side + height, column * side : column * side + width] = sums
        if not self.info.closed_form:
            region = _block_region(row, column, rgb)
            coarse = _repeatedly_summed(sums, LEARN_LEVEL - MEAN_LEVEL)
            self._preview.learn(region, rounded_mean(coarse, region.size, LEARN_LEVEL))

    def _mean_from_sums(self, tile: TileIndex) -> Rgb:
        side = TILE << (tile.level - MEAN_LEVEL)
        x, y = tile.column * side, tile.row * side
        sums = _repeatedly_summed(self._sums[y : y + side, x : x + side], tile.level - MEAN_LEVEL)
        return rounded_mean(sums, tile.level0_region(self._size).size, tile.level)


def _block_counts(size: Size) -> tuple[int, int]:
    """Rows and columns of blocks."""
    return -(-size.height // BLOCK), -(-size.width // BLOCK)


def _block_region(row: int, column: int, block: Rgb) -> Region:
    """Level-0 region of a block."""
    return Region(column * BLOCK, row * BLOCK, block.shape[1], block.shape[0])


def _block_slices(level0_region: Region) -> tuple[slice, slice]:
    """Rows and columns of the blocks that a region meets."""
    return (
        slice(level0_region.y // BLOCK, -(-level0_region.bottom // BLOCK)),
        slice(level0_region.x // BLOCK, -(-level0_region.right // BLOCK)),
    )


def _blocks(level0_region: Region) -> Iterator[tuple[int, int]]:
    """Row and column of each block that a region meets."""
    rows, columns = _block_slices(level0_region)
    return product(range(rows.start, rows.stop), range(columns.start, columns.stop))


def _without_tissue(tissue: TissueMask, reduction: int) -> Mask:
    """Blocks without tissue, bool (rows, columns): `not tissue.touches(block)` for all blocks at once.

    Pixels of a reduced slide that lie across the edge of a block may meet the next cell.
    """
    near_tissue = ndimage.maximum_filter(tissue.cells, 3 if BLOCK % reduction == 0 else 5)
    rows, columns = (np.arange(0, length, BLOCK // tissue.cell) for length in near_tissue.shape)
    return ~np.logical_or.reduceat(np.logical_or.reduceat(near_tissue, rows, axis=0), columns, axis=1)


def _repeatedly_summed(image: Rgb | Sums, times: int) -> Sums:
    """Sums of 2 x 2 pixels, `times` times, as the pyramid of a file is made."""
    for _ in range(times):
        image = summed(image)
    return np.asarray(image, np.float32)
