"""Residual blocks without normalisation, shared by the convolutional networks."""

from __future__ import annotations

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
