"""Whole slides through every model: seconds, memory, where the time goes, and how far from the floor that is.

    python benchmarks/wholeslide.py                                    # all models at hand, 10,240 x 10,240 px
    python benchmarks/wholeslide.py --side 20480 --models swift        # memory must not grow
    python benchmarks/wholeslide.py --side 2048 --part 512 --models runs/swift    # a quick look at a training's folder

Beside each network, in the same run: PyTorch tile by tile, no overlap, no engine (a); and the scheme of the public
reference code (b), the published despeckler and generator in windows of 2048 px every 512 px, added up with weights.
Both are timed on a part of the slide and scaled by its area or by the number of windows. All else is measured on the
whole slide, which is a painted phantom, repeated. (a) and (b) need the extra `train`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from closed_form import measured, paint
from confostain.geometry import Region, Size
from confostain.inference.tile_stainer import TileStainer
from confostain.inference.whole_slide import DEFAULT_TILE
from confostain.io.writers.encoding import encode_tile
from confostain.io.writers.pyramid import TILE, cut_block
from confostain.models.card import ONNX, SHIPPED, read_card
from confostain.models.engines.cpu import OpenVinoNetwork, convolution_rate
from confostain.models.engines.device import Device, chosen_device
from confostain.models.engines.processors import usable_processors
from confostain.models.registry import list_models, load_despeckler, load_model, model_folder
from confostain.models.stainer import LINEAR_STAINS, Model, NetworkStain
from confostain.slide import Slide, open_slide

Pair = npt.NDArray[np.float32]

WINDOW, WINDOW_STEP = 2048, 512  # px, of the reference scheme
EAGER_TILE = 1024  # px, of plain PyTorch
SAMPLED_TILES = 4  # whose time in each stage is taken
PEAK = 128, 256  # channels, and side in px, of the convolution that stands for the machine's peak

Result = TypeVar("Result")


def main() -> None:
    """Paint, stain in processes of their own, then look inside."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--side", type=int, default=10_240, help="of the slide, px")
    parser.add_argument("--models", nargs="+", metavar="NAME_OR_DIR", help="default: all at hand")
    parser.add_argument("--devices", nargs="+", choices=("cpu", "cuda"), help="default: all at hand")
    parser.add_argument("--runs", type=int, default=3, help="of the whole slide, in turn; medians are shown")
    parser.add_argument(
        "--part", type=int, default=2048, help="side of what (a) and (b) are timed on, px; 0: leave out"
    )
    options = parser.parse_args()
    models = options.models or [card.name for card in list_models("stain")]
    with tempfile.TemporaryDirectory() as name:
        mosaic = Path(name) / "scan" / "mosaic"
        with ProcessPoolExecutor(1, get_context("spawn")) as painter:  # what it holds must not count as ours
            painter.submit(paint, mosaic.parent, options.side).result()
        print(f"{usable_processors()} processors, {options.side} x {options.side} px, {options.runs} runs in turn")
        walls = whole_slides(mosaic, models, options.devices or _devices(), options.side, options.runs)
        with open_slide(mosaic) as slide:
            for (model, device), wall in walls.items():
                show_inside(slide, model, device, wall)
            if options.part:
                on_cpu = {model: wall for (model, device), wall in walls.items() if device == "cpu"}
                show_peers(slide, on_cpu, min(options.part, options.side))


# Whole slides, as a user runs them --------------------------------------------------------------------------------


def whole_slides(
    mosaic: Path, models: list[str], devices: list[Device], side: int, runs: int
) -> dict[tuple[str, Device], float]:
    """Every model on every device it runs on, in turn; prints one line each, returns median seconds."""
    contestants = [(model, device) for device in devices for model in models if device == "cpu" or _is_network(model)]
    figures: dict[tuple[str, Device], list[tuple[float, float, float]]] = {one: [] for one in contestants}
    for _ in range(runs):
        for model, device in contestants:
            command = [sys.executable, "-m", "confostain.cli", "stain", str(mosaic), "--overwrite", "--model", model]
            command += ["--device", device] if _is_network(model) else []
            figures[model, device].append(measured([*command, "-o", str(mosaic.parent / "stained.ome.tif")]))
    print(f"\n{'whole slide':28} {'wall':>9} {'processor':>11} {'speed':>14} {'peak memory':>13}")
    walls = {}
    for (model, device), found in figures.items():
        wall, processor, memory = (statistics.median(column) for column in zip(*found, strict=True))
        walls[model, device] = wall
        speed = side**2 / 1e6 / wall
        print(f"{_label(model, device):28} {wall:7.1f} s {processor:9.1f} s {speed:8.2f} Mpx/s {memory:10.0f} MB")
    return walls


# Inside: stages, the network alone, the floor ---------------------------------------------------------------------


class Clock:
    """Wall and processor seconds of each stage."""

    def __init__(self) -> None:
        self.wall: Counter[str] = Counter()
        self.processor: Counter[str] = Counter()

    def timed(self, stage: str, work: Callable[..., Result]) -> Callable[..., Result]:
        """The same work, its time counted."""

        def watched(*arguments: object) -> Result:
            wall, processor = time.perf_counter(), time.process_time()
            result = work(*arguments)
            self.wall[stage] += time.perf_counter() - wall
            self.processor[stage] += time.process_time() - processor
            return result

        return watched


@dataclass(frozen=True)
class TimedModel:
    """A model whose calls are counted as a stage."""

    model: Model
    call: Callable[[Pair], npt.NDArray[np.uint8]]

    @property
    def name(self) -> str:
        """As the model's."""
        return self.model.name

    @property
    def stride(self) -> int:
        """As the model's."""
        return self.model.stride

    @property
    def receptive_field(self) -> int:
        """As the model's."""
        return self.model.receptive_field

    @property
    def weights_sha256(self) -> str | None:
        """As the model's."""
        return self.model.weights_sha256

    def __call__(self, pair: Pair) -> npt.NDArray[np.uint8]:
        """Stain a tile."""
        return self.call(pair)


def show_inside(slide: Slide, name: str, device: Device, wall: float) -> None:
    """Where the processor time of a model goes; for networks, what the engine alone does and what the floor is."""
    model = load_model(name, device) if _is_network(name) else load_model(name)
    clock, kept = _stages(slide, model, DEFAULT_TILE)
    seconds = sum(clock.processor.values())
    shares = ", ".join(f"{stage} {of / seconds:.0%}" for stage, of in clock.processor.items())
    print(f"\n{_label(name, device)}: {seconds / kept * 1e6:.3f} processor s/Mpx: {shares}")
    if not isinstance(model, NetworkStain):
        return
    whole = slide.size[0] * slide.size[1] / wall
    alone, compute = _rate_in_memory(slide, model, DEFAULT_TILE), kept / clock.wall["compute"]
    print(f"  a tile of {DEFAULT_TILE} px in memory   {alone / 1e6:7.2f} Mpx/s")
    print(f"  compute stage, with halo   {compute / 1e6:7.2f} Mpx/s, {compute / alone:4.0%} of that:", end=" ")
    print(f"{alone / compute:.2f} x the cost of computing each pixel once")
    print(f"  whole slide                {whole / 1e6:7.2f} Mpx/s, {whole / alone:4.0%} of that")
    if device == "cpu":
        _show_floor(slide, model, name, wall)


def _stages(slide: Slide, model: Model, side: int) -> tuple[Clock, int]:
    """Some tiles through all stages, one after the other: the time of each stage, and the pixels kept."""
    clock = Clock()
    read, compute = clock.timed("read", slide.read), clock.timed("compute", model)
    stainer = TileStainer(read, Size(*slide.size), TimedModel(model, compute), slide.tissue)
    stain_tile = clock.timed("blend", stainer.stain_tile)
    cut, encode = clock.timed("pyramid", cut_block), clock.timed("encode", encode_tile)
    whole = Size(*slide.size).region
    tiles = list(stainer.grid(whole, side))
    tiles = [tile for tile in tiles if tile.level0_input.intersection(whole) == tile.level0_input] or tiles
    del tiles[SAMPLED_TILES:]
    for tile in [tiles[0], *tiles]:
        if tile is tiles[0]:
            clock.wall.clear()  # the first turn prepares the engine
            clock.processor.clear()
        rgb = stain_tile(tile)
        places = tile.column * side // TILE, tile.row * side // TILE
        for small in cut(rgb, tile.level0_core.size, *places).tiles:
            encode(small, 90)
    for times in (clock.wall, clock.processor):
        times["blend"] -= times["read"] + times["compute"]  # which happen inside
    return clock, sum(tile.level0_core.size.pixels for tile in tiles)


def _rate_in_memory(slide: Slide, model: Model, side: int) -> float:
    """Pixels per second of all stages of a model on one tile that is in memory."""
    side = min(side, *slide.size) // model.stride * model.stride
    pair = slide.read(Region(0, 0, side, side))
    return side**2 / _fastest(lambda: model(pair))


def _show_floor(slide: Slide, model: NetworkStain, name: str, wall: float) -> None:
    """Arithmetic at the machine's peak rate plus every byte once, against what it took."""
    network = model.network
    assert isinstance(network, OpenVinoNetwork)
    pixels = slide.size[0] * slide.size[1]
    rate = convolution_rate(network.precision, *PEAK)
    needed = _multiply_adds(_folder(name))
    arithmetic = needed * pixels / rate
    if model.despeckler is not None:
        before = _multiply_adds(SHIPPED / model.despeckler.name)
        arithmetic += before * pixels / convolution_rate("f32", *PEAK)
        needed += before
    raw = 2 * slide.dtype.itemsize * pixels
    moving = (raw + 3 * pixels) / _bandwidth()  # in as stored, out as RGB
    print(f"  floor: {needed:,.0f} multiply-adds a pixel, {network.precision} at {rate / 1e9:,.0f} G/s:", end=" ")
    print(f"{arithmetic:.1f} s, and bytes {moving:.1f} s; the slide took {wall / (arithmetic + moving):.2f} x that")


def _multiply_adds(folder: Path) -> float:
    """Of all convolutions of a network, for one pixel of level 0."""
    import openvino

    side, model = 256, openvino.Core().read_model(folder / ONNX)
    model.reshape([1, model.input(0).get_partial_shape()[1].get_length(), side, side])
    convolutions = [one for one in model.get_ops() if one.get_type_name() == "Convolution"]
    return (
        sum(
            float(np.prod(one.output(0).get_shape()[2:]) * np.prod(one.input(1).get_partial_shape().to_shape()))
            for one in convolutions
        )
        / side**2
    )


def _bandwidth() -> float:
    """Bytes per second that one processor copies in memory."""
    source, target = np.zeros(1 << 26, np.uint8), np.zeros(1 << 26, np.uint8)
    return source.nbytes / _fastest(lambda: np.copyto(target, source))


# Peers: plain PyTorch, and the reference scheme -------------------------------------------------------------------


def show_peers(slide: Slide, walls: dict[str, float], part: int) -> None:
    """Seconds for the whole slide, and ratios to every network."""
    pixels, side = slide.size[0] * slide.size[1], min(slide.size)
    pair = slide.read(Region(0, 0, part, part))
    windows = max(1, -(-(side - WINDOW) // WINDOW_STEP) + 1) ** 2
    window = _seconds_of_a_window(pair) * (WINDOW / part) ** 2
    print(f"\n(b) reference scheme: {windows} windows of {window:.1f} s: {windows * window:,.0f} s", end="")
    print("" if part == WINDOW else f" (timed on {part} px)")
    for name, wall in walls.items():
        if _is_network(name):
            eager = _seconds_of_eager(name, pair) * pixels / part**2
            print(f"(a) {name} in plain PyTorch, tile by tile: {eager:,.1f} s")
            print(f"    confostain is {eager / wall:.1f} x faster than (a), {windows * window / wall:,.0f} x than (b)")


def _seconds_of_eager(name: str, pair: Pair) -> float:
    """One tile after the other through plain PyTorch in float32: no overlap, no halo."""
    from confostain.models.engines.cuda import open_torch_network
    from confostain.models.engines.picture import Picture

    folder = _folder(name)
    card = read_card(folder)
    network = open_torch_network(folder, card, "f32", picture=Picture(card.colours), device="cpu")
    despeckler = None
    if card.despeckler:
        before = SHIPPED / card.despeckler
        plain = open_torch_network(before, read_card(before), "f32", device="cpu")
        loaded = load_despeckler(before)
        despeckler = replace(loaded, network=plain)
    model = load_model(name, "cpu")
    assert isinstance(model, NetworkStain)
    eager = replace(model, network=network, despeckler=despeckler)
    tile = min(EAGER_TILE, pair.shape[1])
    tiles = [
        pair[:, y : y + tile, x : x + tile]
        for y in range(0, pair.shape[1], tile)
        for x in range(0, pair.shape[2], tile)
    ]
    eager(tiles[0])
    begin = time.perf_counter()
    for one in tiles:
        eager(one)
    return time.perf_counter() - begin


def _seconds_of_a_window(pair: Pair) -> float:
    """One window through the published despeckler, its median, the composite, the published generator, the weights."""
    import torch
    from scipy.ndimage import median_filter

    from confostain.imaging.linear_stain import gareau_composite
    from confostain.networks.despeckler import PaperDespeckler
    from confostain.networks.generator import ResnetGenerator

    despeckler, generator = PaperDespeckler().eval(), ResnetGenerator().eval()
    ramp = np.minimum(np.arange(pair.shape[1]) + 1, np.arange(pair.shape[1])[::-1] + 1).astype(np.float32)
    weights, added = np.outer(ramp, ramp), np.zeros((3, *pair.shape[1:]), np.float32)
    begin = time.perf_counter()
    with torch.inference_mode():
        clean = median_filter(despeckler(torch.from_numpy(pair[:1])[None])[0, 0].numpy(), 3)
        composite = gareau_composite(np.stack([clean, pair[1]]))
        added += weights * generator(torch.from_numpy(composite)[None])[0].numpy()
    return time.perf_counter() - begin


# What the above share ---------------------------------------------------------------------------------------------


def _fastest(work: Callable[[], object], runs: int = 3) -> float:
    """Seconds of the fastest of several runs, after one that does not count."""
    seconds = []
    for _ in range(runs + 1):
        begin = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begin)
    return min(seconds[1:])


def _is_network(name: str) -> bool:
    return all(name != model.name for model in LINEAR_STAINS)


def _folder(name: str) -> Path:
    return model_folder(name, "stain")


def _label(name: str, device: Device) -> str:
    return f"{Path(name).name} on {device}" if _is_network(name) else name


def _devices() -> list[Device]:
    return ["cpu"] if chosen_device("auto") == "cpu" else ["cpu", "cuda"]


if __name__ == "__main__":
    main()
