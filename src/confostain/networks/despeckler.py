"""Despeckling networks of the reflectance channel: the published residual network, and a smaller, better U-Net.

Both see a bounded neighbourhood only and keep no statistics of the image, so that a slide comes out the same at
any tile size. Input and output are (batch, 1, h, w), a share of the detector's range, not limited to 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from confostain.errors import OptionError
from confostain.networks.blocks import pixel_unshuffle, residual_blocks

Head = Literal["paper", "exponential"]


@dataclass(frozen=True)
class DespecklerDesign:
    """Architecture of a despeckling network."""

    body: Literal["paper", "unet"] = "unet"
    head: Head = "paper"  # of the paper's body: "paper" can only darken, "exponential" can brighten too
    channels: tuple[int, ...] = (48, 80)  # of the unet, per level; level k sees pixels of unshuffle * 2^k px
    blocks: tuple[int, ...] = (1, 2)  # residual blocks per level, on the way down and again on the way up
    unshuffle: Literal[2, 4] = 2  # factor by which the unet's resolution is divided at the beginning


def build_despeckler(design: DespecklerDesign) -> PaperDespeckler | UNetDespeckler:
    """Despeckling network of a design with fresh weights."""
    if design.body == "paper":
        return PaperDespeckler(design.head)
    return UNetDespeckler(design.channels, design.blocks, design.unshuffle)


class PaperDespeckler(nn.Module):
    """The despeckling network of Combalia et al. (MIDL 2019).

    7 convolutions with 64 filters and PReLU, batch normalisation on the intermediate ones, 1 convolution with a
    single filter and tanh; the outcome multiplies the input. With the "paper" head it can only darken; with the
    "exponential" head it can change a pixel by a factor of up to exp(1.5) = 4.5 either way.
    """

    inputs = 1
    stride = 1
    receptive_field = 17  # eight convolutions 3 x 3

    def __init__(self, head: Head = "paper", width: int = 64, depth: int = 7) -> None:
        super().__init__()
        self.head = head
        layers: list[nn.Module] = [nn.Conv2d(1, width, 3, padding=1), nn.PReLU(width)]
        for _ in range(depth - 1):
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.PReLU(width)]
        self.body = nn.Sequential(*layers, nn.Conv2d(width, 1, 3, padding=1), nn.Tanh())

    def forward(self, noisy: Tensor) -> Tensor:  # (b, 1, h, w)
        """Despeckle a batch."""
        factor: Tensor = self.body(noisy).float()  # (b, 1, h, w) in (-1, 1)
        if self.head == "paper":
            return noisy * factor
        dark = 0.02  # lets the factor move a pixel that speckle has made black
        return (noisy + dark) * torch.exp(1.5 * factor) - dark


class UNetDespeckler(nn.Module):
    """A U-Net of residual blocks that starts at a half or a quarter of the resolution and changes the input.

    Neighbouring pixels become channels (pixel-unshuffle): every convolution is 4 or 16 times cheaper than at full
    resolution. There is no normalisation, so that brightness is kept.
    """

    def __init__(
        self, channels: tuple[int, ...] = (48, 80), blocks: tuple[int, ...] = (1, 2), unshuffle: int = 2
    ) -> None:
        super().__init__()
        if len(channels) != len(blocks) or not channels:
            raise OptionError(f"channels {channels} and blocks {blocks}: expected one number each per level")
        self.inputs, self.unshuffle, self.stride = 1, unshuffle, unshuffle * 2 ** (len(channels) - 1)
        self.receptive_field = 2 * _radius(blocks, unshuffle) + 1
        self.first = nn.Conv2d(unshuffle**2, channels[0], 3, padding=1)
        self.down = nn.ModuleList(residual_blocks(c, n) for c, n in zip(channels[:-1], blocks[:-1], strict=True))
        self.shrink = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in pairwise(channels))
        self.bottom = residual_blocks(channels[-1], blocks[-1])
        self.grow = nn.ModuleList(nn.Conv2d(coarse, 4 * fine, 1) for fine, coarse in pairwise(channels))
        self.up = nn.ModuleList(residual_blocks(c, n) for c, n in zip(channels[:-1], blocks[:-1], strict=True))
        self.last = nn.Conv2d(channels[0], unshuffle**2, 3, padding=1)
        nn.init.zeros_(self.last.weight)

    def forward(self, noisy: Tensor) -> Tensor:  # (b, 1, h, w), h and w multiples of the stride
        """Despeckle a batch."""
        x = self.first(pixel_unshuffle(noisy, 1, self.unshuffle))  # (b, c0, h/unshuffle, w/unshuffle)
        skips = []
        for block, shrink in zip(self.down, self.shrink, strict=True):
            skips.append(block(x))
            x = shrink(skips[-1])
        x = self.bottom(x)  # (b, cn, h/stride, w/stride)
        for block, grow, skip in reversed(list(zip(self.up, self.grow, skips, strict=True))):
            x = block(skip + functional.pixel_shuffle(grow(x), 2))
        change: Tensor = functional.pixel_shuffle(self.last(x), self.unshuffle)
        return _within_surroundings(noisy + change.float(), noisy)


def _within_surroundings(made: Tensor, noisy: Tensor) -> Tensor:
    """Result clamped to the least and largest noisy value within 3 px: constants stay constant, edges do not ring."""

    def brightest(image: Tensor) -> Tensor:
        rows = functional.max_pool2d(image, (7, 1), stride=1, padding=(3, 0))
        return functional.max_pool2d(rows, (1, 7), stride=1, padding=(0, 3))

    return torch.minimum(torch.maximum(made, -brightest(-noisy)), brightest(noisy))


def _radius(blocks: tuple[int, ...], unshuffle: int) -> int:
    """Radius of the receptive field: each 3 x 3 convolution one pixel of its level, and the coarsest level's grid."""
    passes = [2 * 2 * n for n in blocks[:-1]] + [2 * blocks[-1]]  # convolutions per level, down and up
    passes[0] += 2  # the first and the last one
    sides = [unshuffle * 2**level for level in range(len(blocks))]  # of a pixel of each level, in px
    return sum(number * side for number, side in zip(passes, sides, strict=True)) + sides[-1] - 1
