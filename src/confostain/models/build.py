"""Networks built from model cards, and their weights (PyTorch): for training, export and the CUDA engine alike."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from confostain.errors import ModelError
from confostain.models.card import CARD, WEIGHTS, ModelCard, read_card
from confostain.networks.despeckler import DespecklerDesign, build_despeckler
from confostain.networks.generator import StainerDesign, build_generator

CHANNELS = {"pair": 2, "gareau": 3, "reflectance": 1}  # of a network's input


def build_network(card: ModelCard) -> nn.Module:
    """The network that a card describes, with fresh weights: (b, c, h, w) to (b, 3, h, w) or (b, 1, h, w).

    Raises:
        ModelError: the card describes no network of this version, or another stride or receptive field than it has.
    """
    design = {key: tuple(value) if isinstance(value, list) else value for key, value in card.design.items()}
    try:
        if card.task == "despeckle":
            network: nn.Module = build_despeckler(DespecklerDesign(**design))  # type: ignore[arg-type]
        else:
            network = build_generator(StainerDesign(**design), CHANNELS[card.input])  # type: ignore[arg-type]
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{CARD} of {card.name}: design: describes no network of this version ({error})") from error
    for field in ("stride", "receptive_field"):
        if getattr(network, field) != getattr(card, field):
            raise ModelError(
                f"{CARD} of {card.name}: {field}: is {getattr(card, field)}, but its design gives"
                f" {getattr(network, field)}"
            )
    return network


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The weights in a safetensors file by name, float32.

    Raises:
        ModelError: the file cannot be read.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return {name: value.float() for name, value in load_file(path).items()}
    except (OSError, SafetensorError) as error:
        reason = "a folder" if path.is_dir() else error
        raise ModelError(f"{path}: not readable as safetensors ({reason}); expected trained weights") from error


def fill_network(network: nn.Module, weights: Mapping[str, torch.Tensor], where: str) -> None:
    """Give a network its weights; `where` they come from begins the message.

    Raises:
        ModelError: they are those of another network.
    """
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelError(f"{where}: weights of another network; expected {type(network).__name__}") from error


def load_weights(network: nn.Module, path: Path) -> None:
    """Fill a network with the weights of a safetensors file.

    Raises:
        ModelError: the file cannot be read, or its weights are those of another network.
    """
    fill_network(network, read_weights(path), str(path))


def trained_network(folder: Path, card: ModelCard | None = None) -> nn.Module:
    """The network in a model's folder with its weights, in evaluation mode, without gradients.

    Raises:
        ModelError: the card is not valid, or the weights are missing, damaged or another network's.
    """
    network = build_network(card or read_card(folder))
    load_weights(network, folder / WEIGHTS)
    return network.eval().requires_grad_(False)


class PublishedMedian(nn.Module):
    """The 3 x 3 median that follows the published despeckler (Combalia et al. 2019), mirrored at the border."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:  # (b, 1, h, w)
        """Same shape out as in."""
        padded = nn.functional.pad(image, (1, 1, 1, 1), mode="reflect")
        windows = padded.unfold(2, 3, 1).unfold(3, 3, 1).flatten(-2)
        return windows.median(dim=-1).values


def despeckler_network(folder: Path) -> nn.Module:
    """The despeckler in a folder as it is applied, its median included: (b, 1, h, w) to the same.

    Raises:
        ModelError: as `trained_network`.
    """
    card = read_card(folder)
    network = trained_network(folder, card)
    return nn.Sequential(network, PublishedMedian()) if card.median else network
