import pytest
import torch
from torch import nn

from confostain.training import ema


def test_the_average_follows_faster_in_the_first_steps() -> None:
    average, network = nn.BatchNorm2d(1), nn.BatchNorm2d(1)
    for module, value in ((average, 0.0), (network, 1.0)):
        nn.init.constant_(module.weight, value)
    network.num_batches_tracked.fill_(7)
    ema.update(average, network, 0.999, 0)
    assert average.weight.item() == pytest.approx(0.9)  # a tenth stays
    assert average.num_batches_tracked.item() == 7  # counters are copied
    ema.update(average, network, 0.5, 1000)
    assert average.weight.item() == pytest.approx(0.95)
    assert torch.equal(network.weight, torch.ones(1))
