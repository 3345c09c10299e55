"""Release of a trained model: weights mixed, exported, calibrated, evaluated and described, complete or absent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from confostain.errors import ConfigError, OptionError
from confostain.io.writers.atomic import PartialFolder
from confostain.models.build import fill_network, read_weights
from confostain.models.card import CARD, WEIGHTS, ModelCard, described_files, read_card
from confostain.models.export import save_model, write_card
from confostain.training.calibration import calibrate
from confostain.training.chain import is_complete, recipe_of
from confostain.training.recipe import Recipe, Release, read_recipe
from confostain.training.release_card import data_in_words, schedule, shares_in_words, without_folders
from confostain.training.release_figures import evaluate
from confostain.training.run import commit, run_facts
from confostain.training.weights import mean_weights


def release(
    runs: Sequence[Path],
    folder: Path,
    *,
    overwrite: bool = False,
    allow_dirty: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> ModelCard:
    """Make a model of the runs of a recipe.

    Args:
        runs: folders of complete runs of one recipe, which may differ in their seeds; the mean of their weights is
            taken.
        folder: of the model; appears when it is complete.
        overwrite: whether a model there may be replaced.
        allow_dirty: whether the code may have been changed since its last commit, now or when it trained.
        say: told about each stage.

    Returns:
        The card of the model.

    Raises:
        ConfigError: a run is not complete, its recipe says nothing of a release, or the recipes differ.
        OptionError: the code was changed since its last commit.
        OutputError: `folder` exists or cannot be written. ModelError, SlideError: weights or H&E cannot be read.
    """
    recipe, plan = _recipe_of(runs)
    config = recipe.parts[-1].config
    commits = _commits(runs, recipe, allow_dirty)
    with PartialFolder(folder, overwrite, is_model) as result:
        made = result.partial
        if not recipe.is_one_training:
            say(f"weights: {shares_in_words(recipe.mix)}")
        fields = config.card_fields() | {
            "description": plan.description,
            "data": plan.data or data_in_words(config),
            "credit": plan.credit,
            "licence": plan.licence,
            "use": plan.use,
            "schedule": schedule(recipe, runs),
            "failures": plan.failures,
            "commit": commits,
            "config": without_folders(recipe.table),
        }
        network = config.build()
        fill_network(network, mixed_weights(recipe, runs), "the mean of the weights")
        card = save_model(network, made, fields)
        say("precisions: measured beside float32")
        precisions = calibrate(made, card, config, plan.calibration)
        card = write_card(made, card.model_copy(update={"precisions": precisions}))
        say("figures: measured on the validation slides")
        figures = evaluate(made, config, plan.evaluation)
        write_card(made, card.model_copy(update={"figures": figures}))
        read_card(made)  # valid, and every file has the hash that it names
        result.complete()
    return read_card(folder)


def is_model(folder: Path) -> bool:
    """Whether a folder is empty, or holds a model and nothing else."""
    names = {path.name for path in folder.iterdir()}
    return not names or names == {path.name for path in described_files(folder)} | {CARD}


def mixed_weights(recipe: Recipe, runs: Sequence[Path]) -> dict[str, Tensor]:
    """The mean over the runs of what the recipe mixes of each, float32 by name."""
    of_runs = [
        mean_weights([(read_weights(run / name / WEIGHTS), share) for name, share in recipe.mix]) for run in runs
    ]
    return mean_weights([(weights, 1 / len(runs)) for weights in of_runs])


def _recipe_of(runs: Sequence[Path]) -> tuple[Recipe, Release]:
    """The recipe of complete runs, and what it says of the release."""
    recipes = [read_recipe(recipe_of(run), run_facts(run).get("task")) for run in runs]
    recipe = recipes[0]
    for run, other in zip(runs, recipes, strict=True):
        if _without_seeds(other) != _without_seeds(recipe):
            raise ConfigError(f"{run}: its recipe differs from that of {runs[0]}; expected runs of one recipe")
        for part in other.parts:
            if not is_complete(run, part):
                done = run_facts(run / part.name).get("steps", 0)
                raise ConfigError(
                    f"{run / part.name}: trained for {done} of {part.config.steps} steps; finish it with train --resume"
                )
    if recipe.release is None:
        raise ConfigError(f"{recipe.path}: there is no table [release]; expected one with description and licence")
    return recipe, recipe.release


def _without_seeds(recipe: Recipe) -> list[Mapping[str, Any]]:
    return [part.config.model_dump(exclude={"seed"}) | {"name": part.name, "mix": part.mix} for part in recipe.parts]


def _commits(runs: Sequence[Path], recipe: Recipe, allow_dirty: bool) -> str:
    """The commits of the code that trained, and of that which releases.

    Raises:
        OptionError: one of them was changed, which is not allowed.
    """
    here = commit()
    trained = {str(run_facts(run / part.name).get("commit", "unknown")) for run in runs for part in recipe.parts}
    changed = sorted(one for one in {here, *trained} if one.endswith("-dirty"))
    if changed and not allow_dirty:
        when = "since its last commit" if here in changed else "when it trained"
        raise OptionError(
            f"the code was changed {when} ({changed[0]}), so nobody could make the model again; commit and train first,"
            " or allow it with --allow-dirty"
        )
    return here if trained == {here} else f"{', '.join(sorted(trained))}; released by {here}"
