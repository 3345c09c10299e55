"""Stain separation (colour deconvolution) of H&E: amounts of haematoxylin and eosin, and their proportion."""

from __future__ import annotations

import numpy as np

from confostain.arrays import Image, Rgb
from confostain.imaging.histology_tissue import tissue_mask
from confostain.imaging.optical_density import optical_density

# Optical density of a dye in red, green and blue (Ruifrok and Johnston 2001, Anal. Quant. Cytol. Histol. 23, 291).
HAEMATOXYLIN = (0.650, 0.704, 0.286)
EOSIN = (0.072, 0.990, 0.105)


def separate_stains(rgb: Rgb, white: float = 255.0) -> Image:
    """Amounts of haematoxylin and eosin in each pixel, in optical density: float32 (2, h, w), at least 0.

    Least squares on the published colours of the two dyes; the residual is dropped.

    Args:
        rgb: H&E, uint8 (h, w, 3).
        white: grey level of glass.
    """
    dyes = np.array([HAEMATOXYLIN, EOSIN])
    dyes /= np.linalg.norm(dyes, axis=1, keepdims=True)
    amounts = optical_density(rgb, white) @ np.linalg.pinv(dyes).astype(np.float32)
    return np.ascontiguousarray(np.moveaxis(np.maximum(amounts, np.float32(0)), -1, 0))


def haematoxylin_eosin_proportion(rgb: Rgb) -> float:
    """Haematoxylin as a share of both dyes, summed over the tissue of an H&E image, uint8 (h, w, 3); NaN without it."""
    tissue = tissue_mask(rgb)
    if not tissue.any():
        return float("nan")
    haematoxylin, eosin = (float(dye[tissue].sum(dtype=np.float64)) for dye in separate_stains(rgb))
    return haematoxylin / (haematoxylin + eosin) if haematoxylin + eosin else float("nan")
