"""Trainer of despecklers: supervised by noise that is added to H&E, optionally with a discriminator."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from confostain.arrays import Grey, Image
from confostain.data.noisy_patches import NoisyPatches, read_inverted
from confostain.data.scans import ReflectanceSource, read_reflectance, typical_speckle
from confostain.errors import ConfigError
from confostain.imaging.speckle_measures import MIN_SIGNAL
from confostain.models.build import fill_network
from confostain.networks.discriminator import PatchDiscriminator
from confostain.training import ema, losses
from confostain.training.adversary import Adversary
from confostain.training.despeckler_config import DespecklerConfig
from confostain.training.learner import Learner, channels_last, descend, on_device
from confostain.training.validation import SMALLEST_PATCH, DespecklerValidation, Evaluation

if TYPE_CHECKING:
    from lightning.fabric import Fabric

LOSSES = {"squared": losses.squared_error, "decibel": losses.decibel_error}
TOGETHER = 4  # patches of a validation


class DespecklerTrainer:
    """A despeckler in training; see `confostain.training.loop.Trainer`.

    Args:
        config: settings.
        fabric: the devices.
        start: weights to begin with instead of fresh ones.

    Raises:
        ConfigError, SlideError: the H&E is missing, too small or unreadable. ModelError: `start` does not fit.
    """

    def __init__(self, config: DespecklerConfig, fabric: Fabric, start: Mapping[str, Tensor] | None = None) -> None:
        self.config, self.fabric = config, fabric
        train, unseen = (
            read_inverted(files, config.data.microns_per_pixel) for files in (config.data.train, config.data.validate)
        )
        check_sizes("train", train, config.patch)
        check_sizes("validate", unseen, max(config.patch, SMALLEST_PATCH))
        self.patches = NoisyPatches(train, config.noise, config.patch, config.batch)
        self.scans: ReflectanceSource | None = None
        if config.data.reflectance:
            images = [*read_reflectance(Path(config.data.reflectance), config.patch)]
            self.scans, self.speckle = ReflectanceSource(images, config.patch, config.batch), typical_speckle(images)
        self.validation = DespecklerValidation.of(unseen, config.noise, config.patch)
        network = config.build()
        if start is not None:
            fill_network(network, start, "start")
        network = channels_last(network)
        self.average = copy.deepcopy(network).to(fabric.device).eval()
        self.learner = Learner(network, fabric)
        self.adversary = Adversary(Learner(PatchDiscriminator(), fabric), fabric) if config.adversarial else None

    def draw(self, step: int) -> tuple[Image, ...]:
        """The batch of a step: noisy and clean, float32 (b, 1, h, w) each; and raw reflectance, if there are scans."""
        batch = self.patches.draw((self.config.seed, step, self.fabric.global_rank))
        if self.scans is None:
            return batch
        return *batch, self.scans.draw(self.config.seed, step, self.fabric.global_rank)

    def train_step(self, batch: Sequence[Tensor], step: int) -> dict[str, Tensor]:
        """One step of all networks; the terms of the loss, as they are logged."""
        config, rate = self.config, self.config.rate(step)
        noisy, clean, *raw = (on_device(self.fabric, images) for images in batch)
        self.learner.network.train()
        made = self.learner.network(torch.cat([noisy, *raw]))
        made, cleaned = made[: len(noisy)], made[len(noisy) :]
        loss = LOSSES[config.loss](made, clean)
        values = {"loss": loss.detach()}
        if config.total_variation:
            loss = loss + config.total_variation * losses.total_variation(made)
        if config.residual_statistics:
            values["residual_statistics"] = self._residual_statistics(noisy, clean, made)
            if raw:
                values["residual_statistics of scans"] = self._residual_statistics_of_scans(raw[0], cleaned)
            for name in values.keys() - {"loss"}:
                loss = loss + config.residual_statistics * values[name]
        if self.adversary is not None:
            values["generator_loss"] = self.adversary.generator_loss(made)
            loss = loss + config.adversarial * values["generator_loss"]
        descend(self.fabric, [self.learner], loss, rate)
        if self.adversary is not None:
            rng = np.random.default_rng((config.seed, step))
            values["discriminator_loss"] = self.adversary.train_step(clean, made, rate, rng)
        ema.update(self.average, self.learner.bare, config.ema_decay, step)
        return values

    def _residual_statistics(self, noisy: Tensor, clean: Tensor, made: Tensor) -> Tensor:
        """Difference of what was removed to the speckle that had been added."""
        scale = clean.clamp(min=0) + MIN_SIGNAL
        return losses.residual_statistics(noisy - made, scale, losses.residual_moments(noisy - clean, scale))

    def _residual_statistics_of_scans(self, raw: Tensor, cleaned: Tensor) -> Tensor:
        """Difference of what was removed from real scans to the speckle that was fitted to them."""
        speckle = self.speckle
        light = (cleaned.detach() - speckle.pedestal).clamp(min=MIN_SIGNAL)
        scale = (light.square() / speckle.looks + speckle.read_noise**2).sqrt()
        expected = raw.new_tensor([1.0, *speckle.correlation(2)]).expand(len(raw), 3)
        return losses.residual_statistics(raw - cleaned, scale, expected)

    def validate(self) -> Evaluation:
        """Measures of the averaged network, and a picture."""
        return self.validation.evaluate(self.despeckle)

    @torch.no_grad()
    def despeckle(self, noisy: Image) -> Image:
        """What the averaged network makes of patches, float32 (b, 1, h, w) to the same."""
        with self.fabric.autocast():
            parts = torch.split(on_device(self.fabric, torch.from_numpy(noisy)), TOGETHER)
            made: Image = torch.cat([self.average(part) for part in parts]).float().cpu().numpy()
        return made

    def network(self) -> nn.Module:
        """The network to be kept: with averaged weights."""
        return self.average

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        state = {"learner": self.learner.state_dict(), "average": self.average.state_dict()}
        return state | ({} if self.adversary is None else {"adversary": self.adversary.state_dict()})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to an earlier state."""
        self.learner.load_state_dict(state["learner"])
        self.average.load_state_dict(state["average"])
        if self.adversary is not None:
            self.adversary.load_state_dict(state["adversary"])


def check_sizes(split: str, slides: Sequence[Grey], least: int) -> None:
    """Refuse slides that no patch can be cut from."""
    for slide in slides:
        if min(slide.shape) < least:
            raise ConfigError(
                f"data.{split}: a slide of {slide.shape[1]} x {slide.shape[0]} px; expected at least {least} px a side,"
                " or a smaller patch"
            )
