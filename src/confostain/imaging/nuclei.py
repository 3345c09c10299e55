"""Nuclei found by one detector in every image that shows them, and the audit of a stain: none missing, none invented.

A nucleus is a blob that stands above its surroundings at a size of 4 to 12 px (0.75 um/px) and is no line. The same
rule looks at the fluorescence, where nuclei are bright, and at the haematoxylin of a stain, where they take away red
light; so nothing that the audit says comes from comparing two detectors.
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

Density = npt.NDArray[np.float32]  # (h, w), more where there is more chromatin
Points = npt.NDArray[np.float64]  # (n, 2), row and column in px; the centre of pixel (0, 0) is (0, 0)
Chosen = npt.NDArray[np.bool_]  # (n,)

# Gaussian sigmas, px. A difference of neighbours answers most to discs of 1.67 times the smaller sigma: 5 to 10 px wide
SIGMAS = (1.5, 1.5 * math.sqrt(2), 3.0, 3.0 * math.sqrt(2))
DISC_ANSWER = 0.25  # of such a difference at the centre of a disc of height 1 of that size
APART = 3  # px: two nuclei are not closer in rows and columns
ROUND = 0.15  # least share that the weaker curvature has of the stronger: 0 on a line, 1 on a disc
WITHIN = 5.0  # px: two finds of the same nucleus

FAINT_FLUORESCENCE = 0.05  # of the range; noise answers with a deviation of about 0.01
FAINT_STAIN = 0.10  # natural logarithm of red light; the nuclei of H&E stand at 0.3 to 1, their stroma at 0.1 to 0.2
FIRM_STAIN = 0.40  # in real H&E hardly anything but nuclei stands out as much


@dataclass(frozen=True, eq=False)
class Nuclei:
    """Nuclei of one image, the clearest first.

    Attributes:
        yx: float64 (n, 2), row and column of the centres in px.
        contrast: float32 (n,), how far each stands above its surroundings, in the unit of the image.
    """

    yx: Points
    contrast: npt.NDArray[np.float32]

    def __len__(self) -> int:
        """Return the number of nuclei."""
        return len(self.contrast)

    @property
    def clear(self) -> Chosen:
        """The stronger half by contrast: (n,)."""
        return np.arange(len(self)) < (len(self) + 1) // 2

    def above(self, contrast: float) -> Nuclei:
        """Those with at least that contrast."""
        number = int(np.count_nonzero(self.contrast >= contrast))
        return Nuclei(self.yx[:number], self.contrast[:number])


def detect_nuclei(density: Density, faint: float) -> Nuclei:
    """Blobs 4 to 12 px wide that stand at least `faint` above their surroundings.

    Args:
        density: float32 (h, w), nuclei brighter than what is around them.
        faint: the least contrast, in the unit of `density`: that of a disc of that height.
    """
    smooth = [ndimage.gaussian_filter(density, sigma, mode="nearest") for sigma in SIGMAS]
    answers = np.stack([fine - coarse for fine, coarse in itertools.pairwise(smooth)])
    answer = answers.max(axis=0) / np.float32(DISC_ANSWER)
    peak = ndimage.maximum_filter(answer, 2 * APART + 1, mode="nearest") == answer
    rows, columns = np.nonzero(peak & (answer >= faint) & (_roundness(density, SIGMAS[1]) >= ROUND))
    order = np.argsort(-answer[rows, columns], kind="stable")
    yx = np.column_stack([rows, columns])[order].astype(np.float64)
    return Nuclei(yx, answer[rows, columns][order])


def _roundness(density: Density, sigma: float) -> Density:
    """The weaker curvature as a share of the stronger, (h, w): 1 on a round blob, 0 on a line, below 0 on a saddle."""
    down, slant, across = (
        ndimage.gaussian_filter(density, sigma, order=order, mode="nearest") for order in ((2, 0), (1, 1), (0, 2))
    )
    middle = -(down + across) / 2
    spread = np.hypot((down - across) / 2, slant)
    return (middle - spread) / np.maximum(middle + spread, np.float32(1e-9))


def nuclei_in_fluorescence(fluorescence: Density) -> Nuclei:
    """Nuclei in F, float32 (h, w) in [0, 1]."""
    return detect_nuclei(fluorescence, FAINT_FLUORESCENCE)


def nuclei_in_stain(rgb: Rgb) -> Nuclei:
    """Nuclei in H&E, real or made: uint8 (h, w, 3)."""
    return detect_nuclei(haematoxylin(rgb), FAINT_STAIN)


def haematoxylin(rgb: Rgb) -> Density:
    """The optical density (natural logarithm) of red light, float32 (h, w): haematoxylin takes it, eosin does not."""
    red = np.maximum(rgb[..., 0], 1).astype(np.float32)
    return np.log(np.float32(255) / red)


@dataclass(frozen=True)
class Agreement:
    """How nuclei that were found agree with those that are there, in numbers, so that images can be added up."""

    found: int
    right: int  # of those found, how many are there
    there: int
    kept: int  # of those there, how many were found

    def __add__(self, other: Agreement) -> Agreement:
        """Both images as one."""
        return Agreement(
            self.found + other.found, self.right + other.right, self.there + other.there, self.kept + other.kept
        )

    @property
    def precision(self) -> float:
        """Share of the found ones that are there; 1 where none was found."""
        return self.right / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        """Share of those there that were found; 1 where there is none."""
        return self.kept / self.there if self.there else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def match_nuclei(a: Nuclei, b: Nuclei, within: float = WITHIN) -> npt.NDArray[np.intp]:
    """Pairs of nuclei, nearest first and each in one pair at most: indices (pairs, 2) into `a` and into `b`.

    Two nuclei can be a pair if they are at most `within` px from each other.
    """
    if not (len(a) and len(b)):
        return np.empty((0, 2), np.intp)
    near = cKDTree(a.yx).sparse_distance_matrix(cKDTree(b.yx), within, output_type="ndarray")
    taken_a, taken_b = np.zeros(len(a), np.bool_), np.zeros(len(b), np.bool_)
    pairs = []
    for i, j, _ in np.sort(near, order=["v", "i", "j"]).tolist():
        if not (taken_a[i] or taken_b[j]):
            taken_a[i] = taken_b[j] = True
            pairs.append((i, j))
    return np.array(pairs, np.intp).reshape(-1, 2)


def agreement(found: Nuclei, there: Nuclei, firm: float = FIRM_STAIN) -> Agreement:
    """Compare nuclei that were found with those that are there, one partner each.

    Only those with a contrast of at least `firm` are counted, but half of that is enough for a partner: else a nucleus
    just above the limit in one image and just below in the other would count as two errors.
    """
    return Agreement(
        found=len(found.above(firm)),
        right=len(match_nuclei(found.above(firm), there.above(firm / 2))),
        there=len(there.above(firm)),
        kept=len(match_nuclei(found.above(firm / 2), there.above(firm))),
    )


@dataclass(frozen=True, eq=False)
class NucleiAudit:
    """What a stain did to the clear nuclei, the stronger half by contrast on either side.

    Attributes:
        matched: clear nuclei of the fluorescence that the stain shows, (n, 2) row and column in px.
        missing: clear nuclei of the fluorescence without any nucleus, clear or faint, in the stain within 5 px.
        invented: clear nuclei of the stain without any nucleus, clear or faint, in the fluorescence within 5 px.
        missing_share: of the clear nuclei of the fluorescence; 0 where it has none.
        invented_share: of the clear nuclei of the stain; 0 where it has none.
        area: of the image, mm2.
    """

    matched: Points
    missing: Points
    invented: Points
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
    """Compare the nuclei of F with those of what was stained from it.

    Args:
        fluorescence: float32 (h, w) in [0, 1].
        rgb: uint8 (h, w, 3), the stain of the same field.
        microns_per_pixel: of both; the detector expects about 0.75.

    Raises:
        OptionError: the two differ in size, or hold no pixel.
    """
    if rgb.shape != (*fluorescence.shape, 3) or fluorescence.size == 0:
        raise OptionError(
            f"fluorescence {fluorescence.shape} and stain {rgb.shape}: expected (h, w) and (h, w, 3) of one field; "
            "give the stain of this very image"
        )
    there, shown = nuclei_in_fluorescence(fluorescence), nuclei_in_stain(rgb)
    kept, drawn = _has_partner(there, shown), _has_partner(shown, there)
    missing, invented = there.clear & ~kept, shown.clear & ~drawn
    return NucleiAudit(
        matched=there.yx[there.clear & kept],
        missing=there.yx[missing],
        invented=shown.yx[invented],
        missing_share=_share(missing, there.clear),
        invented_share=_share(invented, shown.clear),
        area=fluorescence.size * (microns_per_pixel / 1000) ** 2,
    )


def _has_partner(a: Nuclei, b: Nuclei) -> Chosen:
    """Which nuclei of `a` have any nucleus of `b` within 5 px: (n,)."""
    if not (len(a) and len(b)):
        return np.zeros(len(a), np.bool_)
    distance, _ = cKDTree(b.yx).query(a.yx)
    return distance <= WITHIN


def _share(part: Chosen, whole: Chosen) -> float:
    return float(part.sum() / whole.sum()) if whole.any() else 0.0
