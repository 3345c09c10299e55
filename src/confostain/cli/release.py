"""Command that makes a model of trained weights: release."""

from __future__ import annotations

import argparse
from pathlib import Path

from confostain.cli.common import Commands, add_command, needs_extra, tell

EXAMPLES = """\
examples:
  confostain release runs/swift -o models/swift
  confostain release runs/a runs/b -o models/mean    # the mean of two runs of one recipe
"""


def add_release(commands: Commands) -> None:
    """Add `release`."""
    summary = "make a model of a trained recipe: mix weights, export, calibrate, evaluate, write the card"
    parser = add_command(commands, "release", _release, summary, EXAMPLES)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a run of `confostain train`")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="DIR", help="the folder of the model")
    parser.add_argument("--overwrite", action="store_true", help="replace a model that is there")
    parser.add_argument("--allow-dirty", action="store_true", help="even if the code was changed since its last commit")


def _release(options: argparse.Namespace) -> int:
    with needs_extra("train"):
        from confostain.training.release import release
    card = release(options.runs, options.output, overwrite=options.overwrite, allow_dirty=options.allow_dirty, say=tell)
    tell(f"{options.output}: {card.kind}, {card.parameters} weights, precisions {', '.join(card.allowed_precisions)}")
    return 0
