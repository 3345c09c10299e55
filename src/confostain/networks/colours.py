"""Colours of densities: RGB from haematoxylin, eosin and rest by the stain colours of a laboratory (PyTorch)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from confostain.imaging.stain_colours import Matrix


def picture_of(densities: Tensor, matrix: Matrix) -> Tensor:
    """RGB (b, 3, h, w), 1 for white and a little beyond, of densities (b, 3, h, w).

    The matrix holds the decadic optical densities of red, green and blue of each, see `StainColours.matrix`.
    """
    absorbed = torch.einsum("bdhw,dc->bchw", densities, torch.from_numpy(matrix).to(densities))
    return torch.exp(-math.log(10) * absorbed)
