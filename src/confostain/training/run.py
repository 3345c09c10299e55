"""Run: one training in one folder, from which anyone can see what was done, and go on where it stopped.

config.toml         the settings               run.json      seed, commit, versions, devices, steps done
metrics.jsonl       one line per log entry     tensorboard/  the same, for TensorBoard
samples/            pictures on the way        checkpoint.pt everything needed to go on
weights.safetensors, network.onnx, card.json: the trained model
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from confostain import __version__
from confostain.errors import ConfigError, OutputError
from confostain.models.export import write_whole
from confostain.training.config import Precision

if TYPE_CHECKING:
    from lightning.fabric import Fabric

CONFIG, FACTS = "config.toml", "run.json"
DAMAGED = "remove the folder of that training and train it again"


def launched(seed: int, precision: Precision) -> Fabric:
    """Lightning Fabric on the devices there are, with every random generator seeded."""
    from lightning.fabric import Fabric, seed_everything

    torch.backends.cudnn.benchmark = True  # patches have one size: the fastest convolution is worth looking for
    seed_everything(seed, verbose=False)
    fabric = Fabric(precision=precision)
    fabric.launch()
    return fabric


class Run:
    """The folder of one training.

    Args:
        folder: where; `begin` makes it.
        resume: whether its checkpoint, if there is one, is gone on from.
    """

    def __init__(self, folder: Path, resume: bool = False) -> None:
        self.folder, self.resume = folder, resume
        self._board: Any = None

    @property
    def checkpoint(self) -> Path:
        """Where the state of the training is kept."""
        return self.folder / "checkpoint.pt"

    @property
    def metrics(self) -> Path:
        """The log: JSON lines."""
        return self.folder / "metrics.jsonl"

    def begin(self, config: str, facts: Mapping[str, object]) -> None:
        """Make the folder, with the settings (TOML), and run.json with `facts`, the commit and the versions.

        Raises:
            OutputError: the folder cannot be made.
        """
        make_folder(self.folder / "samples")
        write_whole(self.folder / CONFIG, config.encode())
        known = dict(facts) | {
            "commit": commit(),
            "confostain": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "torch": torch.__version__,
        }
        self._write_facts(known)

    def finish(self, step: int) -> None:
        """Say in run.json how many steps the model in the folder was trained for; close the TensorBoard log."""
        if self._board is not None:
            self._board.close()
        self._write_facts(run_facts(self.folder) | {"steps": step})

    def _write_facts(self, facts: Mapping[str, object]) -> None:
        write_whole(self.folder / FACTS, (json.dumps(facts, indent=2) + "\n").encode())

    def rewind(self, step: int) -> None:
        """Forget the log after `step`: it is made again from the checkpoint of that step.

        Raises:
            ConfigError: the log is damaged.
        """
        if not self.metrics.exists():
            return
        try:
            lines = self.metrics.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ConfigError(f"{self.metrics}: not the log of a training ({error!r}); {DAMAGED}") from error
        write_whole(self.metrics, "".join(kept).encode())

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Add one line to metrics.jsonl and one point per value to the TensorBoard log."""
        with self.metrics.open("a") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        if self._board is None:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(self.folder / "tensorboard", purge_step=step)
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def sample(self, step: int, picture: npt.NDArray[np.uint8]) -> None:
        """Keep a picture: uint8 (h, w) or (h, w, 3)."""
        from PIL import Image

        Image.fromarray(picture).save(self.folder / "samples" / f"{step:07d}.png")


def make_folder(folder: Path) -> None:
    """Make a folder and those around it, unless they are there.

    Raises:
        OutputError: that cannot be done.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be made ({error.strerror}); expected a folder, or a place for one; choose another"
        ) from error


def run_facts(folder: Path) -> dict[str, Any]:
    """What run.json of a run's folder says; nothing where there is no such file.

    Raises:
        ConfigError: it is damaged.
    """
    path = folder / FACTS
    try:
        facts = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); {DAMAGED}") from error
    if not isinstance(facts, dict):
        raise ConfigError(f"{path}: expected what a training wrote; {DAMAGED}")
    return facts


def save_checkpoint(fabric: Fabric, path: Path, state: Mapping[str, Any]) -> None:
    """Write the state of a training, complete or not at all; called by all processes, done by the first."""
    part = path.with_name(path.name + ".part")
    fabric.save(part, dict(state))
    if fabric.is_global_zero:
        part.replace(path)


def load_checkpoint(path: Path, steps: int) -> dict[str, Any]:
    """The state of a training, "step" among it.

    Raises:
        ConfigError: the file is damaged, holds anything but tensors and numbers, or is of another training.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch, zipfile and pickle each raise their own
        reason = _reason(error)
        raise ConfigError(f"{path}: not a checkpoint that can be read ({reason}); {DAMAGED}") from error
    step = state.get("step") if isinstance(state, dict) else None
    if not isinstance(step, int) or not 0 < step <= steps:
        raise ConfigError(f"{path}: expected the checkpoint of a training of {steps} steps; {DAMAGED}")
    return dict(state)


def _reason(error: Exception) -> str:
    """Why a checkpoint cannot be loaded, in one short line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, UnpicklingError):  # whose text tells how to run the code in it
        return "it holds something other than tensors and numbers"
    return str(error).partition("\n")[0][:100] or type(error).__name__


def commit() -> str:
    """The commit of the code that runs, with "-dirty" where it was changed since; "unknown" outside a checkout."""
    here = Path(__file__)
    git = ["git", "-C", os.fspath(here.parent)]
    try:
        for command in (["ls-files", "--error-unmatch", here.name], ["describe", "--always", "--dirty", "--abbrev=12"]):
            done = subprocess.run([*git, *command], capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()
