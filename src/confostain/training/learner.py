"""Networks in training: each with its Adam optimizer, on whatever devices Lightning Fabric finds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from lightning.fabric import Fabric


class Learner:
    """A network with its Adam optimizer.

    Attributes:
        bare: the network itself, whose weights can be averaged and saved.
        network: the same, wrapped for the devices and the precision: (b, c, h, w) to what the network gives.
        optimizer: Adam.
    """

    def __init__(self, network: nn.Module, fabric: Fabric, betas: tuple[float, float] = (0.9, 0.999)) -> None:
        is_cuda = fabric.device.type == "cuda"
        optimizer = torch.optim.Adam(network.parameters(), betas=betas, fused=is_cuda)
        self.bare = network
        self.network, self.optimizer = fabric.setup(network, optimizer)

    def state_dict(self) -> dict[str, Any]:
        """Weights and state of the optimizer."""
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to an earlier state."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])


def descend(
    fabric: Fabric, learners: Iterable[Learner], loss: Tensor, rate: float, largest_norm: float | None = None
) -> None:
    """One step of gradient descent of networks that share a loss.

    Args:
        fabric: runs the backward pass.
        learners: the networks that take the step.
        loss: a number.
        rate: learning rate.
        largest_norm: of the gradient of each network; longer gradients are scaled down to it.
    """
    learners = list(learners)
    for learner in learners:
        for group in learner.optimizer.param_groups:
            group["lr"] = rate
        learner.optimizer.zero_grad()  # also what the losses of other networks have left
    fabric.backward(loss)
    for learner in learners:
        if largest_norm is not None:
            fabric.clip_gradients(learner.network, learner.optimizer, max_norm=largest_norm, error_if_nonfinite=False)
        learner.optimizer.step()


def channels_last(network: nn.Module) -> nn.Module:
    """The network, its weights in the memory layout in which most processors convolve fastest."""
    moved: nn.Module = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return moved


def on_device(fabric: Fabric, images: Tensor) -> Tensor:
    """Images (b, c, h, w) on the device, channels last in memory."""
    moved: Tensor = fabric.to_device(images)  # at once: pinned memory is not waited for
    return moved.contiguous(memory_format=torch.channels_last)


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    """A copy of a network's weights in the memory of the processor."""
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
