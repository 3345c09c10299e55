"""Second nuclei audit, by colour deconvolution and a morphological detector, which the first audit does not use.

The first (`imaging.nuclei`) takes the logarithm of red light and differences of Gaussians. Here nuclei are the local
maxima of a white top-hat (Soille 2003, "Morphological Image Analysis", chapter 4): of the fluorescence itself, and of
the haematoxylin of the stain by the colour deconvolution of scikit-image (Ruifrok and Johnston 2001). Missing and
invented nuclei are then counted by the same rule.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from confostain.arrays import Rgb
from confostain.imaging.nuclei import Density, Nuclei, NucleiAudit, compare_nuclei

SMOOTHING = 2.0  # px, sigma of a Gaussian
LARGEST = 13  # px, side of the square of the top-hat: what is wider than it is background
MIN_DISTANCE = 3  # px: two nuclei are not closer than this in rows and in columns
MIN_FLUORESCENCE = 0.05  # height above the surroundings, of the range
MIN_HAEMATOXYLIN = 0.01  # height above the surroundings, in the unit of rgb2hed; nuclei of H&E have 0.03 to 0.1


def audit_by_deconvolution(fluorescence: Density, rgb: Rgb, microns_per_pixel: float) -> NucleiAudit:
    """Missing and invented nuclei of a stain by the second audit.

    Args:
        fluorescence: float32 (h, w) in [0, 1].
        rgb: stain of the same field, uint8 (h, w, 3).
        microns_per_pixel: pixel size of both in um.
    """
    area = fluorescence.size * (microns_per_pixel / 1000) ** 2
    true = detect_by_top_hat(fluorescence, MIN_FLUORESCENCE)
    return compare_nuclei(true, detect_by_top_hat(deconvolved_haematoxylin(rgb), MIN_HAEMATOXYLIN), area)


def deconvolved_haematoxylin(rgb: Rgb) -> Density:
    """Haematoxylin of an H&E image, uint8 (h, w, 3), by scikit-image's `rgb2hed`: float32 (h, w)."""
    from skimage.color import rgb2hed

    return np.asarray(rgb2hed(rgb)[..., 0], np.float32)


def detect_by_top_hat(density: Density, min_height: float) -> Nuclei:
    """Local maxima of the white top-hat of a smoothed image, at most 12 px wide, by decreasing height.

    Args:
        density: float32 (h, w), nuclei brighter than their surroundings.
        min_height: of the faintest nucleus that is detected above its surroundings, in the unit of `density`.
    """
    from skimage.feature import peak_local_max

    smooth = ndimage.gaussian_filter(density, SMOOTHING, mode="nearest")
    height = smooth - ndimage.grey_opening(smooth, (LARGEST, LARGEST), mode="nearest")
    places = peak_local_max(  # type: ignore[no-untyped-call]
        height, min_distance=MIN_DISTANCE, threshold_abs=min_height, exclude_border=False
    )
    heights = height[tuple(places.T)]
    order = np.argsort(-heights, kind="stable")
    return Nuclei(places[order].astype(np.float64), heights[order])
