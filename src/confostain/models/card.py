"""The folders of trained networks: network.onnx, weights.safetensors and a card that says what they are."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from confostain.errors import ModelError

Kind = Literal["despeckler", "stainer"]
Card = dict[str, Any]

SHIPPED = Path(__file__).parent.parent / "weights"
ONNX, WEIGHTS = "network.onnx", "weights.safetensors"


def shipped(kind: Kind) -> list[str]:
    """Names of the networks of that kind that come with the package."""
    folders = sorted(path.parent for path in SHIPPED.glob("*/card.json"))
    return [folder.name for folder in folders if _kind(json.loads((folder / "card.json").read_text())) == kind]


def read_card(folder: Path, kind: Kind) -> Card:
    """The card in a folder, with `stride` and `receptive_field` for certain.

    Raises:
        ModelError: there is none that can be read, or it belongs to a network of another kind.
    """
    try:
        card: Card = json.loads((folder / "card.json").read_text())
        card |= {key: int(card[key]) for key in ("stride", "receptive_field")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{folder.name}: no {kind} with a readable card.json ({error}); expected one of"
            f" {', '.join(shipped(kind))}, or a folder with {ONNX} and card.json"
        ) from error
    if _kind(card) != kind:
        raise ModelError(f"{folder.name} is a {_kind(card)}, where a {kind} is expected; give the folder of one")
    return card


def weights_hash(folder: Path) -> str:
    """SHA-256 of the network in a folder.

    Raises:
        ModelError: there is none.
    """
    path = folder / ONNX
    if not path.is_file():
        raise ModelError(f"{path}: no such file; expected the ONNX weights of a model")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _kind(card: Card) -> str:
    return str(card.get("kind", "despeckler"))  # the first despecklers' cards do not say it
