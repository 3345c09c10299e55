"""Figures of a released model, measured on the validation slides of its training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from confostain.arrays import Image
from confostain.data.noisy_patches import NoiseRange, NoisyPatches, read_inverted
from confostain.data.training_slides import read_histology
from confostain.inference.despeckle import despeckle
from confostain.inference.stain import stain
from confostain.models.registry import load_despeckler, load_model
from confostain.training import losses
from confostain.training.despeckler import check_sizes
from confostain.training.despeckler_config import DespecklerConfig
from confostain.training.recipe import Config, Evaluation
from confostain.training.stainer_config import StainerConfig
from confostain.training.validation import StainerValidation

SEED = 2024  # of the images; another one than that of the validations, which chose the weights
DIGITS = 4


def evaluate(folder: Path, config: Config, plan: Evaluation) -> dict[str, Any]:
    """Figures of the model in a folder on the validation slides of its training.

    Raises:
        ModelError: the model does not run.
    """
    names = ", ".join(Path(file).name for file in config.data.validate)
    fields = f"{plan.fields} fields of {plan.side} px of {names}, which took no part in the training"
    if isinstance(config, DespecklerConfig):
        figures = _despeckler_figures(folder, config, plan)
        return {"measured_on": f"{fields}; white gamma speckle of L looks", **figures}
    return {"measured_on": f"pairs simulated from {fields}", "truth": _stainer_figures(folder, config, plan)}


def _stainer_figures(folder: Path, config: StainerConfig, plan: Evaluation) -> dict[str, float]:
    slides = read_histology(config.data.validate, config.reading(plan.side, "validate"))
    model = load_model(folder, "cpu")
    validation = StainerValidation.of(slides, plan.side, plan.fields, SEED)
    measures, _ = validation.evaluate(lambda pair: stain(pair, model).astype(np.float32) / np.float32(255))
    return {name: round(value, DIGITS) for name, value in measures.items() if name != "score"}


def _despeckler_figures(folder: Path, config: DespecklerConfig, plan: Evaluation) -> dict[str, dict[str, float]]:
    slides = read_inverted(config.data.validate, config.data.microns_per_pixel)
    check_sizes("validate", slides, plan.side)
    model = load_despeckler(folder)
    figures: dict[str, dict[str, float]] = {"psnr": {}, "ssim": {}}
    for looks in plan.looks:
        source = NoisyPatches(slides, NoiseRange(looks=(looks, looks)), plan.side, plan.fields)
        noisy, clean = source.draw((SEED,))
        pairs = [(despeckle(image[0], model), truth[0]) for image, truth in zip(noisy, clean, strict=True)]
        figures["psnr"][f"L = {looks:g}"] = round(float(np.mean([_psnr(*pair) for pair in pairs])), DIGITS)
        figures["ssim"][f"L = {looks:g}"] = round(float(np.mean([_ssim(*pair) for pair in pairs])), DIGITS)
    return figures


def _psnr(made: Image, clean: Image) -> float:
    return float(-10 * np.log10(max(np.square(made - clean, dtype=np.float64).mean(), 1e-12)))


def _ssim(made: Image, clean: Image) -> float:
    return float(losses.ssim(*(torch.from_numpy(image)[None, None] for image in (made, clean))))
