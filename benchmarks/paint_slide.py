"""Paint a phantom slide of any size as a VivaScope folder: 16 bit, uncompressed, 0.75 um/px.

python benchmarks/paint_slide.py 10240 10240 /tmp/scan --seed 1
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from confostain.geometry import Size
from confostain.io.writers.vivascope import write_mosaic
from confostain.simulation.phantom import Phantom


def main() -> None:
    """Read the command line, paint, and say how fast."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("width", type=int, help="px")
    parser.add_argument("height", type=int, help="px")
    parser.add_argument("folder", type=Path, help="the scan's folder; made where it does not exist")
    parser.add_argument("--seed", type=int, default=0, help="another seed is another patient")
    parser.add_argument("--overwrite", action="store_true", help="replace a scan that is there")
    options = parser.parse_args()

    phantom = Phantom(Size(options.width, options.height), options.seed)
    start = time.perf_counter()
    with tqdm(
        total=phantom.size.pixels / 1e6,
        unit="Mpx",
        bar_format="{l_bar}{bar}| {n:.0f}/{total:.0f} Mpx {rate_fmt}",
    ) as bar:

        def watched() -> Iterator[npt.NDArray[np.uint16]]:
            for band in phantom.recorded_bands():
                yield band
                bar.update(band[0].size / 1e6)

        write_mosaic(options.folder, phantom.size, watched(), phantom.microns_per_pixel, options.overwrite)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{options.folder}: {phantom.size.pixels / 1e6 / seconds:.1f} Mpx/s for both channels, peak {peak:.0f} MB")


if __name__ == "__main__":
    main()
