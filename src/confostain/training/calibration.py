"""Calibration of a trained network: the images on which its arithmetic precisions are measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from confostain.arrays import Grey, Image
from confostain.data.noisy_patches import NoisyPatches, read_inverted
from confostain.data.pairs import PairSource
from confostain.data.training_slides import read_histology, read_slides
from confostain.errors import ConfigError
from confostain.models.card import REQUIRED_SHARE, ModelCard, PrecisionFacts
from confostain.models.engines.picture import Picture
from confostain.models.precision import measure_precisions
from confostain.models.registry import load_despeckler
from confostain.models.stainer import NetworkStain
from confostain.training.despeckler import check_sizes
from confostain.training.despeckler_config import DespecklerConfig
from confostain.training.recipe import Calibration, Config
from confostain.training.stainer_config import StainerConfig
from confostain.training.validation import StainerValidation

TYPICAL_SEED, JUDGED_SEED = 24, 81
DESPECKLED_SHARE = 0.9999  # of pixels near float32: with 0.999, 8-bit integers cost 0.2 dB at one look
EXTREMES = 2  # patches at each end of the noise


def calibrate(folder: Path, card: ModelCard, config: Config, plan: Calibration) -> dict[str, PrecisionFacts]:
    """Facts on the precisions of the network in a folder, see `measure_precisions`.

    Args:
        folder: of the network.
        card: of the network.
        config: of its training, whose data and distributions are drawn from.
        plan: how many images, of which size.

    Raises:
        ConfigError, SlideError: the H&E is missing, too small or unreadable.
    """
    if isinstance(config, DespecklerConfig):
        typical, judged = despeckler_inputs(config, plan)
    else:
        typical, judged = stainer_inputs(config, plan, card)
    smallest = min(min(image.shape[1:]) for image in judged)
    if smallest <= card.receptive_field:
        raise ConfigError(
            f"release.calibration.side is {plan.side}, of which {smallest} px reach the network; expected more than its"
            f" receptive field of {card.receptive_field} px"
        )
    picture = Picture(card.colours) if card.task == "stain" else None
    required = REQUIRED_SHARE if card.task == "stain" else DESPECKLED_SHARE
    return measure_precisions(folder, card.receptive_field, typical, judged, picture=picture, required_share=required)


def despeckler_inputs(config: DespecklerConfig, plan: Calibration) -> tuple[list[Image], list[Image]]:
    """Noisy patches (1, h, w) as in the training, and of other tissue; those at both ends of its noise among either."""
    train, unseen = (
        read_inverted(files, config.data.microns_per_pixel) for files in (config.data.train, config.data.validate)
    )
    check_sizes("train", train, plan.side)
    check_sizes("validate", unseen, plan.side)

    def patches(slides: Sequence[Grey], number: int, seed: int) -> list[Image]:
        drawn = [*NoisyPatches(slides, config.noise, plan.side, number).draw((seed,))[0]]
        for looks in config.noise.looks:
            end = dataclasses.replace(config.noise, looks=(looks, looks), microscope_share=0.0)
            drawn += [*NoisyPatches(slides, end, plan.side, EXTREMES).draw((seed, 1))[0]]
        return drawn

    return patches(train, plan.typical, TYPICAL_SEED), patches(unseen, plan.judged, JUDGED_SEED)


def stainer_inputs(config: StainerConfig, plan: Calibration, card: ModelCard) -> tuple[list[Image], list[Image]]:
    """Inputs (c, h, w) from pairs simulated as in the training; and from pairs of other tissue."""
    side = plan.side
    slides = read_slides(config.data.train, config.reading(max(side, config.region)))
    source = PairSource(
        slides,
        side,
        plan.typical,
        config.intensity_jitter,
        config.domain_randomisation,
        config.crops_per_region,
        config.region,
        config.data.trained_scales,
        config.without_nuclei,
    )
    unseen = read_histology(config.data.validate, config.reading(side, "validate"))
    others = StainerValidation.of(unseen, side, plan.judged, JUDGED_SEED)
    typical, _ = source.draw(TYPICAL_SEED, 0)
    return network_inputs(card, [*typical]), network_inputs(card, others.pairs)


def network_inputs(card: ModelCard, pairs: Sequence[Image]) -> list[Image]:
    """What the network of a stainer is given for pairs (2, h, w), as when it stains."""
    despeckler = load_despeckler(card.despeckler) if card.despeckler else None
    stages = NetworkStain(card, lambda image: np.zeros((*image.shape[1:], 3), np.uint8), despeckler)
    return [np.ascontiguousarray(stages.network_input(pair)) for pair in pairs]
