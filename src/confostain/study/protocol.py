"""Protocol of a reader study: arms, questions, training, rounds and readings, read from a TOML file."""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections import Counter
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from confostain.errors import ConfigError

Name = Annotated[str, Field(min_length=1, max_length=200)]
FieldCount = Annotated[int, Field(ge=1, le=1000)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Question(_Table):
    """A question about every field.

    Attributes:
        id: its name in the results.
        text: what the reader sees.
        choices: the possible answers, from negative to positive where that applies.
        ordinal: whether the choices are the steps of a scale, in order: agreement is then weighted, too.
        positive: first choice that counts as positive, for sensitivity and specificity.
        correct: the correct answer for each arm; empty for an opinion.
    """

    id: Name
    text: Name
    choices: Annotated[list[Name], Field(min_length=2, max_length=20)]
    ordinal: bool = False
    positive: str | None = None
    correct: dict[str, str] = {}

    def is_positive(self, choice: str) -> bool:
        """Whether a choice is the first positive one, or after it; False without `positive`."""
        return self.positive is not None and self.choices.index(choice) >= self.choices.index(self.positive)

    def is_correct(self, arm: str, choice: str) -> bool | None:
        """Whether a choice is right for an arm; with `positive`, both need only be on the same side. None: opinion."""
        correct = self.correct.get(arm)
        if correct is None or self.positive is None:
            return None if correct is None else choice == correct
        return self.is_positive(choice) == self.is_positive(correct)


class Arm(_Table):
    """A source of fields: either a raw slide and a model, or an H&E slide.

    Attributes:
        name: its name in the results.
        slide, model: a raw slide, and the model that stains it.
        histology: an H&E slide.
        mpp: um per pixel, if the files do not give it.
        region: x, y, width and height in level-0 pixels; fields are drawn inside it, by default on the whole slide.
        fields: number of its fields, if not the protocol's.
        modality: what is compared, if several arms show the same, such as tumour and normal tissue; by default `name`.
        training: whether its fields come first, with feedback, and count for nothing.
        explanation: what feedback adds to the correct answer.
    """

    name: Name
    slide: str | None = None
    model: str | None = None
    histology: str | None = None
    mpp: float | None = None
    region: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=4, max_length=4)] | None = None
    fields: FieldCount | None = None
    modality: str = ""
    training: bool = False
    explanation: str = ""

    @property
    def source(self) -> str:
        """Slide of the fields, however its path is written."""
        return os.path.normpath(str(self.histology if self.slide is None else self.slide))


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
        screen_microns_per_pixel: scale at which every field is first shown, in um per CSS pixel; by default
            `microns_per_pixel`.
        rounds: parts of a reading, between which the reader may pause; accuracy is given for each.
        readings: how often each reader judges all fields, each time in another order.
        washout_days: days from the last answer of a reading to the next reading.
        comment: whether readers may write a comment on each field.
    """

    title: Name
    introduction: str = ""
    arms: Annotated[list[Arm], Field(min_length=1)]
    questions: Annotated[list[Question], Field(min_length=1)]
    seed: int = 0
    fields: FieldCount = 20
    field_pixels: Annotated[int, Field(ge=64, le=2048)] = 512
    microns_per_pixel: Annotated[float, Field(ge=0.1, le=10)] = 0.75
    screen_microns_per_pixel: Annotated[float, Field(ge=0.05, le=20)] | None = None
    rounds: Annotated[int, Field(ge=1, le=100)] = 1
    readings: Annotated[int, Field(ge=1, le=10)] = 1
    # Two weeks at least, says the guideline of the College of American Pathologists on whole slide imaging:
    # Evans et al. 2022, Arch. Pathol. Lab. Med. 146, 440-450, doi 10.5858/arpa.2020-0723-CP.
    washout_days: Annotated[float, Field(ge=0, le=1000)] = 14
    comment: bool = True

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that change with any setting; comments and layout of the file are none."""
        return hashlib.sha256(self.model_dump_json(exclude_defaults=True).encode()).hexdigest()[:16]

    @property
    def screen_width(self) -> float:
        """Side of a field on the screen in CSS pixels, not magnified."""
        return self.field_pixels * self.microns_per_pixel / (self.screen_microns_per_pixel or self.microns_per_pixel)

    def fields_of(self, arm: Arm) -> int:
        """Number of fields of an arm."""
        return arm.fields or self.fields

    def modality_of(self, name: str) -> str:
        """Modality of the arm with that name."""
        return next(arm.modality or arm.name for arm in self.arms if arm.name == name)


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
    problem = next(
        filter(None, (check(protocol) for check in (_names, _sources, _answers, _truths, _training, _rounds))), ""
    )
    if problem:
        raise ConfigError(f"{path}: {problem}")
    return protocol


def _names(protocol: Protocol) -> str:
    """What is wrong with the names; "" if nothing is. So for the checks below."""
    names, ids = [arm.name for arm in protocol.arms], [question.id for question in protocol.questions]
    if len(set(names)) < len(names) or len(set(ids)) < len(ids):
        return "two arms or two questions have the same name; expected different names"
    for question in protocol.questions:
        if len(set(question.choices)) < len(question.choices):
            return f"question {question.id}: the same choice twice; expected different choices"
    return ""


def _sources(protocol: Protocol) -> str:
    for arm in protocol.arms:
        if (arm.histology is None) == (arm.slide is None) or (arm.slide is None) != (arm.model is None):
            return f"arm {arm.name}: expected either histology, or slide and model"
    shown = Counter((arm.source, str(arm.region), arm.modality or arm.name) for arm in protocol.arms)
    twice = [source for (source, _, _), count in shown.items() if count > 1]
    return f"{twice[0]}: two arms of one modality show the same fields; expected another modality" if twice else ""


def _answers(protocol: Protocol) -> str:
    names = {arm.name for arm in protocol.arms}
    for question in protocol.questions:
        wrong = set(question.correct) - names or set(question.correct.values()) - set(question.choices)
        if wrong:
            return f"question {question.id}: {', '.join(sorted(wrong))}: expected correct = {{ARM = CHOICE, ...}}"
        if question.positive is not None and question.positive not in question.choices[1:]:
            return (
                f"question {question.id}: positive = {question.positive!r}: expected a choice after the first; list the"
                " choices from negative to positive"
            )
    return ""


def _truths(protocol: Protocol) -> str:
    for question in protocol.questions:
        truths: dict[tuple[str, str], bool] = {}
        for arm in protocol.arms if question.positive else ():
            correct = question.correct.get(arm.name)
            if correct is None:
                continue
            truth = question.is_positive(correct)
            if truths.setdefault((arm.source, str(arm.region)), truth) != truth:
                return (
                    f"question {question.id}: {arm.source}: positive in one arm and negative in another; expected one"
                )
    return ""


def _training(protocol: Protocol) -> str:
    training = [arm for arm in protocol.arms if arm.training]
    tested = {arm.source for arm in protocol.arms if not arm.training}
    if not tested:
        return "every arm is for training; expected at least one other arm"
    for arm in training:
        if not any(arm.name in question.correct for question in protocol.questions):
            return f"arm {arm.name}: training without a correct answer; expected one in `correct` of a question"
        if arm.source in tested:
            return f"arm {arm.name}: its slide is also in an arm that counts; expected another slide for training"
    return ""


def _rounds(protocol: Protocol) -> str:
    total = sum(protocol.fields_of(arm) for arm in protocol.arms if not arm.training)
    return f"rounds = {protocol.rounds}: expected at most one for each of the {total} fields" * (
        protocol.rounds > total
    )
