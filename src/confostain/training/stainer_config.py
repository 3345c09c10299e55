"""Configuration of a stainer's training: stages, objective and what is drawn."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal, Self

from pydantic import model_validator
from torch import nn

from confostain.data.manifest import Split
from confostain.data.noisy_patches import Range
from confostain.data.pairs import REGION, PairSource
from confostain.data.training_slides import SlideReading
from confostain.imaging.stain_colours import NEUTRAL, StainColours
from confostain.models.build import CHANNELS
from confostain.networks.generator import StainerDesign, build_generator
from confostain.simulation.from_histology import SMALLEST
from confostain.training.config import (
    LARGEST_PATCH,
    Histology,
    Table,
    TrainingConfig,
    counts,
    geometry_of,
    ordered,
    real,
    whole,
)

FINEST_HELD = 0.5  # um/px: most H&E is scanned with a 20x objective


@dataclass(frozen=True)
class HistologyAndScans(Histology):
    """H&E slides, or folders of prepared patches; and real scans, if there are."""

    confocal: str | None = None  # folder of prepared patches: scans that stand beside the simulated pairs in domain A
    # pixel sizes in um that pairs are simulated at, drawn at random; None: microns_per_pixel
    scales: Annotated[Range, ordered(0.2, 2)] | None = None
    pixel_sizes: dict[str, float] = field(default_factory=dict)  # um/px of files that do not state it, by name
    colours: str | None = (
        None  # optical densities of pixels of H&E, .npy (n, 3), which stains of real scans should have
    )
    as_they_are: tuple[str, ...] = ()  # names of files that a network of densities need not recolour

    @property
    def trained_scales(self) -> Range:
        """Smallest and largest pixel size of the pairs in um."""
        return self.scales or (self.microns_per_pixel, self.microns_per_pixel)

    @property
    def held_at(self) -> float:
        """Pixel size in um at which slides are held in memory: as fine as the pairs, but no finer than slides are."""
        return self.microns_per_pixel if self.scales is None else max(self.scales[0], FINEST_HELD)


@dataclass(frozen=True)
class Design(StainerDesign):
    """Architecture of a generator, with limits; see `StainerDesign`."""

    channels: Annotated[tuple[int, ...], counts(1024)] = StainerDesign.channels
    blocks: Annotated[tuple[int, ...], counts(32)] = StainerDesign.blocks
    up: Annotated[tuple[int, ...], counts(32)] = StainerDesign.up
    width: Annotated[int, whole(1, 512)] = StainerDesign.width


class Stage(Table):
    """Part of a training with its own patches and learning rate."""

    steps: Annotated[int, whole(1, 10_000_000)]
    patch: Annotated[int, whole(32, LARGEST_PATCH)] = 256  # px
    batch: Annotated[int, whole(1, 4096)] = 1  # patches per step and device
    learning_rate: Annotated[float, real(0, 1, above=True)] = 2e-4
    decay: Literal["none", "linear", "cosine"] = "none"  # down to zero over the stage

    def rate(self, step: int) -> float:
        """Learning rate of a step of the stage, counted from 0."""
        left = 1 - step / self.steps
        factor = {"none": 1.0, "linear": left, "cosine": 0.5 - 0.5 * math.cos(math.pi * left)}
        return self.learning_rate * factor[self.decay]


Weight = Annotated[float, real(0, 1e4)]


class Objective(Table):
    """Weights of the terms of the loss; see `confostain.training.losses` for what they measure."""

    adversarial: Weight = 1.0
    cycle: Weight = 0.0  # 10 as published; above 0 there is a second generator, back to confocal
    identity: Weight = 0.0  # 5 as published
    supervised: Weight = 0.0  # mean absolute difference to the true H&E of a simulated pair
    ssim: Weight = 0.0  # one minus the structural similarity to the true H&E, mean of three colours
    structure: Weight = 0.0  # one minus the structural similarity to the Gareau image
    gradient_order: Weight = 0.0  # order of neighbouring pixels as in the Gareau image
    lbp: Weight = 0.0  # kinds of local binary patterns as often as in the Gareau image
    nuclei_correlation: Weight = 0.0  # nuclei of F in the haematoxylin, and no others
    haematoxylin_correlation: Weight = 0.0  # nuclei of the true H&E in the haematoxylin, and no others
    perceptual: Weight = 0.0  # features of a network trained on natural images, against the true H&E
    colour_distribution: Weight = 0.0  # colours of the stain of real scans as frequent as in the H&E
    grid: Weight = 0.0  # no pattern with the period of the network's pixel-shuffle
    conditional_discriminator: bool = False  # it sees R and F beside the H&E, real or generated

    @model_validator(mode="after")
    def _means_something(self) -> Self:
        if not any(value for name, value in self if name not in ("conditional_discriminator", "identity")):
            raise ValueError("all weights are 0; expected one above 0")
        if self.identity and not self.cycle:
            raise ValueError("identity is a term of CycleGAN; expected cycle above 0 beside it")
        return self


class StainerConfig(TrainingConfig):
    """Settings of a stainer's training; in TOML with the tables data, design, objective and stages."""

    task: Literal["stain"] = "stain"
    data: HistologyAndScans
    stages: tuple[Stage, ...]
    objective: Objective
    input: Literal["pair", "gareau"] = "pair"  # R and F, or their Gareau image as published
    despeckler: str | None = None  # name of a shipped one, which cleans R first
    design: Design = Design()
    region: Annotated[int, whole(SMALLEST, LARGEST_PATCH)] = REGION  # px: H&E from which R and F are simulated at once
    # factor on either channel: how far off the intensity range of a slide may be
    intensity_jitter: Annotated[Range, ordered(0.01, 100)] = (1.0, 1.0)
    # width of what the simulated scans draw, 1 being that of the measured ones; others will be met
    domain_randomisation: Annotated[Range, ordered(0, 10)] = PairSource.domain_randomisation
    # how often the area of a simulated region is cut up before another takes its place
    crops_per_region: Annotated[float, real(0, 1000, above=True)] = PairSource.reuse
    # share of the simulated regions that hold hardly a nucleus
    without_nuclei: Annotated[float, real(0, 1)] = PairSource.without_nuclei
    pool: Annotated[int, whole(0, 10_000)] = 50  # images generated earlier that discriminators are shown too
    discriminator_width: Annotated[int, whole(1, 512)] = 64  # channels of its first convolution
    keep: Literal["best", "last"] = "best"  # weights that are kept: of the best validation, or of the last step

    @model_validator(mode="after")
    def _fits(self) -> Self:
        stride, _ = self.geometry
        if not self.stages:
            raise ValueError("there is no [[stages]]; expected at least one, with its number of steps")
        for index, stage in enumerate(self.stages):
            if stage.patch % stride:
                raise ValueError(
                    f"stages[{index}].patch is {stage.patch}; expected a multiple of {stride} px, the stride of the"
                    " design"
                )
        if self.objective.colour_distribution and not (self.data.confocal and self.data.colours):
            raise ValueError(
                "objective.colour_distribution compares real scans with colours of H&E; expected data.confocal and"
                " data.colours"
            )
        if self.objective.cycle and self.design.output == "densities":
            raise ValueError("objective.cycle is a term between pictures; expected design.output = 'rgb'")
        if self.objective.identity and self.input != "gareau":
            raise ValueError("objective.identity is a term between colour images; expected input = 'gareau'")
        if self.objective.cycle and self.input == "pair" and self.design.body == "swift":
            raise ValueError(
                "objective.cycle needs a generator of R and F, and swift makes RGB; expected body = 'resnet', or input"
                " = 'gareau'"
            )
        return self

    @property
    def geometry(self) -> tuple[int, int]:
        """Stride and receptive field of the network, in pixels."""
        return geometry_of(self.build)

    def build(self) -> nn.Module:
        """The generator with fresh weights: (b, 2, h, w), or (b, 3, h, w) of a Gareau image, to (b, 3, h, w)."""
        return build_generator(self.design, CHANNELS[self.input])

    @property
    def needs_unpaired(self) -> bool:
        """Whether H&E of other places is learnt from, as the way back of CycleGAN does."""
        return bool(self.objective.cycle)

    @property
    def colours(self) -> StainColours | None:
        """Colours in which a network of densities learns all H&E; None for RGB, which is learnt as it is."""
        return NEUTRAL if self.design.output == "densities" else None

    def reading(self, at_least: int, split: Split = "train") -> SlideReading:
        """How H&E is read: for training as fine as it is needed, for validation at `data.microns_per_pixel`."""
        microns = self.data.held_at if split == "train" else self.data.microns_per_pixel
        data = self.data
        return SlideReading(microns, at_least, split, data.pixel_sizes, self.colours, data.as_they_are)

    @property
    def steps(self) -> int:
        """Steps of all stages."""
        return sum(stage.steps for stage in self.stages)

    def stage_at(self, step: int) -> tuple[Stage, int]:
        """The stage that a step belongs to, and how many steps of it came before."""
        for stage in self.stages[:-1]:
            if step < stage.steps:
                return stage, step
            step -= stage.steps
        return self.stages[-1], step

    def card_fields(self) -> dict[str, Any]:
        """What a model card says of the network."""
        return {
            "kind": "stainer",
            "input": self.input,
            "despeckler": self.despeckler,
            "design": asdict(self.design),
            "microns_per_pixel": list(self.data.trained_scales),
            "colours": None if self.colours is None else asdict(self.colours),
        }
