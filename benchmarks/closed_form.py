"""A closed-form stain of a whole slide against libvips: same files, same formula, same pyramid, in one run.

    python benchmarks/closed_form.py                       # 10,240 x 10,240 and the memory at 20,480 x 20,480
    python benchmarks/closed_form.py --side 4096 --runs 3

Each run is a process of its own, started in turn; wall time and peak resident memory are those of the process, as
the operating system counts them. The slide is a painted phantom, repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from confostain.geometry import Size
from confostain.io.writers.vivascope import write_mosaic
from confostain.models.engines.processors import usable_processors
from confostain.simulation.phantom import Phantom
from confostain.slide import open_slide

PAINTED = 2048  # px; the part that is painted and then repeated

BY_LIBVIPS = """
import sys, json, pyvips
folder, out, ranges = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
def channel(detector, dark, bright):
    image = pyvips.Image.new_from_file(f"{folder}/{detector}/highres_raw.tif", access="sequential")
    scale = 1 / (bright - dark)
    return image.linear(scale, -dark * scale).clamp(min=0, max=1)
R, F = (channel(*one) for one in zip(("DET#1", "DET#2"), *zip(*ranges)))
H, E = (0.30, 0.20, 1.00), (1.00, 0.55, 0.88)
rgb = R.bandjoin(F).recomb([[-255 * (1 - e), -255 * (1 - h)] for h, e in zip(H, E)]) + 255.5
rgb.cast("uchar").copy(interpretation="srgb").tiffsave(
    out, tile=True, tile_width=256, tile_height=256, pyramid=True, subifd=True, region_shrink="mean",
    compression="jpeg", Q=90)
"""


def paint(folder: Path, side: int) -> list[tuple[float, float]]:
    """Paint a square slide, the middle of a phantom (all tissue) repeated, and return its intensity ranges."""
    phantom = Phantom(Size(PAINTED, PAINTED))
    inner = np.concatenate(list(phantom.recorded_bands()), axis=1)[:, 512:1536, 512:1536]
    band = np.tile(inner, (1, 1, -(-side // 1024)))[:, :, :side]
    bands = (band[:, : min(1024, side - y)] for y in range(0, side, 1024))
    write_mosaic(folder, Size(side, side), bands, phantom.microns_per_pixel)
    with open_slide(folder / "mosaic") as slide:
        return [(one.dark, one.bright) for one in slide.ranges]


def measured(command: list[str]) -> tuple[float, float, float]:
    """Wall seconds, processor seconds and peak memory in MB of a process."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command[:4]} failed")
    return time.perf_counter() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    """Paint, run in turn, print medians and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--side", type=int, default=10_240, help="px")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--model", default="gareau", choices=["gareau"], help="libvips computes the same")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        slides = {side: folder / str(side) / "mosaic" for side in (options.side, 2 * options.side)}
        # Painted by another process: what a process is said to need is never less than its parent held.
        with ProcessPoolExecutor(1, get_context("spawn")) as painter:
            ranges = {side: painter.submit(paint, slides[side].parent, side).result() for side in slides}

        def by_confostain(side: int) -> list[str]:
            command = [sys.executable, "-m", "confostain.cli", "stain", str(slides[side]), "--overwrite"]
            return [*command, "--model", options.model, "-o", str(folder / "confostain.ome.tif")]

        def by_libvips(side: int) -> list[str]:
            arguments = [str(slides[side]), str(folder / "vips.tif"), json.dumps(ranges[side])]
            return [sys.executable, "-c", BY_LIBVIPS, *arguments]

        print(f"{usable_processors()} processors, {options.side} x {options.side} px, {options.runs} runs in turn")
        ours, theirs = [], []
        for run in range(options.runs + 1):
            pair = measured(by_confostain(options.side)), measured(by_libvips(options.side))
            if run:  # the first fills the disk cache
                ours.append(pair[0])
                theirs.append(pair[1])
        for label, runs in (("confostain", ours), ("libvips", theirs)):
            wall, processor, memory = (statistics.median(column) for column in zip(*runs, strict=True))
            print(f"{label:12} {wall:6.2f} s wall {processor:6.2f} s processor {memory:6.0f} MB")
        ratio = statistics.median(one[0] / other[0] for one, other in zip(ours, theirs, strict=True))
        print(f"wall time, confostain / libvips: {ratio:.2f}")
        memory, twice = ours[-1][2], measured(by_confostain(2 * options.side))
        growth = 100 * (twice[2] / memory - 1)
        print(f"{2 * options.side} px: {twice[0]:.2f} s wall, {twice[2]:.0f} MB, {growth:+.0f} % memory")


if __name__ == "__main__":
    main()
