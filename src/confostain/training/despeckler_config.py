"""Configuration of a despeckler's training."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import model_validator
from torch import nn

from confostain.data.noisy_patches import NoiseRange, Range
from confostain.networks.despeckler import DespecklerDesign, build_despeckler
from confostain.training.config import (
    LARGEST_PATCH,
    Histology,
    TrainingConfig,
    counts,
    geometry_of,
    ordered,
    real,
    whole,
)

RISE = 100  # steps at most in which a cosine schedule reaches its rate


@dataclass(frozen=True)
class Noise(NoiseRange):
    """Noise that is drawn, with limits; see `NoiseRange`."""

    looks: Annotated[Range, ordered(0.01, 1e6)] = NoiseRange.looks
    microscope_share: Annotated[float, real(0, 1)] = NoiseRange.microscope_share
    microscope_looks: Annotated[Range, ordered(0.01, 1e6)] | None = NoiseRange.microscope_looks
    blur: Annotated[Range, ordered(0, 50)] = NoiseRange.blur
    grain: Annotated[Range, ordered(0, 50)] = NoiseRange.grain
    pedestal: Annotated[Range, ordered(0, 1)] = NoiseRange.pedestal
    gain: Annotated[Range, ordered(0.01, 100)] = NoiseRange.gain
    read_noise: Annotated[Range, ordered(0, 1)] = NoiseRange.read_noise
    contrast: Annotated[Range, ordered(0.01, 100)] = NoiseRange.contrast
    clipped_share: Annotated[float, real(0, 1)] = NoiseRange.clipped_share


@dataclass(frozen=True)
class Design(DespecklerDesign):
    """Architecture of a despeckler, with limits; see `DespecklerDesign`."""

    channels: Annotated[tuple[int, ...], counts(1024)] = DespecklerDesign.channels
    blocks: Annotated[tuple[int, ...], counts(32)] = DespecklerDesign.blocks


@dataclass(frozen=True)
class HistologyAndReflectance(Histology):
    """H&E slides; and real scans, if there are."""

    # raw reflectance of real scans, which have no truth: .npy (n, h, w), shares of the range, not clipped at 1
    reflectance: str | None = None


class DespecklerConfig(TrainingConfig):
    """Settings of a despeckler's training; in TOML with the tables data, design and noise."""

    task: Literal["despeckle"] = "despeckle"
    data: HistologyAndReflectance
    design: Design = Design()
    noise: Noise = Noise()
    steps: Annotated[int, whole(1, 10_000_000)] = 1000
    batch: Annotated[int, whole(1, 4096)] = 8  # patches per step and device
    patch: Annotated[int, whole(16, LARGEST_PATCH)] = 128  # px
    learning_rate: Annotated[float, real(0, 1, above=True)] = 5e-4
    schedule: Literal["constant", "cosine"] = "constant"  # cosine: a short rise, then down to zero
    loss: Literal["squared", "decibel"] = "squared"
    total_variation: Annotated[float, real(0, 1e4)] = 0.0  # weight of that term
    # weight of: what is removed has the power and the correlation of speckle, also on real scans
    residual_statistics: Annotated[float, real(0, 1e4)] = 0.0
    adversarial: Annotated[float, real(0, 1e4)] = 0.0  # weight of that term
    median: bool = False  # a 3 x 3 median follows the trained network, as published

    @model_validator(mode="after")
    def _fits(self) -> Self:
        stride, _ = self.geometry
        if self.patch % stride:
            raise ValueError(f"patch is {self.patch}; expected a multiple of {stride} px, the stride of the design")
        if self.data.reflectance is not None and not self.residual_statistics:
            raise ValueError("data.reflectance teaches by residual_statistics alone; expected that weight above 0")
        return self

    @property
    def geometry(self) -> tuple[int, int]:
        """Stride and receptive field of the network, in pixels."""
        return geometry_of(self.build)

    def build(self) -> nn.Module:
        """The network with fresh weights: (b, 1, h, w) to the same."""
        return build_despeckler(self.design)

    def rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        if self.schedule == "constant":
            return self.learning_rate
        rise = min(1.0, (step + 1) / max(1, min(RISE, self.steps // 10)))
        return self.learning_rate * rise * (0.5 + 0.5 * math.cos(math.pi * step / self.steps))

    def card_fields(self) -> dict[str, Any]:
        """What a model card says of the network."""
        return {
            "kind": "despeckler",
            "input": "reflectance",
            "median": self.median,
            "design": asdict(self.design),
            "microns_per_pixel": [self.data.microns_per_pixel] * 2,
        }
