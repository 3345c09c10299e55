"""Tables of the stainer comparison as sections of a page, with 95 % intervals in brackets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from confostain.evaluation.bootstrap import Interval
from confostain.evaluation.pages import Section, note, table
from confostain.evaluation.scan_metrics import ScanMetrics
from confostain.evaluation.stainer_metrics import Comparison, StainerMetrics
from confostain.evaluation.truth_metrics import TruthMetrics

Columns = Sequence[tuple[str, str, str]]  # heading, attribute, format

# Notes below the tables; docs/fidelity.md has the details.
ABOUT_INTERVALS = """
In brackets: 95 % bootstrap intervals over pairs, or over blocks of the scan. They say how far a figure depends on which
pairs or blocks were measured, and nothing of other slides.
"""
ABOUT_TRUTH = """
Means over the pairs; nuclei of all pairs together, found by one detector in the stain and in the H&E. The pairs are
simulated, so these metrics say how well a stain inverts the simulation.
"""
ABOUT_NUCLEI = """
Missing and invented: shares of the clear nuclei, the stronger half by contrast, without a partner within 5 px. Missing
if shifted: the same stain shifted by 12 px; the rest is matched by chance. Second audit: colour deconvolution and
another detector.
"""
ABOUT_APPEARANCE = """
None of these compares places with real H&E. Kernel and Frechet distance: features of a network for natural images, to
the reference. Pale cyan: share of pixels of a colour that H&E hardly has. Patch and colour distance: sliced Wasserstein
distance to the reference as a share of the Gareau image's. SSIM and LBP distance: to the Gareau image, in grey; a low
SSIM can be due to other colours as well as to other structure.
"""
ABOUT_TILES = """
Seam index: mean step across borders of 256 px tiles divided by the mean step elsewhere; the index of the untiled stain
at the same lines shows how much of it is chance.
"""
ABOUT_EMPTY = """
Around tissue: a disc of tissue on ground with noise, stained in tiles from file to file; the mean of all pixels more
than 8 px outside, and that of the darkest ring of 8 px.
"""
ABOUT_SANITY = """
A valid audit finds next to nothing missing in the Gareau image, most nuclei missing when it is shifted, and more the
stronger it is blurred. The audit of the H&E itself is a bound for stains of the simulated pairs.
"""

TRUTH_COLUMNS = (
    ("SSIM", "ssim", ".3f"),
    ("PSNR, dB", "psnr", ".2f"),
    ("dE2000", "colour_difference", ".2f"),
    ("nuclei: precision", "precision", ".3f"),
    ("recall", "recall", ".3f"),
    ("F1", "f1", ".3f"),
    ("pale cyan", "pale_cyan", ".2%"),
    ("kernel distance", "kernel_distance", ".2f"),
    ("Frechet distance", "frechet_distance", ".0f"),
)
NUCLEI_COLUMNS = (
    ("missing", "missing", ".1%"),
    ("per mm²", "missing_per_mm2", ".0f"),
    ("missing if shifted", "missing_when_shifted", ".0%"),
    ("invented", "invented", ".1%"),
    ("per mm²", "invented_per_mm2", ".0f"),
    ("second audit: missing", "missing_by_deconvolution", ".1%"),
    ("invented", "invented_by_deconvolution", ".1%"),
)
APPEARANCE_COLUMNS = (
    ("kernel distance", "kernel_distance", ".2f"),
    ("Frechet distance", "frechet_distance", ".0f"),
    ("pale cyan", "pale_cyan", ".2%"),
    ("patch distance / Gareau's", "patch_distance_ratio", ".1%"),
    ("colour distance / Gareau's", "colour_distance_ratio", ".1%"),
    ("SSIM to Gareau", "ssim_to_gareau", ".3f"),
    ("LBP distance", "lbp_distance", ".4f"),
)
TILE_COLUMNS = (
    ("seam index", "seam_index", ".3f"),
    ("seam index, untiled", "seam_index_untiled", ".3f"),
    ("tile difference", "tile_difference", "d"),
)


def metric_tables(comparison: Comparison) -> Iterator[Section]:
    """Sections with all metrics of a comparison."""
    rows = comparison.rows
    yield Section("Simulated pairs, against the true H&E", _truth_table({row.model: row.truth for row in rows}))
    slides = list(rows[0].truth_by_slide)
    for name in slides if len(slides) > 1 else []:
        yield Section(f"Simulated from {name}", _truth_table({row.model: row.truth_by_slide[name] for row in rows}))
    for name in rows[0].scans:
        yield Section(f"Real scan {name}: nuclei", _scan_table(rows, name, NUCLEI_COLUMNS) + note(ABOUT_NUCLEI))
        yield Section(f"Real scan {name}: appearance", _appearance_table(comparison, name) + note(ABOUT_APPEARANCE))
        yield Section(f"Real scan {name}: tiles", _scan_table(rows, name, TILE_COLUMNS) + note(ABOUT_TILES))
    yield Section("Real H&E, measured as a stain is", _real_table(comparison))
    yield Section("Field without tissue", _empty_table(rows))
    yield Section("Sanity checks of the nuclei audit", _sanity_table(comparison))


def cell(value: float | None, interval: Interval | None, form: str) -> str:
    """Figure with its interval: "1.1% (0.7%-1.6%)"; "-" for None."""
    if value is None:
        return "-"
    return f"{value:{form}}" + (f" ({interval[0]:{form}} to {interval[1]:{form}})" if interval else "")


def _cells(metrics: TruthMetrics | ScanMetrics, columns: Columns) -> list[str]:
    return [cell(getattr(metrics, name), metrics.intervals.get(name), form) for _, name, form in columns]


def _header(columns: Columns) -> list[str]:
    return ["", *(heading for heading, _, _ in columns)]


def _truth_table(metrics: Mapping[str, TruthMetrics | None]) -> str:
    cells = [[model, *_cells(truth, TRUTH_COLUMNS)] for model, truth in metrics.items() if truth]
    if not cells:
        return "<p>No H&amp;E was given to simulate pairs from.</p>"
    return table(_header(TRUTH_COLUMNS), cells) + note(ABOUT_TRUTH) + note(ABOUT_INTERVALS)


def _scan_table(rows: list[StainerMetrics], name: str, columns: Columns) -> str:
    return table(_header(columns), [[row.model, *_cells(row.scans[name], columns)] for row in rows])


def _appearance_table(comparison: Comparison, name: str) -> str:
    cells = [[row.model, *_cells(row.scans[name], APPEARANCE_COLUMNS)] for row in comparison.rows]
    if name in comparison.within_he_baseline:
        ratios = [f"{ratio:.1%}" for ratio in comparison.within_he_baseline[name]]
        cells.append(
            ["real H&E against itself", *_real_cells(comparison, next(iter(comparison.real_histology))), *ratios]
        )
        cells[-1] += [""] * 2
    return table(_header(APPEARANCE_COLUMNS), cells)


def _real_cells(comparison: Comparison, name: str) -> list[str]:
    """Kernel and Frechet distance, and pale cyan share, of real H&E."""
    real = comparison.real_histology[name]
    distance = real.distance
    return [
        cell(distance.kernel, distance.kernel_interval, ".2f"),
        cell(distance.frechet, distance.frechet_interval, ".0f"),
        cell(real.pale_cyan, real.pale_cyan_interval, ".2%"),
    ]


def _real_table(comparison: Comparison) -> str:
    reference, *others = comparison.real_histology
    cells = [[f"{reference}, the reference: between its halves", *_real_cells(comparison, reference)]]
    cells += [[name, *_real_cells(comparison, name)] for name in others]
    return table(_header(APPEARANCE_COLUMNS[:3]), cells)


def _empty_table(rows: list[StainerMetrics]) -> str:
    header = ["", "mean grey level", "standard deviation", "below 253"]
    header += ["around tissue: mean", "below 253", "darkest ring", "at px"]
    cells = []
    for row in rows:
        field, around = row.empty_field, row.empty_ground
        inside = [f"{field.mean:.1f}", f"{field.standard_deviation:.2f}", f"{field.below_white:.1%}"]
        outside = [f"{around.ground.mean:.1f}", f"{around.ground.below_white:.1%}", f"{around.rim:.1f}"]
        cells.append([row.model, *inside, *outside, f"{around.rim_distance}"])
    return table(header, cells) + note(ABOUT_EMPTY)


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
