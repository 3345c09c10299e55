"""Baselines of the stainer comparison: distances within real H&E, and sanity checks of the nuclei audit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from confostain.arrays import Rgb
from confostain.evaluation.artefacts import pale_cyan
from confostain.evaluation.bootstrap import Interval, ratio_interval
from confostain.evaluation.distribution_metrics import ImageFeatures, colour_distance, patch_distance
from confostain.evaluation.evaluation_data import EvaluationData, RealHistology, RealScan, SimulatedPair
from confostain.evaluation.feature_distances import CropFeatures, FeatureDistance
from confostain.imaging.nuclei import audit_nuclei

AuditShares = tuple[float, float]  # shares of nuclei missing and invented

SHIFT = 12  # px: a stain shifted by this much matches nuclei by chance only
BLURS = (1, 2, 3)  # px, sigma


def within_he_baseline(data: EvaluationData) -> dict[str, tuple[float, float]]:
    """Patch and colour distance between the two halves of the real H&E, by name of scan.

    As a ratio to the distance of each scan's Gareau image from all of it, as the ratios of stains are: the lowest
    values that a stain can be expected to reach. Empty where there is only one field of H&E.
    """
    fields, half = data.reference.fields, len(data.reference.fields) // 2
    if not half:
        return {}
    first, second = (ImageFeatures.of(part) for part in (fields[:half], fields[half:]))
    patches, colours = patch_distance(first, second), colour_distance(first, second)
    return {
        scan.name: (
            patches / patch_distance(scan.linear_features, data.reference.features),
            colours / colour_distance(scan.linear_features, data.reference.features),
        )
        for scan in data.scans
    }


@dataclass(frozen=True)
class RealHistologyMetrics:
    """Metrics of real H&E, as a bound for those of stains.

    Attributes:
        pale_cyan: share of pale cyan pixels, and its interval over fields.
        pale_cyan_interval: 95 %.
        distance: feature distances to the reference; of the reference itself, between its two halves.
    """

    pale_cyan: float
    pale_cyan_interval: Interval | None
    distance: FeatureDistance


def real_histology_metrics(data: EvaluationData) -> dict[str, RealHistologyMetrics]:
    """Metrics of the reference and of further real H&E, by name, the reference first."""
    reference = data.reference
    metrics = {reference.name: _metrics_of(reference.fields, *_halves(reference))}
    for other in data.others:
        metrics[other.name] = _metrics_of(other.fields, other.crops, reference.crops)
    return metrics


def _halves(histology: RealHistology) -> tuple[CropFeatures | None, CropFeatures | None]:
    """Crops of the upper and of the lower fields."""
    if histology.crops is None:
        return None, None
    number = len(histology.fields)
    return histology.crops.of_images(0, number // 2), histology.crops.of_images(number // 2, number)


def _metrics_of(fields: Sequence[Rgb], a: CropFeatures | None, b: CropFeatures | None) -> RealHistologyMetrics:
    pale, pixels = [pale_cyan(field).sum() for field in fields], [field.shape[0] * field.shape[1] for field in fields]
    share = float(sum(pale) / sum(pixels))
    return RealHistologyMetrics(share, ratio_interval(pale, pixels), FeatureDistance.between(a, b))


def audit_sanity(scans: Sequence[RealScan]) -> dict[str, dict[str, AuditShares]]:
    """Nuclei audit of the Gareau image of each scan, unchanged, shifted and blurred, by name of scan.

    A valid audit finds next to nothing missing in the unchanged image, most nuclei in the shifted one, and more the
    stronger the blur.
    """
    return {
        scan.name: {name: _audit_shares(scan.pair[1], image) for name, image in _degraded(scan.linear).items()}
        for scan in scans
    }


def _degraded(rgb: Rgb) -> dict[str, Rgb]:
    from scipy.ndimage import gaussian_filter

    blurred = {sigma: gaussian_filter(rgb.astype(np.float32), (sigma, sigma, 0)) for sigma in BLURS}
    return {
        "unchanged": rgb,
        f"shifted by {SHIFT} px": np.roll(rgb, SHIFT, axis=1),
        **{f"blurred, sigma {sigma} px": np.rint(image).astype(np.uint8) for sigma, image in blurred.items()},
    }


def audit_reference_he(pairs: Sequence[SimulatedPair]) -> AuditShares | None:
    """Mean nuclei audit of the H&E that pairs were simulated from: no stain of the pairs can be expected to do better.

    None without pairs.
    """
    audits = [_audit_shares(pair.pair[1], pair.truth) for pair in pairs]
    if not audits:
        return None
    missing, invented = np.mean(audits, axis=0)
    return float(missing), float(invented)


def _audit_shares(fluorescence: npt.NDArray[np.float32], rgb: Rgb) -> AuditShares:
    audit = audit_nuclei(fluorescence, rgb)
    return audit.missing_share, audit.invented_share
