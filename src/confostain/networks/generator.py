"""Generators of staining networks: CycleGAN's residual network (Zhu et al. 2017), or swift, as a design says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from confostain.networks.blocks import ResidualBlock
from confostain.networks.swift import SwiftStainer


@dataclass(frozen=True)
class StainerDesign:
    """Architecture of a staining network."""

    body: Literal["swift", "resnet"] = "swift"
    channels: tuple[int, ...] = (32, 64, 128)  # of swift, per level
    blocks: tuple[int, ...] = (1, 1, 2)  # of swift, per level on the way down; of resnet, one number: 9 as published
    up: tuple[int, ...] = (2, 1)  # of swift, per level on the way up
    unshuffle: Literal[2, 4] = 2  # of swift: begin at a half or at a quarter of the resolution
    output: Literal["rgb", "densities"] = "rgb"  # of swift: colours, or haematoxylin, eosin and rest
    width: int = 64  # of resnet: channels at full resolution; four times as many in its blocks
    stem: Literal["full", "half"] = "full"  # of resnet: begin at full resolution as published, or unshuffled at half
    norm: Literal["batch", "none"] = "batch"  # of resnet; statistics of batches are frozen after training


def build_generator(design: StainerDesign, inputs: int, outputs: int = 3) -> SwiftStainer | ResnetGenerator:
    """Generator of a design with fresh weights: `inputs` channels to `outputs` (swift: always 3)."""
    if design.body == "swift":
        bias = 0.7 if design.output == "rgb" else 0.2  # about the mean of H&E
        return SwiftStainer(inputs, design.channels, design.blocks, design.up, design.unshuffle, bias)
    return ResnetGenerator(inputs, outputs, design.width, design.blocks[0], design.stem, design.norm)


class ResnetGenerator(nn.Module):
    """The generator of CycleGAN (Zhu et al. 2017, after Johnson et al. 2016), with three differences.

    It normalises by the statistics of training (or not at all) instead of each image's, so that a pixel depends on a
    bounded neighbourhood; it grows by pixel-shuffle instead of transposed convolution, which leaves no checkerboard;
    and it may begin at half resolution, which makes its outer layers four times cheaper.
    """

    stride = 4

    def __init__(
        self,
        inputs: int = 3,
        outputs: int = 3,
        width: int = 64,
        blocks: int = 9,
        stem: Literal["full", "half"] = "full",
        norm: Literal["batch", "none"] = "batch",
    ) -> None:
        super().__init__()
        self.inputs = inputs
        full = stem == "full"
        if full:
            begin: list[nn.Module] = [nn.Conv2d(inputs, width, 7, padding=3), *_after(width, norm)]
            begin += [nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), *_after(2 * width, norm)]
            end: list[nn.Module] = [nn.Conv2d(2 * width, 4 * width, 1), nn.PixelShuffle(2), *_after(width, norm)]
            end += [nn.Conv2d(width, outputs, 7, padding=3)]
        else:
            begin = [nn.PixelUnshuffle(2), nn.Conv2d(4 * inputs, 2 * width, 3, padding=1), *_after(2 * width, norm)]
            end = [nn.Conv2d(2 * width, 4 * outputs, 3, padding=1), nn.PixelShuffle(2)]
        middle: list[nn.Module] = [nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1), *_after(4 * width, norm)]
        middle += [NormalisedBlock(4 * width) if norm == "batch" else ResidualBlock(4 * width) for _ in range(blocks)]
        middle += [nn.Conv2d(4 * width, 8 * width, 1), nn.PixelShuffle(2), *_after(2 * width, norm)]
        self.body = nn.Sequential(*begin, *middle, *end)
        nn.init.constant_(end[-2 + full].bias, 0.7)  # type: ignore[arg-type]
        # in level-0 pixels: the outer convolutions, the one that shrinks to a quarter, the blocks there, their grid
        self.receptive_field = 2 * ((7 if full else 4) + 2 + 8 * blocks + self.stride - 1) + 1

    def forward(self, image: Tensor) -> Tensor:  # (b, inputs, h, w), h and w multiples of 4
        """An image (b, outputs, h, w); 0 is black and 1 white, and a little beyond is possible."""
        made: Tensor = self.body(image).float()
        return made


class NormalisedBlock(nn.Module):
    """The residual block as published, with batch normalisation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Same shape out as in."""
        out: Tensor = x + self.body(x)
        return out


def _after(channels: int, norm: str) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels), nn.ReLU()] if norm == "batch" else [nn.ReLU()]
