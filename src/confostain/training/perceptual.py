"""Perceptual loss: features of a network trained on natural images, of a stain and of the true H&E."""

from __future__ import annotations

import torch
from torch import Tensor

from confostain.networks.features import NaturalImageFeatures

LARGEST_SHIFT = 8  # px


class PerceptualLoss:
    """Distance of features (Johnson et al. 2016) after EfficientNet-lite0's blocks at 1/2, 1/4 and 1/8.

    Both images are shifted, flipped and transposed at random first. The features' grid has then no fixed place: a
    network held to features on a fixed grid draws one, which features that step by 2 px cannot see.
    """

    def __init__(self, device: torch.device) -> None:
        self.features = NaturalImageFeatures().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def __call__(self, made: Tensor, true: Tensor, generator: torch.Generator) -> Tensor:
        """Mean over the stages of the mean absolute difference, in units of that stage's mean.

        Args:
            made, true: RGB (b, 3, h, w) in about [0, 1].
            generator: of the random shift, on the CPU.
        """
        made, true = _moved(torch.cat([made, true]), generator).chunk(2)
        with torch.no_grad():
            wanted = self.features.maps(true)
        losses = [
            (found - expected).abs().mean() / (expected.abs().mean() + 1e-6)
            for found, expected in zip(self.features.maps(made), wanted, strict=True)
        ]
        return torch.stack(losses).mean()


def _moved(images: Tensor, generator: torch.Generator) -> Tensor:
    """Images (b, c, h, w), all cut, flipped and transposed alike, at random."""
    top, left, flips, transposed = (
        int(torch.randint(high, (1,), generator=generator)) for high in (LARGEST_SHIFT, LARGEST_SHIFT, 4, 2)
    )
    height, width = (length - LARGEST_SHIFT for length in images.shape[-2:])
    cut = images[..., top : top + height, left : left + width]
    cut = cut.flip([axis for axis, bit in ((-1, 1), (-2, 2)) if flips & bit])
    cut = cut.transpose(-1, -2) if transposed else cut
    return cut.contiguous(memory_format=torch.channels_last)
