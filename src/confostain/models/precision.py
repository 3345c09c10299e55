"""Choice of arithmetic precisions for a trained network: measured once and written into its card."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from confostain.arrays import Image
from confostain.models.card import ONNX, REQUIRED_SHARE, Precision, PrecisionFacts, Ranges
from confostain.models.engines.cpu import WEIGHT_BITS, OpenVinoNetwork, computes
from confostain.models.engines.picture import Picture
from confostain.models.quantisation import measured_ranges

GREY_LEVELS = 2  # that a pixel may differ from what float32 gives
TAILS = 0.0, 1e-5, 1e-4  # shares of rare values that ranges may leave out; what keeps most convolutions is taken


def measure_precisions(
    folder: Path,
    receptive_field: int,
    typical: Sequence[Image],
    judged: Sequence[Image],
    *,
    picture: Picture | None,
    grey_levels: int = GREY_LEVELS,
    required_share: float = REQUIRED_SHARE,
) -> dict[str, PrecisionFacts]:
    """Facts on the precisions beside float32 that this processor has, for a network's card.

    Args:
        folder: of the network.
        receptive_field: of the network, in pixels.
        typical: network inputs from which ranges are taken; values beyond a range are clipped.
        judged: other inputs, larger than the receptive field, on which the outcome is compared with float32.
        picture: how its result becomes colours, which are then compared; None: its result is compared, times 255.
        grey_levels: that a pixel may differ from float32, in 1/255.
        required_share: of the pixels for which that must hold.

    Returns:
        For "bf16", "i8" and "i7", as far as this processor computes them: the share of pixels within the grey levels,
        and for integers the ranges of the convolutions' inputs. Convolutions that spoil most stay in float32.
    """
    halo = receptive_field // 2

    def levels(image: Image, network: OpenVinoNetwork) -> Image:
        made = network(image)
        if picture is None:
            return np.rint(made[:, halo:-halo, halo:-halo] * np.float32(255))
        return np.moveaxis(made[halo:-halo, halo:-halo], -1, 0).astype(np.float32)

    exact = OpenVinoNetwork(folder / ONNX, "f32", picture=picture)
    wanted = [levels(image, exact) for image in judged]

    def share_near(precision: Precision, ranges: Ranges | None = None) -> float:
        network = OpenVinoNetwork(folder / ONNX, precision, picture=picture, ranges=ranges)
        apart = [
            np.abs(levels(image, network) - one).max(axis=0).ravel() for image, one in zip(judged, wanted, strict=True)
        ]
        return float(np.mean(np.concatenate(apart) <= grey_levels))

    facts: dict[str, PrecisionFacts] = {}
    if computes("bf16"):
        facts["bf16"] = PrecisionFacts(within_2=share_near("bf16"))
    candidates = measured_ranges(folder / ONNX, typical, TAILS)
    for precision in filter(computes, WEIGHT_BITS):
        tried = [_kept_ranges(ranges, required_share, partial(share_near, precision)) for ranges in candidates]
        kept, share = max(tried, key=lambda one: (one[1] >= required_share, len(one[0]), one[1]))
        facts[precision] = PrecisionFacts(within_2=share, ranges=kept)
    return facts


def _kept_ranges(ranges: Ranges, share: float, near: Callable[[Ranges], float]) -> tuple[Ranges, float]:
    """Ranges of the convolutions to be computed in integers, and the share of pixels then near float32.

    Those that spoil most, as each alone shows, are taken out, up to two thirds: with fewer, integers gain too little.
    """
    kept, reached = dict(ranges), near(ranges)
    if reached < share:
        alone = {name: near({name: ranges[name]}) for name in ranges}
        for name in sorted(alone, key=alone.__getitem__)[: len(ranges) * 2 // 3]:
            del kept[name]
            reached = near(kept)
            if reached >= share:
                break
    return kept, reached
