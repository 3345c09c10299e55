"""In which precisions a network may run: measured once, after its training, and written into its card."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from confostain.arrays import Image
from confostain.models.card import ONNX
from confostain.models.engines.cpu import WEIGHT_BITS, OpenVinoNetwork, Precision, computes
from confostain.models.quantisation import Ranges, measured_ranges

GREY_LEVELS = 2  # that a pixel may differ from what float32 gives
SHARE = 0.999  # of the pixels for which that must hold
TAILS = 0.0, 1e-5, 1e-4  # shares of rare values that ranges may leave out; what keeps most convolutions is taken


def engine_facts(
    folder: Path,
    receptive_field: int,
    typical: Sequence[Image],
    judged: Sequence[Image],
    *,
    picture: bool,
    grey_levels: int = GREY_LEVELS,
    share: float = SHARE,
) -> dict[str, Any]:
    """What a network's card says under "engine": which precisions it bears, as far as this processor has them.

    Args:
        folder: of the network.
        receptive_field: of the network, in pixels.
        typical: images from which ranges are read off; what lies beyond is cut off.
        judged: other images, larger than the receptive field, on which the outcome is compared with float32.
        picture: whether the network gives colours, of which what lies beyond [0, 1] does not count.
        grey_levels: that a pixel may differ from what float32 gives, in 1/255.
        share: of the pixels for which that must hold.

    Returns:
        "within_2": the share of pixels within 2 grey levels of float32, for each precision tried; "bf16": whether the
        network bears it; "i8" and "i7", where it bears these: the ranges of the convolutions' inputs. Those
        convolutions that spoil most are left in float32.
    """
    halo = receptive_field // 2

    def levels(image: Image, network: OpenVinoNetwork) -> npt.NDArray[np.float32]:
        inner = network(image)[:, halo:-halo, halo:-halo] * np.float32(255)
        return np.rint(np.clip(inner, 0, 255) if picture else inner)

    exact = OpenVinoNetwork(folder / ONNX, "f32")
    wanted = [levels(image, exact) for image in judged]

    def near(precision: Precision, ranges: Ranges | None = None) -> float:
        network = OpenVinoNetwork(folder / ONNX, precision, ranges=ranges)
        apart = [
            np.abs(levels(image, network) - one).max(axis=0).ravel() for image, one in zip(judged, wanted, strict=True)
        ]
        return float(np.mean(np.concatenate(apart) <= grey_levels))

    within: dict[str, float] = {}
    facts: dict[str, Any] = {"within_2": within}
    if computes("bf16"):
        within["bf16"] = near("bf16")
        facts["bf16"] = within["bf16"] >= share
    candidates = measured_ranges(folder / ONNX, typical, TAILS)
    for precision in filter(computes, WEIGHT_BITS):
        tried = [_borne(ranges, share, partial(near, precision)) for ranges in candidates]
        kept, within[precision] = max(tried, key=lambda one: (one[1] >= share, len(one[0]), one[1]))
        if within[precision] >= share:
            facts[precision] = kept
    return facts


def _borne(ranges: Ranges, share: float, near: Callable[[Ranges], float]) -> tuple[Ranges, float]:
    """The convolutions that may be computed in integers, and the share of pixels that then come near.

    Those that spoil most, as each alone shows, are taken out, up to half of them: with fewer, integers gain too little.
    """
    kept, reached = dict(ranges), near(ranges)
    if reached < share:
        alone = {name: near({name: ranges[name]}) for name in ranges}
        for name in sorted(alone, key=alone.__getitem__)[: len(ranges) // 2]:
            del kept[name]
            reached = near(kept)
            if reached >= share:
                break
    return kept, reached
