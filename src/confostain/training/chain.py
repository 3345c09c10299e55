"""Training of a recipe: its parts one after the other, each in a folder of its own, from any interruption onwards.

RUN/recipe.toml   the recipe as given            RUN/PART/   the run of each part, see `confostain.training.run`
Where the recipe is one training, RUN itself is its run, and RUN/config.toml the recipe.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from confostain.arrays import Progress
from confostain.data.loader import SEED_STREAMS
from confostain.errors import ConfigError, ConfostainWarning, OptionError, OutputError
from confostain.models.build import read_weights
from confostain.models.card import WEIGHTS
from confostain.models.export import save_model, write_whole
from confostain.models.registry import Task
from confostain.training.despeckler import DespecklerTrainer
from confostain.training.despeckler_config import DespecklerConfig
from confostain.training.loop import Trainer, train
from confostain.training.recipe import Config, Part, Recipe, read_recipe, toml_text
from confostain.training.run import CONFIG, Run, commit, launched, make_folder, run_facts
from confostain.training.stainer import StainerTrainer
from confostain.training.weights import mean_weights, start_weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lightning.fabric import Fabric
    from torch import Tensor

RECIPE = "recipe.toml"


@dataclass(frozen=True)
class Outcome:
    """How far a training came.

    Attributes:
        done: steps, those of an earlier call included.
        steps: of the whole recipe.
    """

    done: int
    steps: int

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to train."""
        return self.done == self.steps


def train_recipe(
    path: Path,
    folder: Path,
    *,
    task: Task | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    workers: int = 0,
) -> Outcome:
    """Train all parts of a recipe; each leaves a model in its folder, also if it is interrupted (Ctrl-C).

    Args:
        path: the recipe, see `confostain.training.recipe`.
        folder: of the run; must not hold one, unless `resume`.
        task: what the recipe must be for; None: what it says itself.
        resume: go on after the last checkpoint, to the same weights as without the break; parts that are complete are
            not trained again.
        progress: called after each step, with the steps done and the steps of all parts.
        workers: processes that draw batches ahead; the outcome does not depend on it.

    Raises:
        ConfigError: the recipe is not valid, differs from that of the run to resume, or a checkpoint is damaged.
        OutputError: there is a run and nobody asked to resume it, or there is none to resume, or no place for it.
        SlideError, ModelError, OptionError: H&E, weights or `workers` cannot be used.
    """
    from lightning.fabric.utilities.rank_zero import rank_zero_only

    recipe = read_recipe(path, task)
    if workers not in range(SEED_STREAMS + 1) or (workers and SEED_STREAMS % workers):
        raise OptionError(f"{workers} workers: expected 0, 1, 2, 4 or {SEED_STREAMS}")
    if getattr(rank_zero_only, "rank", 0) == 0:  # the others join what the first process begins
        check_run(folder, recipe, resume)
    done = 0
    for part in recipe.parts:
        if not (resume and is_complete(folder, part)):

            def told(of_part: int, _: int, before: int = done) -> None:
                if progress is not None:
                    progress(before + of_part, recipe.steps)

            of_part = train_part(recipe, part, folder, resume, told, workers)
            if of_part < part.config.steps:
                return Outcome(done + of_part, recipe.steps)
        done += part.config.steps
    return Outcome(done, recipe.steps)


def recipe_of(folder: Path) -> Path:
    """The recipe in the folder of a run."""
    return next((folder / name for name in (RECIPE, CONFIG) if (folder / name).is_file()), folder / RECIPE)


def check_run(folder: Path, recipe: Recipe, resume: bool) -> None:
    """Refuse a folder that holds a run when one is to begin, and one that holds no run of the recipe to resume.

    What the recipe says of the release may differ, and is copied into the folder.

    Raises:
        OutputError, ConfigError: see `train_recipe`.
    """
    copy = recipe_of(folder)
    if not resume and copy.is_file():
        raise OutputError(f"{folder}: holds a run already; give --resume to go on with it, or another folder")
    if resume and not copy.is_file():
        raise OutputError(f"{folder}: holds no run to resume; leave --resume out to begin one")
    if resume:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConfostainWarning)  # of old keys, which has been given
            began = read_recipe(copy, recipe.task)
        if [(part.name, part.config, part.mix) for part in began.parts] != [
            (part.name, part.config, part.mix) for part in recipe.parts
        ]:
            raise ConfigError(f"{recipe.path}: differs from {copy}, with which the run began; resume with that")
        write_whole(copy, recipe.text.encode())  # what it says of the release may be new


def is_complete(folder: Path, part: Part) -> bool:
    """Whether a part has been trained to its end."""
    return run_facts(folder / part.name).get("steps") == part.config.steps


def train_part(recipe: Recipe, part: Part, folder: Path, resume: bool, progress: Progress | None, workers: int) -> int:
    """Train one part, as `train_recipe`; the steps done, which are fewer after an interruption."""
    config, run = part.config, Run(folder / part.name, resume)
    fabric = launched(config.seed, config.precision)
    trainer = trainer_of(config, fabric, start_of(part, folder))
    if fabric.is_global_zero:
        facts = {
            "task": config.task,
            "seed": config.seed,
            "devices": fabric.world_size,
            "device": device_name(fabric.device),
        }
        if not recipe.is_one_training:
            make_folder(folder)
            write_whole(folder / RECIPE, recipe.text.encode())
        run.begin(recipe.text if recipe.is_one_training else toml_text(part.table), facts | {"mix": part.mix})
    fabric.barrier()
    done = train(trainer, run, progress, workers)
    if fabric.is_global_zero:
        settings = config.model_dump(mode="json", exclude={"design"})
        save_model(trainer.network(), run.folder, config.card_fields() | {"commit": commit(), "config": settings})
        run.finish(done)
    fabric.barrier()
    return done


def trainer_of(config: Config, fabric: Fabric, start: Mapping[str, Tensor] | None) -> Trainer:
    """The trainer of a despeckler or of a stainer."""
    if isinstance(config, DespecklerConfig):
        return DespecklerTrainer(config, fabric, start)
    return StainerTrainer(config, fabric, start)


def start_of(part: Part, folder: Path) -> dict[str, Tensor] | None:
    """The weights that a part begins with, float32 by name; None: fresh ones."""
    if part.mix:
        return mean_weights([(read_weights(folder / name / WEIGHTS), share) for name, share in part.mix])
    return None if part.config.start is None else start_weights(part.config.start, part.config.task)


def device_name(device: torch.device) -> str:
    """A device in words, such as "cuda:0 (NVIDIA H100)"."""
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)
