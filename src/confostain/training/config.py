"""Training configurations: TOML read into frozen, strict pydantic models, and one line for what does not fit."""

from __future__ import annotations

import json
import re
import tomllib
import typing
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, ValidationError, WrapValidator
from pydantic_core import ErrorDetails, PydanticCustomError
from torch import nn

from confostain.data.noisy_patches import HistologyData
from confostain.errors import ConfigError, ConfostainError, ConfostainWarning

Kind = TypeVar("Kind", bound="Table")
Precision = Literal["32-true", "bf16-mixed", "16-mixed"]  # of Lightning Fabric

LARGEST_PATCH = 4096  # px

RENAMED = {  # keys of version 0.1, read for one version more
    "record_every": "log_every",
    "look_every": "validate_every",
    "averaging": "ema_decay",
    "gain": "intensity_jitter",
    "variety": "domain_randomisation",
    "reuse": "crops_per_region",
    "critic_width": "discriminator_width",
}
RENAMED_TERMS = {  # of the table objective
    "content": "nuclei_correlation",
    "resemblance": "ssim",
    "texture": "gradient_order",
    "patterns": "lbp",
    "witnessed": "conditional_discriminator",
}


def _checked(expected: str, fits: Callable[[Any], bool]) -> WrapValidator:
    def check(value: Any, validated: Callable[[Any], Any]) -> Any:
        try:
            result = validated(tuple(value) if isinstance(value, list) else value)  # strict: as Python has it
        except ValidationError:
            result = None
        if result is None or not fits(result):
            raise PydanticCustomError("outside", "expected {expected}", {"expected": expected})
        return result

    return WrapValidator(check)


def whole(low: int, high: int) -> WrapValidator:
    """Limits of an integer, both allowed."""
    return _checked(f"a whole number from {low} to {high}", lambda value: low <= value <= high)


def real(low: float, high: float, *, above: bool = False) -> WrapValidator:
    """Limits of a finite number; `above`: the lower one is not allowed."""
    return _checked(_span("a number", low, high, above), lambda value: _lies(value, low, high, above))


def ordered(low: float, high: float, *, above: bool = False) -> WrapValidator:
    """Limits of a range (smallest, largest); `above`: the lower one is not allowed."""
    expected = _span("[smallest, largest]", low, high, above)
    return _checked(expected, lambda ends: ends[0] <= ends[1] and all(_lies(end, low, high, above) for end in ends))


def counts(high: int) -> WrapValidator:
    """Limits of a list of numbers of channels or blocks, each from 1 to `high`."""
    return _checked(
        f"up to 8 whole numbers from 1 to {high}",
        lambda values: len(values) in range(1, 9) and all(1 <= value <= high for value in values),
    )


def matching(pattern: str, expected: str) -> WrapValidator:
    """Limits of a text by a regular expression; `expected` says it in words."""
    return _checked(expected, lambda text: re.fullmatch(pattern, text) is not None)


def _span(kind: str, low: float, high: float, above: bool) -> str:
    return f"{kind} above {low:g}, at most {high:g}" if above else f"{kind} from {low:g} to {high:g}"


def _lies(value: float, low: float, high: float, above: bool) -> bool:
    return low <= value <= high and not (above and value == low)  # not a number is nowhere


def geometry_of(build: Callable[[], nn.Module]) -> tuple[int, int]:
    """Stride and receptive field in pixels of the network that `build` makes, which takes no memory.

    Raises:
        ValueError: there is no such network.
    """
    try:
        with torch.device("meta"):
            network = build()
    except (ConfostainError, RuntimeError, IndexError) as error:
        raise ValueError(f"design: {error}") from error
    return int(network.stride), int(network.receptive_field)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Histology(HistologyData):
    """H&E of a training, with limits."""

    microns_per_pixel: Annotated[float, real(0.05, 20)] = HistologyData.microns_per_pixel


class Table(BaseModel):
    """A table of TOML; unknown keys and values of another type are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class TrainingConfig(Table):
    """Settings that the trainings of despecklers and stainers share."""

    seed: Annotated[int, whole(0, 2**32 - 1)] = 2019
    ema_decay: Annotated[float, real(0, 1)] = 0.999  # share of the averaged weights that a step keeps
    precision: Precision = "32-true"
    start: str | None = None  # weights to begin with: a safetensors file, or a model by its name or folder
    log_every: Annotated[int, whole(1, 1_000_000)] = 10  # steps
    validate_every: Annotated[int, whole(1, 10_000_000)] = 500  # steps between validations, each with a checkpoint


def read_table(path: Path) -> dict[str, Any]:
    """The table of a TOML file, keys of version 0.1 under their names of today.

    Raises:
        ConfigError: the file cannot be read, is no TOML in UTF-8, or has a key under both of its names.
    """
    try:
        table = tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); expected a TOML file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8; expected a TOML file") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid TOML ({error})") from error
    return with_new_keys(table, str(path))


def with_new_keys(table: dict[str, Any], where: str) -> dict[str, Any]:
    """The table with the keys of version 0.1 renamed, after one warning that lists them.

    Raises:
        ConfigError: a key is there under both names.
    """
    found: dict[str, str] = {}

    def renamed(part: Any, names: Mapping[str, str], label: str) -> Any:
        if not isinstance(part, dict):
            return part
        for old in names.keys() & part.keys():
            if names[old] in part:
                raise ConfigError(f"{where}: {label}{old} is the old name of {names[old]}; expected one of them only")
            found[label + old] = names[old]
        return {names.get(key, key): value for key, value in part.items()}

    def training(part: Any, label: str = "") -> Any:
        part = renamed(part, RENAMED, label)
        if isinstance(part, dict) and "objective" in part:
            part["objective"] = renamed(part["objective"], RENAMED_TERMS, f"{label}objective.")
        return part

    table = training(table)
    if isinstance(table.get("parts"), list):
        table["parts"] = [training(part, f"parts[{index}].") for index, part in enumerate(table["parts"])]
    if found:
        pairs = ", ".join(f"{old} (now {new})" for old, new in sorted(found.items()))
        warnings.warn(f"{where}: keys of version 0.1, not read by the next one: {pairs}", ConfostainWarning, 2)
    return table


def validated(kind: type[Kind], table: Mapping[str, Any], where: str, label: str = "") -> Kind:
    """A table as the model `kind`; messages begin with `where`, and keys with `label`.

    Raises:
        ConfigError: a key is unknown or missing, or a value not allowed; one line that begins with `where`.
    """
    try:
        return kind.model_validate_json(json.dumps(table, default=str))  # which takes lists for tuples, unlike Python
    except ValidationError as error:
        first, more = error.errors(include_url=False)[0], error.error_count() - 1
        raise ConfigError(f"{where}: {_problem(kind, first, label)}" + (f"; and {more} more" if more else "")) from None
    except ValueError as error:  # a number that JSON cannot hold
        raise ConfigError(f"{where}: {error}") from error


def _problem(kind: type[Table], error: ErrorDetails, label: str) -> str:
    """What is wrong with one key, and what is expected."""
    key = label + _key(error["loc"])
    match error["type"]:
        case "missing":
            return f"the key {key!r} is missing"
        case "extra_forbidden" | "unexpected_keyword_argument":
            return f"unknown key {key!r}; expected one of {', '.join(_keys_at(kind, error['loc'][:-1]))}"
        case "value_error":  # of a table as a whole
            text = error["msg"].removeprefix("Value error, ")
            return f"{key}: {text}" if key else text
    expected = error["msg"].replace("Input should be", "expected")
    return f"{key} is {_shortened(error['input'])}; {expected}"


def _key(loc: tuple[int | str, ...]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in loc).removeprefix(".")


def _keys_at(kind: Any, place: tuple[int | str, ...]) -> list[str]:
    """The keys that a table inside the model `kind` may have."""
    for step in place:
        kind = typing.get_args(kind)[0] if isinstance(step, int) else typing.get_type_hints(kind)[step]
        if type(None) in typing.get_args(kind):  # optional
            kind = typing.get_args(kind)[0]
    return list(getattr(kind, "model_fields", None) or getattr(kind, "__dataclass_fields__", {}))


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
