"""Model cards: typed, validated descriptions of trained models, with the SHA-256 of every file they describe.

A trained model is a folder: network.onnx (for the CPU engine), weights.safetensors (for PyTorch) and card.json.
"""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator, model_validator

from confostain.errors import ConfostainWarning, ModelError
from confostain.imaging.stain_colours import StainColours, is_colour

Kind = Literal["stainer", "despeckler", "closed form"]
Input = Literal["pair", "gareau", "reflectance"]
Precision = Literal["f32", "bf16", "i8", "i7"]  # i7: 8-bit integers, weights held to 7 bits
Ranges = dict[str, tuple[float, float]]  # least and largest input of each convolution, by its name in the ONNX

SHIPPED = Path(__file__).parent.parent / "weights"
CARD, ONNX, WEIGHTS = "card.json", "network.onnx", "weights.safetensors"
DESCRIBED = ("network.*", "weights.*")  # the files of a model's folder whose hashes its card holds
LARGEST_CARD = 1 << 22  # bytes

REQUIRED_SHARE = 0.999  # of the pixels within 2 grey levels of float32: below, a precision is not used
FAR_OUTSIDE = 1.5  # times the pixel sizes that a model was trained for; nearer, networks were seen to work
ROUNDED = 1e-3  # relative: a pixel size this little below another is taken for it

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Microns = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class PrecisionFacts(BaseModel):
    """Measured behaviour of a network in one arithmetic precision.

    Attributes:
        within_2: share of pixels within 2 grey levels of float32.
        ranges: least and largest input of each convolution computed in integers; of "i8" and "i7" only.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    within_2: Share
    ranges: dict[str, Annotated[tuple[Finite, Finite], Field(strict=False)]] | None = None

    @field_validator("ranges")
    @classmethod
    def _ordered(cls, ranges: Ranges | None) -> Ranges | None:
        for name, (low, high) in (ranges or {}).items():
            if low > high or not low <= 0 <= high:
                raise ValueError(f"range of {name} is {low:g} to {high:g}: expected one from 0 or less to 0 or more")
        return ranges


class ModelCard(BaseModel):
    """Everything known of a model: what runs it, what it was trained on, how good it is, where it fails.

    Attributes:
        name: of the folder; not stored.
        kind: what the model does.
        description: one line.
        input: "pair" (R, F), "gareau" (their linear stain, 3 channels) or "reflectance" (despecklers).
        design: arguments of the network's architecture, see `confostain.networks`.
        stride: inputs start and end at multiples of this many pixels.
        receptive_field: side in pixels of the square of input that one output pixel depends on; odd.
        microns_per_pixel: smallest and largest pixel size that the model was trained for, um/px; None for any. Where
            the largest is at least twice the smallest, a slide finer than the smallest is reduced before it is
            stained, by the smallest whole factor k for which k times its pixel size is not below the smallest: means
            of k x k pixels are stained, and the result has their pixel size. A slide coarser than the largest by more
            than 10 % is warned of, by more than half refused. For a narrower range nothing is reduced or refused; a
            pixel size beyond 1.5 times that range is warned of.
        colours: stain colours of a stainer that gives densities of haematoxylin, eosin and rest; None where the network
            gives RGB, in the colours that it was trained on.
        despeckler: name of the despeckler that cleans R first, or None.
        median: whether a 3 x 3 median follows the network, as in the published despeckler.
        precisions: the precisions measured beside float32.
        parameters: number of weights.
        data, credit, licence, use, schedule: of the training and of the weights, in words.
        figures: measured quality.
        failures: what the model gets wrong.
        commit: of the code that trained it.
        config: the recipe or configuration it was trained with.
        files: SHA-256 of every file of the folder but the card itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field("", exclude=True)
    kind: Kind
    description: str = ""
    input: Input
    design: dict[str, JsonValue] = Field(default_factory=dict)
    stride: Annotated[int, Field(ge=1, le=1024)]
    receptive_field: Annotated[int, Field(ge=1, le=16_383)]
    microns_per_pixel: Annotated[tuple[Microns, Microns] | None, Field(strict=False)] = None
    colours: StainColours | None = None
    despeckler: str | None = None
    median: bool = False
    precisions: dict[Literal["bf16", "i8", "i7"], PrecisionFacts] = Field(default_factory=dict)
    parameters: Annotated[int, Field(ge=0)] = 0
    data: str = ""
    credit: str = ""
    licence: str = ""
    use: str = ""
    schedule: str = ""
    figures: dict[str, JsonValue] = Field(default_factory=dict)
    failures: Annotated[tuple[str, ...], Field(strict=False)] = ()
    commit: str = ""
    config: dict[str, JsonValue] = Field(default_factory=dict)
    files: dict[str, Sha256] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_version_0_1(cls, card: Any) -> Any:
        """Read the keys of version 0.1 for one version more."""
        if isinstance(card, dict) and ("engine" in card or ("design" not in card and "config" in card)):
            warnings.warn("a model card of version 0.1 is read; release the model anew", ConfostainWarning, 2)
            return _upgraded(card)
        return card

    @field_validator("colours", mode="before")
    @classmethod
    def _stain_colours(cls, value: object) -> object:
        """Stain colours from the JSON of a card; anything else is left to be refused."""
        if not isinstance(value, dict):
            return value
        if value.keys() != {"nucleus", "stroma"} or not all(map(is_colour, value.values())):
            raise ValueError("expected nucleus and stroma, three optical densities from 0 to 4 each")
        nucleus, stroma = (tuple(map(float, value[name])) for name in ("nucleus", "stroma"))
        return StainColours(nucleus, stroma)  # type: ignore[arg-type]  # three of each

    @field_validator("receptive_field")
    @classmethod
    def _odd(cls, side: int) -> int:
        if side % 2 == 0:
            raise ValueError(f"is {side}: expected an odd number of pixels")
        return side

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.kind == "despeckler") != (self.input == "reflectance"):
            raise ValueError(f"input: {self.input!r} does not go with kind {self.kind!r}")
        for precision in ("i8", "i7"):
            facts = self.precisions.get(precision)
            if facts is not None and facts.within_2 >= REQUIRED_SHARE and facts.ranges is None:
                raise ValueError(f"precisions.{precision}.ranges: is missing; expected the ranges of its convolutions")
        if self.microns_per_pixel is not None and self.microns_per_pixel[0] > self.microns_per_pixel[1]:
            raise ValueError("microns_per_pixel: expected the smaller value first")
        return self

    @property
    def task(self) -> Literal["stain", "despeckle"]:
        """What the model is for."""
        return "despeckle" if self.kind == "despeckler" else "stain"

    @property
    def allowed_precisions(self) -> list[Precision]:
        """The precisions whose result was measured to stay within 2 grey levels, float32 first."""
        return ["f32", *(key for key, facts in self.precisions.items() if facts.within_2 >= REQUIRED_SHARE)]

    def ranges(self, precision: Precision) -> Ranges:
        """The ranges of the convolutions computed in integers; empty for a precision without them."""
        facts = None if precision == "f32" else self.precisions.get(precision)
        return dict(facts.ranges or {}) if facts else {}

    @property
    def spans_scales(self) -> bool:
        """Whether the largest pixel size is twice the smallest: whole factors bring any finer slide into the range."""
        return self.microns_per_pixel is not None and self.microns_per_pixel[1] >= 2 * self.microns_per_pixel[0]

    def reduction(self, microns_per_pixel: float | None) -> int:
        """Whole factor by which a slide of that pixel size is reduced before it is stained, see the attribute."""
        if self.microns_per_pixel is None or microns_per_pixel is None or not self.spans_scales:
            return 1
        return max(1, math.ceil(self.microns_per_pixel[0] / (microns_per_pixel * (1 + ROUNDED))))

    @property
    def coarsest(self) -> float:
        """Largest pixel size that is not refused, um/px; infinite where none is."""
        if self.microns_per_pixel is None or not self.spans_scales:
            return math.inf
        return FAR_OUTSIDE * self.microns_per_pixel[1]

    def refuses(self, microns_per_pixel: float | None) -> bool:
        """Whether a slide of that pixel size is too coarse; False where it is unknown."""
        return microns_per_pixel is not None and microns_per_pixel > self.coarsest * (1 + ROUNDED)

    @property
    def weights_sha256(self) -> str | None:
        """SHA-256 of the ONNX network; None for a closed form."""
        return self.files.get(ONNX)

    def facts(self) -> dict[str, object]:
        """The card as JSON values, its name first."""
        return {"name": self.name, **self.model_dump(mode="json"), "weights_sha256": self.weights_sha256}

    def json_text(self) -> str:
        """The text of card.json."""
        return json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"


def read_card(folder: Path) -> ModelCard:
    """The validated card of a model's folder, whose files have the hashes that it names.

    Raises:
        ModelError: the card is missing, is not valid, or a file differs from its hash; one line with file and field.
    """
    path = folder / CARD
    try:
        if not path.is_file():
            raise FileNotFoundError(2, "no such file")
        if (size := path.stat().st_size) > LARGEST_CARD:
            raise ModelError(f"{path}: {size} bytes; expected a model card of at most {LARGEST_CARD}")
        card = ModelCard.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ModelError(
            f"{path}: cannot be read ({error.strerror}); expected the folder of a trained model, with {CARD} and {ONNX}"
        ) from error
    except ValidationError as error:
        raise ModelError(f"{path}: {_first_problem(error)}") from error
    _verify(folder, card)
    return card.model_copy(update={"name": folder.name})


def file_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of each file of a model's folder that its card describes, by name."""
    return {path.name: sha256_of(path) for path in described_files(folder)}


def described_files(folder: Path) -> Iterator[Path]:
    """The files of a model's folder but its card: network, external data and weights, by name."""
    found = {path for pattern in DESCRIBED for path in folder.glob(pattern) if path.is_file()}
    return iter(sorted(found))


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal; computed once as long as its size and time of change stay the same."""
    status = path.stat()
    return _sha256(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _sha256(path: Path, size: int, changed_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _verify(folder: Path, card: ModelCard) -> None:
    """Hold every file against the card.

    Raises:
        ModelError: a file is missing, differs, or is not named in the card.
    """
    if not card.files and card.kind != "closed form":
        warnings.warn(
            f"{folder / CARD}: has no SHA-256 of its files, so damage goes unnoticed; release the model anew",
            ConfostainWarning,
            stacklevel=3,
        )
        return
    for name, expected in card.files.items():
        path = folder / name
        if Path(name).name != name or not path.is_file():
            raise ModelError(f"{path}: no such file, but the card names it; copy the whole folder of the model")
        found = sha256_of(path)
        if found != expected:
            raise ModelError(
                f"{path}: SHA-256 is {found[:12]}..., but {CARD} says {expected[:12]}...: the file is damaged or of"
                " another model; copy the folder again"
            )
    for path in described_files(folder):
        if path.name not in card.files:
            raise ModelError(f"{path}: is not among the files of {CARD}; remove it, or release the model anew")


def _first_problem(error: ValidationError) -> str:
    """One line for the first thing wrong with a card."""
    first = error.errors(include_url=False)[0]
    field = ".".join(map(str, first["loc"]))
    given = "" if first["type"] in ("missing", "value_error", "json_invalid") else f" ({_shortened(first['input'])})"
    more = error.error_count() - 1
    return f"{field + ': ' if field else ''}{first['msg']}{given}" + (f"; and {more} more" if more else "")


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _upgraded(card: Mapping[str, Any]) -> dict[str, Any]:
    """The card of version 0.1 in today's keys; what cannot be converted stays, and is refused under its name."""
    new = {"kind": "despeckler", **card}
    if new.get("kind") == "despeckler":
        new.setdefault("input", "reflectance")
    config = new.get("config")
    if "design" not in new and isinstance(config, dict) and isinstance(config.get("design"), dict):
        new["design"] = config["design"]
    engine = new.get("engine")
    if isinstance(engine, dict) and isinstance(engine.get("within_2"), dict):
        del new["engine"]
        new["precisions"] = {
            key: {"within_2": share} | ({"ranges": engine[key]} if isinstance(engine.get(key), dict) else {})
            for key, share in engine["within_2"].items()
        }
    return new
