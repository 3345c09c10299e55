"""Phantom slide: reflectance, fluorescence, H&E, tissue mask and nuclei of any region, from one ground truth.

The slide is generated in blocks on a fixed grid, and a block depends only on size, seed and position: a region is the
same however it is divided. Structures that cross blocks agree because all random numbers depend on absolute position
(`lattice.py`) and because each block is generated with a halo.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from confostain.arrays import REFERENCE_MPP
from confostain.errors import OptionError
from confostain.geometry import Region, Size
from confostain.simulation.phantom import render
from confostain.simulation.phantom.cells import Nuclei, joined, no_nuclei
from confostain.simulation.phantom.lattice import Canvas, Floats
from confostain.simulation.phantom.section import HALO, Section, section

BLOCK = 512  # px: side of the blocks in which the slide is generated; regions aligned to them cost least


@dataclass(frozen=True)
class Phantom:
    """Phantom slide with known ground truth.

    Regions are in level-0 pixels. Pixels outside the slide are 0 in the channels and white in the histology, and
    contain neither tissue nor nuclei.

    Attributes:
        size: of the slide in level-0 pixels.
        seed: of all random numbers.
        microns_per_pixel: pixel size to be written into files; structures have the size that they have at 0.75 um/px.
    """

    size: Size
    seed: int = 0
    microns_per_pixel: float = REFERENCE_MPP

    def __post_init__(self) -> None:
        if self.size.width < 1 or self.size.height < 1:
            raise OptionError(
                f"phantom of {self.size.width} x {self.size.height} px: expected at least 1 x 1; give a larger size"
            )

    def reflectance(self, region: Region) -> Floats:
        """Reflectance, float32 (h, w) in [0, 1], as a microscope records it: dark level, speckle, read noise."""
        return self._rendered(region, render.reflectance)

    def clean_reflectance(self, region: Region) -> Floats:
        """Reflectance without speckle and read noise, float32 (h, w) in [0, 1], with the dark level."""
        return self._rendered(region, render.clean_reflectance)

    def fluorescence(self, region: Region) -> Floats:
        """Fluorescence, float32 (h, w) in [0, 1]: acridine orange with haze, uneven dye, slight blur, white noise."""
        return self._rendered(region, render.fluorescence)

    def pair(self, region: Region) -> Floats:
        """Reflectance and fluorescence, float32 (2, h, w) in [0, 1]; the ground truth is computed once for both."""
        both = self._rendered(
            region, lambda view: np.stack([render.reflectance(view), render.fluorescence(view)], -1), 2
        )
        return np.moveaxis(both, -1, 0)

    def recorded_bands(self) -> Iterator[npt.NDArray[np.uint16]]:
        """Whole slide from top to bottom as in the files of a microscope: bands of uint16 (2, rows, width)."""
        for y in range(0, self.size.height, BLOCK):
            rows = min(BLOCK, self.size.height - y)
            band = np.empty((2, rows, self.size.width), np.uint16)
            for x in range(0, self.size.width, BLOCK):  # block by block: float32 takes twice the memory of uint16
                part = Region(x, y, min(BLOCK, self.size.width - x), rows)
                band[:, :, x : x + part.width] = np.rint(self.pair(part) * np.float32(65535))
            yield band

    def histology(self, region: Region) -> npt.NDArray[np.uint8]:
        """H&E section of the same tissue, uint8 (h, w, 3)."""
        picture = np.full((region.height, region.width, 3), 255, np.uint8)
        self._render(region, picture, render.histology)
        return picture

    def tissue(self, region: Region) -> npt.NDArray[np.bool_]:
        """Tissue mask, bool (h, w): true on tissue with its clefts and lumina, false on glass."""
        return self._rendered(region, lambda view: view.tissue) > 0.5

    def nuclei(self, region: Region) -> Nuclei:
        """Nuclei whose centres lie in `region`; their order depends on the region."""
        visible = region.intersection(self.size.region)
        found = [no_nuclei()]
        for block in _blocks(visible):
            cells = _section(self.size, self.seed, block.x, block.y)[1]
            found.append(cells.within(block.intersection(visible)))
        return joined(found)

    def _rendered(self, region: Region, render_block: Callable[[Section], Floats], channels: int = 0) -> Floats:
        shape = (region.height, region.width, channels) if channels else (region.height, region.width)
        picture = np.zeros(shape, np.float32)
        self._render(region, picture, render_block)
        return picture

    def _render(
        self,
        region: Region,
        picture: npt.NDArray[np.generic],
        render_block: Callable[[Section], npt.NDArray[np.generic]],
    ) -> None:
        """Fill `picture`, which covers `region`, block by block."""
        visible = region.intersection(self.size.region)
        for block in _blocks(visible):
            part = block.intersection(visible)
            pixels = render_block(_section(self.size, self.seed, block.x, block.y)[0])
            picture[part.slices_in(region)] = pixels[part.slices_in(block.grown(HALO))]


@lru_cache(maxsize=4)  # about 16 MB each: the channels of a block are usually rendered one after another
def _section(size: Size, seed: int, x: int, y: int) -> tuple[Section, Nuclei]:
    return section(Canvas(x, y, BLOCK, seed), size)


def _blocks(region: Region) -> list[Region]:
    """Blocks that meet `region`, row by row."""
    if region.is_empty:
        return []
    rows = range(region.y // BLOCK * BLOCK, region.bottom, BLOCK)
    columns = range(region.x // BLOCK * BLOCK, region.right, BLOCK)
    return [Region(x, y, BLOCK, BLOCK) for y in rows for x in columns]
