"""Weights to begin a training with, and means of weights of several trainings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from confostain.errors import ModelError
from confostain.models.build import read_weights
from confostain.models.card import WEIGHTS
from confostain.models.registry import Task, model_folder


def start_weights(start: str, task: Task) -> dict[str, Tensor]:
    """Weights by name, float32, of a safetensors file, or of a model given by its name or folder.

    Raises:
        ModelError: there is no such file or model.
    """
    path = Path(start)
    return read_weights(path if path.suffix == ".safetensors" else model_folder(start, task) / WEIGHTS)


def mean_weights(sets: Sequence[tuple[Mapping[str, Tensor], float]]) -> dict[str, Tensor]:
    """Mean of the weights of networks of one architecture.

    Args:
        sets: weights by name, float32, each with its share; the shares make up 1.

    Raises:
        ModelError: the networks differ in their architecture.
    """
    first = sets[0][0]
    mean = {name: value * sets[0][1] for name, value in first.items()}
    for weights, share in sets[1:]:
        if weights.keys() != first.keys() or any(weights[name].shape != first[name].shape for name in first):
            raise ModelError("weights of networks of different architectures cannot be mixed; expected one design")
        mean = {name: value + share * weights[name] for name, value in mean.items()}
    return mean
