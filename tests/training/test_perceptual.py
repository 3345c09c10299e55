import pytest
import torch

from confostain.training.perceptual import LARGEST_SHIFT, PerceptualLoss, _moved


@pytest.fixture(scope="module")
def loss() -> PerceptualLoss:
    return PerceptualLoss(torch.device("cpu"))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_it_is_zero_for_the_same_image_and_grows_with_blur(loss: PerceptualLoss) -> None:
    image = torch.rand(2, 3, 96, 96, generator=generator(1))
    soft = torch.nn.functional.avg_pool2d(image, 3, stride=1, padding=1)
    softer = torch.nn.functional.avg_pool2d(soft, 3, stride=1, padding=1)
    assert loss(image, image, generator()) == 0
    assert 0 < loss(soft, image, generator()) < loss(softer, image, generator())


def test_it_has_a_gradient_in_the_stain_and_none_in_the_features(loss: PerceptualLoss) -> None:
    made = torch.rand(1, 3, 64, 64, generator=generator(2)).requires_grad_()
    loss(made, torch.zeros(1, 3, 64, 64), generator()).backward()
    assert made.grad is not None
    assert made.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in loss.features.parameters())


def test_images_are_moved_alike_and_at_random() -> None:
    rows = torch.arange(40.0).view(1, 1, 40, 1).expand(2, 1, 40, 30)
    moved = [_moved(rows, generator(seed)) for seed in range(30)]
    assert all(torch.equal(one[0], one[1]) for one in moved)
    assert {tuple(one.shape[-2:]) for one in moved} == {
        (40 - LARGEST_SHIFT, 30 - LARGEST_SHIFT),
        (30 - LARGEST_SHIFT, 40 - LARGEST_SHIFT),
    }
    assert len({float(one.flatten()[0]) for one in moved}) > 4
