"""Input of a staining network from R and F: despeckled first, and as their Gareau image, where the training says so."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from confostain.models.build import CHANNELS, despeckler_network
from confostain.models.registry import model_folder
from confostain.training.losses import gareau_composite


class StainerInput:
    """The stages before a staining network, on one device.

    Args:
        kind: "pair" (R, F) or "gareau" (their Gareau image, 3 channels).
        despeckler: name of the despeckler that cleans R, or None.
        device: where the images are.

    Raises:
        ModelError: there is no such despeckler.
    """

    def __init__(self, kind: Literal["pair", "gareau"], despeckler: str | None, device: torch.device) -> None:
        self.kind = kind
        self.channels = CHANNELS[kind]
        self.despeckler: nn.Module | None = None
        if despeckler is not None:
            self.despeckler = despeckler_network(model_folder(despeckler, "despeckle")).to(device)

    @torch.no_grad()
    def despeckled(self, pair: Tensor) -> Tensor:
        """R and F (b, 2, h, w), R without its speckle and no brighter than 1."""
        if self.despeckler is None:
            return pair
        return torch.cat([self.despeckler(pair[:, :1]).clamp(0, 1), pair[:, 1:]], dim=1)

    def of(self, pair: Tensor) -> Tensor:
        """The network's input (b, channels, h, w) from despeckled R and F (b, 2, h, w)."""
        return pair if self.kind == "pair" else gareau_composite(pair)
