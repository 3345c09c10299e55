import pytest
import torch

from confostain.errors import OptionError
from confostain.networks.despeckler import DespecklerDesign, PaperDespeckler, UNetDespeckler, build_despeckler

DESIGNS = [
    DespecklerDesign("paper", "paper"),
    DespecklerDesign("paper", "exponential"),
    DespecklerDesign("unet"),
    DespecklerDesign("unet", channels=(8, 12, 16), blocks=(1, 1, 1)),
    DespecklerDesign("unet", channels=(8, 12), blocks=(1, 2), unshuffle=4),
]


def shaken(design: DespecklerDesign) -> torch.nn.Module:
    """A network none of whose weights is zero, in double precision."""
    torch.manual_seed(1)
    network = build_despeckler(design).double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network


def test_the_papers_network_is_the_papers() -> None:
    network = PaperDespeckler()
    convolutions = [layer for layer in network.body if isinstance(layer, torch.nn.Conv2d)]
    assert [(c.in_channels, c.out_channels) for c in convolutions] == [(1, 64), *[(64, 64)] * 6, (64, 1)]
    assert all(c.kernel_size == (3, 3) for c in convolutions)
    kinds = [type(layer).__name__ for layer in network.body]
    assert kinds == ["Conv2d", "PReLU", *["Conv2d", "BatchNorm2d", "PReLU"] * 6, "Conv2d", "Tanh"]


def test_the_papers_head_can_only_darken_and_the_exponential_one_can_brighten() -> None:
    noisy = torch.rand(1, 1, 32, 32, dtype=torch.double)
    for head, brightens in (("paper", False), ("exponential", True)):
        network = shaken(DespecklerDesign("paper", head))  # type: ignore[arg-type]
        network.body[-2].bias.data.fill_(9.0)  # as much as the head can
        assert bool((network(noisy) > noisy).any()) is brightens


@pytest.mark.parametrize("design", DESIGNS, ids=lambda design: f"{design.body} {design.head} {design.channels}")
@torch.no_grad()
def test_a_pixel_depends_on_its_receptive_field_only(design: DespecklerDesign) -> None:
    network = shaken(design)
    reach, stride = network.receptive_field // 2, network.stride
    side = -(-(2 * reach + 6 * stride) // stride) * stride
    noisy = torch.rand(1, 1, side, side, dtype=torch.double)
    poked = noisy.clone()
    y = x = side // 2 + 1
    poked[0, 0, y, x] += 1
    touched = (network(noisy) != network(poked))[0, 0].nonzero()
    far = (touched - torch.tensor([y, x])).abs().max()
    assert reach - 2 * stride < far <= reach  # not beyond, and not claimed much larger than it is


@torch.no_grad()
def test_a_fresh_unet_changes_next_to_nothing() -> None:
    noisy = torch.rand(2, 1, 16, 24)
    assert (UNetDespeckler()(noisy) - noisy).abs().max() < 0.5


def test_impossible_designs_are_refused() -> None:
    with pytest.raises(OptionError, match="per level"):
        UNetDespeckler((48, 96), (1,))
