"""Commands that train: train despeckler, train stainer, train swift."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from confostain.cli.common import Commands, add_command, add_group, needs_extra, progress_bar

KINDS = {
    "despeckler": ("takes speckle out", "configs/despeckler.toml"),
    "stainer": ("stains: CycleGAN, simulated pairs, or both", "configs/cyclegan.toml"),
    "swift": ("stains fast, from reflectance and fluorescence straight to H&E", "configs/swift.toml"),
}


def add_train(commands: Commands) -> None:
    """Add `train`."""
    kinds = add_group(commands, "train", "train a network")
    for kind, (does, config) in KINDS.items():
        example = f"  confostain train {kind} --config {config} -o runs/{kind}"
        examples = f"examples:\n{example}\n{example} --resume"
        parser = add_command(kinds, kind, partial(_train, kind), f"train a network that {does}", examples)
        parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="TOML; see the folder configs")
        parser.add_argument("-o", "--output", required=True, type=Path, metavar="RUN", help="the folder of the run")
        parser.add_argument(
            "--workers",
            type=int,
            default=0,
            metavar="N",
            help="processes that draw batches ahead, 0, 1, 2, 4 or 8; worth it beside a GPU (default: 0)",
        )
        parser.add_argument("--resume", action="store_true", help="go on with the run in that folder")


def _train(kind: str, options: argparse.Namespace) -> int:
    with needs_extra("train"):
        from confostain.training.despeckler import train_despeckler
        from confostain.training.stainer import train_stainer
    train = train_despeckler if kind == "despeckler" else train_stainer
    with progress_bar("training", unit=" steps") as progress:
        done = train(options.config, options.output, options.resume, progress, options.workers)
    print(f"{options.output}: trained, {done} steps")
    return 0
