from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import confostain
from confostain.evaluation.baselines import audit_sanity, truth_audited, within_he_baseline
from confostain.evaluation.distribution_metrics import Looks, colour_distance, patch_distance
from confostain.evaluation.material import Material, Simulated, scan_of, simulated, tissue_fields
from confostain.imaging.linear_stain import gareau
from confostain.imaging.nuclei import audit_nuclei


def test_h_and_e_against_itself_is_nearer_than_the_closed_form(painted_section: Path, phantom_scan: Path) -> None:
    fields = tissue_fields(painted_section, 8, side=128)
    looks = Looks.of(fields)
    with confostain.open_slide(phantom_scan) as slide:
        scan = scan_of(slide)
    floor = within_he_baseline(Material([], [scan], fields, looks))
    halves = Looks.of(fields[:4]), Looks.of(fields[4:])
    assert floor[scan.name] == pytest.approx(
        (
            patch_distance(*halves) / patch_distance(scan.looks, looks),
            colour_distance(*halves) / colour_distance(scan.looks, looks),
        )
    )
    assert 0 < floor[scan.name][0] < 1
    assert within_he_baseline(Material([], [scan], fields[:1], looks)) == {}


def test_the_proof_shows_what_was_done_to_the_closed_form(phantom_scan: Path) -> None:
    with confostain.open_slide(phantom_scan) as slide:
        scan = scan_of(slide)
    proof = audit_sanity([scan])[scan.name]
    audit = audit_nuclei(scan.pair[1], scan.linear)
    assert proof["as it is"] == (audit.missing_share, audit.invented_share)
    moved = audit_nuclei(scan.pair[1], np.roll(scan.linear, 12, axis=1))
    assert proof["moved by 12 px"] == (moved.missing_share, moved.invented_share)
    blurred = [proof[f"blurred, sigma {sigma} px"][0] for sigma in (1, 2, 3)]
    assert proof["as it is"][0] < blurred[0] < blurred[1] < blurred[2]


def test_the_truth_is_audited_as_any_stain(painted_section: Path) -> None:
    pairs = simulated([str(painted_section)], 2, side=128)
    audits = [audit_nuclei(pair.pair[1], pair.truth) for pair in pairs]
    missing, invented = truth_audited(pairs) or (2, 2)
    assert missing == pytest.approx(np.mean([audit.missing_share for audit in audits]))
    assert invented == pytest.approx(np.mean([audit.invented_share for audit in audits]))
    perfect = Simulated("perfect", pairs[0].pair, gareau(pairs[0].pair))
    assert (truth_audited([perfect]) or (2, 2))[0] < 0.1
    assert truth_audited([]) is None
