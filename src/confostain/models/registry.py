"""The models at hand by name: closed forms, and networks shipped or trained, each with what there is to know."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from confostain.arrays import Pair, Rgb
from confostain.errors import ModelError, OptionError
from confostain.imaging.linear_stain import beer_lambert, gareau, gareau_composite
from confostain.models.card import SHIPPED, Card, read_card, shipped, weights_hash
from confostain.models.despeckler import Despeckler, load_despeckler
from confostain.models.engines.device import Device, Network, chosen_device, open_network


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


@dataclass(frozen=True)
class NetworkStain:
    """A staining network, with the stages before it, as one model.

    Every stage stands on the same grid: tiles begin at multiples of all strides in slide coordinates, so that a
    pixel comes out the same in any tile.

    Attributes:
        name: what the user calls it.
        network: float32 (c, h, w) to uint8 (h, w, 3).
        own_stride, own_receptive_field: of the network alone.
        weights_sha256: hash of its weights, and of the despeckler's where there is one.
        card: what there is to know of it.
        despeckler: what takes the speckle out of R first.
        takes_composite: whether the network sees the composite of R and F, three channels, instead of R and F.
    """

    name: str
    network: Network
    own_stride: int
    own_receptive_field: int
    weights_sha256: str
    card: Card = field(default_factory=dict)
    despeckler: Despeckler | None = None
    takes_composite: bool = False

    @property
    def stride(self) -> int:
        """Of all stages."""
        return self.own_stride if self.despeckler is None else math.lcm(self.own_stride, self.despeckler.stride)

    @property
    def receptive_field(self) -> int:
        """Of all stages."""
        return 2 * (self._despeckled_halo + self.own_receptive_field // 2) + 1

    def __call__(self, pair: Pair) -> Rgb:
        """Stain a tile. Where its edge lies within the halo of the stages, the outcome means nothing."""
        _, height, width = pair.shape
        edge = self._edge
        rgb = np.zeros((height, width, 3), np.uint8)
        rgb[edge : height - edge, edge : width - edge] = self.network(self.prepared(pair))
        return rgb

    def prepared(self, pair: Pair) -> npt.NDArray[np.float32]:
        """What the network sees of a tile, float32 (c, h, w).

        It need not see what the despeckler could not see whole: that edge is left out, along the network's grid.
        """
        if self.despeckler is not None:
            _, height, width = pair.shape
            clean = np.stack([np.minimum(self.despeckler(pair[:1])[0], 1), pair[1]])
            pair = clean[:, self._edge : height - self._edge, self._edge : width - self._edge]
        return gareau_composite(pair) if self.takes_composite else pair

    @property
    def _despeckled_halo(self) -> int:
        return 0 if self.despeckler is None else self.despeckler.receptive_field // 2

    @property
    def _edge(self) -> int:
        return self._despeckled_halo // self.own_stride * self.own_stride


LINEAR_STAINS = (
    LinearStain("gareau", gareau, "linear composite of R and F in H&E colours (Gareau 2009)"),
    LinearStain("beer-lambert", beer_lambert, "absorption of two virtual dyes (Giacomelli et al. 2016)"),
)
DEFAULT_MODEL = "swift"


def load_model(name: str | os.PathLike[str], device: str = "auto") -> Model:
    """A model by its name or from the folder of a trained stainer, ready to run on "auto", "cpu" or "cuda".

    A folder holds network.onnx and card.json; weights.safetensors too where it is to run on a GPU.

    Raises:
        ModelError: there is no such model, or its files are damaged.
        OptionError: it does not run on that device.
    """
    for model in LINEAR_STAINS:
        if model.name == name:
            if device == "cuda":
                raise OptionError(f"model {name} is a closed form and runs on the CPU; leave --device cuda out")
            return model
    folder = SHIPPED / name if name in shipped("stainer") else Path(name)
    if not folder.is_dir():
        known = ", ".join([model.name for model in LINEAR_STAINS] + shipped("stainer"))
        raise ModelError(f"no model is called {os.fspath(name)!r}; the models at hand are {known}, or give a folder")
    read_card(folder, "stainer")  # for its errors; whatever else is missing is said afterwards
    return _loaded(folder.resolve(), chosen_device(device), weights_hash(folder))


@lru_cache(maxsize=4)
def _loaded(folder: Path, device: Device, sha256: str) -> NetworkStain:
    """The stainer in a folder whose weights have that hash: a training may replace them."""
    card = read_card(folder, "stainer")
    return assembled(folder, card, sha256, open_network(folder, card, device, picture=True), device)


def assembled(folder: Path, card: Card, sha256: str, network: Network, device: Device) -> NetworkStain:
    """A stainer of that card around its network, with what comes before it.

    Raises:
        ModelError: the card names an input or a despeckler that there is not.
    """
    if card.get("input") not in ("pair", "gareau"):
        raise ModelError(f"{folder.name}: its card says input {card.get('input')!r}; expected 'pair' or 'gareau'")
    despeckler = load_despeckler(card["despeckler"], device) if card.get("despeckler") else None
    return NetworkStain(
        folder.name,
        network,
        card["stride"],
        card["receptive_field"],
        f"{sha256}, after {despeckler.name} {despeckler.weights_sha256}" if despeckler else sha256,
        card,
        despeckler,
        card["input"] == "gareau",
    )


def list_stainers() -> list[dict[str, object]]:
    """What there is to know of each model, ready for JSON: a closed form's facts, a network's card."""
    closed_forms: list[dict[str, object]] = [
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
    return closed_forms + [_described(SHIPPED / name) for name in shipped("stainer")]


def _described(folder: Path) -> dict[str, object]:
    card = read_card(folder, "stainer")
    return {"name": folder.name, **card, "weights_sha256": weights_hash(folder)}
