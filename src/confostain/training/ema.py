"""Exponential moving average (EMA) of a network's weights over the steps of a training: the weights that are kept.

torch.optim.swa_utils.AveragedModel is not used: its first update copies the weights instead of averaging them, and its
count of updates is a tensor, which a decay that depends on the step would read back from the GPU at every step.
"""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def update(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move the weights of `average` towards those of `network`; `decay` of them stays, less in the first steps."""
    decay = min(decay, (1 + step) / (10 + step))
    mean, now = ([*module.parameters(), *module.buffers()] for module in (average, network))
    floats = [index for index, value in enumerate(mean) if value.is_floating_point()]
    torch._foreach_lerp_([mean[index] for index in floats], [now[index] for index in floats], 1 - decay)
    for index in set(range(len(mean))) - set(floats):  # counters of batches
        mean[index].copy_(now[index])
