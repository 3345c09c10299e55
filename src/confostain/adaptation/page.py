"""HTML page of an adaptation: the verdict, figures before and after, pictures side by side at full resolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from confostain.adaptation.despeckler import DespecklerJudgement
from confostain.adaptation.stain_figures import Share
from confostain.adaptation.stainer import StainerJudgement
from confostain.arrays import Grey, Image, Pair
from confostain.evaluation.pages import Section, figure, note, page, table
from confostain.evaluation.stainer_pictures import draw_marks, marks_legend
from confostain.imaging.nuclei import audit_nuclei

SHOWN = 6  # fields in pictures, those with most errors first


Judgement = TypeVar("Judgement", StainerJudgement, DespecklerJudgement)


@dataclass(frozen=True, eq=False)
class Outcome(Generic[Judgement]):
    """What came of the adaptation of one model.

    Attributes:
        model: its name.
        before, after: figures on held-back fields.
        faults: why the model is kept as it was; empty: the adapted one is better.
        results: of both on the held-back fields: RGB (h, w, 3), or reflectance (h, w).
        share: of the trained weights in the adapted model; the others are of the model as it was.
    """

    model: str
    before: Judgement
    after: Judgement
    faults: Sequence[str]
    results: tuple[Sequence[npt.NDArray[Any]], Sequence[npt.NDArray[Any]]]
    share: float

    @property
    def is_better(self) -> bool:
        """Whether the adapted model replaces the one before."""
        return not self.faults

    @property
    def verdict(self) -> str:
        """One sentence."""
        if self.is_better:
            return f"{self.model}: the adapted model is better on the fields held back, and is what this folder holds."
        return f"{self.model}: kept as it was, since the adapted model was not better: {'; '.join(self.faults)}."


def write_page(
    path: Path,
    stainer: Outcome[StainerJudgement],
    despeckler: Outcome[DespecklerJudgement] | None,
    fields: Sequence[Pair],
    raw: Sequence[Image],
    said: Sequence[str],
) -> None:
    """Write the page.

    Args:
        path: of the page.
        stainer, despeckler: what came of them; None where no despeckler was adapted.
        fields: held back, float32 (2, h, w) in [0, 1].
        raw: their reflectance, float32 (h, w), not clipped at 1.
        said: sentences about what was used and how long it took.
    """
    verdicts = [outcome.verdict for outcome in (stainer, despeckler) if outcome is not None]
    sections = [
        Section("Verdict", "".join(map(note, (*verdicts, *said)))),
        Section(f"Figures of {stainer.model}", stainer_table(stainer.before, stainer.after)),
        Section(f"Fields held back, {stainer.model}", _stains(stainer, fields)),
    ]
    if despeckler is not None:
        sections += [
            Section(f"Figures of {despeckler.model}", despeckler_table(despeckler.before, despeckler.after)),
            Section(f"Reflectance held back, {despeckler.model}", _reflectance(despeckler, raw)),
        ]
    path.write_text(page("Adaptation to a scanner", sections), encoding="utf-8")


def stainer_table(before: StainerJudgement, after: StainerJudgement) -> str:
    """HTML table of the figures of a stainer before and after, on fields held back."""
    rows = [
        [f"clear nuclei {name}", *(_share(one.scans.shares[name]) for one in (before, after))]
        for name in before.scans.shares
    ]
    for name, key in (("colours", "colour_distance"), ("patches", "patch_distance"), ("features", "kernel_distance")):
        values = [getattr(one.scans, key) for one in (before, after)]
        rows.append([f"distance to real H&E: {name}", *("-" if v is None else f"{v:.3f}" for v in values)])
    rows.append(["nuclei F1 against the truth of simulated pairs", f"{before.f1:.3f}", f"{after.f1:.3f}"])
    return table(["", "before", "after"], rows)


def despeckler_table(before: DespecklerJudgement, after: DespecklerJudgement) -> str:
    """HTML table of the figures of a despeckler before and after, on fields held back."""
    both = (before, after)
    rows = [
        ["effective looks", *(f"{one.looks_before:.0f} -> {one.looks_after:.0f}" for one in both)],
        [
            f"neighbours in the ratio image (speckle: {before.speckle_correlation:.3f})",
            *(f"{one.ratio_correlation:.3f}" for one in both),
        ],
        ["structure in the ratio image (0 is best)", *(f"{one.structure:+.3f}" for one in both)],
        ["speckle left in highlights", *(f"{one.left_in_highlights:.0%}" for one in both)],
        ["largest change of the mean", *(f"{one.mean_change:.2%}" for one in both)],
    ]
    return table(["", "before", "after"], rows)


def _share(share: Share) -> str:
    low_high = "" if share.interval is None else f" ({share.interval[0]:.1%} to {share.interval[1]:.1%})"
    return f"{share.value:.1%}{low_high} of {share.nuclei}"


def _stains(outcome: Outcome[StainerJudgement], fields: Sequence[Pair]) -> str:
    """Fluorescence, reflectance, and both stains of the fields with most errors after the adaptation."""
    audits = [audit_nuclei(pair[1], rgb) for pair, rgb in zip(fields, outcome.results[1], strict=True)]
    worst = sorted(range(len(fields)), key=lambda index: -len(audits[index].missing) - len(audits[index].invented))
    html = note(f"Those with most errors first, of {len(fields)}.") + f"<p>{marks_legend()}</p>"
    for index in worst[:SHOWN]:
        pair, before, after = fields[index], outcome.results[0][index], outcome.results[1][index]
        whole = (slice(0, pair.shape[1]), slice(0, pair.shape[2]))
        html += figure(_grey(pair[1]), "fluorescence") + figure(_grey(pair[0]), "reflectance")
        html += figure(before, "before") + figure(after, "after")
        html += figure(draw_marks(after, audits[index], whole), "after, nuclei marked") + "<br>"
    return html


def _reflectance(outcome: Outcome[DespecklerJudgement], raw: Sequence[Image]) -> str:
    """Reflectance as it is, and despeckled before and after; the brightest fields first, highlights included."""
    html = ""
    for index in sorted(range(len(raw)), key=lambda one: -raw[one].max())[:SHOWN]:
        images = (raw[index], outcome.results[0][index], outcome.results[1][index])
        brightest = np.float32(max(1.0, float(images[1].max())))
        greys = [_grey(np.asarray(image / brightest, np.float32)) for image in images]
        html += "".join(map(figure, greys, ("reflectance", "before", "after"))) + "<br>"
    return html


def _grey(channel: Image) -> Grey:
    return np.rint(channel.clip(0, 1) * np.float32(255)).astype(np.uint8)
