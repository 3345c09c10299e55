"""The comparison of stainers as one page that needs no other file: tables, and pictures at full resolution."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from confostain.arrays import Rgb
from confostain.evaluation.domain_gap import WINDOW, domain_gap, line_up
from confostain.evaluation.material import Material
from confostain.evaluation.pages import Section, figure, note, page, table
from confostain.imaging.nuclei import NucleiAudit, audit_nuclei

if TYPE_CHECKING:
    from confostain.evaluation.stainer_comparison import Comparison, Results

Box = tuple[slice, slice]

SHOWN = 384  # px, side of a picture
SHOWN_PAIRS = 3  # simulated pairs that are shown
SHOWN_REFERENCES = 4
ZOOM = 2  # of pictures in which nuclei are marked
MARKS = {"matched": (60, 220, 60), "missing": (255, 200, 0), "invented": (0, 190, 255)}  # readable on pink and purple
MARK = 5  # px, radius on the enlarged picture

# What stands below a table, so that nobody has to look it up; docs/fidelity.md says it at length.
ABOUT_TRUTH = """
Means over the pairs; nuclei of all pairs together, found by one detector in the stain and in the H&E. The pairs are
simulated, so this says how well a stain undoes the simulation.
"""
ABOUT_SCANS = """
Missing and invented: shares of the clear nuclei, the stronger half by contrast, without a partner within 5 px. Missing
if moved: the same stain 12 px aside, what chance leaves. SSIM and LBP distance: to the Gareau image, in grey; low SSIM
can mean other colours as well as other structure. Patches and colours: sliced Wasserstein distance to real H&E as a
share of the Gareau image's; they know nothing of what is where. Seams: mean step across borders of 256 px tiles over
the mean step elsewhere; the same lines without tiles show how much of it is chance.
"""
ABOUT_PROOF = """
The audit must find next to nothing missing in the Gareau image, most when it is moved, and more the more it is blurred.
The H&E itself bounds what any stain of simulated pairs can reach.
"""


def write_page(
    comparison: Comparison,
    results: Mapping[str, Results],
    material: Material,
    path: Path,
    further: Sequence[Section] = (),
) -> None:
    """Write the page.

    Args:
        comparison: the figures.
        results: what each model made.
        material: what it was made from.
        path: the file.
        further: sections that follow.
    """
    sections = [*_figures(comparison), *_pictures(results, material), *_gap(material), *further]
    path.write_text(page("Stainers compared", sections), encoding="utf-8")


def _figures(comparison: Comparison) -> Iterator[Section]:
    yield Section("On pairs simulated from real H&E, against that H&E", _truth_table(comparison))
    for name in comparison.rows[0].scans:
        yield Section(f"On the real scan {name}", _scan_table(comparison, name))
    blank = [[row.model, f"{row.blank.mean:.1f}", f"{row.blank.texture:.2f}"] for row in comparison.rows]
    yield Section("Of no tissue", table(["", "mean grey level", "its standard deviation"], blank))
    yield Section("Whether the audit of nuclei sees what it should", _proof_table(comparison))


def _truth_table(comparison: Comparison) -> str:
    rows = [
        [
            row.model,
            f"{row.truth.ssim:.3f}",
            f"{row.truth.psnr:.2f}",
            f"{row.truth.colour_difference:.2f}",
            f"{row.truth.precision:.3f}",
            f"{row.truth.recall:.3f}",
            f"{row.truth.f1:.3f}",
        ]
        for row in comparison.rows
        if row.truth
    ]
    if not rows:
        return "<p>No H&amp;E was given to simulate pairs from.</p>"
    return table(["", "SSIM", "PSNR, dB", "dE2000", "nuclei: precision", "recall", "F1"], rows) + note(ABOUT_TRUTH)


def _scan_table(comparison: Comparison, name: str) -> str:
    header = ["", "missing", "per mm²", "missing if moved", "invented", "per mm²", "SSIM to Gareau", "LBP distance"]
    header += ["patches / Gareau's", "colours / Gareau's", "seam index", "the same lines, no seams", "tile difference"]
    rows = []
    for row in comparison.rows:
        scan = row.scans[name]
        seams = ["-" if index is None else f"{index:.3f}" for index in (scan.seams, scan.seams_by_chance)]
        nuclei = [f"{scan.missing:.1%}", f"{scan.missing_per_mm2:.0f}", f"{scan.missing_by_chance:.0%}"]
        nuclei += [f"{scan.invented:.1%}", f"{scan.invented_per_mm2:.0f}"]
        likeness = [f"{scan.ssim:.3f}", f"{scan.texture:.4f}", f"{scan.patches:.1%}", f"{scan.colours:.1%}"]
        rows.append([row.model, *nuclei, *likeness, *seams, f"{scan.tile_difference}"])
    if name in comparison.floor:
        patches, colours = comparison.floor[name]
        rows.append(["H&E against itself", *[""] * 7, f"{patches:.1%}", f"{colours:.1%}", *[""] * 3])
    return table(header, rows) + note(ABOUT_SCANS)


def _proof_table(comparison: Comparison) -> str:
    rows = [
        [f"{name}: Gareau image {spoilt}", f"{missing:.1%}", f"{invented:.1%}"]
        for name, audits in comparison.proof.items()
        for spoilt, (missing, invented) in audits.items()
    ]
    if comparison.truth_audited:
        missing, invented = comparison.truth_audited
        rows.append(["simulated pairs: the H&E itself", f"{missing:.1%}", f"{invented:.1%}"])
    return table(["", "missing", "invented"], rows) + note(ABOUT_PROOF)


def _pictures(results: Mapping[str, Results], material: Material) -> Iterator[Section]:
    for index, scan in enumerate(material.scans):
        stained = {name: made.scans[index] for name, made in results.items()}
        box = _middle(scan.linear)
        yield Section(f"{scan.name} at full resolution", _side_by_side(scan.pair, stained, box))
        marked = (marked_nuclei(scan.pair[1], rgb, box, name) for name, rgb in stained.items())
        legend = f"<p>{_legend()} Fluorescence to the left, stain to the right, twice as large.</p>"
        yield Section(f"Nuclei of {scan.name}", legend + "".join(marked))
    for index, view in enumerate(material.simulated[:SHOWN_PAIRS]):
        stained = {name: made.simulated[index] for name, made in results.items()} | {"the real H&E": view.truth}
        yield Section(f"Simulated from {view.name}", _side_by_side(view.pair, stained, _middle(view.truth)))
    chosen = np.linspace(0, len(material.references) - 1, min(SHOWN_REFERENCES, len(material.references))).astype(int)
    real = (material.references[index] for index in chosen)
    yield Section("Real H&E at the same scale", "".join(figure(rgb[_middle(rgb)], "real H&E") for rgb in real))


def _gap(material: Material) -> Iterator[Section]:
    """Whether the simulated pairs that figures were taken on pass for these real scans."""
    made, real = [view.pair for view in material.simulated], [scan.pair for scan in material.scans]
    if not (made and real) or min(min(pair.shape[1:]) for pair in (*made, *real)) < WINDOW:
        return
    rows = []
    for channel, gap in domain_gap(made, real).items():
        for measure, found in gap.measures.items():
            spread = f"{found.real[0]:g} to {found.real[1]:g}"
            rows.append([channel, measure, f"{found.low:.3f} to {found.high:.3f}", spread])
        rows.append([channel, "spectrum", f"at most {gap.widest:.1f} dB off", "0 dB"])
    picture, kinds = line_up(made, real)
    answer = f"<details><summary>Which is which?</summary>From left to right: {', '.join(kinds)}.</details>"
    yield Section(
        "Whether simulated pairs pass for real scans",
        table(["", "measure", "simulated, middle half", "real scans"], rows)
        + figure(picture, "reflectance above fluorescence, real and simulated mixed")
        + answer,
    )


def _side_by_side(pair: npt.NDArray[np.float32], stained: Mapping[str, Rgb], box: Box) -> str:
    inputs = zip(("reflectance", "fluorescence"), _grey_levels(pair), strict=True)
    pictures = [figure(channel[box], name) for name, channel in inputs]
    return "".join(pictures + [figure(rgb[box], name) for name, rgb in stained.items()])


def _grey_levels(channel: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    return np.rint(channel * np.float32(255)).astype(np.uint8)


def _middle(image: npt.NDArray[np.uint8]) -> Box:
    rows, columns = (
        slice(max(0, (length - SHOWN) // 2), max(0, (length - SHOWN) // 2) + SHOWN) for length in image.shape[:2]
    )
    return rows, columns


def marked_nuclei(fluorescence: npt.NDArray[np.float32], rgb: Rgb, box: Box, name: str) -> str:
    """The fluorescence and its stain beside each other, enlarged, the nuclei of the audit marked on both."""
    audit = audit_nuclei(fluorescence, rgb)
    caption = f"{name}: {audit.missing_share:.1%} missing, {audit.invented_share:.1%} invented"
    sides = (np.repeat(_grey_levels(fluorescence)[..., np.newaxis], 3, axis=-1), rgb)
    return figure(np.concatenate([marked(side, audit, box) for side in sides], axis=1), caption)


def marked(rgb: Rgb, audit: NucleiAudit, box: Box) -> Rgb:
    """A part of an image, enlarged twice: matched nuclei circled in green, missing in yellow, invented in blue."""
    from PIL import Image, ImageDraw

    rows, columns = box
    part = rgb[box]
    picture = Image.fromarray(part).resize((part.shape[1] * ZOOM, part.shape[0] * ZOOM), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(picture)
    for kind, colour in MARKS.items():
        for y, x in (getattr(audit, kind) - (rows.start, columns.start) + 0.5) * ZOOM:
            circle = (x - MARK, y - MARK, x + MARK, y + MARK)
            draw.ellipse(circle, outline=colour, width=1 if kind == "matched" else 2)
    return np.asarray(picture)


def _legend() -> str:
    words = (f'<b style="background:#555;color:rgb{colour}">&nbsp;{kind}&nbsp;</b>' for kind, colour in MARKS.items())
    return " ".join(words)
