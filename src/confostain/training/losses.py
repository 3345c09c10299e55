"""What a despeckler is trained to make small. Images are (b, 1, h, w), losses are means per pixel."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def squared_error(made: Tensor, clean: Tensor) -> Tensor:
    """Mean squared error, as published."""
    return functional.mse_loss(made, clean)


def decibel_error(made: Tensor, clean: Tensor) -> Tensor:
    """Mean over the patches of 10 log10(mse): minus the PSNR.

    Every patch counts alike, however noisy, so that the highest noise does not drown what the lowest teaches.
    The floor keeps nearly empty patches from taking over; it lies at 43 dB.
    """
    errors = functional.mse_loss(made, clean, reduction="none").mean(dim=(1, 2, 3))
    return 10 * torch.log10(errors + 5e-5).mean()


def total_variation(made: Tensor) -> Tensor:
    """Anisotropic total variation (ID-CNN, Wang et al. 2017): the mean step between neighbouring pixels."""
    return made.diff(dim=-1).abs().mean() + made.diff(dim=-2).abs().mean()


def generator_loss(scores_made: Tensor) -> Tensor:
    """How far the critic is from taking what is made for real (least squares)."""
    return (scores_made - 1).square().mean()


def discriminator_loss(scores_real: Tensor, scores_made: Tensor) -> Tensor:
    """How far the critic is from telling real and made apart (least squares)."""
    return ((scores_real - 1).square().mean() + scores_made.square().mean()) / 2
