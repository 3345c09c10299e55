"""Tissue mask of H&E images: pixels whose optical density, summed over red, green and blue, is above that of glass."""

from __future__ import annotations

import numpy as np

from confostain.arrays import Grey, Mask, Rgb
from confostain.imaging.optical_density import optical_density

# Summed over the three colours. The palest stroma of three sections of skin has 0.27, dirt on their glass 0.09. Read
# off the luminance alone, the mask differs in 0.5 % of the pixels of these sections.
TISSUE_DENSITY = 0.15
SHARE_STEP = 8  # px: the share of tissue is read off every eighth pixel in each direction


def tissue_mask(image: Rgb | Grey, white: float = 255.0) -> Mask:
    """Tissue of an H&E image, bool (h, w).

    Args:
        image: RGB, uint8 (h, w, 3), or its luminance, uint8 (h, w), which counts for each of the three colours.
        white: grey level of glass.
    """
    density = optical_density(image, white)
    return np.asarray((density.sum(axis=-1) if image.ndim == 3 else 3 * density) > TISSUE_DENSITY)


def tissue_share(image: Rgb | Grey, white: float = 255.0) -> float:
    """Tissue as a share of an H&E image, 0 to 1; arguments as of `tissue_mask`."""
    return float(tissue_mask(image[::SHARE_STEP, ::SHARE_STEP], white).mean())
