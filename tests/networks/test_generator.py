import pytest
import torch

from confostain.errors import OptionError
from confostain.networks.generator import StainerDesign, build_generator
from confostain.networks.swift import SwiftStainer

DESIGNS = [
    StainerDesign(channels=(4, 6, 8), blocks=(1, 1, 2), up=(2, 1)),
    StainerDesign(channels=(4, 6), blocks=(2, 1), up=(0,)),
    StainerDesign("resnet", blocks=(2,), width=2, stem="half", norm="none"),
    StainerDesign("resnet", blocks=(1,), width=2, stem="full", norm="batch"),
]


@pytest.mark.parametrize("design", DESIGNS)
@torch.no_grad()
def test_a_pixel_reaches_no_further_than_it_says(design: StainerDesign) -> None:
    torch.manual_seed(0)
    network = build_generator(design, 2).eval()
    for parameter in network.parameters():
        torch.nn.init.uniform_(parameter, 0.2, 0.4)  # all positive: nothing cancels, nothing is cut off
    side, place = 240, 120
    image = torch.zeros(1, 2, side, side)
    before = network(image)
    image[..., place, place] = 1
    rows = ((network(image) - before).abs().amax(dim=(0, 1, 3)) > 0).nonzero()
    reach = network.receptive_field // 2
    assert before.shape == (1, 3, side, side)
    assert place - reach <= int(rows.min()) < int(rows.max()) <= place + reach
    assert int(rows.max() - rows.min()) + 1 >= network.receptive_field - 4 * network.stride  # and not much less far


@pytest.mark.parametrize("design", DESIGNS)
@torch.no_grad()
def test_moving_by_a_stride_moves_the_result(design: StainerDesign) -> None:
    torch.manual_seed(0)
    network = build_generator(design, 2).eval()
    image = torch.rand(1, 2, 240, 240)
    step, reach = network.stride, network.receptive_field // 2 // network.stride * network.stride + network.stride
    moved = network(image[..., step:, step:])[..., reach : -reach - step, reach : -reach - step]
    whole = network(image)[..., reach + step : -reach - step, reach + step : -reach - step]
    torch.testing.assert_close(moved, whole)


def test_the_published_generator_has_its_size() -> None:
    network = build_generator(StainerDesign("resnet", blocks=(9,)), 3)
    convolutions = [layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d)]
    assert len(convolutions) == 24  # 1 + 2 + 9 * 2 + 2 + 1
    assert max(layer.out_channels for layer in convolutions[3:21]) == 256


def test_numbers_of_levels_must_agree() -> None:
    with pytest.raises(OptionError, match="expected n, n and n - 1"):
        SwiftStainer(2, (4, 8), (1,), (1,))
