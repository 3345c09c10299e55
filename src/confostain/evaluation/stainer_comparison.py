"""The comparison of stainers: with truth on simulated pairs, without on real scans; one page, and JSON beside it."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

import confostain
from confostain.arrays import Rgb
from confostain.errors import OptionError
from confostain.evaluation.artefacts import Blank, blank_field, seam_index
from confostain.evaluation.baselines import MOVED, Audited, audit_sanity, truth_audited, within_he_baseline
from confostain.evaluation.distribution_metrics import Looks, colour_distance, grey, patch_distance, texture_distance
from confostain.evaluation.material import SIDE, Material, Scan, gathered
from confostain.evaluation.reference_metrics import colour_difference, psnr, ssim
from confostain.imaging.nuclei import Agreement, agreement, audit_nuclei, nuclei_in_stain
from confostain.inference.stain import stain, stain_slide
from confostain.models.registry import load_model
from confostain.models.stainer import LINEAR_STAINS, Model
from confostain.slide import Slide

Say = Callable[[str], None]

SEAM_TILE = 256  # px: many borders, since few say little


@dataclass(frozen=True)
class WithTruth:
    """Against the H&E that the pairs were simulated from: means over fields, nuclei of all fields together."""

    ssim: float  # of colours
    psnr: float  # dB
    colour_difference: float  # dE2000
    precision: float  # of nuclei
    recall: float
    f1: float


@dataclass(frozen=True)
class OnScan:
    """On one real scan, without truth."""

    missing: float  # share of the clear nuclei of the fluorescence
    missing_per_mm2: float
    missing_by_chance: float  # with the same stain moved by 12 px
    invented: float  # share of the clear nuclei of the stain
    invented_per_mm2: float
    ssim: float  # against the Gareau image, grey
    texture: float  # chi-squared distance of local binary patterns to the Gareau image
    patches: float  # sliced Wasserstein distance to real H&E, over the Gareau image's
    colours: float  # the same of optical densities
    seams: float | None  # index at tiles of 256 px; None where one tile holds the scan
    seams_by_chance: float | None  # at the same lines, stained in one piece
    tile_difference: int  # largest between both, in grey levels


@dataclass(frozen=True)
class Row:
    """All figures of one model."""

    model: str
    weights_sha256: str | None
    blank: Blank
    truth: WithTruth | None
    scans: dict[str, OnScan] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """The figures of all models, and what to hold them against.

    Attributes:
        rows: one for each model, the closed forms first.
        floor: for each scan, `within_he_baseline`.
        proof: for each scan, `audit_sanity`.
        truth_audited: of the simulated pairs; None without any.
    """

    rows: list[Row]
    floor: dict[str, tuple[float, float]]
    proof: dict[str, dict[str, Audited]]
    truth_audited: Audited | None


@dataclass(frozen=True, eq=False)
class Results:
    """What one model made of the simulated pairs and of the scans, in their order."""

    simulated: list[Rgb]
    scans: list[Rgb]

    @classmethod
    def of(cls, model: Model, material: Material) -> Results:
        """Stain everything."""
        return cls(
            [stain(view.pair, model) for view in material.simulated], [stain(s.pair, model) for s in material.scans]
        )


def evaluate_stainers(
    out: Path,
    models: Sequence[str] = (),
    *,
    histology: Sequence[str] = (),
    scans: Sequence[Slide] = (),
    references: Sequence[str] = (),
    patches: int = 20,
    side: int = SIDE,
    say: Say = lambda line: None,
) -> Comparison:
    """Judge the closed forms and further `models`; writes index.html and stainers.json into the folder `out`.

    The page shows the scans: where their licence forbids to pass them on, it must stay where it is.

    Args:
        out: a folder; made if it does not exist.
        models: names of models, or folders of trained ones.
        histology: H&E slides that no model was trained on; pairs are simulated from them.
        scans: real pairs. At most 2048 x 2048 px of each are looked at.
        references: real H&E whose colours and texture the results should have; by default `histology`.
        patches: how many simulated pairs.
        side: of these, in pixels.
        say: told about each model when it is done.

    Raises:
        OptionError: nothing to judge on, or two models or scans of one name.
        SlideError: a slide cannot be read. ModelError: a model cannot be loaded.
    """
    from confostain.evaluation.stainer_page import write_page

    chosen = [load_model(name) for name in dict.fromkeys((*(linear.name for linear in LINEAR_STAINS), *models))]
    names = [model.name for model in chosen]
    if len(set(names)) < len(names):
        raise OptionError(f"models called {', '.join(names)}: expected a name each; rename a folder")
    material = gathered(histology, scans, references, patches, side)
    rows, results = [], {}
    for model in chosen:
        results[model.name] = Results.of(model, material)
        rows.append(judged(model, results[model.name], material))
        say(summary(rows[-1]))
    comparison = Comparison(
        rows, within_he_baseline(material), audit_sanity(material.scans), truth_audited(material.simulated)
    )
    out.mkdir(parents=True, exist_ok=True)
    facts = {
        "software": f"confostain {confostain.__version__}",
        "histology": [Path(path).name for path in histology],
        "scans": [scan.name for scan in material.scans],
        "references": [Path(path).name for path in references or histology],
        "patches": len(material.simulated),
        "side": side,
        **dataclasses.asdict(comparison),
    }
    (out / "stainers.json").write_text(json.dumps(facts, indent=2) + "\n")
    write_page(comparison, results, material, out / "index.html")
    return comparison


def judged(model: Model, made: Results, material: Material) -> Row:
    """All figures of one model."""
    scans = {
        scan.name: _on_scan(model, rgb, scan, material.looks)
        for scan, rgb in zip(material.scans, made.scans, strict=True)
    }
    truth = with_truth(made.simulated, [view.truth for view in material.simulated]) if made.simulated else None
    return Row(model.name, model.weights_sha256, blank_field(lambda pair: stain(pair, model)), truth, scans)


def with_truth(made: Sequence[Rgb], truth: Sequence[Rgb]) -> WithTruth:
    """Figures of results, each uint8 (h, w, 3), beside the H&E that they should be."""
    nuclei, likeness = Agreement(0, 0, 0, 0), []
    for result, real in zip(made, truth, strict=True):
        nuclei += agreement(nuclei_in_stain(result), nuclei_in_stain(real))
        a, b = _unit(result), _unit(real)
        likeness.append((ssim(a, b), psnr(a, b), colour_difference(result, real)))
    similarity, decibels, difference = (float(value) for value in np.mean(likeness, axis=0))
    return WithTruth(similarity, decibels, difference, nuclei.precision, nuclei.recall, nuclei.f1)


def _on_scan(model: Model, made: Rgb, scan: Scan, real: Looks) -> OnScan:
    audit = audit_nuclei(scan.pair[1], made, scan.microns_per_pixel)
    moved = audit_nuclei(scan.pair[1], np.roll(made, MOVED, axis=1), scan.microns_per_pixel)
    tiled, whole = (_stained_in_tiles(scan, model, tile) for tile in (SEAM_TILE, max(scan.pair.shape)))
    looks = Looks.of([made])
    return OnScan(
        missing=audit.missing_share,
        missing_per_mm2=audit.missing_per_mm2,
        missing_by_chance=moved.missing_share,
        invented=audit.invented_share,
        invented_per_mm2=audit.invented_per_mm2,
        ssim=ssim(_unit(grey(made)), _unit(grey(scan.linear))),
        texture=texture_distance(made, scan.linear),
        patches=patch_distance(looks, real) / patch_distance(scan.looks, real),
        colours=colour_distance(looks, real) / colour_distance(scan.looks, real),
        seams=_seams(tiled),
        seams_by_chance=_seams(whole),
        tile_difference=int(np.abs(tiled.astype(np.int16) - whole).max()),
    )


def _unit(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Grey levels as float32 in [0, 1]."""
    return image.astype(np.float32) / np.float32(255)


def _stained_in_tiles(scan: Scan, model: Model, tile: int) -> Rgb:
    """A scan stained by the whole road, from file to file, in tiles of that side."""
    from PIL import Image

    window = scan.window
    region = (window.x, window.y, window.width, window.height)
    with tempfile.TemporaryDirectory() as folder:
        stained = Path(folder) / "stained.png"
        stain_slide(scan.slide, stained, model=model, tile=tile, region=region)
        return np.asarray(Image.open(stained).convert("RGB"))


def _seams(image: Rgb) -> float | None:
    return seam_index(image, SEAM_TILE) if max(image.shape[:2]) > SEAM_TILE else None


def summary(row: Row) -> str:
    """One line about one model."""
    parts = [row.model]
    if row.truth:
        parts.append(f"SSIM {row.truth.ssim:.3f}, dE {row.truth.colour_difference:.1f}, F1 {row.truth.f1:.3f}")
    for name, scan in row.scans.items():
        parts.append(f"{name}: missing {scan.missing:.1%}, invented {scan.invented:.1%}, patches {scan.patches:.0%}")
    return "; ".join(parts)
