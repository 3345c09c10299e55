"""Metrics of stainers: against the true H&E on simulated pairs, and without truth on real scans."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from confostain.arrays import Rgb
from confostain.evaluation.artefacts import EmptyField, empty_field_test, seam_index
from confostain.evaluation.baselines import SHIFT, AuditShares
from confostain.evaluation.distribution_metrics import (
    ImageFeatures,
    colour_distance,
    grey,
    lbp_distance,
    patch_distance,
)
from confostain.evaluation.evaluation_data import EvaluationData, RealScan
from confostain.evaluation.reference_metrics import colour_difference, psnr, ssim
from confostain.imaging.nuclei import Agreement, agreement, audit_nuclei, nuclei_in_stain
from confostain.inference.stain import stain, stain_slide
from confostain.models.stainer import Model

SEAM_TILE = 256  # px; small, because few borders give an uncertain index


@dataclass(frozen=True)
class TruthMetrics:
    """Metrics against the H&E that pairs were simulated from.

    Attributes:
        ssim: of the colours, mean over the pairs, as psnr (in dB) and colour_difference (CIEDE2000).
        precision, recall, f1: of the nuclei of all pairs together.
    """

    ssim: float
    psnr: float
    colour_difference: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class ScanMetrics:
    """Metrics on one real scan, without truth.

    Attributes:
        missing: share of the clear nuclei of the fluorescence that are not in the stain; also per mm2.
        missing_when_shifted: the same with the stain shifted by 12 px: what is matched by chance is not in it.
        invented: share of the clear nuclei of the stain that are not in the fluorescence; also per mm2.
        ssim_to_gareau: of grey, against the Gareau image.
        lbp_distance: to the Gareau image.
        patch_distance_ratio: sliced Wasserstein distance of patches to real H&E, divided by the Gareau image's.
        colour_distance_ratio: the same of optical densities.
        seam_index: stained in tiles of 256 px; None where one tile holds the scan.
        seam_index_untiled: at the same lines, stained in one piece.
        tile_difference: largest difference between the two stains, in grey levels.
    """

    missing: float
    missing_per_mm2: float
    missing_when_shifted: float
    invented: float
    invented_per_mm2: float
    ssim_to_gareau: float
    lbp_distance: float
    patch_distance_ratio: float
    colour_distance_ratio: float
    seam_index: float | None
    seam_index_untiled: float | None
    tile_difference: int


@dataclass(frozen=True)
class StainerMetrics:
    """All metrics of one model; `truth` is None without simulated pairs, `scans` are by name."""

    model: str
    weights_sha256: str | None
    empty_field: EmptyField
    truth: TruthMetrics | None
    scans: dict[str, ScanMetrics] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """Metrics of all models with their baselines.

    Attributes:
        rows: one for each model, the closed forms first.
        within_he_baseline, audit_sanity, reference_he_audit: see `evaluation.baselines`; the last is None without
            simulated pairs.
    """

    rows: list[StainerMetrics]
    within_he_baseline: dict[str, tuple[float, float]]
    audit_sanity: dict[str, dict[str, AuditShares]]
    reference_he_audit: AuditShares | None


@dataclass(frozen=True, eq=False)
class StainedImages:
    """Stains of the simulated pairs and of the scans by one model, uint8 (h, w, 3), in the order of the data."""

    simulated: list[Rgb]
    scans: list[Rgb]

    @classmethod
    def of(cls, model: Model, data: EvaluationData) -> StainedImages:
        """Stains of all pairs and scans."""
        return cls([stain(pair.pair, model) for pair in data.simulated], [stain(s.pair, model) for s in data.scans])


def measure_stainer(model: Model, stained: StainedImages, data: EvaluationData) -> StainerMetrics:
    """All metrics of one model, given its stains of the data."""
    scans = {
        scan.name: _measure_on_scan(model, rgb, scan, data.reference_features)
        for scan, rgb in zip(data.scans, stained.scans, strict=True)
    }
    truths = [pair.truth for pair in data.simulated]
    truth = measure_against_truth(stained.simulated, truths) if truths else None
    empty_field = empty_field_test(lambda pair: stain(pair, model))
    return StainerMetrics(model.name, model.weights_sha256, empty_field, truth, scans)


def measure_against_truth(stained: Sequence[Rgb], truths: Sequence[Rgb]) -> TruthMetrics:
    """Metrics of stains against the true H&E, all uint8 (h, w, 3)."""
    nuclei, values = Agreement(0, 0, 0, 0), []
    for rgb, truth in zip(stained, truths, strict=True):
        nuclei += agreement(nuclei_in_stain(rgb), nuclei_in_stain(truth))
        a, b = _unit_range(rgb), _unit_range(truth)
        values.append((ssim(a, b), psnr(a, b), colour_difference(rgb, truth)))
    similarity, decibels, difference = (float(value) for value in np.mean(values, axis=0))
    return TruthMetrics(similarity, decibels, difference, nuclei.precision, nuclei.recall, nuclei.f1)


def _measure_on_scan(model: Model, rgb: Rgb, scan: RealScan, reference: ImageFeatures) -> ScanMetrics:
    audit = audit_nuclei(scan.pair[1], rgb, scan.microns_per_pixel)
    shifted = audit_nuclei(scan.pair[1], np.roll(rgb, SHIFT, axis=1), scan.microns_per_pixel)
    tiled, whole = (_stained_in_tiles(scan, model, tile) for tile in (SEAM_TILE, max(scan.pair.shape)))
    features, linear = ImageFeatures.of([rgb]), scan.linear_features
    return ScanMetrics(
        missing=audit.missing_share,
        missing_per_mm2=audit.missing_per_mm2,
        missing_when_shifted=shifted.missing_share,
        invented=audit.invented_share,
        invented_per_mm2=audit.invented_per_mm2,
        ssim_to_gareau=ssim(_unit_range(grey(rgb)), _unit_range(grey(scan.linear))),
        lbp_distance=lbp_distance(rgb, scan.linear),
        patch_distance_ratio=patch_distance(features, reference) / patch_distance(linear, reference),
        colour_distance_ratio=colour_distance(features, reference) / colour_distance(linear, reference),
        seam_index=_seam_index(tiled),
        seam_index_untiled=_seam_index(whole),
        tile_difference=int(np.abs(tiled.astype(np.int16) - whole).max()),
    )


def _unit_range(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Grey levels as float32 in [0, 1]."""
    return image.astype(np.float32) / np.float32(255)


def _stained_in_tiles(scan: RealScan, model: Model, tile: int) -> Rgb:
    """Stain of a scan by the whole-slide path, from file to file, in tiles of that side."""
    from PIL import Image

    window = scan.window
    region = (window.x, window.y, window.width, window.height)
    with tempfile.TemporaryDirectory() as folder:
        stained = Path(folder) / "stained.png"
        stain_slide(scan.slide, stained, model=model, tile=tile, region=region)
        return np.asarray(Image.open(stained).convert("RGB"))


def _seam_index(image: Rgb) -> float | None:
    return seam_index(image, SEAM_TILE) if max(image.shape[:2]) > SEAM_TILE else None
