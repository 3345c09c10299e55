"""Comparison of despecklers on inverted H&E with simulated speckle: a table, JSON and a figure.

The protocol is that of Combalia et al. (MIDL 2019), table 1 and Fig. 6, with more noise levels.
"""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from confostain.arrays import REFERENCE_MPP, Image
from confostain.data.noisy_patches import read_inverted
from confostain.errors import OptionError, SlideError
from confostain.evaluation.classical_despeckling import ClassicalMethod
from confostain.evaluation.reference_metrics import psnr, sharpness, ssim
from confostain.inference.despeckle import despeckle
from confostain.models.despeckler import Despeckler
from confostain.models.registry import list_models, load_despeckler
from confostain.simulation.speckle import Speckle

PAPER_PSNR = 16.19  # dB, of the noisy images in the paper's table 1
SIDE = 256  # px, of a patch; the paper took 1024
SMALLEST_SIDE = 64  # px
# Mean brightness of inverted H&E above which a patch is tissue; glass has about 0.06. Not the rule of
# imaging.histology_tissue: the published tables were measured on the patches that this one selects.
TISSUE = 0.2
SEED = 1980
MICROSCOPE = Speckle(looks=45, grain=0.55, pedestal=0.08, gain=0.7, read_noise=0.005)  # as measured on real scans

Despeckle = Callable[[Image], Image]
# From noisy patches, their truth and the noise to a despeckling function. Networks ignore all three.
Prepare = Callable[[Sequence[Image], Sequence[Image], Speckle], Despeckle]
Patches = Mapping[str, Sequence[Image]]  # by name of the noise


@dataclass(frozen=True)
class MethodMetrics:
    """Metrics of one method.

    Attributes:
        method: name.
        psnr, ssim: means over the patches, by name of the noise; PSNR in dB.
        sharpness: at the noise of the paper; 1 is that of the truth.
        megapixels_per_second: on one image of about 1024 x 1024 px; None for the noisy images.
    """

    method: str
    psnr: dict[str, float]
    ssim: dict[str, float]
    sharpness: float
    megapixels_per_second: float | None = None


def compare_despecklers(
    histology: Sequence[str],
    out: Path,
    models: Sequence[str] = (),
    *,
    patches: int = 20,
    side: int = SIDE,
    classical: Sequence[ClassicalMethod] = (),
    microns_per_pixel: float = REFERENCE_MPP,
    report: Callable[[str], None] = lambda line: None,
) -> list[MethodMetrics]:
    """Comparison of classical methods, shipped despecklers and further `models` on H&E slides.

    Writes despecklers.json, despecklers.md and despecklers.png into the folder `out`.

    Args:
        histology: H&E slides that no model was trained on.
        out: a folder; created if it does not exist.
        models: names of despecklers, or folders of trained ones.
        patches: number of tissue patches, at even distances in the list of all.
        side: of a patch, in pixels.
        classical: methods without a network, such as CLASSICAL_METHODS, which need minutes for 20 patches.
        microns_per_pixel: pixel size at which slides are read.
        report: called with a line of the table after each method.

    Raises:
        OptionError: fewer than one patch, or patches smaller than SMALLEST_SIDE.
        SlideError: a slide cannot be read, or there is no tissue. ModelError: a model cannot be loaded.
    """
    if patches < 1:
        raise OptionError(f"{patches} H&E patches: expected at least one; give --patches")
    if side < SMALLEST_SIDE:
        raise OptionError(f"patches of {side} px: expected a side of at least {SMALLEST_SIDE}; give --side")
    clean = tissue_patches(read_inverted(histology, microns_per_pixel), patches, side)
    noises = noise_levels(clean)
    noisy = {
        name: [noise.recorded(patch, SEED + index) for index, patch in enumerate(clean)]
        for name, noise in noises.items()
    }
    truth = {name: [noise.expected(patch) for patch in clean] for name, noise in noises.items()}
    rows, pictures = [_metrics("noisy", noisy, truth)], {"clean": clean[0], "noisy": noisy["paper"][0]}
    for name, prepare in _methods(models, classical):
        functions = {noise: prepare(noisy[noise], truth[noise], noises[noise]) for noise in noises}
        made = {noise: [functions[noise](image) for image in noisy[noise]] for noise in noises}
        rows.append(_metrics(name, made, truth, _speed(functions["paper"], noisy["paper"])))
        pictures[name] = made["paper"][0]
        report(table([rows[-1]]).splitlines()[-1])
    out.mkdir(parents=True, exist_ok=True)
    facts = {
        "slides": [Path(file).name for file in histology],
        "patches": len(clean),
        "side": side,
        "noise": {name: dataclasses.asdict(noise) for name, noise in noises.items()},
        "rows": [dataclasses.asdict(row) for row in rows],
    }
    (out / "despecklers.json").write_text(json.dumps(facts, indent=2) + "\n")
    (out / "despecklers.md").write_text(table(rows))
    draw(pictures, out / "despecklers.png")
    return rows


def tissue_patches(slides: Sequence[npt.NDArray[np.uint8]], number: int, side: int = SIDE) -> list[Image]:
    """Tissue patches of inverted grey slides: float32 (side, side) in [0, 1]; at most `number`, evenly from all."""
    found = [
        patch
        for slide in slides
        for y in range(0, slide.shape[0] - side + 1, side)
        for x in range(0, slide.shape[1] - side + 1, side)
        if (patch := slide[y : y + side, x : x + side]).mean() > 255 * TISSUE
    ]
    if not found:
        raise SlideError(f"H&E slides without a {side} x {side} px patch of tissue; give larger ones, or others")
    chosen = np.linspace(0, len(found) - 1, min(number, len(found))).round().astype(int)
    return [found[index].astype(np.float32) / np.float32(255) for index in chosen]


def noise_levels(clean: Sequence[Image]) -> dict[str, Speckle]:
    """Noise levels of the comparison; "paper" is white speckle at which the mean PSNR of these patches is 16.19 dB."""
    decibels = np.mean([10 * np.log10(np.square(patch).mean()) for patch in clean])
    paper = Speckle(looks=float(10 ** ((PAPER_PSNR + decibels) / 10)))
    levels = {f"L = {looks}": Speckle(looks=looks) for looks in (1, 4, 10, 45)}
    return {"paper": paper, **levels, "correlated": Speckle(looks=10, grain=0.55), "microscope": MICROSCOPE}


def _methods(models: Sequence[str], classical: Sequence[ClassicalMethod]) -> Iterator[tuple[str, Prepare]]:
    for method in classical:
        yield method.name, partial(_at_best_strength, method)
    for name in dict.fromkeys((*reversed([card.name for card in list_models("despeckle")]), *models)):
        model = load_despeckler(name)
        if model.card.median:
            card = model.card.model_copy(update={"median": False})
            yield f"{model.name}, without median", partial(_network, dataclasses.replace(model, card=card))
        yield model.name, partial(_network, model)


def _at_best_strength(
    method: ClassicalMethod, noisy: Sequence[Image], truth: Sequence[Image], noise: Speckle
) -> Despeckle:
    """A classical method at the strength with the highest PSNR on two of the patches that it is evaluated on."""
    two = range(0, len(noisy), len(noisy) // 2 + 1)

    def total_psnr(strength: float) -> float:
        return sum(psnr(method.run(noisy[index], noise, strength), truth[index]) for index in two)

    strength = max(method.strengths, key=total_psnr) if len(method.strengths) > 1 else method.strengths[0]
    return lambda image: method.run(image, noise, strength)


def _network(model: Despeckler, noisy: Sequence[Image], truth: Sequence[Image], noise: Speckle) -> Despeckle:
    return lambda image: despeckle(image, model)


def _metrics(method: str, made: Patches, truth: Patches, speed: float | None = None) -> MethodMetrics:
    def mean(metric: Callable[[Image, Image], float], noise: str) -> float:
        return float(np.mean([metric(a, b) for a, b in zip(made[noise], truth[noise], strict=True)]))

    decibels, similarity = ({noise: mean(metric, noise) for noise in made} for metric in (psnr, ssim))
    return MethodMetrics(method, decibels, similarity, mean(sharpness, "paper"), speed)


def _speed(function: Despeckle, patches: Sequence[Image]) -> float:
    """Megapixels per second on one image of about 1024 x 1024 px that is composed of patches."""
    across = max(1, min(1024 // len(patches[0]), math.isqrt(len(patches))))
    image = np.block([[patches[row * across + column] for column in range(across)] for row in range(across)])
    begin = time.perf_counter()
    function(image)
    return image.size / (time.perf_counter() - begin) / 1e6


def table(rows: Sequence[MethodMetrics]) -> str:
    """Markdown table: PSNR in dB / SSIM for each noise, sharpness, and Mpx/s."""
    noises = list(rows[0].psnr)
    lines = [
        "| method | " + " | ".join(noises) + " | sharpness | Mpx/s |",
        "|---" * (len(noises) + 3) + "|",
    ]
    for row in rows:
        cells = [f"{row.psnr[noise]:.2f} / {row.ssim[noise]:.3f}" for noise in noises]
        speed = "" if row.megapixels_per_second is None else f"{row.megapixels_per_second:.3g}"
        lines.append(f"| {row.method} | " + " | ".join(cells) + f" | {row.sharpness:.2f} | {speed} |")
    return "\n".join(lines) + "\n"


def draw(pictures: Mapping[str, Image], path: Path, columns: int = 5) -> None:
    """Grey pictures of one size side by side, each with its name and, if "clean" is among them, its PSNR, as a PNG."""
    from matplotlib.figure import Figure

    rows = -(-len(pictures) // columns)
    figure = Figure(figsize=(2.6 * columns, 2.8 * rows), layout="constrained")
    for index, (name, picture) in enumerate(pictures.items()):
        axes = figure.add_subplot(rows, columns, index + 1)
        axes.imshow(picture[:256, :256], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_axis_off()
        quality = f"\n{psnr(picture, pictures['clean']):.2f} dB" if "clean" in pictures and name != "clean" else "\n"
        axes.set_title(name + quality, fontsize=9)
    figure.savefig(path, dpi=110)
