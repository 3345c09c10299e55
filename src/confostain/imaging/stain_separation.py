"""Light absorbed by dyes: optical density, haematoxylin and eosin told apart, and their proportion."""

from __future__ import annotations

import numpy as np

from confostain.arrays import Image, Rgb
from confostain.imaging.histology_tissue import tissue_mask
from confostain.imaging.optical_density import optical_density

# Optical density of a dye in red, green and blue (Ruifrok and Johnston 2001, Anal. Quant. Cytol. Histol. 23, 291).
HAEMATOXYLIN = (0.650, 0.704, 0.286)
EOSIN = (0.072, 0.990, 0.105)


def separate_stains(rgb: Rgb, white: float = 255.0) -> Image:
    """How much haematoxylin and how much eosin lie in each pixel: float32 (2, h, w), not negative, in optical density.

    Least squares on the published colours of the two dyes; what neither explains is left over.
    """
    dyes = np.array([HAEMATOXYLIN, EOSIN])
    dyes /= np.linalg.norm(dyes, axis=1, keepdims=True)
    amounts = optical_density(rgb, white) @ np.linalg.pinv(dyes).astype(np.float32)
    return np.ascontiguousarray(np.moveaxis(np.maximum(amounts, np.float32(0)), -1, 0))


def haematoxylin_eosin_proportion(rgb: Rgb) -> float:
    """Haematoxylin as a share of both dyes, summed over the tissue of an image (h, w, 3); NaN without tissue."""
    tissue = tissue_mask(rgb)
    if not tissue.any():
        return float("nan")
    haematoxylin, eosin = (float(dye[tissue].sum(dtype=np.float64)) for dye in separate_stains(rgb))
    return haematoxylin / (haematoxylin + eosin) if haematoxylin + eosin else float("nan")
