"""HTML page of the stainer comparison: tables of metrics, and pictures at full resolution."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from confostain.evaluation.domain_gap import WINDOW, domain_gap, mixed_panel
from confostain.evaluation.evaluation_data import EvaluationData
from confostain.evaluation.pages import Section, figure, note, page, table
from confostain.evaluation.stainer_metrics import Comparison, ScanMetrics, StainedImages, StainerMetrics, TruthMetrics
from confostain.evaluation.stainer_pictures import central_box, marked_nuclei, marks_legend, side_by_side

SHOWN_PAIRS = 3  # simulated pairs in pictures
SHOWN_REFERENCES = 4  # fields of real H&E in pictures

# Notes below the tables; docs/fidelity.md has the details.
ABOUT_TRUTH = """
Means over the pairs; nuclei of all pairs together, found by one detector in the stain and in the H&E. The pairs are
simulated, so these metrics say how well a stain inverts the simulation.
"""
ABOUT_SCANS = """
Missing and invented: shares of the clear nuclei, the stronger half by contrast, without a partner within 5 px. Missing
if shifted: the same stain shifted by 12 px; the rest is matched by chance. SSIM and LBP distance: to the Gareau image,
in grey; a low SSIM can be due to other colours as well as to other structure. Patch and colour distance: sliced
Wasserstein distance to real H&E as a share of the Gareau image's; they do not compare places. Seam index: mean step
across borders of 256 px tiles divided by the mean step elsewhere; the index of the untiled stain at the same lines
shows how much of it is chance.
"""
ABOUT_SANITY = """
A valid audit finds next to nothing missing in the Gareau image, most nuclei missing when it is shifted, and more the
stronger it is blurred. The audit of the H&E itself is a bound for stains of the simulated pairs.
"""

TRUTH_HEADER = ["", "SSIM", "PSNR, dB", "dE2000", "nuclei: precision", "recall", "F1"]
SCAN_HEADER = [
    "",
    "missing",
    "per mm²",
    "missing if shifted",
    "invented",
    "per mm²",
    "SSIM to Gareau",
    "LBP distance",
    "patch distance / Gareau's",
    "colour distance / Gareau's",
    "seam index",
    "seam index, untiled",
    "tile difference",
]


def write_page(comparison: Comparison, stained: Mapping[str, StainedImages], data: EvaluationData, path: Path) -> None:
    """Write the page.

    Args:
        comparison: the metrics.
        stained: stains of the data by name of the model.
        data: what the models were evaluated on.
        path: the file.
    """
    sections = [*_tables(comparison), *_pictures(stained, data), *_domain_gap(data)]
    path.write_text(page("Comparison of stainers", sections), encoding="utf-8")


def _tables(comparison: Comparison) -> Iterator[Section]:
    yield Section("Simulated pairs, against the true H&E", _truth_table(comparison))
    for name in comparison.rows[0].scans:
        yield Section(f"Real scan {name}", _scan_table(comparison, name))
    yield Section("Field without tissue", _empty_field_table(comparison.rows))
    yield Section("Sanity checks of the nuclei audit", _sanity_table(comparison))


def _truth_table(comparison: Comparison) -> str:
    rows = [[row.model, *_truth_cells(row.truth)] for row in comparison.rows if row.truth]
    if not rows:
        return "<p>No H&amp;E was given to simulate pairs from.</p>"
    return table(TRUTH_HEADER, rows) + note(ABOUT_TRUTH)


def _truth_cells(truth: TruthMetrics) -> list[str]:
    nuclei = [f"{value:.3f}" for value in (truth.precision, truth.recall, truth.f1)]
    return [f"{truth.ssim:.3f}", f"{truth.psnr:.2f}", f"{truth.colour_difference:.2f}", *nuclei]


def _scan_table(comparison: Comparison, name: str) -> str:
    rows = [[row.model, *_scan_cells(row.scans[name])] for row in comparison.rows]
    if name in comparison.within_he_baseline:
        ratios = [f"{ratio:.1%}" for ratio in comparison.within_he_baseline[name]]
        rows.append(["real H&E against itself", *[""] * 7, *ratios, *[""] * 3])
    return table(SCAN_HEADER, rows) + note(ABOUT_SCANS)


def _scan_cells(scan: ScanMetrics) -> list[str]:
    seams = ["-" if index is None else f"{index:.3f}" for index in (scan.seam_index, scan.seam_index_untiled)]
    return [
        f"{scan.missing:.1%}",
        f"{scan.missing_per_mm2:.0f}",
        f"{scan.missing_when_shifted:.0%}",
        f"{scan.invented:.1%}",
        f"{scan.invented_per_mm2:.0f}",
        f"{scan.ssim_to_gareau:.3f}",
        f"{scan.lbp_distance:.4f}",
        f"{scan.patch_distance_ratio:.1%}",
        f"{scan.colour_distance_ratio:.1%}",
        *seams,
        f"{scan.tile_difference}",
    ]


def _empty_field_table(rows: list[StainerMetrics]) -> str:
    cells = [[row.model, f"{row.empty_field.mean:.1f}", f"{row.empty_field.standard_deviation:.2f}"] for row in rows]
    return table(["", "mean grey level", "standard deviation"], cells)


def _sanity_table(comparison: Comparison) -> str:
    rows = [
        [f"{name}: Gareau image, {change}", f"{missing:.1%}", f"{invented:.1%}"]
        for name, audits in comparison.audit_sanity.items()
        for change, (missing, invented) in audits.items()
    ]
    if comparison.reference_he_audit:
        missing, invented = comparison.reference_he_audit
        rows.append(["simulated pairs: the true H&E", f"{missing:.1%}", f"{invented:.1%}"])
    return table(["", "missing", "invented"], rows) + note(ABOUT_SANITY)


def _pictures(stained: Mapping[str, StainedImages], data: EvaluationData) -> Iterator[Section]:
    for index, scan in enumerate(data.scans):
        stains = {name: images.scans[index] for name, images in stained.items()}
        box = central_box(scan.linear)
        yield Section(f"{scan.name} at full resolution", side_by_side(scan.pair, stains, box))
        marked = (marked_nuclei(scan.pair[1], rgb, box, name) for name, rgb in stains.items())
        legend = f"<p>{marks_legend()} Fluorescence on the left, stain on the right, enlarged twice.</p>"
        yield Section(f"Nuclei of {scan.name}", legend + "".join(marked))
    for index, pair in enumerate(data.simulated[:SHOWN_PAIRS]):
        stains = {name: images.simulated[index] for name, images in stained.items()} | {"true H&E": pair.truth}
        yield Section(f"Simulated from {pair.name}", side_by_side(pair.pair, stains, central_box(pair.truth)))
    chosen = np.linspace(0, len(data.references) - 1, min(SHOWN_REFERENCES, len(data.references))).astype(int)
    real = (data.references[index] for index in chosen)
    yield Section("Real H&E at the same scale", "".join(figure(rgb[central_box(rgb)], "real H&E") for rgb in real))


def _domain_gap(data: EvaluationData) -> Iterator[Section]:
    """Section about the difference between the simulated pairs and the real scans, where there are both."""
    simulated, real = [pair.pair for pair in data.simulated], [scan.pair for scan in data.scans]
    if not (simulated and real) or min(min(pair.shape[1:]) for pair in (*simulated, *real)) < WINDOW:
        return
    rows = []
    for channel, gap in domain_gap(simulated, real).items():
        for name, measure in gap.measures.items():
            real_range = f"{measure.real[0]:g} to {measure.real[1]:g}"
            rows.append([channel, name, f"{measure.low:.3f} to {measure.high:.3f}", real_range])
        rows.append([channel, "spectrum", f"at most {gap.largest_difference:.1f} dB different", "0 dB"])
    picture, kinds = mixed_panel(simulated, real)
    solution = f"<details><summary>Which column is of which kind?</summary>{', '.join(kinds)}.</details>"
    yield Section(
        "Domain gap between simulated pairs and real scans",
        table(["", "measure", "simulated, quartiles", "real scans, range"], rows)
        + figure(picture, "reflectance above fluorescence, real and simulated columns in random order")
        + solution,
    )
