"""A slide of skin that nobody ever cut: painted at any size and seed, region by region, from one truth.

Everything is painted in blocks on a fixed grid, and a block follows from (size, seed, place) alone: any two ways of
cutting a region into pieces give the same bits. Structures that cross blocks agree because all randomness hangs on
absolute position (`lattice.py`) and because each block is painted with a halo.
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

BLOCK = 512  # px: side of the squares in which the slide is painted; regions aligned to it waste nothing


@dataclass(frozen=True)
class Phantom:
    """One painted slide with known truth.

    Regions are in level-0 pixels. Pixels outside the slide are 0 in the channels and white in the histology, and
    hold neither tissue nor nuclei.
    """

    size: Size  # level-0 pixels
    seed: int = 0  # another seed is another patient
    microns_per_pixel: float = REFERENCE_MPP  # written into files; structures are drawn at the reference pixel size

    def __post_init__(self) -> None:
        """Refuse a slide without pixels."""
        if self.size.width < 1 or self.size.height < 1:
            raise OptionError(
                f"phantom of {self.size.width} x {self.size.height} px: expected at least 1 x 1; give a larger size"
            )

    def reflectance(self, region: Region) -> Floats:
        """Return R (h, w) in [0, 1] as the microscope records it: dark pedestal, speckle, read noise."""
        return self._painted(region, render.reflectance)

    def clean_reflectance(self, region: Region) -> Floats:
        """Return R (h, w) in [0, 1] without speckle and read noise; the pedestal is still in it."""
        return self._painted(region, render.clean_reflectance)

    def fluorescence(self, region: Region) -> Floats:
        """Return F (h, w) in [0, 1]: acridine orange with haze, uneven dye, slight blur and white noise."""
        return self._painted(region, render.fluorescence)

    def pair(self, region: Region) -> Floats:
        """Return (2, h, w): `reflectance` and `fluorescence`, the truth painted once for both."""
        both = self._painted(
            region, lambda view: np.stack([render.reflectance(view), render.fluorescence(view)], -1), 2
        )
        return np.moveaxis(both, -1, 0)

    def recorded_bands(self) -> Iterator[npt.NDArray[np.uint16]]:
        """Yield the whole slide from top to bottom as the instrument's files hold it: (2, rows, width), 16 bits."""
        for y in range(0, self.size.height, BLOCK):
            rows = min(BLOCK, self.size.height - y)
            band = np.empty((2, rows, self.size.width), np.uint16)
            for x in range(0, self.size.width, BLOCK):  # block by block: floats take twice the room of counts
                part = Region(x, y, min(BLOCK, self.size.width - x), rows)
                band[:, :, x : x + part.width] = np.rint(self.pair(part) * np.float32(65535))
            yield band

    def histology(self, region: Region) -> npt.NDArray[np.uint8]:
        """Return the H&E (h, w, 3) that would have been cut from the same tissue."""
        picture = np.full((region.height, region.width, 3), 255, np.uint8)
        self._paint(region, picture, render.histology)
        return picture

    def tissue(self, region: Region) -> npt.NDArray[np.bool_]:
        """Return (h, w): true on tissue, its clefts and lumina included; false on empty glass."""
        return self._painted(region, lambda view: view.tissue) > 0.5

    def nuclei(self, region: Region) -> Nuclei:
        """Return the nuclei whose centres lie in `region`; their order depends on the region."""
        visible = region.intersection(self.size.region)
        found = [no_nuclei()]
        for block in _blocks(visible):
            cells = _section(self.size, self.seed, block.x, block.y)[1]
            found.append(cells.within(block.intersection(visible)))
        return joined(found)

    def _painted(self, region: Region, painter: Callable[[Section], Floats], channels: int = 0) -> Floats:
        shape = (region.height, region.width, channels) if channels else (region.height, region.width)
        picture = np.zeros(shape, np.float32)
        self._paint(region, picture, painter)
        return picture

    def _paint(
        self,
        region: Region,
        picture: npt.NDArray[np.generic],
        painter: Callable[[Section], npt.NDArray[np.generic]],
    ) -> None:
        """Fill `picture`, which covers `region`, block by block."""
        visible = region.intersection(self.size.region)
        for block in _blocks(visible):
            part = block.intersection(visible)
            painted = painter(_section(self.size, self.seed, block.x, block.y)[0])
            picture[part.slices_in(region)] = painted[part.slices_in(block.grown(HALO))]


@lru_cache(maxsize=4)  # about 16 MB each: the channels of one block are usually asked for one after another
def _section(size: Size, seed: int, x: int, y: int) -> tuple[Section, Nuclei]:
    return section(Canvas(x, y, BLOCK, seed), size)


def _blocks(region: Region) -> list[Region]:
    """Return the blocks that meet `region`, row by row."""
    if region.is_empty:
        return []
    rows = range(region.y // BLOCK * BLOCK, region.bottom, BLOCK)
    columns = range(region.x // BLOCK * BLOCK, region.right, BLOCK)
    return [Region(x, y, BLOCK, BLOCK) for y in rows for x in columns]
