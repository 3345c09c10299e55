"""The running mean of a network's weights over the steps: steadier than the weights themselves, and what is kept."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def update(average: nn.Module, network: nn.Module, keep: float, step: int) -> None:
    """Move the weights of `average` towards those of `network`; `keep` of them stays, less in the first steps."""
    keep = min(keep, (1 + step) / (10 + step))
    mean, now = ([*module.parameters(), *module.buffers()] for module in (average, network))
    floats = [index for index, value in enumerate(mean) if value.is_floating_point()]
    torch._foreach_lerp_([mean[index] for index in floats], [now[index] for index in floats], 1 - keep)
    for index in set(range(len(mean))) - set(floats):  # counters of batches
        mean[index].copy_(now[index])
