"""Residual blocks without normalisation, shared by the convolutional networks."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional


class ResidualBlock(nn.Module):
    """Residual block x + conv(relu(conv(x))) of (b, c, h, w); the second convolution begins at zero: the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Same shape out as in."""
        out: Tensor = x + self.second(functional.relu(self.first(x)))
        return out


def residual_blocks(channels: int, number: int) -> nn.Sequential:
    """Several residual blocks of one width, one after the other."""
    return nn.Sequential(*(ResidualBlock(channels) for _ in range(number)))


def pixel_unshuffle(image: Tensor, channels: int, factor: int = 2) -> Tensor:
    """Pixel-unshuffle: (b, channels, h, w) to (b, channels * factor^2, h / factor, w / factor), the same values.

    In ONNX it is written as a strided convolution with weights 0 and 1: other engines (OpenCV's among them) compute the
    reshapes that PyTorch would write wrongly, or not at all, where height and width are free.
    """
    if not torch.onnx.is_in_onnx_export():
        return functional.pixel_unshuffle(image, factor)
    places = factor**2
    kernels = np.eye(places, dtype=np.float32).reshape(places, 1, factor, factor)
    return functional.conv2d(
        image, torch.from_numpy(np.tile(kernels, (channels, 1, 1, 1))), stride=factor, groups=channels
    )
