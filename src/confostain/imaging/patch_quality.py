"""Quality control of H&E patches for training: tissue share, pen ink, folds, focus.

Everything is measured at the reference pixel size, 0.75 um/px. The tissue mask is computed once per slide, on an
overview; the rest in the patch. Thresholds were set on three sections of skin from one scanner and 60 patches of bone
from another; each constant says what was measured there.
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

RejectionReason = Literal["blank", "ink", "folded", "out of focus"]

OVERVIEW_STEP = 16  # patch pixels per pixel of the overview
OVERVIEW_MICRONS = OVERVIEW_STEP * REFERENCE_MPP

# The overview.
MIN_WHITE = 220.0  # grey level of glass is at least this; a darker image shows no glass
SMALLEST_TISSUE = 12  # overview pixels: 40 x 40 um; smaller pieces are dirt
LARGEST_HOLE = 1024  # overview pixels: 0.15 mm2; lumina and fat cells belong to the tissue
BRIDGED_GAP = 3  # overview pixels: clefts and fat cells up to 36 um wide

# The patch.
MIN_TISSUE = 0.3  # share of the patch
COARSE = 8  # px: ink and folds are measured on means over 6 um, where single nuclei no longer count
INK_RATIO = 1.15  # stained tissue absorbs at most this much more red than green ...
INK_DENSITY = 0.08  # ... and ink exceeds it by more than this: at most 0.012 without ink, 0.2 to 0.9 on margin ink
BLACK_DENSITY = 0.45  # lowest density of the three colours in black ink; the densest fold has more, but is coloured:
BLACK_EVENNESS = 0.7  # lowest over highest density; epidermis reaches 0.65
MIN_INK = 0.003  # share of the patch: 40 x 40 um in 1024 px; black by chance is at most 0.001
FOLD_DENSITY = 0.7  # a fold has 0.7 to 1.2, stratum corneum up to 0.6 and a pool of blood 0.63 over 30 um
FOLD_RATIO = 1.6  # over the 90th percentile of the density of the slide's tissue: for dark slides
FOLD_WIDTH = 5  # coarse pixels: 30 um
MIN_FOLD = 0.005  # share of the patch; a visible fold covers 0.02, blood and hair at most 0.0002
FOCUS_WINDOW = 64  # px
MIN_STRUCTURE = 0.02  # standard deviation of the density between 1 and 3 px: with less, focus cannot be measured
MIN_SHARPNESS = 0.32  # in focus 0.58 to 0.99, enlarged from 1 um/px 0.33 to 0.65; Gaussian blur of 1.5 px: 0.28 to 0.31


@dataclass(frozen=True, eq=False)
class HistologyBackground:
    """Glass and tissue of one H&E slide.

    Attributes:
        white: grey level of the glass.
        tissue: tissue mask of the overview, bool (rows, columns), 12 um a pixel; lumina and small holes filled.
        fold_density: optical density, mean over the colours, above which wide areas are folds.
    """

    white: float
    tissue: Mask
    fold_density: float

    def tissue_share(self, scaled_region: Region) -> float:
        """Tissue as a share of a region in pixels of 0.75 um, 0 to 1."""
        rows, columns = (
            slice(start // OVERVIEW_STEP, -(-stop // OVERVIEW_STEP))
            for start, stop in ((scaled_region.y, scaled_region.bottom), (scaled_region.x, scaled_region.right))
        )
        cut = self.tissue[rows, columns]
        return float(cut.mean()) if cut.size else 0.0


def find_background(overview: Rgb) -> HistologyBackground:
    """Glass and tissue of a slide, from an overview, uint8 (h, w, 3), 12 um a pixel."""
    brightness = overview.min(axis=-1)
    white = max(MIN_WHITE, float(np.percentile(brightness, 99)))
    mask = tissue_mask(overview, white)
    closed = ndimage.binary_closing(np.pad(mask, BRIDGED_GAP, "edge"), iterations=BRIDGED_GAP)
    tissue = without_holes(without_specks(_unpadded(closed), SMALLEST_TISSUE), LARGEST_HOLE)
    density = optical_density(overview, white).mean(axis=-1)
    dense = float(np.percentile(density[mask], 90)) if mask.any() else 0.0
    return HistologyBackground(white, tissue, max(FOLD_DENSITY, FOLD_RATIO * dense))


def _unpadded(mask: Mask) -> Mask:
    return mask[BRIDGED_GAP:-BRIDGED_GAP, BRIDGED_GAP:-BRIDGED_GAP]


def rejection_reason(patch: Rgb, background: HistologyBackground) -> RejectionReason | None:
    """Reason to leave out a patch that has enough tissue, uint8 (h, w, 3) at 0.75 um/px; None if it is good."""
    density = optical_density(patch, background.white)
    coarse = _block_means(density, COARSE)
    if ink_share(coarse) > MIN_INK:
        return "ink"
    if fold_share(coarse, background.fold_density) > MIN_FOLD:
        return "folded"
    sharp = sharpness(density.mean(axis=-1))
    return None if sharp > MIN_SHARPNESS else "out of focus"


def ink_share(coarse: Image) -> float:
    """Blue, green or black pen ink as a share of a patch, from optical densities (h, w, 3), means over 6 um.

    Haematoxylin and eosin both absorb green most. Blue and green ink absorb more red; black ink absorbs all colours
    alike. Red ink cannot be distinguished from eosin. Blue ink over eosin has the colour of haematoxylin: it is
    detected on glass only, and where it is dark it counts as a fold.
    """
    coloured = coarse[..., 0] - INK_RATIO * coarse[..., 1] > INK_DENSITY
    least, greatest = coarse.min(axis=-1), coarse.max(axis=-1)
    black = (least > BLACK_DENSITY) & (least > BLACK_EVENNESS * greatest)
    return float((coloured | black).mean())


def fold_share(coarse: Image, fold_density: float) -> float:
    """Wide dark areas as a share of a patch, from optical densities (h, w, 3), means over 6 um.

    Two layers absorb twice as much as one. Folds of pale tissue are no darker than other tissue and are not detected.
    """
    dark = coarse.mean(axis=-1) > fold_density
    return float(ndimage.binary_opening(dark, np.ones((FOLD_WIDTH, FOLD_WIDTH), bool)).mean())


def sharpness(density: Image) -> float:
    """Focus measure of an optical density (h, w): structure finer than 1 px over structure of 1 to 3 px.

    The median over windows with enough structure; 0 where there is none. A ratio, since contrast alone says more
    about the tissue than about the focus.
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
