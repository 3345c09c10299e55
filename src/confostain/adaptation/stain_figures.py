"""Figures of stains on fields of scans, without truth: what an adaptation is judged by.

Two audits count nuclei, one of which shares nothing with the training. Colours are compared with real H&E, as are
features of a network for natural images, which no term of the adaptation looks at in scans.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from confostain.arrays import REFERENCE_MPP, Pair, Rgb
from confostain.data.colour_sample import Densities, sample_densities
from confostain.evaluation.bootstrap import Interval, ratio_interval
from confostain.evaluation.deconvolution_audit import audit_by_deconvolution
from confostain.evaluation.distribution_metrics import ImageFeatures, patch_distance, sliced_wasserstein
from confostain.evaluation.feature_distances import CropFeatures, FeatureDistance
from confostain.imaging.nuclei import NucleiAudit, audit_nuclei

AUDITS = ("missing", "invented", "missing by the second audit", "invented by the second audit")


@dataclass(frozen=True, eq=False)
class Reference:
    """Real H&E that stains are compared with.

    Attributes:
        densities: of its colours, see `data.colour_sample`.
        patches: of it.
        crops: features of a network for natural images, which take seconds; None: not compared, or H&E too small.
    """

    densities: Densities
    patches: ImageFeatures
    crops: CropFeatures | None


class Share(NamedTuple):
    """Share of the clear nuclei that are missing or invented.

    Attributes:
        value: 0 to 1.
        nuclei: number of clear nuclei that it is a share of.
        interval: 95 %, over fields; None with one field.
    """

    value: float
    nuclei: int
    interval: Interval | None

    @property
    def variance(self) -> float:
        """Binomial variance."""
        return self.value * (1 - self.value) / max(self.nuclei, 1)


@dataclass(frozen=True)
class StainFigures:
    """Figures of one model on the fields of scans.

    Attributes:
        shares: by name of AUDITS.
        patch_distance, colour_distance: sliced Wasserstein distances to the real H&E, of patches and of pixels.
        kernel_distance: of features to the real H&E; None where these are not compared.
    """

    shares: dict[str, Share]
    patch_distance: float
    colour_distance: float
    kernel_distance: float | None

    @property
    def errors(self) -> float:
        """Sum of the shares of missing and invented nuclei by both audits."""
        return sum(share.value for share in self.shares.values())


def stain_figures(fields: Sequence[Pair], stains: Sequence[Rgb], reference: Reference) -> StainFigures:
    """Figures of stains of fields; intervals over fields."""
    shares: dict[str, Share] = {}
    for second, audit in enumerate((audit_nuclei, audit_by_deconvolution)):
        audits = [audit(pair[1], rgb, REFERENCE_MPP) for pair, rgb in zip(fields, stains, strict=True)]
        for kind in range(2):
            parts, wholes = (np.array(counts) for counts in zip(*(_counts(one)[kind] for one in audits), strict=True))
            share, nuclei = float(parts.sum() / max(wholes.sum(), 1)), int(wholes.sum())
            shares[AUDITS[2 * second + kind]] = Share(share, nuclei, ratio_interval(parts, wholes))
    features, crops = ImageFeatures.of(stains), CropFeatures.of(stains) if reference.crops else None
    return StainFigures(
        shares,
        patch_distance(features, reference.patches),
        sliced_wasserstein(sample_densities(stains), reference.densities),
        FeatureDistance.between(crops, reference.crops).kernel,
    )


def _counts(audit: NucleiAudit) -> tuple[tuple[int, int], tuple[int, int]]:
    """Missing nuclei and all of the fluorescence; invented ones and all of the stain."""
    missing, invented = len(audit.missing), len(audit.invented)
    return (missing, missing + len(audit.matched)), (invented, invented + len(audit.supported))
