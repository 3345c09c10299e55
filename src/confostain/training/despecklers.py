"""Shipped despecklers as part of a training."""

from __future__ import annotations

import json
from pathlib import Path

from torch import nn

from confostain.errors import ModelError
from confostain.networks.despeckler import DespecklerDesign, build_despeckler
from confostain.training.export import load_weights
from confostain.training.run import from_table

SHIPPED = Path(__file__).parent.parent / "weights"


def shipped_despeckler(name: str) -> nn.Module:
    """The shipped despeckler of that name, (b, 1, h, w) to the same; the sides of an image must be multiples of 4.

    Raises:
        ModelError: there is none of that name.
    """
    folder = SHIPPED / name
    if not (folder / "card.json").is_file():
        raise ModelError(f"despeckler {name!r}: not among the weights that come with confostain")
    card = json.loads((folder / "card.json").read_text())
    network = build_despeckler(from_table(DespecklerDesign, card["config"]["design"], f"card of {name}"))
    load_weights(network, folder / "weights.safetensors")
    return network.eval().requires_grad_(False)
