"""Reduced view of a slide that is finer than what a network was trained for: means of blocks of level-0 pixels.

Blocks are counted from the left upper corner of the slide, so a pixel of the view is the same in whatever region it is
read. Blocks at the right and lower border are means of the pixels that are there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from confostain.arrays import Image, Mask, Pair
from confostain.geometry import Region, Size
from confostain.imaging.area_mean import AreaMean
from confostain.imaging.tissue import TissueMask
from confostain.slide import Slide

STRIP = 1024  # level-0 rows read at a time: what is read does not grow with the square of the factor


@dataclass(frozen=True)
class ReducedSlide:
    """Slide at 1 / `factor` of its size; several threads may use it at once. All regions are in its own pixels.

    Attributes:
        slide: what is reduced.
        factor: side of a block in level-0 pixels.
    """

    slide: Slide
    factor: int

    @property
    def size(self) -> Size:
        """(width, height) in blocks, incomplete ones included."""
        return self.slide.size.region.reduced(self.factor).size

    @property
    def microns_per_pixel(self) -> float | None:
        """Side of a block in um; None where the pixel size of the slide is unknown."""
        return None if self.slide.microns_per_pixel is None else self.factor * self.slide.microns_per_pixel

    @property
    def tissue(self) -> ReducedTissue:
        """Tissue mask of the slide, asked in blocks."""
        return ReducedTissue(self.slide.tissue, self.factor)

    def read(self, region: Region) -> Pair:
        """Means of R and F over the blocks of a region inside the view, float32 (2, h, w) in [0, 1].

        Raises:
            SlideError: a file is damaged.
        """
        strips = [level0 for _, level0 in _strips(region, self.factor, self.slide.size)]
        return np.concatenate([_block_means(self.slide.read(level0), self.factor) for level0 in strips], axis=1)

    def not_scanned(self, region: Region) -> Mask | None:
        """Mask of the blocks with any pixel that was not scanned, (h, w); None where all were. Raises as `read`."""
        mask = None
        for strip, level0 in _strips(region, self.factor, self.slide.size):
            missing = self.slide.not_scanned(level0)
            if missing is not None:
                mask = np.zeros((region.height, region.width), bool) if mask is None else mask
                shares = _block_means(missing[np.newaxis].astype(np.float32), self.factor)[0]
                mask[strip.slices_in(region)] = shares > 0
        return mask


@dataclass(frozen=True)
class ReducedTissue:
    """Tissue mask of a slide, asked in blocks of `factor` x `factor` level-0 pixels."""

    mask: TissueMask
    factor: int

    def touches(self, region: Region) -> bool:
        """Whether any block of a region has a coverage above 0."""
        return self.mask.touches(self._level0(region))

    def fills(self, region: Region) -> bool:
        """Whether every block of a region has a coverage of 1."""
        return self.mask.fills(self._level0(region))

    def coverage(self, region: Region) -> npt.NDArray[np.float32]:
        """Mean coverage of each block of a region: float32 (h, w) in [0, 1]."""
        strips = [level0 for _, level0 in _strips(region, self.factor, self.mask.size)]
        means = [_block_means(self.mask.coverage(level0)[np.newaxis], self.factor)[0] for level0 in strips]
        return np.concatenate(means)

    def _level0(self, region: Region) -> Region:
        return region.enlarged(self.factor).intersection(self.mask.size.region)


def reduced(slide: Slide, factor: int) -> Slide | ReducedSlide:
    """The slide itself for a factor of 1, else its reduced view."""
    return slide if factor == 1 else ReducedSlide(slide, factor)


def _strips(region: Region, factor: int, size: Size) -> Iterator[tuple[Region, Region]]:
    """Strips of a region in blocks, each with its level-0 pixels, in a slide of that size."""
    for strip in region.tiles(Size(region.width, max(1, STRIP // factor))):
        yield strip, strip.enlarged(factor).intersection(size.region)


def _block_means(pixels: Image, factor: int) -> Image:
    """Means of blocks from the corner of an array, float32 (channels, h, w); incomplete ones at its other edges."""
    size = Size(pixels.shape[2], pixels.shape[1])
    mean = AreaMean(size, factor, len(pixels))
    mean.add(size.region, pixels)
    return mean.image()
