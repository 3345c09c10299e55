"""The training of a stainer, told from top to bottom in `train_stainer`.

One loop trains them all: the published CycleGAN (adversaries, cycle, identity), supervision by simulated pairs, and
whatever mixture of both the configuration weighs. A term of weight zero costs nothing.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from confostain.arrays import Image, Progress
from confostain.data import pairs
from confostain.data.loader import batch_loader
from confostain.data.noisy_patches import HistologyData, Range
from confostain.data.pairs import PairSource, read_histology
from confostain.data.scans import ScanSource, read_scans
from confostain.errors import ConfigError
from confostain.networks.generator import StainerDesign, build_generator
from confostain.training.export import save_network
from confostain.training.run import Precision, Run, launched, load_config
from confostain.training.stainer_trainer import Batch, Player
from confostain.training.validation import Trial


@dataclass(frozen=True)
class StainingData(HistologyData):
    """Which H&E: slides, or folders of prepared patches; and real scans, if there are."""

    confocal: str | None = None  # folder of prepared patches: scans that stand beside the simulated pairs in domain A


@dataclass(frozen=True)
class Stage:
    """A part of a training with its own patches and learning rate."""

    steps: int
    patch: int = 256  # px
    batch: int = 1  # patches per step and device
    learning_rate: float = 2e-4
    decay: Literal["none", "linear", "cosine"] = "none"  # down to zero over the stage

    def rate(self, step: int) -> float:
        """The learning rate at a step of the stage, counted from 0."""
        left = 1 - step / self.steps
        factor = {"none": 1.0, "linear": left, "cosine": 0.5 - 0.5 * math.cos(math.pi * left)}
        return self.learning_rate * factor[self.decay]


@dataclass(frozen=True)
class Objective:
    """Weights of the terms of the loss; see `confostain.training.stain_losses` for what they measure."""

    adversarial: float = 1.0
    cycle: float = 0.0  # 10 as published; above 0 there is a second generator, back to confocal
    identity: float = 0.0  # 5 as published
    supervised: float = 0.0  # mean absolute difference to the true H&E of a simulated pair
    resemblance: float = 0.0  # one minus the structural similarity to the true H&E, mean of three colours
    structure: float = 0.0  # one minus the structural similarity to the Gareau image
    texture: float = 0.0  # order of neighbouring pixels as in the Gareau image
    patterns: float = 0.0  # kinds of local binary patterns as often as in the Gareau image
    content: float = 0.0  # nuclei of F in the haematoxylin, and no others
    witnessed: bool = False  # the critic sees R and F beside the H&E, true or made: a conditional adversary


@dataclass(frozen=True)
class StainingConfig:
    """Everything that decides a training; read from TOML, with [data], [design], [objective] and [[stages]]."""

    data: StainingData
    stages: tuple[Stage, ...]
    objective: Objective
    input: Literal["pair", "gareau"] = "pair"  # R and F, or their Gareau image as published
    despeckler: str | None = None  # name of a shipped one, which cleans R first
    design: StainerDesign = field(default_factory=StainerDesign)
    seed: int = 2019
    gain: Range = (1.0, 1.0)  # factor on either channel: how far off the intensity range of a slide may be
    variety: Range = PairSource.domain_randomisation  # of the simulated scans; 1 is that of the measured ones
    reuse: float = PairSource.reuse  # how often a simulated region is cut up before another takes its place
    pool: int = 50  # images made earlier that the critics are shown too
    critic_width: int = 64  # channels of the critics' first convolution
    averaging: float = 0.999  # of the weights over the steps; the average is what is kept
    precision: Precision = "32-true"
    start: str | None = None  # safetensors of a generator to begin with instead of fresh weights
    record_every: int = 10  # steps
    look_every: int = 500  # steps between validations, sample pictures and checkpoints

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        stride = build_generator(self.design, 2).stride
        if not self.stages:
            raise ConfigError("there is no [[stages]]: expected at least one, with its number of steps")
        for stage in self.stages:
            if min(stage.steps, stage.patch, stage.batch) < 1 or stage.patch % stride:
                raise ConfigError(f"{stage}: expected positive numbers, and a patch that {stride} divides")
        if self.objective.identity and self.input != "gareau":
            raise ConfigError("identity is a term between colour images: expected input = 'gareau'")

    @property
    def steps(self) -> int:
        """Steps of all stages."""
        return sum(stage.steps for stage in self.stages)

    def stage(self, step: int) -> tuple[Stage, int]:
        """The stage that a step belongs to, and how many steps of it came before."""
        for stage in self.stages[:-1]:
            if step < stage.steps:
                return stage, step
            step -= stage.steps
        return self.stages[-1], step


def train_stainer(
    config_file: Path, folder: Path, resume: bool = False, progress: Progress | None = None, workers: int = 0
) -> int:
    """Train a stainer; the run's folder holds the best weights in the end, also if it is interrupted (Ctrl-C).

    Args:
        config_file: TOML, see `StainingConfig`.
        folder: where the run is kept; must not hold one, unless `resume`.
        resume: go on from the last checkpoint, to the same result as without the break.
        progress: called after each step.
        workers: processes that draw batches ahead; the outcome does not depend on it.

    Returns:
        The steps done: all, unless it was interrupted.

    Raises:
        ConfigError, OutputError, SlideError, ModelError, OptionError: see `load_config`, `Run`, `read_histology`,
        `load_weights`, `batch_loader`.
    """
    config = load_config(config_file, StainingConfig)
    fabric = launched(config.seed, config.precision)
    with fabric.rank_zero_first():  # the first process makes the folder, the others join
        run = Run(folder, config_file, resume or not fabric.is_global_zero)
    if fabric.is_global_zero:
        run.describe({"seed": config.seed, "devices": fabric.world_size, "device": str(fabric.device)})
    least = max(pairs.REGION, *(stage.patch for stage in config.stages))
    slides = read_histology(config.data.train, config.data.microns_per_pixel, least)
    unseen = read_histology(config.data.validate, config.data.microns_per_pixel, pairs.REGION, "validate")
    scans = read_scans(Path(config.data.confocal), least) if config.data.confocal else None
    trial = Trial.of(unseen)
    player = Player(config, fabric)
    first = player.load(run.checkpoint) if resume and run.checkpoint.exists() else 0
    if fabric.is_global_zero:
        run.rewind(first)

    sources = {
        stage: PairSource(slides, stage.patch, stage.batch, config.gain, config.variety, config.reuse)
        for stage in config.stages
    }

    def drawn(step: int) -> tuple[Image, ...]:
        stage, (seed, rank) = config.stage(step)[0], (config.seed, fabric.global_rank)
        source = sources[stage]
        real = ScanSource(scans, stage.patch, stage.batch, config.gain).draw(seed, step, rank) if scans else None
        images = (*source.draw(seed, step, rank), source.tissue((seed, step, rank)), real)
        return tuple(image for image in images if image is not None)

    batches = batch_loader(drawn, range(first, config.steps), workers, pinned=fabric.device.type == "cuda")
    done = first
    try:
        for done, batch in enumerate(batches, first + 1):
            stage, within = config.stage(done - 1)
            values = player.step(Batch(*batch), stage.rate(within), done - 1)
            if fabric.is_global_zero and (done % config.record_every == 0 or done == 1):
                run.record(done, {name: float(value.detach()) for name, value in values.items()})
            if done % config.look_every == 0 or done == config.steps:
                if fabric.is_global_zero:
                    verdict, picture = trial.judge(player.stain)
                    player.keep_if_best(verdict["score"])
                    run.record(done, verdict)
                    run.sample(done, picture)
                player.save(run.checkpoint, done)
            if progress is not None:
                progress(done, config.steps)
    except KeyboardInterrupt:
        if not run.checkpoint.exists():
            raise

    run.close()
    if fabric.is_global_zero:
        facts = {"kind": "stainer", "input": config.input, "despeckler": config.despeckler}
        save_network(player.best(), folder, asdict(config), facts)
    return done
