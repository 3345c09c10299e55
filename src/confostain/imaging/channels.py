"""Check for swapped channels: fluorescence is the one whose nuclei stand out as small bright blobs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Fields = npt.NDArray[np.float32]  # (n, h, w) in [0, 1]

BLOB_SIGMA = 1.5  # px; nuclei are 5 to 12 px wide
SURROUND_SIGMA = 4.0  # px
MIN_BRIGHTNESS = 0.2  # of the range: pixels in darker surroundings, such as glass, are left out
MIN_PIXELS = 1 << 14  # above that brightness: in fewer, the tails of the distribution are unreliable

# Measured on 6 fields of 256 px. Two skins and a prostate: F 0.50 to 0.54, R -0.01 to 0.18; phantom skin:
# F 0.62 to 0.72, R -0.31 to 0.00; five mosaics at 10 um/px, where no nucleus is resolved: -0.17 to 0.19.
NUCLEI_ASYMMETRY = 0.3  # a channel above this shows nuclei
MIN_DIFFERENCE = 0.15  # by which one channel must exceed the other


def blob_asymmetry(fields: Fields) -> float:
    """Asymmetry of local contrast: logarithm of its bright tail (percentile 99) over its dark tail (percentile 1).

    The contrast is a difference of Gaussians relative to the surroundings, so that uneven illumination, gain and the
    large bright areas of reflectance do not count. Speckle is nearly symmetric. 0 where too few pixels are bright.
    """
    small = ndimage.gaussian_filter(fields, (0, BLOB_SIGMA, BLOB_SIGMA))
    surround = ndimage.gaussian_filter(fields, (0, SURROUND_SIGMA, SURROUND_SIGMA))
    bright = surround > MIN_BRIGHTNESS
    if np.count_nonzero(bright) < MIN_PIXELS:
        return 0.0
    lower, middle, upper = np.percentile(small[bright] / surround[bright], [1, 50, 99])
    if not lower < middle < upper:
        return 0.0
    return float(np.log((upper - middle) / (middle - lower)))


def look_swapped(reflectance: Fields, fluorescence: Fields) -> bool:
    """Whether the channel given as reflectance shows nuclei and the fluorescence does not; False when unsure."""
    asymmetry = blob_asymmetry(reflectance)
    return asymmetry > NUCLEI_ASYMMETRY and asymmetry > blob_asymmetry(fluorescence) + MIN_DIFFERENCE
