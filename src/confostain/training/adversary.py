"""Adversarial training: a discriminator with its pool of images generated earlier, and CycleGAN's way back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from confostain.training.learner import Learner, descend
from confostain.training.losses import discriminator_loss, generator_loss

if TYPE_CHECKING:
    from lightning.fabric import Fabric


class ImagePool:
    """Images generated earlier, which keep a discriminator from following the last step only (Shrivastava et al. 2017).

    Args:
        size: how many are kept; 0: none, the batch passes unchanged.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.images: list[Tensor] = []

    def exchanged(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """The batch (b, c, h, w), about half of it replaced by earlier images, which it replaces in turn."""
        if not self.size:
            return images
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


class Adversary:
    """A discriminator in training.

    Args:
        learner: the discriminator and its optimizer.
        fabric: runs the backward pass.
        pool: number of images generated earlier that it is shown too.
        largest_norm: of its gradient, see `descend`.
    """

    def __init__(self, learner: Learner, fabric: Fabric, pool: int = 0, largest_norm: float | None = None) -> None:
        self.learner, self.fabric, self.largest_norm = learner, fabric, largest_norm
        self.pool = ImagePool(pool)

    def generator_loss(self, generated: Tensor) -> Tensor:
        """What the generator of these images (b, c, h, w) is to make small."""
        return generator_loss(self.learner.network(generated))

    def train_step(self, real: Tensor, generated: Tensor, rate: float, rng: np.random.Generator) -> Tensor:
        """One step of the discriminator; its loss before the step."""
        shown = self.pool.exchanged(generated.detach(), rng)
        loss = discriminator_loss(self.learner.network(real), self.learner.network(shown))
        descend(self.fabric, [self.learner], loss, rate, self.largest_norm)
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Weights, state of the optimizer, and the pool."""
        return self.learner.state_dict() | {"pool": self.pool.images}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to an earlier state."""
        self.learner.load_state_dict(state)
        self.pool.images = [image.to(self.fabric.device) for image in state["pool"]]


class WayBack:
    """The second generator of CycleGAN (Zhu et al. 2017), from H&E back to the input, with its discriminator.

    Args:
        learner: the generator and its optimizer: RGB (b, 3, h, w) to the first generator's input (b, c, h, w).
        adversary: its discriminator.
    """

    def __init__(self, learner: Learner, adversary: Adversary) -> None:
        self.learner, self.adversary = learner, adversary

    def terms(
        self, generator: nn.Module, given: Tensor, made: Tensor, unpaired: Tensor, weights: tuple[float, float, float]
    ) -> tuple[dict[str, Tensor], Tensor]:
        """The weighted terms of CycleGAN that need the way back, and what it makes of the unpaired H&E.

        Args:
            generator: the first one, from the input to H&E.
            given: its input.
            made: what it made of that.
            unpaired: H&E of other places.
            weights: of the adversarial, the cycle and the identity terms.
        """
        back = self.learner.network
        adversarial, cycle, identity = weights
        made_back = back(unpaired)
        terms = {
            "generator_loss back": adversarial * self.adversary.generator_loss(made_back),
            "cycle": cycle * functional.l1_loss(back(made), given),
            "cycle back": cycle * functional.l1_loss(generator(made_back), unpaired),
        }
        if identity:
            terms["identity"] = identity * functional.l1_loss(generator(unpaired), unpaired)
            terms["identity back"] = identity * functional.l1_loss(back(given), given)
        return terms, made_back

    def state_dict(self) -> dict[str, Any]:
        """State of generator and discriminator."""
        return {"generator": self.learner.state_dict(), "adversary": self.adversary.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to an earlier state."""
        self.learner.load_state_dict(state["generator"])
        self.adversary.load_state_dict(state["adversary"])
