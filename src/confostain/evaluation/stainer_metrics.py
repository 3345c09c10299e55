"""All metrics of stainers: against the true H&E on simulated pairs, and without truth on real scans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from confostain.arrays import Rgb
from confostain.evaluation.artefacts import EmptyField, empty_field_test
from confostain.evaluation.baselines import AuditShares, RealHistologyMetrics
from confostain.evaluation.evaluation_data import EvaluationData
from confostain.evaluation.feature_distances import CropFeatures
from confostain.evaluation.scan_metrics import ScanMetrics, measure_on_scan
from confostain.evaluation.tissue_edge import EmptyGround, empty_ground_test
from confostain.evaluation.truth_metrics import PairMetrics, TruthMetrics, pooled_truth_metrics
from confostain.inference.stain import stain
from confostain.models.stainer import Model


@dataclass(frozen=True)
class StainerMetrics:
    """All metrics of one model.

    Attributes:
        model, weights_sha256: name and hash.
        empty_field, empty_ground: stains of a field without tissue, and of ground around tissue.
        truth: on all simulated pairs; None without them.
        truth_by_slide: on the pairs of each H&E slide, by its name.
        scans: by name.
    """

    model: str
    weights_sha256: str | None
    empty_field: EmptyField
    empty_ground: EmptyGround
    truth: TruthMetrics | None
    truth_by_slide: dict[str, TruthMetrics] = field(default_factory=dict)
    scans: dict[str, ScanMetrics] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """Metrics of all models with their baselines.

    Attributes:
        rows: one for each model, the closed forms first.
        real_histology, within_he_baseline, audit_sanity, reference_he_audit: see `evaluation.baselines`; the last is
            None without simulated pairs.
    """

    rows: list[StainerMetrics]
    real_histology: dict[str, RealHistologyMetrics]
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
        scan.name: measure_on_scan(model, rgb, scan, data.reference)
        for scan, rgb in zip(data.scans, stained.scans, strict=True)
    }
    truth, by_slide = measure_against_truth(stained.simulated, data)
    empty_field, empty_ground = empty_field_test(lambda pair: stain(pair, model)), empty_ground_test(model)
    return StainerMetrics(model.name, model.weights_sha256, empty_field, empty_ground, truth, by_slide, scans)


def measure_against_truth(
    stained: Sequence[Rgb], data: EvaluationData
) -> tuple[TruthMetrics | None, dict[str, TruthMetrics]]:
    """Metrics of stains of the simulated pairs, of all pairs (None without any) and by name of the H&E slide."""
    pairs = [PairMetrics.of(rgb, pair.truth) for rgb, pair in zip(stained, data.simulated, strict=True)]
    if not pairs:
        return None, {}
    crops, truth, slides = CropFeatures.of(stained), data.truth_crops, [pair.slide for pair in data.simulated]
    by_slide = {}
    for name in dict.fromkeys(slides):
        first, last = slides.index(name), slides.index(name) + slides.count(name)
        of_slide = (None if one is None else one.of_images(first, last) for one in (crops, truth))
        by_slide[name] = pooled_truth_metrics(pairs[first:last], *of_slide)
    return pooled_truth_metrics(pairs, crops, truth), by_slide
