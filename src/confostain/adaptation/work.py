"""Work folder of an adaptation: fields of the scans, recipes and runs of the trainings, from any break onwards.

settings.json          what was begun       train/                  fields of the scans
                                            reflectance.npy         their raw reflectance
stainer.toml,          recipes              stainer/, despeckler/   runs, see `confostain.training.run`
despeckler.toml                             skin-colours.npy        colours of H&E
                                            sample-left.png         the built-in H&E that teaches
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor

from confostain.adaptation import despeckler, stainer
from confostain.adaptation.fields import ScanFields, fields_of, write_fields
from confostain.adaptation.histology import COLOURS, AdaptationHistology, write_teaching_sample
from confostain.adaptation.stainer import STEPS_OF_A_FIELD
from confostain.arrays import Image, Pair, Progress
from confostain.errors import ConfigError, OptionError, OutputError, SlideError
from confostain.models.build import read_weights
from confostain.models.card import WEIGHTS, ModelCard, read_card
from confostain.models.export import write_whole
from confostain.models.registry import DEFAULT_DESPECKLER, DEFAULT_MODEL, Task, model_folder
from confostain.simulation.speckle import Speckle
from confostain.slide import Slide
from confostain.training.chain import recipe_of, train_recipe
from confostain.training.recipe import toml_text
from confostain.training.run import make_folder

Part = Literal["train", "held_back"]

SETTINGS, RAW = "settings.json", "reflectance.npy"
STEPS = 600  # of either training
Weights = Mapping[str, Tensor]  # float32 by name
RUNS: Mapping[Task, str] = {"stain": "stainer", "despeckle": "despeckler"}


@dataclass(frozen=True)
class AdaptationPlan:
    """What is adapted, and with which H&E.

    Attributes:
        model: name or folder of the stainer.
        despeckler: name or folder of the despeckler; None: none is adapted.
        histology: H&E.
        steps: of either training, at most.
    """

    model: str = DEFAULT_MODEL
    despeckler: str | None = DEFAULT_DESPECKLER
    histology: AdaptationHistology = field(default_factory=AdaptationHistology)
    steps: int = STEPS

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise OptionError(f"{self.steps} steps: expected at least 1; give --steps")


@dataclass(frozen=True)
class BaseModel:
    """Model that an adaptation begins with: its folder, its card and its weights, float32 by name."""

    folder: Path
    card: ModelCard
    weights: Weights

    @classmethod
    def of(cls, name: str, task: Task) -> BaseModel:
        """The model of that name or folder; ModelError where there is none."""
        folder = model_folder(name, task)
        return cls(folder, read_card(folder), read_weights(folder / WEIGHTS))


@dataclass(frozen=True, eq=False)
class Work:
    """An adaptation under way.

    Attributes:
        folder: where everything is kept.
        plan: what is adapted.
        scans: their fields.
        models: what is begun with, by task.
    """

    folder: Path
    plan: AdaptationPlan
    scans: list[ScanFields]
    models: Mapping[Task, BaseModel]

    @classmethod
    def begun(cls, folder: Path, slides: Sequence[Slide], plan: AdaptationPlan, resume: bool) -> Work:
        """The work in a folder, begun now or before.

        Raises:
            OutputError: there is one and nobody asked to resume it, or there is none to resume.
            ConfigError: it was begun with other scans, models or settings.
            SlideError, ModelError: see `adapt`.
        """
        settings_file = folder / SETTINGS
        if settings_file.is_file() != resume:
            raise OutputError(
                f"{folder}: no adaptation was broken off there; leave --resume out"
                if resume
                else f"{folder}: holds an adaptation that was broken off; give --resume, or remove that folder"
            )
        models: dict[Task, BaseModel] = {"stain": BaseModel.of(plan.model, "stain")}
        if plan.despeckler:
            models["despeckle"] = BaseModel.of(plan.despeckler, "despeckle")
        scans = [fields_of(slide, models["stain"].card, f"scan {n}") for n, slide in enumerate(slides, 1)]
        if len({scan.sha256 for scan in scans}) < len(scans):
            raise SlideError("a scan is given twice, byte for byte; give each once")
        settings = {
            "scans": [scan.sha256 for scan in scans],
            "models": {task: model.card.weights_sha256 for task, model in models.items()},
            "histology": [str(file.resolve()) for file in plan.histology.files],
            "histology_um": plan.histology.microns_per_pixel,
            "steps": plan.steps,
        }
        if resume:
            if json.loads(settings_file.read_bytes()) != json.loads(json.dumps(settings)):
                raise ConfigError(
                    f"{folder}: begun with other scans, models, H&E or steps; give those, or remove that folder"
                )
        else:
            make_folder(folder)
            write_fields(scans, folder / "train")
            np.save(folder / RAW, np.array([image for scan in scans for image in scan.raw_train], np.float32))
            write_teaching_sample(folder / "sample-left.png")
            real = plan.histology.fields(models["stain"].card.colours)
            np.save(folder / COLOURS.name, plan.histology.densities(real))
            write_whole(settings_file, json.dumps(settings, indent=2).encode())
        return cls(folder, plan, scans, models)

    def fields(self, part: Part) -> list[Pair]:
        """Fields of all scans."""
        return [pair for scan in self.scans for pair in getattr(scan, part)]

    def raw(self, part: Part) -> list[Image]:
        """Raw reflectance of these fields; none of scans that are so fine that the stainer sees them reduced."""
        return [image for scan in self.scans for image in getattr(scan, f"raw_{part}")]

    @property
    def steps(self) -> int:
        """Steps of either training: fewer than planned where there are few fields."""
        return min(self.plan.steps, STEPS_OF_A_FIELD * len(self.fields("train")))

    def train(self, task: Task, progress: Progress) -> Weights:
        """Train on for one task, from the last checkpoint; the weights. KeyboardInterrupt: it was interrupted."""
        run, recipe = self.folder / RUNS[task], self.folder / f"{RUNS[task]}.toml"
        if not recipe.exists():
            write_whole(recipe, toml_text(self._recipe(task)).encode())
        outcome = train_recipe(recipe, run, task=task, resume=recipe_of(run).is_file(), progress=progress)
        if not outcome.is_complete:
            raise KeyboardInterrupt
        return read_weights(run / WEIGHTS)

    def _recipe(self, task: Task) -> dict[str, Any]:
        plan, base = self.plan, self.models[task]
        teaching = self.folder / "sample-left.png"
        if task == "stain":
            fields = self.folder / "train"
            return stainer.recipe_table(base.folder, base.card, fields, teaching, plan.histology, self.steps)
        speckle = self.speckle
        assert speckle is not None
        return despeckler.recipe_table(base.folder, base.card, self.folder / RAW, teaching, speckle, self.steps)

    @cached_property
    def speckle(self) -> Speckle | None:
        """Speckle of the scans; None where a despeckler has nothing to learn from them."""
        return despeckler.fitted_speckle(self.raw("train")) if "despeckle" in self.models else None

    def in_words(self) -> str:
        """What the models were adapted to, for their cards."""
        hashes = "; ".join(f"{scan.name}: SHA-256 {', '.join(scan.sha256)}" for scan in self.scans)
        own = len(self.plan.histology.files)
        used = f"{own} of the user's H&E slides and " if own else ""
        scans = "1 scan" if len(self.scans) == 1 else f"{len(self.scans)} scans"
        return f"adapted without truth to {scans} ({hashes}), beside {used}the built-in H&E"
