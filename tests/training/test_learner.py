import pytest
import torch
from torch import nn

from confostain.training.learner import Learner, descend
from confostain.training.run import launched

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of lightning's own imports
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


def test_a_step_goes_down_at_its_rate_and_leaves_no_gradient_behind() -> None:
    fabric = launched(1, "32-true")
    learners = [Learner(nn.Conv2d(1, 1, 1, bias=False), fabric) for _ in range(2)]
    before = [learner.bare.weight.item() for learner in learners]  # type: ignore[union-attr,operator]
    image = torch.ones(1, 1, 1, 1)
    for _ in range(2):
        loss = torch.stack([learner.network(image) for learner in learners]).sum()
        descend(fabric, learners[:1], loss, 0.25)  # Adam: each step has the length of the rate
    assert learners[0].bare.weight.item() == pytest.approx(before[0] - 0.5, abs=1e-6)  # type: ignore[union-attr,operator]
    assert learners[1].bare.weight.item() == before[1]  # type: ignore[union-attr,operator]


def test_long_gradients_are_scaled_down() -> None:
    fabric = launched(1, "32-true")
    learner = Learner(nn.Conv2d(1, 1, 1, bias=False), fabric)
    descend(fabric, [learner], 1000 * learner.network(torch.ones(1, 1, 1, 1)).sum(), 0.1, largest_norm=2.0)
    assert learner.bare.weight.grad.norm().item() == pytest.approx(2)  # type: ignore[union-attr]
