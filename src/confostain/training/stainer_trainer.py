"""The networks of a stainer's training, what they play against each other, and their state."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from confostain.arrays import Image
from confostain.models.build import despeckler_network, load_weights
from confostain.models.registry import model_folder
from confostain.networks.discriminator import PatchDiscriminator
from confostain.networks.generator import build_generator
from confostain.training import ema
from confostain.training import stain_losses as losses
from confostain.training.losses import discriminator_loss, generator_loss

if TYPE_CHECKING:
    from lightning.fabric import Fabric

    from confostain.training.stainer import StainingConfig

STEEPEST = 10.0  # norm of a gradient, about twice the usual one; without a limit, critics ran away on a GPU


class Batch(NamedTuple):
    """What one step learns from, float32 each.

    Attributes:
        pair: (b, 2, h, w), simulated R and F.
        true: (b, 3, h, w), the H&E they were simulated from.
        other: (b, 3, h, w), H&E of another place.
        scans: (b, 2, h, w), R and F of real scans, which have no truth; None where there are none.
    """

    pair: Tensor
    true: Tensor
    other: Tensor
    scans: Tensor | None = None


class Player:
    """Generators, critics and their optimizers, on whatever devices there are."""

    def __init__(self, config: StainingConfig, fabric: Fabric) -> None:
        self.config, self.fabric, self.aim = config, fabric, config.objective
        self.despeckler = _despeckler(config.despeckler).to(fabric.device) if config.despeckler else None
        channels = 2 if config.input == "pair" else 3
        self.bare = build_generator(config.design, channels)
        if config.start is not None:
            load_weights(self.bare, Path(config.start))
        self.average = copy.deepcopy(self.bare).to(fabric.device).eval()
        self.best_score, self.best_weights = -np.inf, _weights_of(self.average)
        self.generator, self.optimizer = self._prepared(self.bare)
        self.critic: Any = None
        self.back: Any = None
        if self.aim.adversarial:
            seen = 5 if self.aim.witnessed else 3
            self.critic, self.critic_optimizer = self._prepared(PatchDiscriminator(seen, config.critic_width, 3))
            self.pool = ImagePool(config.pool)
        if self.aim.cycle:  # the way back, and its critic
            self.back, self.back_optimizer = self._prepared(build_generator(config.design, 3, channels))
            self.back_critic, self.back_critic_optimizer = self._prepared(
                PatchDiscriminator(channels, config.critic_width, 3)
            )
            self.back_pool = ImagePool(config.pool)

    def _prepared(self, network: nn.Module) -> tuple[Any, Any]:
        # channels last is the layout in which processors convolve fastest
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        is_cuda = self.fabric.device.type == "cuda"
        optimizer = torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=is_cuda)
        return self.fabric.setup(network, optimizer)

    def _tensor(self, images: Tensor) -> Tensor:
        moved: Tensor = self.fabric.to_device(images)  # at once: pinned memory is not waited for
        return moved.contiguous(memory_format=torch.channels_last)

    def step(self, batch: Batch, rate: float, step: int) -> dict[str, Tensor]:
        """One step down the gradient of all networks; what there is to record."""
        true, unpaired = self._tensor(batch.true), self._tensor(batch.other)
        raw = self._tensor(batch.pair if batch.scans is None else torch.cat([batch.pair, batch.scans]))
        seen = self._cleaned(raw)
        self.generator.train()
        given = self._input(seen)
        made = self.generator(given)
        values = self._faithfulness(made, seen, raw, true)
        if self.critic is not None:
            values["generator_loss"] = self.aim.adversarial * generator_loss(self.critic(self._shown(made, seen)))
        if self.back is not None:
            values |= self._round_trips(given, made, unpaired)
        ours = [(self.generator, self.optimizer)] + ([(self.back, self.back_optimizer)] if self.back else [])
        self._descend(ours, torch.stack(list(values.values())).sum(), rate)
        if self.critic is not None:
            rng = np.random.default_rng((self.config.seed, step, self.fabric.global_rank))
            real = true if self.aim.witnessed or not self.aim.cycle else unpaired
            fake = self.pool.exchanged(self._shown(made.detach(), seen), rng)
            values["discriminator_loss"] = discriminator_loss(
                self.critic(self._shown(real, seen[: len(real)])), self.critic(fake)
            )
            self._descend([(self.critic, self.critic_optimizer)], values["discriminator_loss"], rate)
            if self.back is not None:
                fake = self.back_pool.exchanged(self.made_back.detach(), rng)
                values["discriminator_loss of back"] = discriminator_loss(
                    self.back_critic(given), self.back_critic(fake)
                )
                self._descend(
                    [(self.back_critic, self.back_critic_optimizer)], values["discriminator_loss of back"], rate
                )
        ema.update(self.average, self.bare, self.config.averaging, step)
        return values

    @torch.no_grad()
    def _cleaned(self, pair: Tensor) -> Tensor:
        """R and F, the speckle taken out of R where the training wants it so."""
        if self.despeckler is None:
            return pair
        return torch.cat([self.despeckler(pair[:, :1]).clamp(0, 1), pair[:, 1:]], dim=1)

    def _input(self, pair: Tensor) -> Tensor:
        return pair if self.config.input == "pair" else losses.composite(pair)

    def _shown(self, rgb: Tensor, pair: Tensor) -> Tensor:
        """What the critic sees."""
        return torch.cat([rgb, pair], dim=1) if self.aim.witnessed else rgb

    def _faithfulness(self, made: Tensor, pair: Tensor, raw: Tensor, true: Tensor) -> dict[str, Tensor]:
        """The terms that tie what is made to the scan and to the truth, weighted."""
        aim, linear = self.aim, losses.composite(pair)
        terms: dict[str, tuple[float, Callable[[], Tensor]]] = {
            "supervised": (aim.supervised, lambda: functional.l1_loss(made[: len(true)], true)),
            "resemblance": (aim.resemblance, lambda: 1 - losses.similarity(made[: len(true)], true)),
            "structure": (aim.structure, lambda: losses.structure(made, linear)),
            "texture": (aim.texture, lambda: losses.texture(made, linear)),
            # a statistic, for which half will do; of the scan as it is, speckle and all
            "patterns": (aim.patterns, lambda: losses.patterns(made[::2], losses.composite(raw[::2]))),
            "content": (aim.content, lambda: losses.content(made, pair[:, 1:])),
        }
        return {name: weight * term() for name, (weight, term) in terms.items() if weight}

    def _round_trips(self, given: Tensor, made: Tensor, unpaired: Tensor) -> dict[str, Tensor]:
        """The terms of CycleGAN that need the way back, weighted."""
        aim = self.aim
        self.made_back = self.back(unpaired)
        values = {
            "generator_loss back": aim.adversarial * generator_loss(self.back_critic(self.made_back)),
            "cycle": aim.cycle * functional.l1_loss(self.back(made), given),
            "cycle back": aim.cycle * functional.l1_loss(self.generator(self.made_back), unpaired),
        }
        if aim.identity:
            values["identity"] = aim.identity * functional.l1_loss(self.generator(unpaired), unpaired)
            values["identity back"] = aim.identity * functional.l1_loss(self.back(given), given)
        return values

    def _descend(self, networks: list[tuple[Any, Any]], loss: Tensor, rate: float) -> None:
        """One step of each network with its optimizer."""
        for _, optimizer in networks:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad()  # also what the other networks' losses have left
        self.fabric.backward(loss)
        for network, optimizer in networks:
            self.fabric.clip_gradients(network, optimizer, max_norm=STEEPEST, error_if_nonfinite=False)
            optimizer.step()

    @torch.no_grad()
    def stain(self, pair: Image) -> Image:
        """What the averaged generator makes of R and F (2, h, w): float32 (h, w, 3) in [0, 1]."""
        with self.fabric.autocast():
            made = self.average(self._input(self._cleaned(self._tensor(torch.from_numpy(pair)[None]))))[0]
        rgb: Image = made.clamp(0, 1).permute(1, 2, 0).float().cpu().numpy()
        return rgb

    def keep_if_best(self, score: float) -> None:
        """Remember the averaged weights if no earlier ones scored higher."""
        if score >= self.best_score:
            self.best_score, self.best_weights = score, _weights_of(self.average)

    def best(self) -> nn.Module:
        """The generator with the weights that scored best."""
        network = copy.deepcopy(self.average)
        network.load_state_dict(self.best_weights)
        return network

    def _state(self) -> dict[str, Any]:
        state = {"generator": self.generator, "optimizer": self.optimizer, "average": self.average}
        if self.critic is not None:
            state |= {"critic": self.critic, "critic_optimizer": self.critic_optimizer}
        if self.back is not None:
            state |= {"back": self.back, "back_optimizer": self.back_optimizer}
            state |= {"back_critic": self.back_critic, "back_critic_optimizer": self.back_critic_optimizer}
        return state

    def save(self, path: Path, step: int) -> None:
        """Everything needed to go on, there complete or not at all."""
        rest: dict[str, Any] = {"step": step, "best_score": self.best_score, "best_weights": self.best_weights}
        rest |= {name: getattr(self, name).images for name in ("pool", "back_pool") if hasattr(self, name)}
        part = path.with_name(path.name + ".part")
        self.fabric.save(part, self._state() | rest)  # called by all processes, done by the first
        if self.fabric.is_global_zero:
            part.replace(path)

    def load(self, path: Path) -> int:
        """Go back to a checkpoint; the step after which it was saved."""
        rest = self.fabric.load(path, self._state())
        self.best_score, self.best_weights = rest["best_score"], rest["best_weights"]
        for name in ("pool", "back_pool"):
            if hasattr(self, name):
                getattr(self, name).images = [image.to(self.fabric.device) for image in rest[name]]
        return int(rest["step"])


class ImagePool:
    """Images made earlier: a critic that sees them too does not chase the last step (Shrivastava et al. 2017)."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.images: list[Tensor] = []

    def exchanged(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """The batch, about half of it replaced by earlier images, which it replaces in turn."""
        out = []
        for image in images:
            if len(self.images) < self.size:
                self.images.append(image)
            elif rng.random() < 0.5:
                place = int(rng.integers(self.size))
                earlier, self.images[place] = self.images[place], image
                image = earlier if earlier.shape == image.shape else image  # patches of an earlier stage are dropped
            out.append(image)
        return torch.stack(out)


def _despeckler(name: str) -> nn.Module:
    return despeckler_network(model_folder(name, "despeckle"))


def _weights_of(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
