"""HTML page of the stainer comparison: tables of metrics, pictures at full resolution, and the domain gap."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from confostain.evaluation.domain_gap import WINDOW, domain_gap, mixed_panel
from confostain.evaluation.evaluation_data import EvaluationData
from confostain.evaluation.pages import Section, figure, page, table
from confostain.evaluation.stainer_metrics import Comparison, StainedImages
from confostain.evaluation.stainer_pictures import central_box, marked_nuclei, marks_legend, side_by_side
from confostain.evaluation.stainer_tables import metric_tables

SHOWN_PAIRS = 3  # simulated pairs in pictures
SHOWN_REFERENCES = 4  # fields of real H&E in pictures


def write_page(comparison: Comparison, stained: Mapping[str, StainedImages], data: EvaluationData, path: Path) -> None:
    """Write the page.

    Args:
        comparison: the metrics.
        stained: stains of the data by name of the model.
        data: what the models were evaluated on.
        path: the file.
    """
    sections = [*metric_tables(comparison), *_pictures(stained, data), *_domain_gap(data)]
    path.write_text(page("Comparison of stainers", sections), encoding="utf-8")


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
    for histology in (data.reference, *data.others):
        fields = histology.fields
        chosen = np.linspace(0, len(fields) - 1, min(SHOWN_REFERENCES, len(fields))).astype(int)
        pictures = "".join(figure(fields[index][central_box(fields[index])], "real H&E") for index in chosen)
        yield Section(f"Real H&E at the same scale: {histology.name}", pictures)


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
