"""Trainer of stainers: CycleGAN (adversarial, cycle, identity), supervision by simulated pairs, and mixtures of both.

A term of weight zero costs nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from confostain.arrays import Image
from confostain.data.colour_sample import read_densities
from confostain.data.pairs import PairSource
from confostain.data.scans import ScanSource, read_scans
from confostain.data.training_slides import read_histology, read_slides
from confostain.models.build import fill_network
from confostain.networks.colours import picture_of
from confostain.networks.discriminator import PatchDiscriminator
from confostain.networks.generator import build_generator
from confostain.training import ema, losses
from confostain.training.adversary import Adversary, WayBack
from confostain.training.learner import Learner, channels_last, descend, on_device, weights_of
from confostain.training.perceptual import PerceptualLoss
from confostain.training.stainer_config import Stage, StainerConfig
from confostain.training.stainer_input import StainerInput
from confostain.training.validation import Evaluation, StainerValidation

if TYPE_CHECKING:
    from lightning.fabric import Fabric

LARGEST_NORM = 10.0  # of a gradient, about twice the usual one; without it, discriminators diverged on a GPU
BETAS = (0.5, 0.999)  # of Adam, as published for CycleGAN
STRIDED = 3  # convolutions of a discriminator that halve the resolution: patches of 70 px


class StainerBatch(NamedTuple):
    """What one step learns from, float32 each.

    Attributes:
        pair: (b, 2, h, w), simulated R and F.
        true: (b, 3, h, w), the H&E they were simulated from.
        unpaired: (b, 3, h, w), H&E of other places; none of them, b = 0, where the objective needs none.
        scans: (b, 2, h, w), R and F of real scans, which have no truth; None where there are none.
    """

    pair: Tensor
    true: Tensor
    unpaired: Tensor
    scans: Tensor | None = None


class StainerData:
    """Batches of a stainer's training: simulated pairs, H&E of other places, and real scans if there are.

    Raises:
        ConfigError, SlideError: H&E or scans are missing, too small or unreadable.
    """

    def __init__(self, config: StainerConfig) -> None:
        least = max(config.region, *(stage.patch for stage in config.stages))
        slides = read_slides(config.data.train, config.reading(least))
        jitter = config.intensity_jitter
        drawn = (
            jitter,
            config.domain_randomisation,
            config.crops_per_region,
            config.region,
            config.data.trained_scales,
            config.without_nuclei,
        )
        self.config = config
        self.pairs = {stage: PairSource(slides, stage.patch, stage.batch, *drawn) for stage in config.stages}
        self.scans: dict[Stage, ScanSource] = {}
        if config.data.confocal:
            scans = read_scans(Path(config.data.confocal), max(stage.patch for stage in config.stages))
            self.scans = {stage: ScanSource(scans, stage.patch, stage.batch, jitter) for stage in config.stages}

    def draw(self, step: int, rank: int) -> tuple[Image, ...]:
        """The batch of a step as in `StainerBatch`; a pure function of step and rank."""
        stage, seed = self.config.stage_at(step)[0], self.config.seed
        source = self.pairs[stage]
        images = (*source.draw(seed, step, rank), source.unpaired((seed, step, rank), self.config.needs_unpaired))
        return (*images, self.scans[stage].draw(seed, step, rank)) if self.scans else images


class StainerTrainer:
    """A stainer in training; see `confostain.training.loop.Trainer`.

    Args:
        config: settings.
        fabric: the devices.
        start: weights to begin with instead of fresh ones.

    Raises:
        ConfigError, SlideError: see `StainerData`. ModelError: there is no such despeckler, or `start` does not fit.
    """

    def __init__(self, config: StainerConfig, fabric: Fabric, start: Mapping[str, Tensor] | None = None) -> None:
        self.config, self.fabric, self.objective = config, fabric, config.objective
        self.data = StainerData(config)
        region = config.region
        unseen = read_histology(config.data.validate, config.reading(region, "validate"))
        self.validation = StainerValidation.of(unseen, region)
        self.perceptual = PerceptualLoss(fabric.device) if self.objective.perceptual else None
        if config.data.colours:
            self.colours = fabric.to_device(torch.from_numpy(read_densities(config.data.colours)))
        self.input = StainerInput(config.input, config.despeckler, fabric.device)
        network = config.build()
        if start is not None:
            fill_network(network, start, "start")
        self.average = copy.deepcopy(network).to(fabric.device).eval()
        self.best_score, self.best_weights = -np.inf, weights_of(self.average)
        self.generator = self._learner(network)
        self.adversary: Adversary | None = None
        self.way_back: WayBack | None = None
        if self.objective.adversarial:
            self.adversary = self._adversary(5 if self.objective.conditional_discriminator else 3)
        if self.objective.cycle:
            back = self._learner(build_generator(config.design, 3, self.input.channels))
            self.way_back = WayBack(back, self._adversary(self.input.channels))

    def _learner(self, network: nn.Module) -> Learner:
        return Learner(channels_last(network), self.fabric, BETAS)

    def _adversary(self, channels: int) -> Adversary:
        learner = self._learner(PatchDiscriminator(channels, self.config.discriminator_width, STRIDED))
        return Adversary(learner, self.fabric, self.config.pool, LARGEST_NORM)

    def draw(self, step: int) -> tuple[Image, ...]:
        """The batch of a step, as in `StainerBatch`."""
        return self.data.draw(step, self.fabric.global_rank)

    def train_step(self, batch: Sequence[Tensor], step: int) -> dict[str, Tensor]:
        """One step of all networks; the weighted terms of the loss, as they are logged."""
        pair, true, unpaired, scans = StainerBatch(*batch)
        true, unpaired = on_device(self.fabric, true), on_device(self.fabric, unpaired)
        raw = on_device(self.fabric, pair if scans is None else torch.cat([pair, scans]))
        stage, within = self.config.stage_at(step)
        rate = stage.rate(within)

        seen = self.input.despeckled(raw)
        given = self.input.of(seen)
        self.generator.network.train()
        made = self._picture(self.generator.network(given))
        values = self._faithfulness(made, seen, raw, true, step)
        if self.adversary is not None:
            loss = self.adversary.generator_loss(self._shown(made, seen))
            values["generator_loss"] = self.objective.adversarial * loss
        learners, made_back = [self.generator], None
        if self.way_back is not None:
            weights = (self.objective.adversarial, self.objective.cycle, self.objective.identity)
            terms, made_back = self.way_back.terms(self.generator.network, given, made, unpaired, weights)
            values |= terms
            learners.append(self.way_back.learner)
        descend(self.fabric, learners, torch.stack(list(values.values())).sum(), rate, LARGEST_NORM)

        rng = np.random.default_rng((self.config.seed, step, self.fabric.global_rank))
        if self.adversary is not None:
            paired = self.objective.conditional_discriminator or not self.objective.cycle
            real = self._shown(true if paired else unpaired, seen[: len(true)])
            generated = self._shown(made.detach(), seen)
            values["discriminator_loss"] = self.adversary.train_step(real, generated, rate, rng)
        if self.way_back is not None and made_back is not None:
            values["discriminator_loss back"] = self.way_back.adversary.train_step(given, made_back, rate, rng)
        ema.update(self.average, self.generator.bare, self.config.ema_decay, step)
        return values

    def _picture(self, made: Tensor) -> Tensor:
        """RGB of what the generator makes."""
        return made if self.config.colours is None else picture_of(made, self.config.colours.matrix)

    def _shown(self, rgb: Tensor, pair: Tensor) -> Tensor:
        """What the discriminator sees: (b, 3, h, w), or with R and F beside it (b, 5, h, w)."""
        return torch.cat([rgb, pair], dim=1) if self.objective.conditional_discriminator else rgb

    def _faithfulness(self, made: Tensor, pair: Tensor, raw: Tensor, true: Tensor, step: int) -> dict[str, Tensor]:
        """The weighted terms that tie the result to the scan and to the truth."""
        objective, linear = self.objective, losses.gareau_composite(pair)

        def perceptual() -> Tensor:
            assert self.perceptual is not None
            half = made[: len(true) : 2], true[::2]  # costly, and half of the images will do
            return self.perceptual(*half, self._generator(step))

        terms: dict[str, tuple[float, Callable[[], Tensor]]] = {
            "supervised": (objective.supervised, lambda: functional.l1_loss(made[: len(true)], true)),
            "ssim": (objective.ssim, lambda: 1 - losses.ssim(made[: len(true)], true)),
            "structure": (objective.structure, lambda: losses.structure(made, linear)),
            "gradient_order": (objective.gradient_order, lambda: losses.gradient_order(made, linear)),
            # a statistic, for which half will do; of the scan as it is, with its speckle
            "lbp": (objective.lbp, lambda: losses.lbp_distance(made[::2], losses.gareau_composite(raw[::2]))),
            "nuclei_correlation": (
                objective.nuclei_correlation,
                lambda: losses.nuclei_correlation(made, pair[:, 1:]),
            ),
            "haematoxylin_correlation": (
                objective.haematoxylin_correlation,
                lambda: losses.nuclei_correlation(made[: len(true)], losses.absorbed_red(true)),
            ),
            "perceptual": (objective.perceptual, perceptual),
            "colour_distribution": (
                objective.colour_distribution,
                lambda: losses.colour_distribution(made[len(true) :], self.colours, self._generator(step)),
            ),
            "grid": (objective.grid, lambda: losses.grid(made, self.config.design.unshuffle)),
        }
        return {name: weight * term() for name, (weight, term) in terms.items() if weight}

    def _generator(self, step: int) -> torch.Generator:
        """Random numbers of the terms of a step."""
        return torch.Generator().manual_seed(hash((self.config.seed, step, self.fabric.global_rank)))

    def validate(self) -> Evaluation:
        """Measures of the averaged generator, whose weights are kept if none before scored higher; and a picture."""
        measures, picture = self.validation.evaluate(self.stain)
        if measures["score"] >= self.best_score:
            self.best_score, self.best_weights = measures["score"], weights_of(self.average)
        return measures, picture

    @torch.no_grad()
    def stain(self, pair: Image) -> Image:
        """What the averaged generator makes of R and F (2, h, w): float32 (h, w, 3) in [0, 1]."""
        with self.fabric.autocast():
            seen = self.input.despeckled(on_device(self.fabric, torch.from_numpy(pair)[None]))
            made = self._picture(self.average(self.input.of(seen)))[0]
        rgb: Image = made.clamp(0, 1).permute(1, 2, 0).float().cpu().numpy()
        return rgb

    def network(self) -> nn.Module:
        """The network to be kept: the generator with the averaged weights that scored best, or with the last ones."""
        network = copy.deepcopy(self.average)
        if self.config.keep == "best":
            network.load_state_dict(self.best_weights)
        return network

    def _parts(self) -> dict[str, Any]:
        parts: dict[str, Any] = {"generator": self.generator, "average": self.average}
        parts |= {} if self.adversary is None else {"adversary": self.adversary}
        return parts | ({} if self.way_back is None else {"way_back": self.way_back})

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        state: dict[str, Any] = {name: part.state_dict() for name, part in self._parts().items()}
        return state | {"best_score": self.best_score, "best_weights": self.best_weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to an earlier state."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.best_score, self.best_weights = float(state["best_score"]), state["best_weights"]
        self.network()  # refuses weights of another network now rather than in the end
