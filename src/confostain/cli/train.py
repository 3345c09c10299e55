"""Command that trains: train."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from confostain.cli.common import Commands, add_command, needs_extra, progress_bar, say, tell
from confostain.errors import OptionError

if TYPE_CHECKING:
    from confostain.models.registry import Task

TASKS: dict[str, Task] = {"despeckler": "despeckle", "stainer": "stain", "swift": "stain"}  # words before --config

EXAMPLES = """\
examples:
  confostain train recipes/swift.toml -o runs/swift
  confostain train recipes/swift.toml -o runs/swift --resume
  confostain train despeckler --config my.toml -o runs/mine
"""


def add_train(commands: Commands) -> None:
    """Add `train`."""
    parser = add_command(
        commands, "train", _train, "train a network, all parts of a recipe one after the other", EXAMPLES
    )
    parser.add_argument(
        "recipe",
        metavar="RECIPE",
        help="a TOML file, see the folder recipes; or one of despeckler, stainer, swift (the same as stainer), with"
        " --config",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="the TOML file, after one of those words")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="RUN", help="the folder of the run")
    parser.add_argument(
        "--workers",
        type=int,
        default=0,
        metavar="N",
        help="processes that draw batches ahead, 0, 1, 2, 4 or 8; worth it beside a GPU (default: 0)",
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on with the run in that folder, after its last checkpoint"
    )


def _train(options: argparse.Namespace) -> int:
    recipe, task = _recipe(options.recipe, options.config)
    with needs_extra("train"):
        from confostain.training.chain import train_recipe
    with progress_bar("training", unit=" steps") as progress:
        outcome = train_recipe(
            recipe, options.output, task=task, resume=options.resume, progress=progress, workers=options.workers
        )
    if outcome.is_complete:
        tell(f"{options.output}: trained, {outcome.done} steps")
        return 0
    say(
        f"interrupted after {outcome.done} of {outcome.steps} steps; {options.output} holds the best weights so far,"
        " --resume goes on"
    )
    return 1


def _recipe(word: str, config: Path | None) -> tuple[Path, Task | None]:
    """The file of the recipe, and the task that the word before --config names.

    Raises:
        OptionError: the word and --config do not go together.
    """
    if config is None and word not in TASKS:
        return Path(word), None
    if config is None:
        raise OptionError(f"train {word}: no configuration; give one with --config FILE, or a recipe instead of {word}")
    if word not in TASKS:
        raise OptionError(f"train {word}: expected {', '.join(TASKS)} before --config, or the recipe alone")
    if word == "swift":
        say("train swift does the same as train stainer; use that, or give the recipe alone")
    return config, TASKS[word]
