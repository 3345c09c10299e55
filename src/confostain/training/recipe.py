"""Recipe: a TOML file with everything that makes a trained model: parts of the training, means of weights, release.

Top-level keys and tables are settings that all parts share. Each of [[parts]] is a training of its own, with a name and
with settings of its own, which go before the shared ones key by key. It begins with the averaged weights of the part
before, or with a mean of those of several: mix = [["first", 0.3], ["second", 0.7]]. A recipe without parts is one
training. [release] says what is made of the weights in the end, see `confostain.training.release`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from confostain import RESEARCH_USE
from confostain.errors import ConfigError
from confostain.models.registry import Task
from confostain.training.config import Table, matching, read_table, real, validated, whole
from confostain.training.despeckler_config import DespecklerConfig
from confostain.training.stainer_config import StainerConfig

Config = DespecklerConfig | StainerConfig
Mix = tuple[tuple[str, Annotated[float, real(0, 1, above=True)]], ...]  # names of parts, and their shares

DESPECKLED = 64  # px, at least, of which a despeckler takes away the border

CONFIGS: dict[str, type[DespecklerConfig | StainerConfig]] = {"despeckle": DespecklerConfig, "stain": StainerConfig}


class Calibration(Table):
    """Images on which arithmetic precisions are measured."""

    typical: Annotated[int, whole(1, 1000)] = (
        24  # drawn as in the training; ranges of 8-bit integers are taken from them
    )
    judged: Annotated[int, whole(1, 1000)] = (
        8  # from the validation slides; the outcome is compared with float32 on them
    )
    side: Annotated[int, whole(64, 2048)] = 512  # px


class Evaluation(Table):
    """Images of the validation slides on which the released model is measured."""

    fields: Annotated[int, whole(1, 1000)] = 12
    side: Annotated[int, whole(64, 2048)] = 512  # px
    looks: tuple[Annotated[float, real(0.01, 1e6)], ...] = (
        1.0,
        4.0,
        10.0,
        45.0,
    )  # of despecklers: levels of white speckle


class Release(Table):
    """What is made of the weights in the end, and what the card says of the model."""

    description: str  # one line
    licence: str
    credit: str = ""  # of the data
    data: str = ""  # of the training, in words; empty: the names of the files
    use: str = RESEARCH_USE
    failures: tuple[str, ...] = ()  # what the model gets wrong
    mix: Mix | None = None  # None: the weights of the last part
    calibration: Calibration = Calibration()
    evaluation: Evaluation = Evaluation()


class _Head(Table):
    """What a part says beside its settings."""

    name: Annotated[str, matching("[a-z0-9][a-z0-9_-]{0,63}", "up to 64 small letters, digits, _ and -")]
    mix: Mix | None = None


@dataclass(frozen=True)
class Part:
    """One training of a recipe.

    Attributes:
        name: of its folder in the folder of the run; empty where the recipe is one training.
        config: its settings.
        table: the same as they stand in the recipe, those of all parts and its own.
        mix: whose weights it begins with; empty: with what `config.start` says.
    """

    name: str
    config: Config
    table: Mapping[str, Any]
    mix: Mix = ()


@dataclass(frozen=True)
class Recipe:
    """Everything that makes a trained model.

    Attributes:
        path: of the file.
        text: of the file.
        table: the same as read, keys of version 0.1 under their names of today.
        task: what the model is for.
        parts: the trainings, one after the other.
        release: what is made of their weights, or None.
    """

    path: Path
    text: str
    table: Mapping[str, Any]
    task: Task
    parts: tuple[Part, ...]
    release: Release | None

    @property
    def steps(self) -> int:
        """Steps of all parts."""
        return sum(part.config.steps for part in self.parts)

    @property
    def is_one_training(self) -> bool:
        """Whether there are no [[parts]]: the folder of the run is then that of the training."""
        return not self.parts[0].name

    @property
    def mix(self) -> Mix:
        """Whose weights are released, with their shares."""
        return (self.release and self.release.mix) or ((self.parts[-1].name, 1.0),)


def read_recipe(path: Path, task: Task | None = None) -> Recipe:
    """Read and validate a recipe.

    Args:
        path: TOML.
        task: what it must be for; None: what its key `task` says.

    Raises:
        ConfigError: it cannot be read, a key is unknown, or a value not allowed; one line with file and key.
    """
    table = read_table(path)
    said = table.setdefault("task", task) if task else table.get("task")
    if said not in CONFIGS:
        problem = "the key 'task' is missing" if said is None else f"task is {said!r}"
        raise ConfigError(f"{path}: {problem}; expected 'stain' or 'despeckle'")
    if task is not None and said != task:
        raise ConfigError(f"{path}: task is {said!r}; expected {task!r}")
    shared = {key: value for key, value in table.items() if key not in ("parts", "release")}
    release = validated(Release, table["release"], str(path), "release.") if "release" in table else None
    if "parts" in table:
        parts = tuple(_parts(table["parts"], shared, said, path))
    else:
        parts = (Part("", validated(CONFIGS[said], shared, str(path)), shared),)
    if release is not None:
        _check_release(release, parts, path)
    return Recipe(path, path.read_text(encoding="utf-8"), table, said, parts, release)


def _parts(tables: Any, shared: Mapping[str, Any], task: str, path: Path) -> list[Part]:
    if not isinstance(tables, list) or not tables or not all(isinstance(one, dict) for one in tables):
        raise ConfigError(f"{path}: parts is {type(tables).__name__}; expected one or more tables [[parts]]")
    parts: list[Part] = []
    for index, table in enumerate(tables):
        own = dict(table)
        named = {key: own.pop(key) for key in ("name", "mix") if key in own}
        head = validated(_Head, named, str(path), f"parts[{index}].")
        where, earlier = f"{path}: part {head.name}", [part.name for part in parts]
        if head.name in earlier:
            raise ConfigError(f"{where}: there are two of that name; expected another")
        if "start" in own and parts:
            raise ConfigError(f"{where}: start is for the first part; say with mix whose weights this one begins with")
        mix = head.mix or tuple((name, 1.0) for name in earlier[-1:])
        if head.mix is not None:
            _check_mix(head.mix, earlier, f"{where}: mix")
        settings = merged(shared, own)
        if parts:
            settings.pop("start", None)
        parts.append(Part(head.name, validated(CONFIGS[task], settings, where), settings, mix))
    return parts


def merged(shared: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a part: its own go before the shared ones, table by table and key by key."""
    result = dict(shared)
    for key, value in own.items():
        both_tables = isinstance(value, dict) and isinstance(shared.get(key), dict)
        result[key] = merged(shared[key], value) if both_tables else value
    return result


def _check_release(release: Release, parts: Sequence[Part], path: Path) -> None:
    """Refuse a release that could not be made once everything is trained."""
    if release.mix is not None:
        _check_mix(release.mix, [part.name for part in parts], f"{path}: release.mix")
    config, side = parts[-1].config, release.calibration.side
    stride, receptive_field = config.geometry
    least = receptive_field + (DESPECKLED if isinstance(config, StainerConfig) and config.despeckler else 1)
    if side % stride or side < least:
        raise ConfigError(
            f"{path}: release.calibration.side is {side}; expected a multiple of {stride} px, the stride of the design,"
            f" of at least {least} px"
        )


def _check_mix(mix: Mix, known: Sequence[str], where: str) -> None:
    """Refuse a mean of anything but parts that come before, or of shares that do not make up 1."""
    for name, _ in mix:
        if name not in known:
            raise ConfigError(
                f"{where}: {name!r} is no part before it; expected {', '.join(known) or 'none, as the first'}"
            )
    if not mix or abs(sum(share for _, share in mix) - 1) > 1e-6 or len({name for name, _ in mix}) < len(mix):
        raise ConfigError(f"{where}: is {json.dumps(mix)}; expected parts, each once, with shares that make up 1")


def toml_text(table: Mapping[str, Any]) -> str:
    """A table of strings, numbers, lists and tables as TOML, one line per key."""
    return "".join(f"{_toml_key(key)} = {_toml_value(value)}\n" for key, value in table.items())


def _toml_key(key: str) -> str:
    return key if key.isascii() and key.replace("_", "").replace("-", "").isalnum() else _toml_value(key)


def _toml_value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_toml_key(key)} = {_toml_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False)  # strings, numbers, true and false are written alike
