"""Comparison of stainers with the closed forms: metrics on simulated pairs and real scans, as a page and as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import confostain
from confostain.arrays import REFERENCE_MPP
from confostain.data.histology_fields import FIELD_SIDE
from confostain.errors import OptionError
from confostain.evaluation.baselines import (
    audit_reference_he,
    audit_sanity,
    real_histology_metrics,
    within_he_baseline,
)
from confostain.evaluation.evaluation_data import load_evaluation_data
from confostain.evaluation.stainer_metrics import Comparison, StainedImages, StainerMetrics, measure_stainer
from confostain.evaluation.stainer_page import write_page
from confostain.models.registry import load_model
from confostain.models.stainer import LINEAR_STAINS, Model
from confostain.slide import Slide


def evaluate_stainers(
    out: Path,
    models: Sequence[str] = (),
    *,
    histology: Sequence[str] = (),
    scans: Sequence[Slide] = (),
    references: Sequence[str] = (),
    patches: int = 20,
    side: int = FIELD_SIDE,
    histology_mpp: float = REFERENCE_MPP,
    report: Callable[[str], None] = lambda line: None,
) -> Comparison:
    """Comparison of the closed forms and further `models`; writes index.html and stainers.json into the folder `out`.

    The page shows the scans: where the licence of a scan forbids to pass it on, do not pass on the page.

    Args:
        out: a folder; created if it does not exist.
        models: names of models, or folders of trained ones.
        histology: H&E slides that no model was trained on, or folders of pictures of one slide each; pairs are
            simulated from them.
        scans: real scans, of which at most 2048 x 2048 px each are evaluated.
        references: real H&E, likewise; the stains should have the colours and texture of the first; others, as of other
            laboratories, are compared with it as the stains are. By default `histology`.
        patches: number of simulated pairs.
        side: their side in pixels.
        histology_mpp: pixel size in um of H&E that does not say it.
        report: called with one line after each model.

    Raises:
        OptionError: there is nothing to evaluate on, or two models or scans have the same name.
        SlideError: a slide cannot be read. ModelError: a model cannot be loaded.
    """
    compared = _load_models([*(linear.name for linear in LINEAR_STAINS), *models])
    data = load_evaluation_data(histology, scans, references, patches, side, histology_mpp)
    rows, stained = [], {}
    for model in compared:
        stained[model.name] = StainedImages.of(model, data)
        rows.append(measure_stainer(model, stained[model.name], data))
        report(summary(rows[-1]))
    comparison = Comparison(
        rows,
        real_histology_metrics(data),
        within_he_baseline(data),
        audit_sanity(data.scans),
        audit_reference_he(data.simulated),
    )
    out.mkdir(parents=True, exist_ok=True)
    facts = {
        "software": f"confostain {confostain.__version__}",
        "histology": [Path(path).name for path in histology],
        "scans": [scan.name for scan in data.scans],
        "references": [Path(path).name for path in references or histology],
        "patches": len(data.simulated),
        "side": side,
        **dataclasses.asdict(comparison),
    }
    (out / "stainers.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    write_page(comparison, stained, data, out / "index.html")
    return comparison


def _load_models(names: Sequence[str]) -> list[Model]:
    models: list[Model] = [load_model(name) for name in dict.fromkeys(names)]
    loaded = [model.name for model in models]
    if len(set(loaded)) < len(loaded):
        raise OptionError(f"models called {', '.join(loaded)}: expected different names; rename a folder")
    return models


def summary(row: StainerMetrics) -> str:
    """Most important metrics of one model in one line."""
    parts = [row.model]
    if row.truth:
        parts.append(f"SSIM {row.truth.ssim:.3f}, dE {row.truth.colour_difference:.1f}, F1 {row.truth.f1:.3f}")
    for name, scan in row.scans.items():
        nuclei = f"missing {scan.missing:.1%}, invented {scan.invented:.1%}"
        kernel = "" if scan.kernel_distance is None else f", kernel distance {scan.kernel_distance:.2f}"
        parts.append(f"{name}: {nuclei}, patch distance {scan.patch_distance_ratio:.0%}{kernel}")
    return "; ".join(parts)
