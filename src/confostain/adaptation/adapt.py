"""Adaptation of a stainer and of a despeckler to a scanner, from scans without truth.

OUT/            the stainer, OUT/despeckler, and OUT/index.html, complete or absent
OUT.adapting/   what is needed to go on after a break; removed in the end, see `confostain.adaptation.work`
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from confostain.adaptation.adapted_model import measure_and_describe, write_model
from confostain.adaptation.despeckler import DespecklerJudgement, judge_despeckler
from confostain.adaptation.fields import spread
from confostain.adaptation.page import Outcome, write_page
from confostain.adaptation.stain_figures import Reference
from confostain.adaptation.stainer import FEW, JUDGES, StainerJudge, StainerJudgement, best_share, mixed
from confostain.adaptation.work import AdaptationPlan, BaseModel, Part, Weights, Work
from confostain.arrays import Progress
from confostain.evaluation.distribution_metrics import ImageFeatures
from confostain.evaluation.feature_distances import CropFeatures
from confostain.io.writers.atomic import PartialFolder, refuse_existing
from confostain.models.card import CARD, described_files
from confostain.models.registry import Task
from confostain.slide import Slide
from confostain.training.calibration import network_inputs
from confostain.training.release import is_model

NO_SPECKLE = "the reflectance of these scans shows no speckle that can be fitted, or was reduced for the stainer"
PAGE, DESPECKLER = "index.html", "despeckler"


def adapt(
    slides: Sequence[Slide],
    folder: Path,
    plan: AdaptationPlan,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> list[str]:
    """Adapt models to scans without truth, judge them on fields held back, and keep what is better.

    Args:
        slides: scans of one scanner, opened.
        folder: of the result, which works wherever a model does; appears when it is complete.
        plan: what is adapted.
        resume: go on with an adaptation that was broken off, to the same weights.
        overwrite: whether an earlier adaptation in `folder` may be replaced.
        progress: called after each step of a training, with the steps done and those of all trainings.
        say: told about each stage.

    Returns:
        A verdict on each model, in a sentence.

    Raises:
        SlideError: a scan should not be adapted to, or cannot be read. ModelError: there is no such model.
        OutputError: the folder exists, an adaptation was broken off and nobody asked to resume it, or none was.
        ConfigError: the adaptation that was broken off had other scans or settings.
        KeyboardInterrupt: broken off; it can be resumed.
    """
    started = time.monotonic()
    refuse_existing(folder, overwrite, is_adapted)
    work = Work.begun(folder.with_name(folder.name + ".adapting"), slides, plan, resume)
    tasks: list[Task] = ["stain"]
    if work.speckle is not None:
        tasks.append("despeckle")
    elif plan.despeckler:
        say(f"the despeckler is left as it is: {NO_SPECKLE}")
    trained: dict[Task, Weights] = {}
    for number, task in enumerate(tasks):

        def told(done: int, _: int, before: int = number * work.steps) -> None:
            if progress is not None:
                progress(before + done, len(tasks) * work.steps)

        say(f"trains {work.models[task].card.name} on, {work.steps} steps")
        trained[task] = work.train(task, told)
    with PartialFolder(folder, overwrite, is_adapted) as result:
        say("measures on fields held back")
        stainer, despeckler = _stainer(work, trained["stain"], result.partial), None
        if "despeckle" in tasks:
            despeckler = _despeckler(work, trained["despeckle"], result.partial / DESPECKLER)
        minutes = (time.monotonic() - started) / 60
        took = f"Took {minutes:.0f} minutes" + (", after a break." if resume else ".")
        said = [f"{work.in_words()[0].upper()}{work.in_words()[1:]}.", took]
        shown = work.fields("held_back"), work.raw("held_back")
        write_page(result.partial / PAGE, stainer, despeckler, *shown, said)
        result.complete()
    shutil.rmtree(work.folder, ignore_errors=True)
    return [outcome.verdict for outcome in (stainer, despeckler) if outcome is not None]


def _stainer(work: Work, trained: Weights, folder: Path) -> Outcome[StainerJudgement]:
    """The stainer, mixed and judged, in a folder."""
    base, histology = work.models["stain"], work.plan.histology
    with tempfile.TemporaryDirectory(dir=work.folder) as name:

        def model_of(share: float) -> Path:
            made = Path(name) / f"{base.card.name}-{share:g}"
            if not made.exists():
                made.mkdir()
                write_model(made, base.card, mixed(base.weights, trained, share))
            return made

        fields, real = spread(work.fields("train"), JUDGES), histology.fields(base.card.colours)
        reference = Reference(histology.densities(real), ImageFeatures.of(real), CropFeatures.of(real))
        chooser = StainerJudge(fields, replace(reference, crops=None))  # features take seconds for each share
        largest = 1.0 if len(fields) == JUDGES else FEW
        share = best_share(chooser, chooser.judge(base.folder)[0], model_of, largest)
        judge = StainerJudge(work.fields("held_back"), reference)
        (before, old), (after, new) = (judge.judge(model) for model in (base.folder, model_of(share)))
    faults = after.faults_beside(before)
    weights = base.weights if faults else mixed(base.weights, trained, share)
    outcome = Outcome(base.card.name, before, after, faults, (old, new), share)
    own = histology.own_colours() if base.card.colours is not None else None
    _write(work, base, folder, weights, outcome, {"colours": asdict(own)} if own else {})
    return outcome


def _despeckler(work: Work, trained: Weights, folder: Path) -> Outcome[DespecklerJudgement]:
    """The despeckler, judged, in a folder."""
    base, raw = work.models["despeckle"], work.raw("held_back")
    folder.mkdir()
    write_model(folder, base.card, trained)
    (before, old), (after, new) = (judge_despeckler(raw, model) for model in (base.folder, folder))
    faults = after.faults_beside(before)
    outcome = Outcome(base.card.name, before, after, faults, (old, new), 1.0)
    _write(work, base, folder, base.weights if faults else trained, outcome, {})
    return outcome


def _write(
    work: Work,
    base: BaseModel,
    folder: Path,
    weights: Weights,
    outcome: Outcome[StainerJudgement] | Outcome[DespecklerJudgement],
    fields: dict[str, object],
) -> None:
    """Write a model with its card, which says what it was adapted to and how it was judged."""
    card = write_model(folder, base.card, weights, fields)
    figures = {"before": asdict(outcome.before), "after": asdict(outcome.after), "verdict": outcome.verdict}
    figures = json.loads(json.dumps(figures))  # lists for tuples, as a card holds them
    said = {
        "description": f"{base.card.description}; {'adapted' if outcome.is_better else 'not adapted'} to a scanner",
        "data": f"{base.card.data}. {work.in_words()}",
        "schedule": f"{base.card.schedule}; then {work.steps} steps, of which {outcome.share:g} in the weights",
        "figures": base.card.figures | {"adaptation": figures},
    }
    parts: tuple[Part, Part] = ("train", "held_back")
    if card.task == "stain":
        inputs = [network_inputs(card, spread(work.fields(part), JUDGES)) for part in parts]
    else:
        inputs = [[image[np.newaxis] for image in spread(work.raw(part), JUDGES)] for part in parts]
    measure_and_describe(folder, card, inputs, said)


def is_adapted(folder: Path) -> bool:
    """Whether a folder is empty or holds the result of an adaptation, and nothing else."""
    names = {path.name for path in folder.iterdir()}
    known = {path.name for path in described_files(folder)} | {CARD, PAGE, DESPECKLER}
    has_other = (folder / DESPECKLER).exists() and not is_model(folder / DESPECKLER)
    return not names or (PAGE in names and names <= known and not has_other)
