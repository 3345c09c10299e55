"""In which precisions a stainer may run: measured once, after its training, and written into its card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from confostain.inference.cards import ONNX, read_card, weights_hash
from confostain.inference.engine import OpenVinoNetwork, Precision
from confostain.inference.models import NetworkStain, assembled
from confostain.inference.quantising import Ranges, measured_ranges

Pair = npt.NDArray[np.float32]  # (2, h, w) in [0, 1], R then F

GREY_LEVELS = 2  # that a colour may differ from what float32 gives
SHARE = 0.999  # of the pixels for which that must hold


def engine_facts(folder: Path, typical: Sequence[Pair], judged: Sequence[Pair]) -> dict[str, Any]:
    """What a stainer's card says under "engine": which precisions it bears.

    Args:
        folder: of the stainer.
        typical: pairs from which ranges are read off, h and w multiples of the stride; what lies beyond is cut off.
        judged: other pairs, larger than the receptive field, on which the outcome is compared with float32.

    Returns:
        "within_2": the share of pixels within 2 grey levels of float32, for each precision tried; "bf16": whether the
        network bears it; and, where it bears 8-bit integers, "i8": the ranges of the convolutions' inputs. Those
        convolutions that spoil most are left in float32.
    """
    exact = _stainer(folder, "f32")
    wanted = [_inner(exact, pair) for pair in judged]

    def share(precision: Precision, ranges: Ranges | None = None) -> float:
        other = _stainer(folder, precision, ranges)
        apart = [
            np.abs(_inner(other, pair) - one).max(axis=2).ravel() for pair, one in zip(judged, wanted, strict=True)
        ]
        return float(np.mean(np.concatenate(apart) <= GREY_LEVELS))

    ranges = measured_ranges(folder / ONNX, [exact.prepared(pair) for pair in typical])
    within = {"bf16": share("bf16"), "i8": share("i8", ranges)}
    if within["i8"] < SHARE:  # those that spoil most, as each alone shows, go first
        gains = {name: share("i8", {key: ranges[key] for key in ranges if key != name}) for name in ranges}
        for name in sorted(gains, key=gains.__getitem__, reverse=True)[
            : len(ranges) // 2
        ]:  # with fewer, integers gain too little
            del ranges[name]
            within["i8"] = share("i8", ranges)
            if within["i8"] >= SHARE:
                break
    return {"within_2": within, "bf16": within["bf16"] >= SHARE} | ({"i8": ranges} if within["i8"] >= SHARE else {})


def _stainer(folder: Path, precision: Precision, ranges: Ranges | None = None) -> NetworkStain:
    network = OpenVinoNetwork(folder / ONNX, precision, picture=True, ranges=ranges)
    return assembled(folder, read_card(folder, "stainer"), weights_hash(folder), network, "cpu")


def _inner(stainer: NetworkStain, pair: Pair) -> npt.NDArray[np.int16]:
    """The pixels that see a whole receptive field."""
    halo = stainer.receptive_field // 2
    rgb = stainer(pair).astype(np.int16)
    return rgb[halo : rgb.shape[0] - halo, halo : rgb.shape[1] - halo]
