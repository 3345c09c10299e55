"""The look at a stainer during its training: the same simulated pairs of tissue it never saw, every time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from confostain.arrays import Image, Rgb
from confostain.data.pairs import REGION, tissue_crop
from confostain.imaging.nuclei import agreement, audit_nuclei, nuclei_in_stain
from confostain.simulation.from_histology import simulate
from confostain.training.stain_losses import composite, luminance, similarity

SEED = 1980
FIELDS = 4


@dataclass(frozen=True)
class Trial:
    """Fields with known truth: R and F float32 (2, 512, 512), H&E uint8 (512, 512, 3)."""

    pairs: Sequence[Image]
    truths: Sequence[Rgb]

    @classmethod
    def of(cls, slides: Sequence[Rgb]) -> Trial:
        """Fields of H&E slides that are not trained on."""
        rng = np.random.default_rng(SEED)
        truths = [tissue_crop(slides, REGION, rng) for _ in range(FIELDS)]
        pairs = [simulate(truth, SEED + index) for index, truth in enumerate(truths)]
        return cls(pairs, truths)

    def judge(self, stain: Callable[[Image], Image]) -> tuple[dict[str, float], npt.NDArray[np.uint8]]:
        """Measures, "score" among them, which is the higher the better; and a picture: F, R, Gareau, made, truth."""
        rows, measures = [], []
        for pair, truth in zip(self.pairs, self.truths, strict=True):
            made, true = stain(pair), truth.astype(np.float32) / np.float32(255)
            linear = composite(torch.from_numpy(pair)[None])[0].permute(1, 2, 0).numpy()
            greys = np.repeat(pair[::-1, ..., np.newaxis], 3, axis=-1)
            rgb = np.rint(made * 255).astype(np.uint8)
            audit = audit_nuclei(pair[1], rgb)
            measures.append(
                {
                    "l1": float(np.abs(made - true).mean()),
                    "ssim": _similarity(made, true),
                    "ssim to gareau": _similarity(made, linear),
                    "nuclei f1": agreement(nuclei_in_stain(rgb), nuclei_in_stain(truth)).f1,
                    "missing and invented": audit.missing_share + audit.invented_share,
                }
            )
            pictures = [greys[0], greys[1], linear, made]
            rows.append(np.hstack([*(np.rint(one * 255).astype(np.uint8) for one in pictures), truth]))
        means = {name: float(np.mean([one[name] for one in measures])) for name in measures[0]}
        score = means["nuclei f1"] + means["ssim"] - 2 * (means["l1"] + means["missing and invented"])
        return means | {"score": score}, np.vstack(rows)


def _similarity(a: Image, b: Image) -> float:
    grey = (luminance(torch.from_numpy(np.float32(image)).permute(2, 0, 1)[None]) for image in (a, b))
    return float(similarity(*grey))
