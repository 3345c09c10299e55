"""Kills of a process that stains at random moments: the old result, the new one, or none, and never a part of one.

    python tests/fuzz/kills.py --count 500 --seed 1

prints what each kill left; anything else is a fault.
"""

import argparse
import hashlib
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import tifffile

from confostain import open_slide, stain_slide
from confostain.geometry import Size
from confostain.io.writers.vivascope import write_mosaic
from confostain.simulation.phantom import Phantom

SUFFIXES = (".ome.tif", ".ome.zarr", "-sharded.ome.zarr", ".dcm", ".png")


def _stain(scan: Path, out: Path, model: str) -> None:
    with open_slide(scan) as slide:
        stain_slide(slide, out, model=model, ome_zarr="0.5" if "sharded" in out.name else "0.4", overwrite=True)


def state(path: Path) -> str:
    """Digest of a file or of all files of a folder, without what differs between runs; "" where there is none."""
    if not path.exists():
        return ""
    if path.name.endswith(".tif"):  # each has an identifier of its own
        with tifffile.TiffFile(path) as tiff:
            levels = b"".join(level.asarray().tobytes() for level in tiff.series[0].levels)
        return hashlib.sha256(levels).hexdigest()
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in files:
        if file.is_file():
            data = file.read_bytes()
            # identifiers and times of a DICOM instance are new in each run; its frames follow
            digest.update(
                file.name.encode() + (data[data.rfind(b"\xe0\x7f\x10\x00") :] if ".dcm" in path.name else data)
            )
    return digest.hexdigest()


def started(scan: Path, out: Path, model: str) -> int:
    """Process that stains, forked from this one, which itself never does: threads do not survive a fork."""
    child = os.fork()
    if child == 0:
        try:
            _stain(scan, out, model)
            os._exit(0)
        except BaseException:
            os._exit(1)
    return child


def stain(scan: Path, out: Path, model: str) -> None:
    _, status = os.waitpid(started(scan, out, model), 0)
    if status:
        raise RuntimeError(f"{out}: the stain failed, status {status}")


def killed(scan: Path, out: Path, model: str, seconds: float) -> bool:
    """Stain in a process that is killed after so many seconds; whether it was still running."""
    child = started(scan, out, model)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def run(count: int, seed: int, folder: Path) -> Counter[str]:
    """Kill `count` processes; how many left what."""
    chance, found = random.Random(seed), Counter[str]()
    phantom = Phantom(Size(600, 500), seed=3)
    write_mosaic(folder / "scan", phantom.size, phantom.recorded_bands(), phantom.microns_per_pixel)
    scan, out = folder / "scan" / "mosaic", folder / "out"
    results = {}
    for suffix in SUFFIXES:
        for model in ("gareau", "beer-lambert"):
            place = folder / model
            place.mkdir(exist_ok=True)
            begin = time.perf_counter()
            stain(scan, place / f"a{suffix}", model)
            results[suffix, model] = state(place / f"a{suffix}"), time.perf_counter() - begin
    for number in range(count):
        suffix, overwrites = SUFFIXES[number % len(SUFFIXES)], chance.random() < 0.6
        path = out / f"a{suffix}"
        out.mkdir(exist_ok=True)
        if overwrites:
            stain(scan, path, "gareau")
        else:
            _remove(path)
        old = state(path)
        new, seconds = results[suffix, "beer-lambert"]
        was_running = killed(scan, path, "beer-lambert", seconds * chance.uniform(*chance.choice(((0, 1), (0.8, 1.2)))))
        left = state(path)
        kind = {old: "old" if old else "none", new: "new"}.get(left, f"FAULT: neither the old nor the new {suffix}")
        found[f"{kind}, {'killed' if was_running else 'ended before'}"] += 1
    stain(scan, out / "last.png", "gareau")  # removes what the others left
    hidden = [path.name for path in out.iterdir() if path.name.startswith(".")]
    if hidden:
        found["FAULT: hidden files are left"] = len(hidden)
    return found


def _remove(path: Path) -> None:
    import shutil

    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = run(options.count, options.seed, Path(folder))
    for result, number in sorted(found.items()):
        print(f"{number:8} {result}")
    return int(any(result.startswith("FAULT") for result in found))


if __name__ == "__main__":
    sys.exit(main())
