"""Metrics of stains on real scans, without truth, with intervals over blocks of the scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from confostain.arrays import Rgb
from confostain.evaluation.artefacts import pale_cyan, seam_index
from confostain.evaluation.baselines import SHIFT
from confostain.evaluation.bootstrap import (
    Intervals,
    block_counts,
    block_sums,
    ratio_interval,
)
from confostain.evaluation.deconvolution_audit import audit_by_deconvolution
from confostain.evaluation.distribution_metrics import (
    ImageFeatures,
    colour_distance,
    distance_ratio_interval,
    grey,
    lbp_distance,
    patch_distance,
)
from confostain.evaluation.evaluation_data import RealHistology, RealScan
from confostain.evaluation.feature_distances import CropFeatures, FeatureDistance
from confostain.evaluation.reference_metrics import ssim_map
from confostain.evaluation.tissue_edge import stain_in_tiles
from confostain.imaging.nuclei import NucleiAudit, audit_nuclei
from confostain.models.stainer import Model

SEAM_TILE = 256  # px; small, because few borders give an uncertain index


@dataclass(frozen=True)
class ScanMetrics:
    """Metrics on one real scan, without truth.

    Attributes:
        missing: share of the clear nuclei of the fluorescence that are not in the stain; also per mm2.
        missing_when_shifted: the same with the stain shifted by 12 px: what is matched by chance is not in it.
        invented: share of the clear nuclei of the stain that are not in the fluorescence; also per mm2.
        missing_by_deconvolution, invented_by_deconvolution: the same shares by the second audit.
        ssim_to_gareau: of grey, against the Gareau image.
        lbp_distance: to the Gareau image.
        patch_distance_ratio: sliced Wasserstein distance of patches to real H&E, divided by the Gareau image's.
        colour_distance_ratio: the same of optical densities.
        kernel_distance, frechet_distance: of features, to real H&E; None where the scan is smaller than 224 px.
        pale_cyan: share of pale cyan pixels.
        seam_index: stained in tiles of 256 px; None where one tile holds the scan.
        seam_index_untiled: at the same lines, stained in one piece.
        tile_difference: largest difference between the two stains, in grey levels.
        intervals: 95 % bootstrap intervals over blocks of 128 px (of the feature distances, 224 px), by name.
    """

    missing: float
    missing_per_mm2: float
    missing_when_shifted: float
    invented: float
    invented_per_mm2: float
    missing_by_deconvolution: float
    invented_by_deconvolution: float
    ssim_to_gareau: float
    lbp_distance: float
    patch_distance_ratio: float
    colour_distance_ratio: float
    kernel_distance: float | None
    frechet_distance: float | None
    pale_cyan: float
    seam_index: float | None
    seam_index_untiled: float | None
    tile_difference: int
    intervals: Intervals


@dataclass(frozen=True, eq=False)
class _Audits:
    """Nuclei audits of one stain: by the first detector, of the stain shifted, and by the second detector."""

    first: NucleiAudit
    shifted: NucleiAudit
    second: NucleiAudit

    @classmethod
    def of(cls, rgb: Rgb, scan: RealScan) -> _Audits:
        fluorescence, microns = scan.pair[1], scan.microns_per_pixel
        return cls(
            audit_nuclei(fluorescence, rgb, microns),
            audit_nuclei(fluorescence, np.roll(rgb, SHIFT, axis=1), microns),
            audit_by_deconvolution(fluorescence, rgb, microns),
        )


def measure_on_scan(model: Model, rgb: Rgb, scan: RealScan, reference: RealHistology) -> ScanMetrics:
    """Metrics of a model on a scan, given its stain in one piece and the real H&E that it should look like."""
    audits, features, linear = _Audits.of(rgb, scan), ImageFeatures.of([rgb]), scan.linear_features
    similarity = ssim_map(*(grey(image).astype(np.float32) / np.float32(255) for image in (rgb, scan.linear)))
    distance = FeatureDistance.between(CropFeatures.of([rgb]), reference.crops)
    tiled, whole = (stain_in_tiles(scan.slide, model, tile, scan.window) for tile in (SEAM_TILE, max(rgb.shape)))
    pale = pale_cyan(rgb)
    intervals = _audit_intervals(audits, rgb.shape) | _distance_intervals(features, linear, reference.features)
    intervals |= {
        "ssim_to_gareau": ratio_interval(block_sums(similarity), block_sums(np.ones_like(similarity))),
        "kernel_distance": distance.kernel_interval,
        "frechet_distance": distance.frechet_interval,
        "pale_cyan": ratio_interval(block_sums(pale), block_sums(np.ones_like(pale))),
    }
    return ScanMetrics(
        missing=audits.first.missing_share,
        missing_per_mm2=audits.first.missing_per_mm2,
        missing_when_shifted=audits.shifted.missing_share,
        invented=audits.first.invented_share,
        invented_per_mm2=audits.first.invented_per_mm2,
        missing_by_deconvolution=audits.second.missing_share,
        invented_by_deconvolution=audits.second.invented_share,
        ssim_to_gareau=float(similarity.mean(dtype=np.float64)),
        lbp_distance=lbp_distance(rgb, scan.linear),
        patch_distance_ratio=patch_distance(features, reference.features) / patch_distance(linear, reference.features),
        colour_distance_ratio=colour_distance(features, reference.features)
        / colour_distance(linear, reference.features),
        kernel_distance=distance.kernel,
        frechet_distance=distance.frechet,
        pale_cyan=float(pale.mean()),
        seam_index=_seam_index(tiled),
        seam_index_untiled=_seam_index(whole),
        tile_difference=int(np.abs(tiled.astype(np.int16) - whole).max()),
        intervals=intervals,
    )


def _audit_intervals(audits: _Audits, shape: tuple[int, ...]) -> Intervals:
    """Intervals of missing and invented nuclei, over blocks."""
    intervals: Intervals = {}
    for suffix, audit in (("", audits.first), ("_when_shifted", audits.shifted), ("_by_deconvolution", audits.second)):
        counts = {name: block_counts(getattr(audit, name), shape) for name in ("missing", "matched")}
        intervals[f"missing{suffix}"] = ratio_interval(counts["missing"], counts["missing"] + counts["matched"])
        invented, supported = block_counts(audit.invented, shape), block_counts(audit.supported, shape)
        intervals[f"invented{suffix}"] = ratio_interval(invented, invented + supported)
    del intervals["invented_when_shifted"]
    area = audits.first.area * np.full_like(invented, 1 / invented.size)
    for name in ("missing", "invented"):
        intervals[f"{name}_per_mm2"] = ratio_interval(block_counts(getattr(audits.first, name), shape), area)
    return intervals


def _distance_intervals(features: ImageFeatures, linear: ImageFeatures, reference: ImageFeatures) -> Intervals:
    """Intervals of the sliced Wasserstein distances, as shares of the Gareau image's, over blocks."""
    return {
        "patch_distance_ratio": distance_ratio_interval(features.patches, linear.patches, reference.patches),
        "colour_distance_ratio": distance_ratio_interval([features.colours], [linear.colours], [reference.colours]),
    }


def _seam_index(image: Rgb) -> float | None:
    return seam_index(image, SEAM_TILE) if max(image.shape[:2]) > SEAM_TILE else None
