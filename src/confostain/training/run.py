"""A run: one training in one folder, from which anyone can see what was done, and go on where it stopped.

config.toml         as given               run.json      seed, commit, versions, command
metrics.jsonl       one line per record    tensorboard/  the same, for TensorBoard
samples/            pictures on the way    checkpoint.pt everything needed to go on
weights.safetensors, network.onnx, card.json: the outcome
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import subprocess
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from confostain import __version__
from confostain.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from lightning.fabric import Fabric

Config = TypeVar("Config")
Precision = Literal["32-true", "bf16-mixed", "16-mixed"]


def load_config(path: Path, kind: type[Config]) -> Config:
    """Read a TOML file into the frozen dataclass `kind`; tables become its nested dataclasses.

    Raises:
        ConfigError: the file is missing or no TOML, or a key is unknown, missing or of another type.
    """
    try:
        table = tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); expected a TOML file") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML ({error})") from error
    return from_table(kind, table, str(path))


def from_table(kind: type[Config], table: Mapping[str, Any], where: str) -> Config:
    """A dataclass from a table of TOML or JSON; ConfigError, which begins with `where`, for what does not fit."""
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key in table:
        if key not in fields:
            raise ConfigError(f"{where}: unknown key {key!r}; expected one of {', '.join(fields)}")
    for name, field in fields.items():
        needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if needed and name not in table:
            raise ConfigError(f"{where}: the key {name!r} is missing")
    return kind(**{key: _value(hints[key], value, f"{where}: {key}") for key, value in table.items()})


def _value(hint: Any, value: Any, where: str) -> Any:
    origin, choices = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type) and isinstance(value, dict):
        return from_table(hint, value, where)
    if origin is typing.Literal and value in choices:
        return value
    if origin is tuple and isinstance(value, list):
        kinds = [choices[0]] * len(value) if choices[1:] == (...,) else list(choices)
        if len(kinds) == len(value):
            return tuple(_value(kind, item, where) for kind, item in zip(kinds, value, strict=True))
    if origin is types.UnionType:  # only "... | None" is used, and TOML knows no None
        return _value(choices[0], value, where)
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if hint in (int, str, bool) and type(value) is hint:
        return value
    expected = " or ".join(map(repr, choices)) if origin is typing.Literal else getattr(hint, "__name__", hint)
    raise ConfigError(f"{where} is {value!r}; expected {expected}")


def launched(seed: int, precision: Precision) -> Fabric:
    """Lightning Fabric on the devices there are, with every random generator seeded."""
    import torch
    from lightning.fabric import Fabric, seed_everything

    torch.backends.cudnn.benchmark = True  # patches have one size: the fastest convolution is worth looking for
    seed_everything(seed, verbose=False)
    fabric = Fabric(precision=precision)
    fabric.launch()
    return fabric


class Run:
    """The folder of one training.

    Args:
        folder: where; made if it does not exist.
        config_file: the configuration, copied into the folder.
        resume: go on with the training in that folder; otherwise it must not hold one.

    Raises:
        OutputError: there is a run and nobody asked to resume it, or there is none to resume.
        ConfigError: the configuration to resume with is not the one the run began with.
    """

    def __init__(self, folder: Path, config_file: Path, resume: bool) -> None:
        self.folder = folder
        copy = folder / "config.toml"
        if resume and not copy.exists():
            raise OutputError(f"{folder}: holds no run to resume; leave --resume out to begin one")
        if not resume and copy.exists():
            raise OutputError(f"{folder}: holds a run already; give --resume to go on with it, or another folder")
        text = config_file.read_text()
        if resume and copy.read_text() != text:
            raise ConfigError(f"{config_file}: differs from {copy}, with which the run began; resume with that")
        (folder / "samples").mkdir(parents=True, exist_ok=True)
        write_whole(copy, text.encode())
        self._board: Any = None

    @property
    def checkpoint(self) -> Path:
        """Where the state of the training is kept."""
        return self.folder / "checkpoint.pt"

    @property
    def metrics(self) -> Path:
        """The file of records."""
        return self.folder / "metrics.jsonl"

    def describe(self, facts: Mapping[str, object]) -> None:
        """Write run.json: `facts`, the commit and the versions."""
        known = dict(facts) | {
            "commit": commit(),
            "confostain": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
        }
        write_whole(self.folder / "run.json", (json.dumps(known, indent=2) + "\n").encode())

    def rewind(self, step: int) -> None:
        """Forget the records after `step`: they are made again from the checkpoint of that step."""
        if self.metrics.exists():
            lines = self.metrics.read_text().splitlines(keepends=True)
            kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
            write_whole(self.metrics, "".join(kept).encode())

    def record(self, step: int, values: Mapping[str, float]) -> None:
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

    def close(self) -> None:
        """Write out what TensorBoard still holds back."""
        if self._board is not None:
            self._board.close()


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that is there complete or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    part.replace(path)


def commit() -> str:
    """The commit of the code that runs, with "-dirty" where it was changed since; "unknown" outside a checkout."""
    git = ["git", "-C", os.fspath(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
