"""swift: a small U-Net from reflectance and fluorescence straight to H&E, without despeckling."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from confostain.errors import OptionError
from confostain.networks.blocks import pixel_unshuffle, residual_blocks


class SwiftStainer(nn.Module):
    """A U-Net of residual blocks that begins at a half or a quarter of the resolution (pixel-unshuffle).

    A pixel depends on a bounded neighbourhood only. It grows by pixel-shuffle after a convolution 1 x 1, which
    unlike a transposed convolution leaves no checkerboard.

    Args:
        inputs: channels of the input; 2 are R and F in [0, 1].
        channels: per level; level k sees pixels of `unshuffle` * 2^k px.
        blocks: residual blocks per level on the way down; the last number is that of the bottom.
        up: residual blocks per level on the way up.
        unshuffle: factor of the first pixel-unshuffle, 2 or 4: the arithmetic of a level falls with its square.
        bias: of the output, where training begins.
    """

    def __init__(
        self,
        inputs: int = 2,
        channels: tuple[int, ...] = (32, 64, 128),
        blocks: tuple[int, ...] = (1, 1, 2),
        up: tuple[int, ...] = (2, 1),
        unshuffle: int = 2,
        bias: float = 0.7,  # about the mean brightness of H&E
    ) -> None:
        super().__init__()
        if not len(channels) == len(blocks) == len(up) + 1:
            raise OptionError(f"channels {channels}, blocks {blocks} and up {up}: expected n, n and n - 1 numbers")
        self.inputs = inputs
        self.unshuffle = unshuffle
        self.stride = unshuffle * 2 ** (len(channels) - 1)
        self.receptive_field = 2 * _radius(blocks, up, unshuffle) + 1
        self.first = nn.Conv2d(unshuffle**2 * inputs, channels[0], 3, padding=1)
        self.down = nn.ModuleList(residual_blocks(c, n) for c, n in zip(channels[:-1], blocks[:-1], strict=True))
        self.shrink = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in pairwise(channels))
        self.bottom = residual_blocks(channels[-1], blocks[-1])
        self.grow = nn.ModuleList(nn.Conv2d(coarse, 4 * fine, 1) for fine, coarse in pairwise(channels))
        self.up = nn.ModuleList(residual_blocks(c, n) for c, n in zip(channels[:-1], up, strict=True))
        self.last = nn.Conv2d(channels[0], 3 * unshuffle**2, 3, padding=1)
        nn.init.constant_(self.last.bias, bias)  # type: ignore[arg-type]

    def forward(self, image: Tensor) -> Tensor:  # (b, inputs, h, w), h and w multiples of the stride
        """Three channels (b, 3, h, w): RGB, 0 for black and 1 for white and a little beyond, or densities."""
        x = functional.relu(self.first(pixel_unshuffle(image, self.inputs, self.unshuffle)))
        skips = []
        for block, shrink in zip(self.down, self.shrink, strict=True):
            skips.append(block(x))
            x = shrink(skips[-1])
        x = self.bottom(x)
        for block, grow, skip in reversed(list(zip(self.up, self.grow, skips, strict=True))):
            x = block(skip + functional.pixel_shuffle(grow(x), 2))
        made: Tensor = functional.pixel_shuffle(self.last(x), self.unshuffle).float()
        return made


def _radius(blocks: tuple[int, ...], up: tuple[int, ...], unshuffle: int) -> int:
    """Radius of the receptive field: each 3 x 3 convolution one pixel of its level, and the coarsest level's grid."""
    passes = [2 * (down + back) for down, back in zip(blocks[:-1], up, strict=True)] + [2 * blocks[-1]]
    passes[0] += 2  # the first and the last one
    sides = [unshuffle * 2**level for level in range(len(blocks))]  # of a pixel of each level, in px
    return sum(number * side for number, side in zip(passes, sides, strict=True)) + sides[-1] - 1
