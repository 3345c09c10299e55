"""Despeckling networks ready to run."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from confostain.arrays import Image
from confostain.models.card import SHIPPED, Card, read_card, shipped, weights_hash
from confostain.models.engines.device import Device, open_network

DEFAULT_DESPECKLER = "despeckler"


@dataclass(frozen=True)
class Despeckler:
    """A despeckling network ready to run.

    Attributes:
        name: what the user calls it.
        network: float32 (1, h, w) to the same, 1 being bright; values may exceed 1.
        stride: inputs start and end at multiples of this many pixels.
        receptive_field: side in pixels of the square of input that one output pixel depends on.
        median: whether a 3 x 3 median takes out single pixels afterwards, as the paper does.
        card: what there is to know of the weights.
        weights_sha256: hash of the weights.
    """

    name: str
    network: Callable[[Image], Image]
    stride: int
    receptive_field: int
    median: bool = False
    card: Card = field(default_factory=dict)
    weights_sha256: str | None = None

    def __call__(self, tile: Image) -> Image:
        """Despeckle a tile with its halo: float32 (1, h, w) to the same, never negative."""
        clean = np.maximum(self.network(tile), np.float32(0))
        if not self.median:
            return clean
        from scipy.ndimage import median_filter

        smooth: Image = median_filter(clean, size=(1, 3, 3), mode="mirror")
        return smooth


def load_despeckler(name: str | os.PathLike[str] = DEFAULT_DESPECKLER, device: Device = "cpu") -> Despeckler:
    """A despeckler by its name, or from a folder with network.onnx and card.json, such as a training's.

    Raises:
        ModelError: there is none of that name, or its files are damaged.
    """
    folder = Path(name)
    if os.fspath(name) in shipped_despecklers():
        folder = SHIPPED / os.fspath(name)
    read_card(folder, "despeckler")  # for its errors; whatever else is missing is said afterwards
    return _loaded(folder.resolve(), device, weights_hash(folder))


@lru_cache(maxsize=4)
def _loaded(folder: Path, device: Device, sha256: str) -> Despeckler:
    """The despeckler in a folder whose weights have that hash: a training may replace them."""
    card = read_card(folder, "despeckler")
    median = bool(card.get("median", False))
    receptive_field = card["receptive_field"] + 2 * median
    network = open_network(folder, card, device)
    return Despeckler(folder.name, network, card["stride"], receptive_field, median, card, sha256)


def shipped_despecklers() -> list[str]:
    """Names of the despecklers that come with the package, the default one first."""
    return shipped("despeckler")


def despecklers_at_hand() -> list[dict[str, object]]:
    """What there is to know of each shipped despeckler, ready for JSON: its card."""
    cards = [(name, json.loads((SHIPPED / name / "card.json").read_text())) for name in shipped_despecklers()]
    return [{"name": name, "kind": "despeckler"} | card for name, card in cards]
