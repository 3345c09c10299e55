"""Colours of densities: RGB from haematoxylin, eosin and rest by the stain colours of a laboratory (PyTorch)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from confostain.imaging.stain_colours import StainColours


def picture_of(densities: Tensor, colours: StainColours) -> Tensor:
    """RGB (b, 3, h, w), 1 for white and a little beyond, of densities (b, 3, h, w)."""
    absorbed = torch.einsum("bdhw,dc->bchw", densities, densities.new_tensor(colours.matrix))
    return torch.exp(-math.log(10) * absorbed)
