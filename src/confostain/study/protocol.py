"""Protocol of a reader study: arms, questions and fields, read from a TOML file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from confostain.errors import ConfigError

Name = Annotated[str, Field(min_length=1, max_length=200)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Question(_Table):
    """A question about every field.

    Attributes:
        id: its name in the results.
        text: what the reader sees.
        choices: the possible answers.
        correct: the correct answer for each arm; empty for an opinion.
    """

    id: Name
    text: Name
    choices: Annotated[list[Name], Field(min_length=2, max_length=20)]
    correct: dict[str, str] = {}


class Arm(_Table):
    """A source of fields: either a raw slide and a model, or an H&E slide.

    Attributes:
        name: its name in the results.
        slide, model: a raw slide, and the model that stains it.
        histology: an H&E slide.
        mpp: um per pixel, if the files do not give it.
    """

    name: Name
    slide: str | None = None
    model: str | None = None
    histology: str | None = None
    mpp: float | None = None


class Protocol(_Table):
    """Contents of the TOML file.

    Attributes:
        title, introduction: what the reader sees first.
        arms: sources of the fields.
        questions: asked about every field.
        seed: of the random choice of fields.
        fields: number of fields of each arm.
        field_pixels: side of a field.
        microns_per_pixel: of every field; arms with another pixel size are resampled.
        comment: whether readers may write a comment on each field.
    """

    title: Name
    introduction: str = ""
    arms: Annotated[list[Arm], Field(min_length=1)]
    questions: Annotated[list[Question], Field(min_length=1)]
    seed: int = 0
    fields: Annotated[int, Field(ge=1, le=1000)] = 20
    field_pixels: Annotated[int, Field(ge=64, le=2048)] = 512
    microns_per_pixel: Annotated[float, Field(ge=0.1, le=10)] = 0.75
    comment: bool = True


def read_protocol(path: Path) -> Protocol:
    """Protocol in a TOML file.

    Raises ConfigError for a file that cannot be read, unknown or missing keys, and values outside what is allowed.
    """
    try:
        protocol = Protocol.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{path}: {where}: {first['msg']}; `confostain study --help` shows an example") from error
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path}: cannot be read as a protocol ({error}); expected a TOML file as `confostain study --help` shows"
        ) from error
    problem = _inconsistency(protocol)
    if problem:
        raise ConfigError(f"{path}: {problem}")
    return protocol


def _inconsistency(protocol: Protocol) -> str:
    """What contradicts itself in a protocol; "" if nothing does."""
    names, ids = [arm.name for arm in protocol.arms], [question.id for question in protocol.questions]
    if len(set(names)) < len(names) or len(set(ids)) < len(ids):
        return "two arms or two questions have the same name; expected different names"
    for arm in protocol.arms:
        if (arm.histology is None) == (arm.slide is None) or (arm.slide is None) != (arm.model is None):
            return f"arm {arm.name}: expected either histology, or slide and model"
    for question in protocol.questions:
        wrong = set(question.correct) - set(names) or set(question.correct.values()) - set(question.choices)
        if wrong:
            return f"question {question.id}: {', '.join(sorted(wrong))}: expected correct = {{ARM = CHOICE, ...}}"
    return ""
