"""Mutants of image files: what the readers make of damaged input. A seed makes the same mutants again.

    python tests/fuzz/mutants.py --count 20000 --seed 1

prints how many were read as before, read with other pixels, warned of, and refused; anything else is a fault.
"""

import argparse
import random
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import tifffile
import zarr
from PIL import Image

from confostain.errors import ConfostainError
from confostain.geometry import Region
from confostain.io.readers.histology import open_histology
from confostain.io.readers.layouts import open_channels, open_grey
from confostain.io.readers.plane import Plane

MEMORY = 6 << 30  # bytes of address space: what asks for more is a fault
SLOW = 10.0  # s
SCAN = np.random.default_rng(0).integers(0, 4000, (2, 70, 90), np.uint16)
HE = np.random.default_rng(1).integers(0, 255, (70, 90, 3), np.uint8)

Pixels = list[np.ndarray]
Make = Callable[[Path], None]
INTERESTING = (0, 1, 2, 7, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1)


def whole(plane: Plane) -> np.ndarray:
    return plane.read(Region(0, 0, *plane.size))


def read_scan(path: Path) -> Pixels:
    channels = open_channels(path)
    try:
        return [whole(channels.reflectance), whole(channels.fluorescence)]
    finally:
        channels.close()


def read_grey(path: Path) -> Pixels:
    plane = open_grey(path)
    try:
        return [whole(plane)]
    finally:
        plane.close()


def read_histology(path: Path) -> Pixels:
    with open_histology(path, 0.5) as slide:
        size = slide.size
        return [slide.read_region((0, 0), (min(size.width, 500), min(size.height, 500)))]


def tiff(**options: Any) -> Make:
    return lambda path: tifffile.imwrite(path, SCAN, photometric="minisblack", **options)


def ngff(zarr_format: int, **options: Any) -> Make:
    def make(path: Path) -> None:
        group = zarr.open_group(str(path), mode="w", zarr_format=zarr_format)  # type: ignore[arg-type]
        group.create_array("0", data=SCAN, chunks=(1, 32, 32), **options)
        transforms = [{"type": "scale", "scale": [1, 0.5, 0.5]}]
        axes = [{"name": "c", "type": "channel"}, *({"name": n, "type": "space", "unit": "micrometer"} for n in "yx")]
        image = {"version": "0.4", "axes": axes, "datasets": [{"path": "0", "coordinateTransformations": transforms}]}
        group.attrs.update({"multiscales": [image]} if zarr_format == 2 else {"ome": {"multiscales": [image]}})

    return make


# name of the file, how it is made, how it is read
KINDS: dict[str, tuple[str, Make, Callable[[Path], Pixels]]] = {
    "TIFF, strips": ("a.tif", tiff(rowsperstrip=16), read_scan),
    "TIFF, tiles, deflate": ("a.tif", tiff(tile=(32, 32), compression="zlib", predictor=True), read_scan),
    "TIFF, strips, LZW": ("a.tif", tiff(rowsperstrip=16, compression="lzw"), read_scan),
    "OME-TIFF": ("a.ome.tif", tiff(metadata={"axes": "CYX", "Channel": {"Name": ["Refl", "Fluo"]}}), read_scan),
    "BigTIFF, zstd": ("a.tif", tiff(bigtiff=True, tile=(32, 32), compression="zstd"), read_scan),
    "ImageJ": ("a.tif", lambda path: tifffile.imwrite(path, SCAN, imagej=True, metadata={"axes": "CYX"}), read_scan),
    "PNG": ("a.png", lambda path: Image.fromarray(SCAN[0]).save(path), read_grey),
    "JPEG": ("a.jpg", lambda path: Image.fromarray((SCAN[0] >> 4).astype(np.uint8)).save(path), read_grey),
    "OME-Zarr 0.4": ("a.zarr", ngff(2, compressors=numcodecs.Blosc()), read_scan),
    "OME-Zarr 0.5, shards": ("a.zarr", ngff(3, shards=(1, 96, 96)), read_scan),
    "H&E, PNG": ("a.png", lambda path: Image.fromarray(HE).save(path), read_histology),
    "H&E, JPEG": ("a.jpg", lambda path: Image.fromarray(HE).save(path), read_histology),
    "H&E, TIFF": ("a.tif", lambda path: tifffile.imwrite(path, HE, tile=(32, 32), compression="jpeg"), read_histology),
    "H&E, strips": ("a.tif", lambda path: tifffile.imwrite(path, HE, compression="lzw"), read_histology),
}


def mutate(data: bytes, chance: random.Random) -> bytes:
    """Damage of one of the kinds that transmission, disks and attackers cause."""
    mutant = bytearray(data)
    header = min(len(mutant), 600)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        kind = chance.randrange(7)
        at = chance.randrange(min(len(mutant), chance.choice((header, len(mutant)))))
        if kind == 0:
            mutant[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            mutant[at] = chance.randrange(256)
        elif kind == 2:  # a number of a header
            size, form = chance.choice(((2, "H"), (4, "I"), (8, "Q")))
            value = chance.choice(INTERESTING) % (1 << 8 * size)
            mutant[at : at + size] = struct.pack(chance.choice("<>") + form, value)[: len(mutant) - at]
        elif kind == 3:
            del mutant[chance.randrange(len(mutant)) :]
        elif kind == 4:
            del mutant[at : at + chance.randrange(1, 40)]
        elif kind == 5:
            mutant[at:at] = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 40)))
        else:
            other = chance.randrange(len(mutant))
            mutant[at : at + 16] = mutant[other : other + 16]
        if not mutant:
            break
    return bytes(mutant)


def damage(path: Path, chance: random.Random) -> None:
    """Damage a file, or one file of a folder: its metadata half of the time, or remove it."""
    if path.is_file():
        path.write_bytes(mutate(path.read_bytes(), chance))
        return
    files = sorted(file for file in path.rglob("*") if file.is_file())
    metadata = [file for file in files if "z" in file.name]
    chosen = chance.choice(metadata if chance.random() < 0.5 else files)
    if chance.random() < 0.1:
        chosen.unlink()
    elif "z" in chosen.name and chance.random() < 0.6:
        words = chosen.read_text().replace("\n", " ").split(" ")
        at = chance.randrange(len(words))
        words[at] = chance.choice(("null", "-1", "1e9", "[]", "{}", '"x"', "2147483648", "", words[at] * 2))
        chosen.write_text(" ".join(words))
    else:
        chosen.write_bytes(mutate(chosen.read_bytes(), chance))


def outcome(read: Callable[[Path], Pixels], path: Path, truth: Pixels) -> str:
    """What became of a mutant; any exception but ours is a fault."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            made = read(path)
        except ConfostainError as error:
            return "refused" if "\n" not in str(error) else "FAULT: refused in several lines"
    is_same = len(made) == len(truth) and all(map(np.array_equal, made, truth))
    if is_same:
        return "read as before"
    return "other pixels, warned of" if told else "other pixels"


class TooSlow(BaseException):
    """A mutant took more than `SLOW`."""


def _too_slow(number: int, frame: object) -> None:
    raise TooSlow


def run(count: int, seed: int, folder: Path, say: Callable[[str], object] = lambda line: None) -> Counter[str]:
    """Read `count` mutants; how many had which outcome, faults with their number."""
    signal.signal(signal.SIGALRM, _too_slow)
    found: Counter[str] = Counter()
    truths, originals = {}, {}
    for kind, (name, make, read) in KINDS.items():
        originals[kind] = folder / f"original {len(originals)}" / name
        originals[kind].parent.mkdir()
        make(originals[kind])
        truths[kind] = read(originals[kind])
    for number in range(count):
        chance = random.Random(seed * 1_000_003 + number)
        kind = list(KINDS)[number % len(KINDS)]
        path = folder / "mutant" / originals[kind].name
        shutil.rmtree(path.parent, ignore_errors=True)
        shutil.copytree(originals[kind].parent, path.parent)
        damage(path, chance)
        signal.setitimer(signal.ITIMER_REAL, SLOW)
        try:
            result = outcome(KINDS[kind][2], path, truths[kind])
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            result = f"FAULT {type(error).__name__}"
            say(f"{number} ({kind}): {traceback.format_exc()}")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        found[result] += 1
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        found = run(options.count, options.seed, Path(folder), print)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{options.count} mutants, seed {options.seed}, {time.perf_counter() - begin:.0f} s, peak {peak:.0f} MB")
    for result, number in sorted(found.items()):
        print(f"{number:8} {result}")
    return int(any(result.startswith("FAULT") for result in found))


if __name__ == "__main__":
    sys.exit(main())
