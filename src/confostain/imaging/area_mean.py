"""Area mean of an image that is read piece by piece: each output pixel is the mean of the input area that it covers."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import sparse

from confostain.arrays import Image
from confostain.geometry import Region, Size

ROUNDING = 0.01  # output pixels: a last row or column narrower than this is a rounding error of the scale


class AreaMean:
    """Image reduced by any factor of at least 1, not only whole ones; memory depends on the output alone.

    Output pixel (i, j) covers the rows [i * scale, (i + 1) * scale) of the input, and the columns likewise; an input
    pixel that lies in two of them counts in both, by its share of area. Pixels at the right and lower edge cover what
    is left of the image.

    Attributes:
        size: of the output in pixels.
    """

    def __init__(self, size: Size, scale: float, channels: int) -> None:
        """Start with no piece of an image of `size` pixels, whose pixels become `scale` times as wide and high."""
        self._input, self._scale = size, scale
        width, height = (max(1, math.ceil(length / scale - ROUNDING)) for length in size)
        self.size = Size(width, height)
        self._sums = np.zeros((channels, height, width), np.float32)

    def add(self, region: Region, piece: Image) -> None:
        """Add the pixels (channels, h, w) of a region of the input. Each pixel must be added exactly once."""
        top, down = _overlaps(region.y, region.bottom, self._scale, self.size.height)
        left, across = _overlaps(region.x, region.right, self._scale, self.size.width)
        for sums, channel in zip(self._sums, piece, strict=True):
            sums[top : top + down.shape[0], left : left + across.shape[0]] += (across @ (down @ channel).T).T

    def image(self) -> Image:
        """Mean over the area of each output pixel, float32 (channels, height, width)."""
        heights, widths = (
            np.diff(np.append(np.arange(count) * self._scale, length))
            for count, length in ((self.size.height, self._input.height), (self.size.width, self._input.width))
        )
        return np.asarray(self._sums / (heights[:, np.newaxis] * widths), np.float32)


def _overlaps(start: int, stop: int, scale: float, count: int) -> tuple[int, sparse.csr_array]:
    """Length that each output pixel shares with each of the input pixels start .. stop along one axis.

    Returns:
        The first output pixel that they meet, and the lengths as a sparse matrix (output pixels, stop - start). An
        input pixel meets two output pixels at most, since output pixels are not smaller.
    """
    pixels = np.arange(start, stop)
    first = np.minimum((pixels / scale).astype(np.intp), count - 1)
    second = np.minimum(first + 1, count - 1)
    share: npt.NDArray[np.float64] = np.clip((first + 1) * scale - pixels, 0, 1)
    offset = int(first[0])
    lengths = np.concatenate([share, 1 - share]).astype(np.float32)
    place = (np.concatenate([first, second]) - offset, np.tile(pixels - start, 2))
    return offset, sparse.csr_array((lengths, place), shape=(int(second[-1]) + 1 - offset, stop - start))
