"""PatchGAN discriminator (Isola et al. 2017): scores of overlapping patches instead of whole images."""

from __future__ import annotations

from torch import Tensor, nn


class PatchDiscriminator(nn.Module):
    """Discriminator with one score per patch: near 1 for real, near 0 for generated (least squares, Mao et al. 2017).

    Args:
        inputs: channels of the image.
        width: filters of the first convolution; each further one doubles them.
        strided: number of convolutions that halve the resolution; 2: patches of 34 px, 3: of 70 px.
    """

    def __init__(self, inputs: int = 1, width: int = 32, strided: int = 2) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for step in range(strided):
            layers += [nn.Conv2d(inputs, width << step, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
            inputs = width << step
        layers += [nn.Conv2d(inputs, 2 * inputs, 4, padding=1), nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*layers, nn.Conv2d(2 * inputs, 1, 4, padding=1))

    def forward(self, image: Tensor) -> Tensor:  # (b, inputs, h, w)
        """Scores (b, 1, h', w')."""
        scores: Tensor = self.body(image).float()
        return scores
