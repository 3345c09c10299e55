"""Shipped despecklers as part of a training: torch, on regions in memory."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from confostain.errors import ModelError
from confostain.networks.despeckler import DespecklerDesign, build_despeckler
from confostain.training.export import load_weights
from confostain.training.pairs import Clean, Image
from confostain.training.runs import from_table

SHIPPED = Path(__file__).parent.parent / "weights"
MARGIN = 64  # px, mirrored around a region: more than a despeckler sees


def region_despeckler(name: str) -> Clean:
    """The shipped despeckler of that name, for images float32 (h, w) in [0, 1] whose sides 8 divides.

    Raises:
        ModelError: there is none of that name.
    """
    folder = SHIPPED / name
    if not (folder / "card.json").is_file():
        raise ModelError(f"despeckler {name!r}: not among the weights that come with confostain")
    card = json.loads((folder / "card.json").read_text())
    network = build_despeckler(from_table(DespecklerDesign, card["config"]["design"], f"card of {name}"))
    load_weights(network, folder / "weights.safetensors")
    network.eval()

    @torch.no_grad()
    def clean(reflectance: Image) -> Image:
        noisy = torch.from_numpy(np.ascontiguousarray(reflectance))[None, None]
        padded = functional.pad(noisy, (MARGIN,) * 4, mode="reflect")
        made: Image = network(padded)[0, 0, MARGIN:-MARGIN, MARGIN:-MARGIN].clamp(0, 1).numpy()
        return made

    return clean
