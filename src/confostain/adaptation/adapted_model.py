"""Folders of adapted models: weights, precisions measured on the user's fields, and a card that says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from confostain.arrays import Image
from confostain.models.build import build_network, fill_network
from confostain.models.card import ModelCard
from confostain.models.engines.picture import Picture
from confostain.models.export import save_model, write_card
from confostain.models.precision import measure_precisions
from confostain.training.run import commit

MEASURED = {"stride", "receptive_field", "parameters", "files", "precisions"}  # of a card: found anew


def write_model(
    folder: Path, card: ModelCard, weights: Mapping[str, Tensor], fields: Mapping[str, Any] | None = None
) -> ModelCard:
    """Write a model with the design of `card` and other weights into a folder that exists; no precision is measured.

    Args:
        folder: of the model.
        card: of the model that it comes from.
        weights: float32 by name.
        fields: of the card, which differ from those of the other one.
    """
    network = build_network(card)
    fill_network(network, weights, "the adapted weights")
    known = card.model_dump(mode="json", exclude=MEASURED)
    return save_model(network, folder, known | dict(fields or {}))


def measure_and_describe(
    folder: Path, card: ModelCard, inputs: Sequence[Sequence[Image]], said: Mapping[str, Any]
) -> ModelCard:
    """Measure the precisions of a model and complete its card.

    Args:
        folder: of the model.
        card: of that model.
        inputs: of its network, (c, h, w) each: typical ones, and others to judge by, as of `measure_precisions`.
        said: what its card says of the adaptation: "data", "schedule", "figures", "description".
    """
    picture = Picture(card.colours) if card.task == "stain" else None
    precisions = measure_precisions(folder, card.receptive_field, *inputs, picture=picture)
    commits = f"{card.commit}; adapted by {commit()}"
    return write_card(folder, card.model_copy(update={"precisions": precisions, "commit": commits, **said}))
