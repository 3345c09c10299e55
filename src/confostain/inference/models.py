"""The models at hand by name: closed forms, and networks shipped or trained, each with what there is to know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from confostain.errors import ModelError, OptionError
from confostain.imaging.linear import beer_lambert, gareau

Pair = npt.NDArray[np.float32]
Rgb = npt.NDArray[np.uint8]


class Model(Protocol):
    """Anything that stains a tile.

    Attributes:
        name: what the user calls it.
        stride: inputs start and end at multiples of this many pixels, in slide coordinates.
        receptive_field: side in pixels of the square of input that one output pixel depends on; 1: only itself.
        weights_sha256: hash of the weights that made the result, None for a closed form.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def stride(self) -> int: ...  # noqa: D102
    @property
    def receptive_field(self) -> int: ...  # noqa: D102
    @property
    def weights_sha256(self) -> str | None: ...  # noqa: D102

    def __call__(self, pair: Pair) -> Rgb:
        """Stain a tile: float32 (2, h, w) in [0, 1], R then F, to uint8 (h, w, 3). Called from several threads."""


@dataclass(frozen=True)
class LinearStain:
    """A closed-form stain: every pixel on its own.

    Attributes:
        name: what the user calls it.
        formula: maps float32 (2, h, w) to uint8 (h, w, 3).
        description: one line for `confostain models`.
    """

    name: str
    formula: Callable[[Pair], Rgb]
    description: str
    stride: int = 1
    receptive_field: int = 1
    weights_sha256: None = None

    def __call__(self, pair: Pair) -> Rgb:
        """Stain a tile."""
        return self.formula(pair)


LINEAR_STAINS = (
    LinearStain("gareau", gareau, "linear composite of R and F in H&E colours (Gareau 2009)"),
    LinearStain("beer-lambert", beer_lambert, "absorption of two virtual dyes (Giacomelli et al. 2016)"),
)
DEFAULT_MODEL = "gareau"


def load_model(name: str, device: str = "auto") -> Model:
    """The model of that name, ready to run on "cpu", "cuda" or, with "auto", on the best there is.

    Raises:
        ModelError: there is no such model.
        OptionError: it does not run on that device.
    """
    for model in LINEAR_STAINS:
        if model.name == name:
            if device == "cuda":
                raise OptionError(f"model {name} is a closed form and runs on the CPU; leave --device cuda out")
            return model
    known = ", ".join(model.name for model in LINEAR_STAINS)
    raise ModelError(f"no model is called {name!r}; the models at hand are {known}")


def models_at_hand() -> list[dict[str, object]]:
    """What there is to know of each model, ready for JSON."""
    return [
        {
            "name": model.name,
            "kind": "closed form",
            "description": model.description,
            "stride": model.stride,
            "receptive_field": model.receptive_field,
            "weights_sha256": model.weights_sha256,
        }
        for model in LINEAR_STAINS
    ]
