"""Which patches of H&E are worth learning from: tissue, without ink or folds, in focus.

Everything is judged at 0.75 um/px. Tissue is found once per slide, on an overview; the rest is seen in the patch.
Thresholds were set on three sections of skin from one scanner and 60 patches of bone from another; each constant
says what was measured there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from confostain.arrays import REFERENCE_MPP, Image, Mask, Rgb
from confostain.geometry import Region
from confostain.imaging.histology_tissue import tissue_mask
from confostain.imaging.optical_density import optical_density
from confostain.imaging.tissue import without_holes, without_specks

Fault = Literal["blank", "ink", "folded", "out of focus"]

OVERVIEW_STEP = 16  # patch pixels in one pixel of the overview
OVERVIEW_MICRONS = OVERVIEW_STEP * REFERENCE_MPP

# The overview.
WHITE = 220.0  # glass is at least as bright as this, or no glass is in the picture
SMALLEST_TISSUE = 12  # overview pixels: 40 x 40 um; less is a speck
LARGEST_HOLE = 1024  # overview pixels: 0.15 mm2; lumina and fat cells belong to the tissue
BRIDGED_GAP = 3  # overview pixels: clefts and fat cells up to 36 um wide

# The patch.
MIN_TISSUE = 0.3  # share of the patch
COARSE = 8  # px: ink and folds are judged on means over 6 um, where single nuclei no longer count
INK_BLUER = 1.15  # in dyed tissue red is never absorbed more than this times as much as green ...
INK_DENSITY = 0.08  # ... by more than this: at most 0.012 without ink, 0.2 to 0.9 on margin ink
BLACK_DENSITY = 0.45  # least density of any colour in black ink; the densest fold has more, but is coloured:
BLACK_EVENNESS = 0.7  # least over greatest density; epidermis reaches 0.65
MIN_INK = 0.003  # share of the patch: 40 x 40 um in 1024 px; black by chance is at most 0.001
FOLD_DENSITY = 0.7  # a fold has 0.7 to 1.2, stratum corneum up to 0.6 and a pool of blood 0.63 over 30 um
FOLD_RATIO = 1.6  # over the density that 10 % of the slide's tissue exceed: dark slides have folds as well
FOLD_WIDTH = 5  # coarse pixels: 30 um
MIN_FOLD = 0.005  # share of the patch; a fold that was seen covers 0.02, blood and hair at most 0.0002
FOCUS_WINDOW = 64  # px
MIN_STRUCTURE = 0.02  # standard deviation of the density between 1 and 3 px: less says nothing about focus
MIN_SHARPNESS = 0.32  # in focus 0.58 to 0.99, enlarged from 1 um/px 0.33 to 0.65; Gaussian blur of 1.5 px: 0.28 to 0.31


@dataclass(frozen=True, eq=False)
class HistologyBackground:
    """What holds for one whole H&E slide.

    Attributes:
        white: grey level of its glass.
        tissue: (rows, columns) of the overview, 12 um a pixel; lumina and small holes filled.
        fold_density: mean optical density above which wide areas are folds.
    """

    white: float
    tissue: Mask
    fold_density: float

    def tissue_share(self, scaled_region: Region) -> float:
        """Tissue as a share of a region, in pixels of 0.75 um."""
        rows, columns = (
            slice(start // OVERVIEW_STEP, -(-stop // OVERVIEW_STEP))
            for start, stop in ((scaled_region.y, scaled_region.bottom), (scaled_region.x, scaled_region.right))
        )
        cut = self.tissue[rows, columns]
        return float(cut.mean()) if cut.size else 0.0


def find_background(overview: Rgb) -> HistologyBackground:
    """Tell tissue from glass on an overview of the slide, uint8 (h, w, 3), 12 um a pixel."""
    brightness = overview.min(axis=-1)
    white = max(WHITE, float(np.percentile(brightness, 99)))
    seen = tissue_mask(overview, white)
    closed = ndimage.binary_closing(np.pad(seen, BRIDGED_GAP, "edge"), iterations=BRIDGED_GAP)
    tissue = without_holes(without_specks(_unpadded(closed), SMALLEST_TISSUE), LARGEST_HOLE)
    density = optical_density(overview, white).mean(axis=-1)
    dense = float(np.percentile(density[seen], 90)) if seen.any() else 0.0
    return HistologyBackground(white, tissue, max(FOLD_DENSITY, FOLD_RATIO * dense))


def _unpadded(mask: Mask) -> Mask:
    return mask[BRIDGED_GAP:-BRIDGED_GAP, BRIDGED_GAP:-BRIDGED_GAP]


def rejection_reason(patch: Rgb, ground: HistologyBackground) -> Fault | None:
    """Why a patch with enough tissue, uint8 (h, w, 3) at 0.75 um/px, should be left out; None where it is good."""
    density = optical_density(patch, ground.white)
    coarse = _block_means(density, COARSE)
    if ink_share(coarse) > MIN_INK:
        return "ink"
    if fold_share(coarse, ground.fold_density) > MIN_FOLD:
        return "folded"
    sharp = sharpness(density.mean(axis=-1))
    return None if sharp > MIN_SHARPNESS else "out of focus"


def ink_share(coarse: Image) -> float:
    """Share of blue, green or black ink in optical densities (h, w, 3), means over 6 um.

    Haematoxylin and eosin both absorb green most. Blue and green ink absorb red more; black ink absorbs all alike.
    Red ink cannot be told from eosin. Blue ink over eosin has the colour of haematoxylin: it shows on glass, and where
    it is dark it counts as a fold.
    """
    coloured = coarse[..., 0] - INK_BLUER * coarse[..., 1] > INK_DENSITY
    least, greatest = coarse.min(axis=-1), coarse.max(axis=-1)
    black = (least > BLACK_DENSITY) & (least > BLACK_EVENNESS * greatest)
    return float((coloured | black).mean())


def fold_share(coarse: Image, fold_density: float) -> float:
    """Share of wide and dark areas in optical densities (h, w, 3), means over 6 um.

    Two layers absorb twice as much as one. Folds of pale tissue are no darker than other tissue and go unnoticed.
    """
    dark = coarse.mean(axis=-1) > fold_density
    return float(ndimage.binary_opening(dark, np.ones((FOLD_WIDTH, FOLD_WIDTH), bool)).mean())


def sharpness(density: Image) -> float:
    """Structure finer than 1 px over structure of 1 to 3 px: the median over windows that hold any; 0 where none do.

    A ratio, since contrast alone says more about the tissue than about the focus. `density` is (h, w).
    """
    smooth = ndimage.gaussian_filter(density, 1.0)
    fine = _block_means(np.square(density - smooth), FOCUS_WINDOW)
    middle = _block_means(np.square(smooth - ndimage.gaussian_filter(density, 3.0)), FOCUS_WINDOW)
    structured = middle > MIN_STRUCTURE**2
    if not structured.any():
        return 0.0
    return float(np.sqrt(np.median(fine[structured] / middle[structured])))


def _block_means(image: npt.NDArray[np.float32], block: int) -> npt.NDArray[np.float32]:
    """Means over whole blocks of an image (h, w, ...); the block shrinks to fit a smaller image."""
    block = min(block, *image.shape[:2])
    rows, columns = image.shape[0] // block, image.shape[1] // block
    cut = image[: rows * block, : columns * block].reshape(rows, block, columns, block, *image.shape[2:])
    return cut.mean(axis=(1, 3), dtype=np.float32)
