"""The registry of models: closed forms, shipped models and the folders of trained ones, by name."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from confostain.arrays import Image
from confostain.errors import ModelError, OptionError
from confostain.imaging.stain_colours import DYES, Dye, StainColours
from confostain.models.card import CARD, SHIPPED, ModelCard, read_card
from confostain.models.despeckler import Despeckler
from confostain.models.engines.device import Device, chosen_device, open_network
from confostain.models.engines.picture import Picture
from confostain.models.stainer import LINEAR_STAINS, LinearStain, NetworkStain

Task = Literal["stain", "despeckle"]

DEFAULT_MODEL = "swift"
DEFAULT_DESPECKLER = "despeckler"


def list_models(task: Task | None = None) -> list[ModelCard]:
    """The cards of the closed forms and of the shipped models, all or those for one task.

    Raises:
        OptionError: another task.
    """
    if task not in (None, "stain", "despeckle"):
        raise OptionError(f"task {task!r}: expected 'stain' or 'despeckle'")
    folders = sorted(path.parent for path in SHIPPED.glob(f"*/{CARD}"))
    cards = [model.card for model in LINEAR_STAINS] + [read_card(folder) for folder in folders]
    return sorted((card for card in cards if task in (None, card.task)), key=lambda card: card.task == "despeckle")


def load_model(
    name: str | os.PathLike[str], device: str = "auto", colours: StainColours | None = None
) -> LinearStain | NetworkStain:
    """A stainer ready to run.

    Args:
        name: of a closed form or a shipped model, or the folder of a trained one.
        device: "auto", "cpu" or "cuda".
        colours: of a laboratory, in which it stains; None: the model's own.

    Raises:
        ModelError: there is no such model, its files are damaged, or it has no colours but its own.
        OptionError: it does not run on that device.
    """
    for model in LINEAR_STAINS:
        if model.name == name:
            if device == "cuda":
                raise OptionError(f"model {name} is a closed form and runs on the CPU; leave --device cuda out")
            if colours is not None:
                raise ModelError(_fixed_colours(os.fspath(name)))
            return model
    folder = model_folder(name, "stain")
    return _stainer(folder, chosen_device(device), read_card(folder).weights_sha256, colours)


def load_despeckler(name: str | os.PathLike[str] = DEFAULT_DESPECKLER, device: str = "cpu") -> Despeckler:
    """A despeckler ready to run; arguments and errors as of `load_model`."""
    folder = model_folder(name, "despeckle")
    return _despeckler(folder, chosen_device(device), read_card(folder).weights_sha256)


def model_folder(name: str | os.PathLike[str], task: Task) -> Path:
    """The folder of a shipped or trained network, whose card is valid and says that it is for `task`.

    Raises:
        ModelError: there is none, its card is not valid, or it is for the other task.
    """
    known = [card.name for card in list_models(task)]
    folder = (SHIPPED / name if os.fspath(name) in known else Path(name)).resolve()
    if not folder.is_dir():
        raise ModelError(
            f"no model is called {os.fspath(name)!r}; expected one of {', '.join(known)}, or the folder of a trained"
            " model"
        )
    card = read_card(folder)
    if card.task != task:
        expected = "stainer" if task == "stain" else "despeckler"
        raise ModelError(f"{folder.name} is a {card.kind}, where a {expected} is expected; give the folder of one")
    return folder


@lru_cache(maxsize=4)
def _stainer(folder: Path, device: Device, sha256: str | None, colours: StainColours | None) -> NetworkStain:
    """The stainer in a folder whose weights have that hash: a training may replace them."""
    card = read_card(folder)
    if colours is not None and card.colours is None:
        raise ModelError(_fixed_colours(card.name))
    shown = colours or card.colours
    return NetworkStain(card, open_network(folder, card, device, Picture(shown)), _before(card, device), shown)


def load_dye(name: str | os.PathLike[str], dye: Dye, device: str = "auto") -> NetworkStain:
    """A stainer that shows what one dye alone absorbs, in the model's own colours; arguments as of `load_model`.

    Raises:
        ModelError: as `load_model`, or it gives no densities.
    """
    folder, card, chosen = _density_model(name, device)
    picture = Picture(card.colours, dye)
    return NetworkStain(card, open_network(folder, card, chosen, picture), _before(card, chosen), card.colours)


def load_density(name: str | os.PathLike[str], dye: Dye, device: str = "auto") -> NetworkStain:
    """A model of the density of one dye, float32 (h, w, 1), 1 being that of a typical nucleus or of typical stroma.

    Raises:
        ModelError: as `load_model`, or it gives no densities.
    """
    folder, card, chosen = _density_model(name, device)
    network, channel = open_network(folder, card, chosen, None), DYES.index(dye)

    def density(tile: Image) -> Image:
        return np.maximum(network(tile)[channel, ..., np.newaxis], np.float32(0))

    return NetworkStain(card, density, _before(card, chosen), card.colours)


def _density_model(name: str | os.PathLike[str], device: str) -> tuple[Path, ModelCard, Device]:
    known = [model.name for model in LINEAR_STAINS]
    if os.fspath(name) in known:
        raise ModelError(_fixed_colours(os.fspath(name)))
    folder = model_folder(name, "stain")
    card = read_card(folder)
    if card.colours is None:
        raise ModelError(_fixed_colours(card.name))
    return folder, card, chosen_device(device)


def _before(card: ModelCard, device: Device) -> Despeckler | None:
    """The despeckler that comes before a stainer, if there is one."""
    return load_despeckler(card.despeckler, device) if card.despeckler else None


def _fixed_colours(name: str) -> str:
    return f"model {name} gives colours of its own; expected one that gives densities, such as {DEFAULT_MODEL}"


@lru_cache(maxsize=4)
def _despeckler(folder: Path, device: Device, sha256: str | None) -> Despeckler:
    card = read_card(folder)
    return Despeckler(card, open_network(folder, card, device, None))
