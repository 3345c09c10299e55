"""Nucleus detection in fluorescence and in H&E, and the audit of a stain: missing and invented nuclei.

A nucleus is a round blob, 4 to 12 px wide at the reference pixel size, that is brighter than its surroundings. One
detector serves both images, the fluorescence and the haematoxylin density of a stain, so that differences between
detectors cannot be taken for missing or invented nuclei.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree

from confostain.arrays import REFERENCE_MPP, Rgb
from confostain.errors import OptionError

Density = npt.NDArray[np.float32]  # (h, w), higher where there is more chromatin
Points = npt.NDArray[np.float64]  # (n, 2), row and column in px; the centre of pixel (0, 0) is (0, 0)
Chosen = npt.NDArray[np.bool_]  # (n,)

# Gaussian sigmas, px. The difference of neighbouring scales responds most to discs with a radius of 1.67 times the
# smaller sigma: 5 to 10 px wide
SIGMAS = (1.5, 1.5 * math.sqrt(2), 3.0, 3.0 * math.sqrt(2))
DISC_RESPONSE = 0.25  # of such a difference at the centre of a disc of height 1 of that size
MIN_DISTANCE = 3  # px: two nuclei are not closer than this in rows and in columns
MIN_ROUNDNESS = 0.15  # weaker over stronger curvature: 0 on a line, 1 on a disc
MATCH_DISTANCE = 5.0  # px: within it, two detections are the same nucleus

MIN_CONTRAST_FLUORESCENCE = 0.05  # of the range; the response to noise has a standard deviation of about 0.01
MIN_CONTRAST_STAIN = 0.10  # natural logarithm of red light; in H&E nuclei have 0.3 to 1, stroma 0.1 to 0.2
CERTAIN_CONTRAST_STAIN = 0.40  # in real H&E hardly anything but nuclei has as much


@dataclass(frozen=True, eq=False)
class Nuclei:
    """Nuclei detected in one image, in order of decreasing contrast.

    Attributes:
        yx: float64 (n, 2), row and column of the centres in px.
        contrast: float32 (n,), height of each above its surroundings, in the unit of the image.
    """

    yx: Points
    contrast: npt.NDArray[np.float32]

    def __len__(self) -> int:
        """Return the number of nuclei."""
        return len(self.contrast)

    @property
    def clear(self) -> Chosen:
        """Mask of the half with the higher contrast: bool (n,)."""
        return np.arange(len(self)) < (len(self) + 1) // 2

    def above(self, contrast: float) -> Nuclei:
        """Nuclei of at least that contrast."""
        number = int(np.count_nonzero(self.contrast >= contrast))
        return Nuclei(self.yx[:number], self.contrast[:number])


def detect_nuclei(density: Density, min_contrast: float) -> Nuclei:
    """Round blobs, 4 to 12 px wide, by differences of Gaussians.

    Args:
        density: float32 (h, w), nuclei brighter than their surroundings.
        min_contrast: height of the faintest disc that is detected, in the unit of `density`.
    """
    smooth = [ndimage.gaussian_filter(density, sigma, mode="nearest") for sigma in SIGMAS]
    responses = np.stack([fine - coarse for fine, coarse in itertools.pairwise(smooth)])
    contrast = responses.max(axis=0) / np.float32(DISC_RESPONSE)
    peak = ndimage.maximum_filter(contrast, 2 * MIN_DISTANCE + 1, mode="nearest") == contrast
    is_round = _roundness(density, SIGMAS[1]) >= MIN_ROUNDNESS
    rows, columns = np.nonzero(peak & (contrast >= min_contrast) & is_round)
    order = np.argsort(-contrast[rows, columns], kind="stable")
    yx = np.column_stack([rows, columns])[order].astype(np.float64)
    return Nuclei(yx, contrast[rows, columns][order])


def _roundness(density: Density, sigma: float) -> Density:
    """Weaker over stronger principal curvature, (h, w): 1 on a round blob, 0 on a line, negative on a saddle."""
    down, mixed, across = (
        ndimage.gaussian_filter(density, sigma, order=order, mode="nearest") for order in ((2, 0), (1, 1), (0, 2))
    )
    middle = -(down + across) / 2
    spread = np.hypot((down - across) / 2, mixed)
    return (middle - spread) / np.maximum(middle + spread, np.float32(1e-9))


def nuclei_in_fluorescence(fluorescence: Density) -> Nuclei:
    """Nuclei in the fluorescence channel, float32 (h, w) in [0, 1]."""
    return detect_nuclei(fluorescence, MIN_CONTRAST_FLUORESCENCE)


def nuclei_in_stain(rgb: Rgb) -> Nuclei:
    """Nuclei in an H&E image, real or digitally stained, uint8 (h, w, 3)."""
    return detect_nuclei(haematoxylin(rgb), MIN_CONTRAST_STAIN)


def haematoxylin(rgb: Rgb) -> Density:
    """Optical density of red light (natural logarithm), float32 (h, w): haematoxylin absorbs it, eosin hardly does."""
    red = np.maximum(rgb[..., 0], 1).astype(np.float32)
    return np.log(np.float32(255) / red)


@dataclass(frozen=True)
class Agreement:
    """Counts of detected and true nuclei; those of several images can be added.

    Attributes:
        detected: nuclei detected.
        correct: of those detected, how many are true.
        true: true nuclei.
        recalled: of the true ones, how many were detected.
    """

    detected: int
    correct: int
    true: int
    recalled: int

    def __add__(self, other: Agreement) -> Agreement:
        """Sum of the counts of two images."""
        return Agreement(
            self.detected + other.detected,
            self.correct + other.correct,
            self.true + other.true,
            self.recalled + other.recalled,
        )

    @property
    def precision(self) -> float:
        """True nuclei as a share of those detected; 1 where none was detected."""
        return self.correct / self.detected if self.detected else 1.0

    @property
    def recall(self) -> float:
        """Detected nuclei as a share of the true ones; 1 where there is none."""
        return self.recalled / self.true if self.true else 1.0

    @property
    def f1(self) -> float:
        """F1 score: harmonic mean of precision and recall."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def match_nuclei(a: Nuclei, b: Nuclei, max_distance: float = MATCH_DISTANCE) -> npt.NDArray[np.intp]:
    """One-to-one matches between two sets of nuclei, nearest first: indices (pairs, 2) into `a` and into `b`.

    Two nuclei can match if they are at most `max_distance` px from each other.
    """
    if not (len(a) and len(b)):
        return np.empty((0, 2), np.intp)
    near = cKDTree(a.yx).sparse_distance_matrix(cKDTree(b.yx), max_distance, output_type="ndarray")
    taken_a, taken_b = np.zeros(len(a), np.bool_), np.zeros(len(b), np.bool_)
    pairs = []
    for i, j, _ in np.sort(near, order=["v", "i", "j"]).tolist():
        if not (taken_a[i] or taken_b[j]):
            taken_a[i] = taken_b[j] = True
            pairs.append((i, j))
    return np.array(pairs, np.intp).reshape(-1, 2)


def agreement(detected: Nuclei, true: Nuclei, min_contrast: float = CERTAIN_CONTRAST_STAIN) -> Agreement:
    """Agreement of detected with true nuclei, matched one to one.

    Nuclei with a contrast of at least `min_contrast` are counted; a match needs only half of it. Otherwise a nucleus
    just above the limit in one image and just below it in the other would count as two errors.
    """
    half = min_contrast / 2
    return Agreement(
        detected=len(detected.above(min_contrast)),
        correct=len(match_nuclei(detected.above(min_contrast), true.above(half))),
        true=len(true.above(min_contrast)),
        recalled=len(match_nuclei(detected.above(half), true.above(min_contrast))),
    )


@dataclass(frozen=True, eq=False)
class NucleiAudit:
    """Nuclei audit of a stain, for the clear nuclei: in each image, the half with the higher contrast.

    Attributes:
        matched: clear nuclei of the fluorescence that are in the stain, (n, 2) row and column in px.
        missing: clear nuclei of the fluorescence without any nucleus, clear or faint, in the stain within 5 px.
        invented: clear nuclei of the stain without any nucleus, clear or faint, in the fluorescence within 5 px.
        supported: the other clear nuclei of the stain.
        missing_share: missing ones as a share of the clear nuclei of the fluorescence; 0 where it has none.
        invented_share: invented ones as a share of the clear nuclei of the stain; 0 where it has none.
        area: of the image in mm2.
    """

    matched: Points
    missing: Points
    invented: Points
    supported: Points
    missing_share: float
    invented_share: float
    area: float

    @property
    def missing_per_mm2(self) -> float:
        """Missing nuclei per square millimetre of image."""
        return len(self.missing) / self.area

    @property
    def invented_per_mm2(self) -> float:
        """Invented nuclei per square millimetre of image."""
        return len(self.invented) / self.area


def audit_nuclei(fluorescence: Density, rgb: Rgb, microns_per_pixel: float = REFERENCE_MPP) -> NucleiAudit:
    """Missing and invented nuclei of a stain, compared with the fluorescence that it was made from.

    Args:
        fluorescence: float32 (h, w) in [0, 1].
        rgb: stain of the same field, uint8 (h, w, 3).
        microns_per_pixel: pixel size of both in um; the detector expects about 0.75.

    Raises:
        OptionError: the two differ in size, or have no pixel.
    """
    if rgb.shape != (*fluorescence.shape, 3) or fluorescence.size == 0:
        raise OptionError(
            f"fluorescence {fluorescence.shape} and stain {rgb.shape}: expected (h, w) and (h, w, 3) of one field; "
            "give the stain of this fluorescence"
        )
    area = fluorescence.size * (microns_per_pixel / 1000) ** 2
    return compare_nuclei(nuclei_in_fluorescence(fluorescence), nuclei_in_stain(rgb), area)


def compare_nuclei(true: Nuclei, stained: Nuclei, area: float) -> NucleiAudit:
    """Missing and invented nuclei of a stain.

    Args:
        true: nuclei of the fluorescence.
        stained: nuclei of its stain.
        area: of the image in mm2.
    """
    kept, supported = _has_neighbour(true, stained), _has_neighbour(stained, true)
    missing, invented = true.clear & ~kept, stained.clear & ~supported
    return NucleiAudit(
        matched=true.yx[true.clear & kept],
        missing=true.yx[missing],
        invented=stained.yx[invented],
        supported=stained.yx[stained.clear & supported],
        missing_share=_share(missing, true.clear),
        invented_share=_share(invented, stained.clear),
        area=area,
    )


def _has_neighbour(a: Nuclei, b: Nuclei) -> Chosen:
    """Mask of the nuclei of `a` with any nucleus of `b` within 5 px: bool (n,)."""
    if not (len(a) and len(b)):
        return np.zeros(len(a), np.bool_)
    distance, _ = cKDTree(b.yx).query(a.yx)
    return distance <= MATCH_DISTANCE


def _share(part: Chosen, whole: Chosen) -> float:
    return float(part.sum() / whole.sum()) if whole.any() else 0.0
