"""Card of a released model: what it says of data and schedule, generated from the recipe and its runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from confostain.training.despeckler_config import DespecklerConfig
from confostain.training.recipe import Config, Part, Recipe
from confostain.training.run import run_facts


def data_in_words(config: Config) -> str:
    """Which data a training drew from."""
    names = ", ".join(Path(file).name for file in config.data.train)
    kind = "H&E, grey and inverted" if isinstance(config, DespecklerConfig) else "pairs simulated from H&E"
    return f"{kind}, {config.data.microns_per_pixel:g} um/px: {names}"


def without_folders(table: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe as a card holds it: with the names of files, since their folders say nothing to others.

    Of its release, only what is not in the card under a name of its own.
    """

    def named(key: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: named(name, part) for name, part in value.items()}
        if key == "parts":
            return [named("", part) for part in value]
        if key in ("train", "validate"):
            return [Path(file).name for file in value]
        return Path(value).name if key in ("confocal", "start") else value

    kept = {
        key: value for key, value in table.get("release", {}).items() if key in ("mix", "calibration", "evaluation")
    }
    return {key: named(key, value) for key, value in table.items() if key != "release"} | {"release": kept}


def schedule(recipe: Recipe, runs: Sequence[Path]) -> str:
    """The training in words, generated from the recipe and from what its runs say of themselves."""
    parts = [_part_in_words(part, [run_facts(run / part.name) for run in runs]) for part in recipe.parts]
    text = parts[0] if len(parts) == 1 else "one after the other: " + "; ".join(parts)
    text += ". Weights averaged over the steps" + (
        "" if recipe.task == "despeckle" else ", those of the best validation"
    )
    text += "" if recipe.is_one_training else f"; released are {shares_in_words(recipe.mix)}"
    return text + (f"; mean of {len(runs)} runs" if len(runs) > 1 else "")


def _part_in_words(part: Part, facts: Sequence[Mapping[str, Any]]) -> str:
    config = part.config
    stages = [config] if isinstance(config, DespecklerConfig) else config.stages
    work = " and ".join(f"{one.steps} steps of {one.batch} patches of {one.patch} px" for one in stages)
    devices = sorted({f"{fact.get('devices', 1)} x {fact.get('device', 'unknown')}" for fact in facts})
    where = f"{config.precision} on {', '.join(devices)}"
    mix = f", begun with {shares_in_words(part.mix)}" if len(part.mix) > 1 else ""
    return f"{work} ({part.name + ': ' if part.name else ''}{where}{mix})"


def shares_in_words(mix: Sequence[tuple[str, float]]) -> str:
    """A mean of the weights of several parts."""
    return " and ".join(f"{share:g} of {name}" for name, share in mix)
