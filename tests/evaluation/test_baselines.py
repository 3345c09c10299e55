from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import confostain
from confostain.data.histology_fields import tissue_fields
from confostain.evaluation.baselines import (
    audit_reference_he,
    audit_sanity,
    real_histology_metrics,
    within_he_baseline,
)
from confostain.evaluation.distribution_metrics import ImageFeatures, colour_distance, patch_distance
from confostain.evaluation.evaluation_data import (
    EvaluationData,
    RealHistology,
    SimulatedPair,
    read_scan,
    simulate_pairs,
)
from confostain.imaging.linear_stain import gareau
from confostain.imaging.nuclei import audit_nuclei


def test_h_and_e_against_itself_is_nearer_than_the_closed_form(painted_section: Path, phantom_scan: Path) -> None:
    fields = tissue_fields(painted_section, 8, side=128)
    features = ImageFeatures.of(fields)
    with confostain.open_slide(phantom_scan) as slide:
        scan = read_scan(slide)
    baseline = within_he_baseline(EvaluationData([], None, [scan], RealHistology.of("real", fields), []))
    halves = ImageFeatures.of(fields[:4]), ImageFeatures.of(fields[4:])
    assert baseline[scan.name] == pytest.approx(
        (
            patch_distance(*halves) / patch_distance(scan.linear_features, features),
            colour_distance(*halves) / colour_distance(scan.linear_features, features),
        )
    )
    assert 0 < baseline[scan.name][0] < 1
    assert within_he_baseline(EvaluationData([], None, [scan], RealHistology.of("real", fields[:1]), [])) == {}


def test_the_audit_of_degraded_closed_forms_finds_more_missing(phantom_scan: Path) -> None:
    with confostain.open_slide(phantom_scan) as slide:
        scan = read_scan(slide)
    audits = audit_sanity([scan])[scan.name]
    audit = audit_nuclei(scan.pair[1], scan.linear)
    assert audits["unchanged"] == (audit.missing_share, audit.invented_share)
    shifted = audit_nuclei(scan.pair[1], np.roll(scan.linear, 12, axis=1))
    assert audits["shifted by 12 px"] == (shifted.missing_share, shifted.invented_share)
    blurred = [audits[f"blurred, sigma {sigma} px"][0] for sigma in (1, 2, 3)]
    assert audits["unchanged"][0] < blurred[0] < blurred[1] < blurred[2]


def test_the_true_h_and_e_is_audited_as_any_stain(painted_section: Path) -> None:
    pairs = simulate_pairs([str(painted_section)], 2, side=256)
    audits = [audit_nuclei(pair.pair[1], pair.truth) for pair in pairs]
    missing, invented = audit_reference_he(pairs) or (2, 2)
    assert missing == pytest.approx(np.mean([audit.missing_share for audit in audits]))
    assert invented == pytest.approx(np.mean([audit.invented_share for audit in audits]))
    perfect = SimulatedPair("perfect", "section", pairs[0].pair, gareau(pairs[0].pair))
    assert (audit_reference_he([perfect]) or (2, 2))[0] < 0.1
    assert audit_reference_he([]) is None


def test_real_h_and_e_is_measured_as_a_stain_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("confostain.evaluation.feature_distances.CROPS", 12)
    rng = np.random.default_rng(0)
    noise = [(rng.integers(100, 240, (240, 240, 1)) + np.array([10, 0, 5])).astype(np.uint8) for _ in range(6)]
    cyan = [np.full((240, 240, 3), (200, 225, 235), np.uint8) for _ in range(2)]
    reference, other = RealHistology.of("reference", [*noise[:4], *cyan]), RealHistology.of("other", noise)
    metrics = real_histology_metrics(EvaluationData([], None, [], reference, [other]))
    assert list(metrics) == ["reference", "other"]
    assert metrics["reference"].pale_cyan == pytest.approx(1 / 3)
    assert metrics["other"].pale_cyan == 0
    low, high = metrics["reference"].pale_cyan_interval or (2, 2)
    assert low < metrics["reference"].pale_cyan < high
    assert all(real.distance.kernel is not None for real in metrics.values())
    small = RealHistology.of("small", [field[:128, :128] for field in noise])
    assert real_histology_metrics(EvaluationData([], None, [], small, []))["small"].distance.kernel is None
