"""Despecklers against the body of the paper's network and against wavelet shrinkage: same image, same machine, in turn.

    python benchmarks/despeckle.py
    python benchmarks/despeckle.py --side 2048 --runs 5 --threads 2

Networks run through the engine that users run. The image is painted tissue with the paper's noise.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from confostain.evaluation.classical_despeckling import wavelets
from confostain.geometry import Size
from confostain.inference.despeckle import despeckle
from confostain.models.registry import load_despeckler
from confostain.simulation.phantom import Phantom
from confostain.simulation.speckle import Image, Speckle

NOISE = Speckle(looks=10)


def painted(side: int) -> Image:
    """Reflectance of the middle of a phantom with the paper's noise on it, (side, side)."""
    phantom = Phantom(Size(2 * side, 2 * side))
    recorded = np.concatenate(list(phantom.recorded_bands()), axis=1)[0]
    middle = recorded[side // 2 : side // 2 + side, side // 2 : side // 2 + side].astype(np.float32)
    return NOISE.recorded(middle / middle.max(), 1)


def main() -> None:
    """Run in turn; print medians in Mpx/s and the ratio to the paper's body."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--side", type=int, default=1024, help="px")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="processors to use")
    parser.add_argument("--wavelets", action="store_true", help="the best classical method, too, on 512 x 512 px")
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    image = painted(options.side)
    paper = load_despeckler("despeckler-paper")
    body = replace(paper, card=paper.card.model_copy(update={"median": False}))
    default = load_despeckler()
    contestants: dict[str, Callable[[], Image]] = {
        "body of the paper": lambda: despeckle(image, body),
        "default": lambda: despeckle(image, default),
    }
    if options.wavelets:
        contestants["wavelets, log domain"] = lambda: wavelets(image[:512, :512], NOISE, 1.2)
    speeds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(options.runs):
        for name, run in contestants.items():
            begin = time.perf_counter()
            pixels = run().size
            speeds[name].append(pixels / (time.perf_counter() - begin) / 1e6)
    of_body = statistics.median(speeds["body of the paper"])
    for name, found in speeds.items():
        speed = statistics.median(found)
        print(f"{name:20} {speed:7.3f} Mpx/s   {speed / of_body:6.2f} x the paper's body   ({options.runs} runs)")


if __name__ == "__main__":
    main()
