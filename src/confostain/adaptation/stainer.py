"""Adaptation of a stainer: trained on with real scans beside simulated pairs, and mixed with what it was.

The stain of the scans is held to the nuclei of their fluorescence, which need no truth, and its colours as a whole to
those of H&E; simulated pairs with truth hold everything else. The mean of the weights before and after, by the share
that fields of the training choose, takes back what the scans have spoilt (Wortsman et al. 2022, "Robust fine-tuning of
zero-shot models", CVPR).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

from torch import Tensor

from confostain.adaptation.fields import SIDE
from confostain.adaptation.histology import COLOURS, AdaptationHistology, judging_sample
from confostain.adaptation.stain_figures import Reference, StainFigures, stain_figures
from confostain.arrays import REFERENCE_MPP, Pair, Rgb
from confostain.imaging.nuclei import agreement, nuclei_in_stain
from confostain.inference.stain import stain
from confostain.models.card import ModelCard
from confostain.models.registry import load_model
from confostain.simulation.from_histology import simulate
from confostain.training.weights import mean_weights

SHARES = (1.0, 0.75, 0.5, 0.25)  # of the weights after the training
JUDGES = 8  # fields that choose the share
FEW = 0.5  # largest share where there are fewer fields: these are fitted too closely to choose by them
STEPS_OF_A_FIELD = 100  # of a training, at most: more would learn the fields by heart
SLACK = 0.005  # of nuclei: one share of missing or invented ones may rise by that much, or by one standard error
LOST_F1 = 0.02  # that nuclei on simulated pairs may lose
TRUTH_SEEDS = range(6)  # of the pairs simulated from the part of the sample that judges


def recipe_table(
    folder: Path, card: ModelCard, fields: Path, teaching: Path, histology: AdaptationHistology, steps: int
) -> dict[str, Any]:
    """Recipe of the training, to be written as TOML.

    Args:
        folder: of the model to begin with.
        card: of that model.
        fields: prepared fields of the scans.
        teaching: the part of the built-in H&E that teaches.
        histology: one's own H&E.
        steps: of the training.
    """
    low, high = card.microns_per_pixel or (REFERENCE_MPP, REFERENCE_MPP)
    data: dict[str, Any] = {
        "train": [*map(str, histology.files), str(teaching)],
        "validate": [str(teaching)],
        "microns_per_pixel": REFERENCE_MPP,
        "confocal": str(fields),
        "colours": str(fields.with_name(COLOURS.name)),
        "as_they_are": [teaching.name],
        "pixel_sizes": {teaching.name: REFERENCE_MPP} | {file.name: histology.assumed for file in histology.files},
    }
    if card.spans_scales:
        data["scales"] = [low, high]
    before = {"despeckler": card.despeckler} if card.despeckler else {}
    return before | {
        "task": "stain",
        "seed": 2026,
        "input": card.input,
        "start": str(folder),
        "intensity_jitter": [0.8, 1.25],
        "domain_randomisation": [0.7, 2.0],
        "crops_per_region": 4.0,
        "region": SIDE,
        "without_nuclei": 0.1,
        "ema_decay": 0.99,
        "keep": "last",
        "log_every": 20,
        "validate_every": 100,
        "data": data,
        "design": card.design,
        "objective": {
            "adversarial": 0.0,
            "supervised": 10.0,
            "ssim": 3.0,
            "haematoxylin_correlation": 1.5,
            "nuclei_correlation": 10.0,
            "perceptual": 2.0,
            "grid": 0.1,
            "colour_distribution": 3.0,
        },
        "stages": [{"steps": steps, "patch": 160, "batch": 8, "learning_rate": 4e-4, "decay": "cosine"}],
    }


@dataclass(frozen=True)
class StainerJudgement:
    """Figures of one stainer.

    Attributes:
        scans: on fields of the scans that were held back.
        f1: of nuclei, against the truth of simulated pairs.
    """

    scans: StainFigures
    f1: float

    def faults_beside(self, before: StainerJudgement) -> list[str]:
        """In words, what is worse than before, or not better; nothing where this stainer should replace that one."""
        faults = [
            f"{name} nuclei {was.value:.1%} -> {now.value:.1%}"
            for name, now in self.scans.shares.items()
            if now.value - (was := before.scans.shares[name]).value > max(SLACK, sqrt(now.variance + was.variance))
        ]
        if self.scans.errors >= before.scans.errors:
            faults.append(f"missing and invented nuclei together {before.scans.errors:.1%} -> {self.scans.errors:.1%}")
        if self.scans.colour_distance >= before.scans.colour_distance:
            distances = f"{before.scans.colour_distance:.3f} -> {self.scans.colour_distance:.3f}"
            faults.append(f"distance of colours to real H&E {distances}")
        if self.f1 < before.f1 - LOST_F1:
            faults.append(f"nuclei F1 on simulated pairs {before.f1:.3f} -> {self.f1:.3f}")
        return faults


class StainerJudge:
    """Judge of stainers on fields of scans, and on pairs simulated from H&E that no adaptation is trained on.

    Args:
        fields: of the scans, float32 (2, h, w) in [0, 1].
        reference: real H&E in the colours of the model.
    """

    def __init__(self, fields: Sequence[Pair], reference: Reference) -> None:
        self.fields, self.reference, self.truth = fields, reference, judging_sample()
        self.pairs = [simulate(self.truth, seed) for seed in TRUTH_SEEDS]

    def judge(self, model: Path) -> tuple[StainerJudgement, list[Rgb]]:
        """Figures of a model, given by its folder, and its stains of the fields."""
        loaded = load_model(model, "cpu")
        stains = [stain(pair, loaded) for pair in self.fields]
        true = nuclei_in_stain(self.truth)
        counts = [agreement(nuclei_in_stain(stain(pair, loaded)), true) for pair in self.pairs]
        f1 = sum(counts[1:], counts[0]).f1
        return StainerJudgement(stain_figures(self.fields, stains, self.reference), f1), stains


def best_share(
    judge: StainerJudge,
    before: StainerJudgement,
    model_of: Callable[[float], Path],
    largest: float,
) -> float:
    """Share of the trained weights whose model has the fewest faults, then the fewest missing and invented nuclei.

    Args:
        judge: on fields of the training.
        before: figures of the model as it was.
        model_of: makes a model with that share of the trained weights.
        largest: share.
    """

    def rank(share: float) -> tuple[int, float]:
        now, _ = judge.judge(model_of(share))
        colours = now.scans.colour_distance / max(before.scans.colour_distance, 1e-9)
        return len(now.faults_beside(before)), now.scans.errors / max(before.scans.errors, 1e-3) + colours

    return min((share for share in SHARES if share <= largest), key=rank)


def mixed(before: Mapping[str, Tensor], after: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """Mean of the weights before and after a training."""
    return dict(after) if share == 1 else mean_weights([(before, 1 - share), (after, share)])
