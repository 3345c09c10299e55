"""Validation of trainings: the same images of tissue that is not trained on, every time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from confostain.arrays import Grey, Image, Rgb
from confostain.data.noisy_patches import NoiseRange, NoisyPatches
from confostain.data.pairs import REGION, tissue_crop
from confostain.data.training_slides import TrainingSlide
from confostain.imaging.nuclei import agreement, audit_nuclei, nuclei_in_stain
from confostain.simulation.from_histology import simulate
from confostain.training.losses import gareau_composite, luminance, ssim

SEED = 1980  # of the stainers' fields
FIELDS = 4
NOISE_SEED = 2019  # of the despecklers' patches
PATCHES = 16
SMALLEST_PATCH = 192  # px

Evaluation = tuple[dict[str, float], npt.NDArray[np.uint8]]  # measures by name, and a picture


@dataclass(frozen=True)
class StainerValidation:
    """Validation of stainers on fields with known truth.

    Attributes:
        pairs: simulated R and F, float32 (2, h, w) in [0, 1].
        truths: the H&E they were simulated from, uint8 (h, w, 3).
    """

    pairs: Sequence[Image]
    truths: Sequence[Rgb]

    @classmethod
    def of(cls, slides: Sequence[Rgb], side: int = REGION, fields: int = FIELDS, seed: int = SEED) -> StainerValidation:
        """Fields of `side` px of H&E slides that are not trained on."""
        rng = np.random.default_rng(seed)
        truths = [tissue_crop([TrainingSlide(slides)], side, rng) for _ in range(fields)]
        pairs = [simulate(truth, seed + index) for index, truth in enumerate(truths)]
        return cls(pairs, truths)

    def evaluate(self, stain: Callable[[Image], Image]) -> Evaluation:
        """Measures of a stainer, and its results as a picture.

        Args:
            stain: R and F, float32 (2, h, w), to RGB, float32 (h, w, 3) in [0, 1].

        Returns:
            Means over the fields of: "l1", "ssim" and "nuclei f1" against the truth, "ssim to gareau", the shares of
            "missing and invented" nuclei, and a "score" of all, the higher the better. The picture shows F, R, the
            Gareau image, the result and the truth.
        """
        rows, measures = [], []
        for pair, truth in zip(self.pairs, self.truths, strict=True):
            made, true = stain(pair), truth.astype(np.float32) / np.float32(255)
            linear = gareau_composite(torch.from_numpy(pair)[None])[0].permute(1, 2, 0).numpy()
            rgb = np.rint(made * 255).astype(np.uint8)
            audit = audit_nuclei(pair[1], rgb)
            measures.append(
                {
                    "l1": float(np.abs(made - true).mean()),
                    "ssim": _grey_ssim(made, true),
                    "ssim to gareau": _grey_ssim(made, linear),
                    "nuclei f1": agreement(nuclei_in_stain(rgb), nuclei_in_stain(truth)).f1,
                    "missing and invented": audit.missing_share + audit.invented_share,
                }
            )
            greys = np.repeat(pair[::-1, ..., np.newaxis], 3, axis=-1)
            shown = [np.rint(one * 255).astype(np.uint8) for one in (greys[0], greys[1], linear, made)]
            rows.append(np.hstack([*shown, truth]))
        means = {name: float(np.mean([one[name] for one in measures])) for name in measures[0]}
        score = means["nuclei f1"] + means["ssim"] - 2 * (means["l1"] + means["missing and invented"])
        return means | {"score": score}, np.vstack(rows)


@dataclass(frozen=True)
class DespecklerValidation:
    """Validation of despecklers on patches with known truth.

    Attributes:
        noisy: float32 (b, 1, h, w).
        clean: what should come out, likewise.
    """

    noisy: Image
    clean: Image

    @classmethod
    def of(cls, slides: Sequence[Grey], noise: NoiseRange, patch: int) -> DespecklerValidation:
        """Patches of inverted grey slides that are not trained on, with the noise of the training."""
        source = NoisyPatches(slides, noise, max(patch, SMALLEST_PATCH), PATCHES)
        return cls(*source.draw((NOISE_SEED,)))

    def evaluate(self, despeckle: Callable[[Image], Image]) -> Evaluation:
        """Mean PSNR in dB of a despeckler, and a picture: noisy, despeckled, clean.

        Args:
            despeckle: float32 (b, 1, h, w) to the same.
        """
        noisy, made, clean = (torch.from_numpy(images) for images in (self.noisy, despeckle(self.noisy), self.clean))
        psnr = -10 * torch.log10((made - clean).square().mean(dim=(1, 2, 3))).mean()
        rows = [torch.cat([image[index, 0] for image in (noisy, made, clean)], dim=1) for index in range(4)]
        picture = (torch.cat(rows).clamp(0, 1) * 255).round().to(torch.uint8).numpy()
        return {"psnr": float(psnr)}, picture


def _grey_ssim(a: Image, b: Image) -> float:
    grey = (luminance(torch.from_numpy(np.float32(image)).permute(2, 0, 1)[None]) for image in (a, b))
    return float(ssim(*grey))
