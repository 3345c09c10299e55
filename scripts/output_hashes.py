"""Hashes of what confostain computes, to prove that a change of the code changed no number.

    PYTHONPATH=src python scripts/output_hashes.py before.json --shared ../shared
    ... refactor ...
    PYTHONPATH=src python scripts/output_hashes.py after.json --shared ../shared --compare before.json

Writes a JSON object of names and values: numbers rounded to 10 digits, SHA-256 of arrays (their type, shape and bytes).
Networks run on the CPU in float32, not in whatever precision is the fastest, so two runs on one machine agree; on
another processor the last bits may differ. After a change of names, LOCATIONS is all that needs to be edited; what is
reached through the front door, the command line and the files of a run needs no entry there. Fields of dataclasses go
by their place, so that a renamed field is no difference. The exit code is 1 where an entry differs or a section failed,
2 where a symbol is not found.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import io
import json
import math
import os
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

# What must be set before the process begins: no GPU for trainings, and products of matrices in one thread, since their
# last bits depend on the number of threads.
ENVIRONMENT = {"CUDA_VISIBLE_DEVICES": "", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

Value = str | int | float
Rgb = npt.NDArray[np.uint8]

# Where each symbol is: "module:name" or "module:Class.method", the first that is there of several.
LOCATIONS: dict[str, str | tuple[str, ...]] = {
    # the choice of a precision, replaced while this runs; (precisions borne) -> precision
    "fastest": "confostain.models.engines.cpu:fastest",
    "main": "confostain.cli:main",
    "shipped_folder": "confostain.models.card:SHIPPED",
    "read_card": "confostain.models.card:read_card",
    "open_torch_network": "confostain.models.engines.cuda:open_torch_network",
    "Picture": "confostain.models.engines.picture:Picture",
    "measured_ranges": "confostain.models.quantisation:measured_ranges",
    # geometry and files
    "Size": "confostain.geometry:Size",
    "Region": "confostain.geometry:Region",
    "write_mosaic": "confostain.io.writers.vivascope:write_mosaic",
    "open_histology": "confostain.io.readers.histology:open_histology",
    "read_histology": "confostain.io.readers.histology:HistologySlide.read_region",
    "size_of_histology": "confostain.io.readers.histology:HistologySlide.size_at",
    # imaging
    "gareau": "confostain.imaging.linear_stain:gareau",
    "gareau_composite": "confostain.imaging.linear_stain:gareau_composite",
    "beer_lambert": "confostain.imaging.linear_stain:beer_lambert",
    "blobs": "confostain.imaging.channels:blob_asymmetry",
    "optical_density": "confostain.imaging.optical_density:optical_density",
    "separate_stains": "confostain.imaging.stain_separation:separate_stains",
    "stain_proportion": "confostain.imaging.stain_separation:haematoxylin_eosin_proportion",
    "find_ground": "confostain.imaging.patch_quality:find_background",
    "fault_of": "confostain.imaging.patch_quality:rejection_reason",
    "focus": "confostain.imaging.patch_quality:sharpness",
    "Phantom": "confostain.simulation.phantom:Phantom",
    "phantom_pair": "confostain.simulation.phantom:Phantom.pair",
    "phantom_reflectance": "confostain.simulation.phantom:Phantom.reflectance",
    "phantom_fluorescence": "confostain.simulation.phantom:Phantom.fluorescence",
    "phantom_clean": "confostain.simulation.phantom:Phantom.clean_reflectance",
    "phantom_histology": "confostain.simulation.phantom:Phantom.histology",
    "phantom_tissue": "confostain.simulation.phantom:Phantom.tissue",
    "phantom_nuclei": "confostain.simulation.phantom:Phantom.nuclei",
    "phantom_bands": "confostain.simulation.phantom:Phantom.recorded_bands",
    "simulate": "confostain.simulation.from_histology:simulate",
    "smooth": "confostain.simulation.from_histology:smooth",
    "random_field": "confostain.simulation.from_histology:random_field",
    "nuclei_in_fluorescence": "confostain.imaging.nuclei:nuclei_in_fluorescence",
    "nuclei_in_stain": "confostain.imaging.nuclei:nuclei_in_stain",
    "detect_nuclei": "confostain.imaging.nuclei:detect_nuclei",
    "haematoxylin": "confostain.imaging.nuclei:haematoxylin",
    "match_nuclei": "confostain.imaging.nuclei:match_nuclei",
    "agreement": "confostain.imaging.nuclei:agreement",
    "audit_nuclei": "confostain.imaging.nuclei:audit_nuclei",
    "Speckle": "confostain.simulation.speckle:Speckle",
    "recorded": "confostain.simulation.speckle:Speckle.recorded",
    "expected": "confostain.simulation.speckle:Speckle.expected",
    "speckle_windows": "confostain.imaging.speckle_measures:window_statistics",
    "quiet_windows": "confostain.imaging.speckle_measures:WindowStatistics.homogeneous",
    "effective_looks": "confostain.imaging.speckle_measures:effective_looks",
    "autocorrelation": "confostain.imaging.speckle_measures:autocorrelation",
    "ratio_image": "confostain.imaging.speckle_measures:ratio_image",
    "structure_in_ratio": "confostain.imaging.speckle_measures:structure_in_ratio",
    "estimate_speckle": "confostain.simulation.speckle_fit:estimate_speckle",
    # evaluation
    "psnr": "confostain.evaluation.reference_metrics:psnr",
    "ssim": "confostain.evaluation.reference_metrics:ssim",
    "colour_difference": "confostain.evaluation.reference_metrics:colour_difference",
    "step_sharpness": "confostain.evaluation.reference_metrics:sharpness",
    "grey": "confostain.evaluation.distribution_metrics:grey",
    "texture_distance": "confostain.evaluation.distribution_metrics:lbp_distance",
    "pattern_shares": "confostain.evaluation.distribution_metrics:lbp_histogram",
    "looks_of": "confostain.evaluation.distribution_metrics:ImageFeatures.of",
    "patch_distance": "confostain.evaluation.distribution_metrics:patch_distance",
    "colour_distance": "confostain.evaluation.distribution_metrics:colour_distance",
    "sliced_wasserstein": "confostain.evaluation.distribution_metrics:sliced_wasserstein",
    "seam_index": "confostain.evaluation.artefacts:seam_index",
    "blank_field": "confostain.evaluation.artefacts:empty_field_test",
    "judged_real": "confostain.evaluation.despeckler_real_scan:measure_despeckling",
    "checkerboard": "confostain.evaluation.despeckler_real_scan:checkerboard",
    "domain_gap": "confostain.evaluation.domain_gap:domain_gap",
    "line_up": "confostain.evaluation.domain_gap:mixed_panel",
    "median": "confostain.evaluation.classical_despeckling:median",
    "lee": "confostain.evaluation.classical_despeckling:lee",
    "denoise_tv": "confostain.evaluation.classical_despeckling:total_variation",
    "non_local_means": "confostain.evaluation.classical_despeckling:non_local_means",
    "wavelets": "confostain.evaluation.classical_despeckling:wavelets",
    "wilson_interval": "confostain.study.agreement:wilson_interval",
    "kappa": "confostain.study.agreement:kappa",
    # training
    "PairSource": "confostain.data.pairs:PairSource",
    "draw_pairs": "confostain.data.pairs:PairSource.draw",
    "draw_tissue": "confostain.data.pairs:PairSource.tissue",
    "ScanSource": "confostain.data.scans:ScanSource",
    "draw_scans": "confostain.data.scans:ScanSource.draw",
    "NoiseRange": "confostain.data.noisy_patches:NoiseRange",
    "NoisyPatches": "confostain.data.noisy_patches:NoisyPatches",
    "draw_patches": "confostain.data.noisy_patches:NoisyPatches.draw",
    "read_inverted": "confostain.data.noisy_patches:read_inverted",
    "trained_network": "confostain.models.build:trained_network",
    "train_recipe": "confostain.training.chain:train_recipe",
    "squared_error": "confostain.training.losses:squared_error",
    "decibel_error": "confostain.training.losses:decibel_error",
    "total_variation": "confostain.training.losses:total_variation",
    "fooling": "confostain.training.losses:generator_loss",
    "criticism": "confostain.training.losses:discriminator_loss",
    "composite": "confostain.training.losses:gareau_composite",
    "luminance": "confostain.training.losses:luminance",
    "similarity": "confostain.training.losses:ssim",
    "structure": "confostain.training.losses:structure",
    "texture": "confostain.training.losses:gradient_order",
    "patterns": "confostain.training.losses:lbp_distance",
    "content": "confostain.training.losses:nuclei_correlation",
}

# What the log of a training called its values when the hashes that are compared with were made.
LOGGED = {
    "ssim": "resemblance",
    "gradient_order": "texture",
    "lbp": "patterns",
    "nuclei_correlation": "content",
    "discriminator_loss back": "discriminator_loss of back",
}
TILES = (256, 512, 1024)
CYCLEGAN_TILES = (256, 1024)
CYCLEGAN_AREA = (150, 90, 700, 600)  # x, y, width, height in level-0 pixels, as far as the slide reaches
PHANTOM_SIZE = (1500, 1300)
MICRONS = 0.75
FIELD = ((2133, 640), (1536, 1536))  # of the H&E section at 0.75 um/px: epidermis, dermis, glass
CROPS = {"epidermis": (256, 512), "dermis": (900, 900), "edge": (40, 40)}  # x, y in the field

DESPECKLER_TRAINING = """
seed = 11
steps = 4
batch = 2
patch = 32
learning_rate = 1e-3
schedule = "cosine"
loss = "decibel"
total_variation = 0.01
adversarial = 0.01
log_every = 1
validate_every = 2
[data]
train = ["{train}"]
validate = ["{validate}"]
[design]
channels = [4, 8]
blocks = [1, 1]
[noise]
looks = [1.0, 80.0]
microscope_share = 0.5
microscope_looks = [15.0, 80.0]
blur = [0.0, 1.2]
grain = [0.0, 1.0]
pedestal = [0.0, 0.15]
gain = [0.25, 1.2]
read_noise = [0.0, 0.01]
contrast = [0.6, 1.6]
clipped_share = 0.3
"""
STAINER_TRAINING = """
seed = 11
log_every = 1
validate_every = 4
pool = 3
discriminator_width = 4
ema_decay = 0.9
intensity_jitter = [0.85, 1.15]
{head}
[data]
train = ["{{train}}"]
validate = ["{{validate}}"]
[design]
{design}
[objective]
{objective}
[[stages]]
steps = 2
patch = 32
batch = 2
[[stages]]
steps = 2
patch = 64
batch = 2
decay = "linear"
"""
SWIFT_TRAINING = STAINER_TRAINING.format(
    head='input = "pair"',
    design='body = "swift"\nchannels = [4, 8, 8]\nblocks = [1, 1, 1]\nup = [1, 1]',
    objective="adversarial = 0.5\nconditional_discriminator = true\nsupervised = 10\nssim = 1\nstructure = 0.1\n"
    "gradient_order = 0.1\nlbp = 0.5\nnuclei_correlation = 1",
)
CYCLEGAN_TRAINING = STAINER_TRAINING.format(
    head='input = "gareau"\ndespeckler = "despeckler"',
    design='body = "resnet"\nwidth = 2\nblocks = [1]\nstem = "half"\nnorm = "batch"',
    objective="adversarial = 1\ncycle = 10\nidentity = 5",
)


class Project:
    """The symbols of LOCATIONS as attributes, imported on first use."""

    def __getattr__(self, name: str) -> Any:
        return found(name)[2]


@cache
def found(name: str) -> tuple[Any, str, Any]:
    """Where a symbol of LOCATIONS is (a module or class, its name there), and the symbol itself."""
    places = LOCATIONS[name]
    for place in (places,) if isinstance(places, str) else places:
        module, _, path = place.partition(":")
        try:
            owner: Any = import_module(module)
        except ModuleNotFoundError as error:
            if not (error.name or "").startswith("confostain"):
                raise
            continue
        *classes, last = path.split(".")
        for one in classes:
            owner = getattr(owner, one, None)
        if hasattr(owner, last):
            return owner, last, getattr(owner, last)
    raise LookupError(f"{name} is not at {places}: correct LOCATIONS")


def astray() -> list[str]:
    """One line for each symbol that is not where LOCATIONS says."""
    lines = []
    for name in LOCATIONS:
        try:
            found(name)
        except LookupError as error:
            lines.append(str(error))
    return lines


class ForcedPrecision:
    """Takes the place of the function that chooses a network's precision by measuring."""

    def __init__(self) -> None:
        self.wanted, self.asked = "f32", 0
        owner, name, original = found("fastest")
        setattr(owner, name, self)
        for module in [module for key, module in sys.modules.items() if key.startswith("confostain")]:
            for key in [key for key, value in vars(module).items() if value is original]:
                setattr(module, key, self)  # a module that has imported it already

    def __call__(self, borne: Sequence[str], *rest: object, **options: object) -> str:
        """The precision wanted."""
        self.asked += 1
        return self.wanted


class Record:
    """What was computed, by name."""

    def __init__(self) -> None:
        self.entries: dict[str, Value] = {}

    def add(self, name: str, value: Any) -> None:
        """Note a number, or the hash of anything else; dataclasses, mappings and sequences part by part."""
        if hasattr(value, "detach"):  # of torch
            value = value.detach().cpu().numpy()
        if dataclasses.is_dataclass(value):
            value = [getattr(value, field.name) for field in dataclasses.fields(value)]
        if isinstance(value, Mapping):
            for key, part in value.items():
                self.add(f"{name}, {key}", part)
        elif isinstance(value, (list, tuple)):
            for index, part in enumerate(value):
                self.add(f"{name}, {index}", part)
        elif name in self.entries:
            raise ValueError(f"{name} is there twice")
        else:
            self.entries[name] = told(value)

    def add_figures(self, name: str, json_file: Path) -> None:
        """Note the numbers of a JSON file, but for speeds."""
        self.add(name, _numbers(json.loads(json_file.read_text())))


def told(value: Any) -> Value:
    """A number rounded to 10 digits, or a hash."""
    if isinstance(value, np.ndarray) and value.ndim:
        array = np.ascontiguousarray(value)
        return hashlib.sha256(f"{array.dtype.str} {array.shape} ".encode() + array.tobytes()).hexdigest()
    if isinstance(value, (bool, int, np.bool_, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating, np.ndarray)):
        number = float(f"{float(value):.10g}")
        return number if math.isfinite(number) else str(number)  # which JSON has no word for
    if value is None or isinstance(value, (str, bytes)):
        return hashlib.sha256(value if isinstance(value, bytes) else str(value).encode()).hexdigest()
    raise TypeError(f"{type(value)}: neither a number nor an array")


def _numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _numbers(part) for key, part in value.items() if "per_second" not in key and _is_told(part)}
    return [_numbers(part) for part in value if _is_told(part)] if isinstance(value, list) else value


def _is_told(value: Any) -> bool:
    return not (value is None or isinstance(value, str))


def of_any_name(tensors: Iterable[Any]) -> str:
    """One hash of many arrays, whatever their names and order."""
    return hashlib.sha256(
        " ".join(sorted(str(told(tensor.detach().numpy())) for tensor in tensors)).encode()
    ).hexdigest()


class Material:
    """What outputs are computed from: real and painted slides, H&E; and a folder for results."""

    def __init__(self, project: Project, shared: Path, folder: Path) -> None:
        self.project, self.data, self.folder = project, shared / "data", folder
        confocal, prostate = self.data / "cm", self.data / "otls" / "prostate"
        skin_b = {name: confocal / "skin_b" / f"{name[0].upper()}.jpg" for name in ("reflectance", "fluorescence")}
        self.sources: dict[str, dict[str, Any]] = {
            "skin_a": {"path": confocal / "skin_a"},
            "skin_b": skin_b | {"microns_per_pixel": MICRONS},
            "prostate": {
                "reflectance": prostate / "eosin.tif",
                "fluorescence": prostate / "nuclear.tif",
                "microns_per_pixel": 1.0,
            },
            "phantom": {"path": folder / "scan" / "mosaic"},
        }
        phantom = self.phantom
        size = project.Size(*PHANTOM_SIZE)
        project.write_mosaic(folder / "scan", size, project.phantom_bands(phantom), MICRONS)

    def opened(self, name: str) -> Any:
        """One of the slides."""
        import confostain

        return confostain.open_slide(**self.sources[name])

    @cached_property
    def phantom(self) -> Any:
        """The painted slide."""
        return self.project.Phantom(self.project.Size(*PHANTOM_SIZE), 3)

    @cached_property
    def pairs(self) -> dict[str, Any]:
        """R and F of the real skins, whole, float32 (2, h, w)."""
        pairs = {}
        for name in ("skin_a", "skin_b"):
            with self.opened(name) as slide:
                pairs[name] = slide.read_region((0, 0), slide.size)
        return pairs

    @cached_property
    def field(self) -> Rgb:
        """H&E of a section, uint8 (1536, 1536, 3)."""
        with self.project.open_histology(self.data / "he" / "skin_section2.tif") as section:
            return np.asarray(self.project.read_histology(section, *FIELD, MICRONS))

    @cached_property
    def crops(self) -> dict[str, Rgb]:
        """Parts of it, uint8 (512, 512, 3)."""
        return {name: np.ascontiguousarray(self.field[y : y + 512, x : x + 512]) for name, (x, y) in CROPS.items()}

    @cached_property
    def simulated(self) -> dict[str, Any]:
        """R and F simulated from them, float32 (2, 512, 512)."""
        return {name: self.project.simulate(crop, 2019) for name, crop in self.crops.items()}

    @cached_property
    def histology_files(self) -> tuple[Path, Path]:
        """Two pictures of the section: the whole field, and a part of it."""
        from PIL import Image

        paths = self.folder / "field.png", self.folder / "part.png"
        for path, rgb in zip(paths, (self.field, self.field[200:760, 300:940]), strict=True):
            Image.fromarray(rgb).save(path)
        return paths

    def stained(self, pair: Any, model: str = "swift") -> Rgb:
        """R and F stained through the front door."""
        import confostain

        return confostain.stain(pair, model=model, device="cpu")

    def command(self, *arguments: object) -> None:
        """Run a command of confostain in this process, where the precision is forced."""
        with contextlib.redirect_stdout(io.StringIO()):
            try:
                self.project.main([str(argument) for argument in arguments])
            except SystemExit as end:
                if end.code:
                    raise RuntimeError(f"confostain {' '.join(map(str, arguments))} failed") from end


def add_slides(use: Project, given: Material, record: Record) -> None:
    """What slides say: ranges, tissue, regions."""
    for name in given.sources:
        with given.opened(name) as slide:
            record.add(f"slide {name}, facts", _numbers(slide.facts()))
            record.add(f"slide {name}, tissue", slide.tissue)
            record.add(f"slide {name}, overview", slide.overview)
            record.add(f"slide {name}, region", slide.read_region((-40, 30), (600, 500)))
            record.add(f"slide {name}, reduced", slide.read_reduced(use.Region(17, 33, 400, 300), 4))
    for name, pair in given.pairs.items():
        record.add(f"blobs {name}", [use.blobs(channel[np.newaxis, :512, :512]) for channel in pair])


def add_stained_slides(use: Project, given: Material, record: Record) -> None:
    """Every model on every slide at several tile sizes; every format."""
    import tifffile

    import confostain

    out = given.folder / "stained.ome.tif"

    def levels(slide: Any, model: str, tile: int, quality: int | None = None, **options: Any) -> list[Any]:
        options |= {"device": "cpu", "tile": tile, "quality": quality, "overwrite": True}
        confostain.stain_slide(slide, out, model=model, **options)
        with tifffile.TiffFile(out) as file:
            return [level.asarray() for level in file.series[0].levels]

    for name in given.sources:
        with given.opened(name) as slide:
            for model in ("gareau", "beer-lambert", "swift"):
                for tile in TILES:
                    record.add(f"stained {name} by {model}, tile {tile}", levels(slide, model, tile)[0])
            x, y, width, height = CYCLEGAN_AREA
            region = (x, y, min(width, slide.size[0] - x), min(height, slide.size[1] - y))
            for tile in CYCLEGAN_TILES:
                made = levels(slide, "cyclegan", tile, region=region)
                record.add(f"stained {name} by cyclegan, tile {tile}", made[0])
    with given.opened("phantom") as slide:
        record.add("levels of phantom by swift", levels(slide, "swift", 512))
        record.add("levels of phantom by gareau, region", levels(slide, "gareau", 256, region=(131, 77, 1111, 999)))
        record.add("levels of phantom by gareau, JPEG", levels(slide, "gareau", 512, quality=90))
        _add_formats(slide, given.folder, record)
    given.command("stain", given.sources["skin_a"]["path"], "-o", out, "--lossless", "--device", "cpu", "--overwrite")
    record.add("command stain skin_a", tifffile.imread(out))
    for model in ("gareau", "beer-lambert", "swift", "cyclegan"):
        record.add(f"array skin_b by {model}", given.stained(given.pairs["skin_b"], model))


def _add_formats(slide: Any, folder: Path, record: Record) -> None:
    """The same stain as OME-Zarr, PNG and DICOM."""
    import pydicom
    import zarr
    from PIL import Image

    import confostain

    results = {suffix: folder / f"stained{suffix}" for suffix in (".ome.zarr", ".png", ".dcm")}
    for out in results.values():
        confostain.stain_slide(slide, out, model="swift", device="cpu", tile=512)
    group = zarr.open_group(results[".ome.zarr"], mode="r")
    record.add("OME-Zarr, levels", [np.asarray(group[key]) for key in sorted(group.array_keys())])
    with Image.open(results[".png"]) as picture:
        record.add("PNG", np.asarray(picture))
    files = sorted(results[".dcm"].iterdir())
    record.add("DICOM, pixel data of levels", [pydicom.dcmread(file).PixelData for file in files])


def add_despeckled(use: Project, given: Material, record: Record) -> None:
    """Both shipped despecklers on arrays and slides."""
    import tifffile
    from PIL import Image

    import confostain

    with Image.open(given.sources["skin_b"]["reflectance"]) as picture:
        raw = np.asarray(picture.convert("L"))
    arrays = {"skin_a": given.pairs["skin_a"][0], "skin_b": given.pairs["skin_b"][0], "skin_b in integers": raw}
    for name, image in arrays.items():
        for model in ("despeckler", "despeckler-paper"):
            record.add(f"despeckled {name} by {model}", confostain.despeckle(image, model))
        record.add(f"despeckled {name}, tile 256", confostain.despeckle(image, tile=256))
    sources = {"skin_a": given.sources["skin_a"]["path"], "skin_b": given.sources["skin_b"]["reflectance"]}
    for name, path in sources.items():
        for model in ("despeckler", "despeckler-paper"):
            out = given.folder / f"{name} {model}.tif"
            given.command("despeckle", path, "-o", out, "--model", model)
            record.add(f"command despeckle {name} by {model}", tifffile.imread(out))


def add_networks(use: Project, given: Material, record: Record, precision: ForcedPrecision) -> None:
    """The shipped networks by PyTorch, and in 8-bit integers."""
    import torch

    import confostain

    pair = np.ascontiguousarray(given.pairs["skin_b"][:, :256, :256])
    swift, card = use.shipped_folder / "swift", use.read_card(use.shipped_folder / "swift")
    record.add(
        "swift by PyTorch", use.open_torch_network(swift, card, "f32", picture=use.Picture(), device="cpu")(pair)
    )
    with torch.no_grad():
        for name in ("despeckler", "despeckler-paper"):
            record.add(
                f"{name} by PyTorch", use.trained_network(use.shipped_folder / name)(torch.from_numpy(pair[None, :1]))
            )
    record.add("ranges of swift", dict(sorted(use.measured_ranges(swift / "network.onnx", [pair])[0].items())))
    for name in ("swift", "despeckler"):
        shutil.copytree(use.shipped_folder / name, given.folder / "integers" / name)
    precision.wanted = "i8"
    record.add("swift in integers", given.stained(pair, str(given.folder / "integers" / "swift")))
    clean = confostain.despeckle(pair[0], str(given.folder / "integers" / "despeckler"))
    record.add("despeckler in integers", clean)
    precision.wanted = "f32"


def add_imaging(use: Project, given: Material, record: Record) -> None:
    """Phantom, simulator, stains of arrays, judgement of H&E."""
    region = use.Region(-20, 40, 700, 560)
    for view in ("pair", "reflectance", "fluorescence", "clean", "histology", "tissue", "nuclei"):
        record.add(f"phantom, {view}", getattr(use, f"phantom_{view}")(given.phantom, region))
    for name, crop in given.crops.items():
        record.add(f"H&E {name}", crop)
        record.add(f"H&E {name}, optical density", use.optical_density(crop))
        record.add(f"H&E {name}, stains", [use.separate_stains(crop), use.stain_proportion(crop)])
        record.add(f"H&E {name}, focus", use.focus(use.optical_density(crop).mean(axis=-1)))
        record.add(f"simulated {name}, seed 2019", given.simulated[name])
        record.add(f"simulated {name}, seed 7, variety 1.4", use.simulate(crop, 7, 1.4))
        record.add(f"simulated {name}, part", use.simulate(crop[:200, 100:400], 1, 0.0))
    rng = np.random.default_rng(5)
    record.add("random fields", [use.random_field((130, 170), scale, 0.4, rng) for scale in (1.5, 9.0, 40.0)])
    record.add("smooth", [use.smooth(given.pairs["skin_b"][0], sigma) for sigma in (0.7, 4.0, 20.0)])
    with use.open_histology(given.data / "he" / "skin_section2.tif") as section:
        overview = use.read_histology(section, (0, 0), use.size_of_histology(section, 12.0), 12.0)
        record.add("H&E at 0.5 um", use.read_histology(section, (3000, 3000), (300, 200), 0.5))
        record.add("H&E at 1.3 um", use.read_histology(section, (1000, 1500), (300, 200), 1.3))
    ground = use.find_ground(overview)
    record.add("H&E overview", [overview, ground])
    patches = [given.crops["dermis"], given.crops["edge"], use.phantom_histology(given.phantom, region)]
    record.add("faults", [use.fault_of(patch, ground) for patch in patches])
    for name in ("gareau", "gareau_composite", "beer_lambert"):
        record.add(f"{name} of skin_a", getattr(use, name)(given.pairs["skin_a"]))


def add_speckle(use: Project, given: Material, record: Record) -> None:
    """Speckle made, measured and removed by classical methods."""
    import confostain

    clean = given.field[..., 1].astype(np.float32)[300:700, 200:700] / np.float32(255)
    noises = {
        "published": use.Speckle(8.0),
        "microscope": use.Speckle(45.0, 0.55, 0.08, 0.7, 0.005),
        "uniform": use.Speckle(10.0, 0.3, 0.0, 1.0, 0.0, "uniform"),
        "rayleigh": use.Speckle(5.0, 0.0, 0.05, 1.0, 0.01, "rayleigh"),
    }
    for name, noise in noises.items():
        record.add(f"speckle {name}", [use.recorded(noise, clean, 1980), use.expected(noise, clean)])
    scan = given.pairs["skin_b"][0]
    despeckled = confostain.despeckle(scan)
    quiet = use.quiet_windows(use.speckle_windows(scan))
    record.add("speckle windows", [use.speckle_windows(scan), quiet])
    record.add("speckle model", use.estimate_speckle(scan))
    record.add("speckle looks", [use.effective_looks(scan, 0.05), use.effective_looks(despeckled, 0.05, quiet)])
    record.add("speckle autocorrelation", list(use.autocorrelation(scan, quiet)))
    record.add(
        "speckle ratio", [use.ratio_image(scan, despeckled, 0.05), use.structure_in_ratio(scan, despeckled, 0.05)]
    )
    record.add("checkerboard", use.checkerboard(despeckled))
    record.add("real despeckling judged", use.judged_real(scan, despeckled))
    noisy = use.recorded(noises["published"], clean, 3)[:96, :96]
    for name in ("median", "lee", "denoise_tv", "non_local_means", "wavelets"):
        record.add(f"classical {name}", getattr(use, name)(noisy, noises["published"], 1.0))


def add_nuclei(use: Project, given: Material, record: Record) -> None:
    """Nuclei found and audited."""
    pairs = given.pairs | {f"simulated {name}": pair for name, pair in given.simulated.items()}
    for name, pair in pairs.items():
        record.add(f"nuclei {name}, fluorescence", use.nuclei_in_fluorescence(pair[1]))
        for model in ("gareau", "swift"):
            rgb = given.stained(pair, model)
            record.add(f"nuclei {name}, {model}", use.nuclei_in_stain(rgb))
            record.add(f"audit {name}, {model}", use.audit_nuclei(pair[1], rgb))
    record.add("audit at 0.5 um", use.audit_nuclei(pairs["skin_b"][1], given.stained(pairs["skin_b"]), 0.5))
    for name, crop in given.crops.items():
        there, shown = use.nuclei_in_stain(crop), use.nuclei_in_stain(given.stained(given.simulated[name]))
        record.add(f"nuclei {name}, truth", there)
        record.add(f"nuclei {name}, matched", use.match_nuclei(shown, there))
        record.add(f"nuclei {name}, agreement", use.agreement(shown, there))
        record.add(f"nuclei {name}, haematoxylin", use.haematoxylin(crop))
    record.add("nuclei in reflectance", use.detect_nuclei(pairs["skin_b"][0], 0.08))


def add_measures(use: Project, given: Material, record: Record) -> None:
    """Measures of images, and the two evaluations as commands."""
    for name, truth in given.crops.items():
        made = given.stained(given.simulated[name])
        a, b = (image.astype(np.float32) / np.float32(255) for image in (made, truth))
        for measure in ("ssim", "psnr", "step_sharpness"):
            record.add(f"{measure} {name}", getattr(use, measure)(a, b))
        record.add(f"ssim {name}, grey", use.ssim(a[..., 0], b[..., 0]))
        record.add(f"dE2000 {name}", use.colour_difference(made, truth))
        record.add(f"texture {name}", [use.texture_distance(made, truth), list(use.pattern_shares(use.grey(made)))])
        looks = use.looks_of([made]), use.looks_of([truth])
        record.add(f"looks {name}", looks[0])
        record.add(f"looks {name}, distances", [use.patch_distance(*looks), use.colour_distance(*looks)])
        record.add(f"seams {name}", [use.seam_index(made, tile) for tile in (100, 256)])
    clouds = [np.random.default_rng(seed).random((500, 12), np.float32) for seed in (1, 2)]
    record.add("sliced Wasserstein", use.sliced_wasserstein(*clouds))
    for model in ("gareau", "swift"):
        record.add(f"blank field by {model}", use.blank_field(lambda pair, model=model: given.stained(pair, model)))
    simulated, real = list(given.simulated.values()), [given.pairs["skin_b"]]
    record.add("domain gap", use.domain_gap(simulated, real))
    record.add("line-up", use.line_up(simulated, real))
    record.add("Wilson interval", use.wilson_interval(17, 23))
    two, three = np.array([[0, 0], [0, 0], [1, 1], [1, 0], [0, 1], [1, 1]]), np.array([[0, 0, 1], [1, 1, 1], [0, 1, 0]])
    record.add("kappa", [list(use.kappa(answers, np.eye(2), np.arange(len(answers)))) for answers in (two, three)])

    field, report = given.histology_files[0], given.folder / "report"
    skin_b = given.sources["skin_b"]
    scan = [f"--{name}={skin_b[name]}" for name in ("reflectance", "fluorescence")] + [f"--mpp={MICRONS}"]
    given.command("evaluate", "stainer", "--histology", field, *scan, "--model", "swift", "--patches", 2, "-o", report)
    record.add_figures("command evaluate stainer", report / "stainers.json")
    noise = ["--histology", field, "--patches", 2, "--side", 192, "--no-classical", "--real", skin_b["reflectance"]]
    given.command("evaluate", "despeckler", *noise, "-o", report)
    record.add_figures("command evaluate despeckler", report / "despecklers.json")
    record.add_figures("command evaluate despeckler, real", report / "real.json")


def add_batches(use: Project, given: Material, record: Record) -> None:
    """What trainings see: patches prepared, batches drawn."""
    import tifffile
    from PIL import Image

    field, part = given.histology_files
    source = use.PairSource([given.field], 128, 3, (0.85, 1.15), (0.7, 2.0), 2.0)
    for step, rank in ((0, 0), (45, 0), (45, 1)):
        record.add(f"pairs, step {step}, rank {rank}", use.draw_pairs(source, 5, step, rank))
    record.add("pairs, tissue", use.draw_tissue(source, (5, 45, 0)))
    scans = use.ScanSource(list(given.pairs.values()), 96, 4, (0.85, 1.15))
    record.add("scans", use.draw_scans(scans, 5, 45, 0))
    slides = use.read_inverted([str(field), str(part)], MICRONS)
    record.add("inverted H&E", slides)
    wide = use.NoiseRange(
        looks=(1.0, 80.0),
        microscope_share=0.5,
        microscope_looks=(15.0, 80.0),
        blur=(0.0, 1.2),
        grain=(0.0, 1.0),
        pedestal=(0.0, 0.15),
        gain=(0.25, 1.2),
        read_noise=(0.0, 0.01),
        contrast=(0.6, 1.6),
        clipped_share=0.3,
    )
    for name, noise in (("wide", wide), ("published", use.NoiseRange())):
        patches = use.NoisyPatches(slides, noise, 64, 8)
        for seed in ((2019,), (11, 3, 0)):
            record.add(f"noisy patches, {name}, seed {seed}", use.draw_patches(patches, seed))

    plans = {"confocal": [given.sources["phantom"]["path"]], "histology": [field]}
    for kind, paths in plans.items():
        folder = given.folder / f"prepared {kind}"
        given.command("prepare", kind, *paths, "--mpp", MICRONS, "--side", 256, "-o", folder)
        for number, line in enumerate((folder / "manifest.jsonl").read_text().splitlines()):
            patch = json.loads(line)
            name = f"prepared {kind}, {number}"
            record.add(f"{name}, tissue", patch["tissue_share"])
            if patch["file"]:
                file = folder / patch["file"]
                record.add(name, tifffile.imread(file) if file.suffix == ".tif" else np.asarray(Image.open(file)))


def add_losses(use: Project, given: Material, record: Record) -> None:
    """Every term of the trainings' losses, and its gradient."""
    import torch

    source = torch.Generator().manual_seed(2019)
    pair, rgb, other, grey, clean = (torch.rand(2, channels, 48, 40, generator=source) for channels in (2, 3, 3, 1, 1))
    terms: dict[str, tuple[Any, ...]] = {
        "squared_error": (grey, clean),
        "decibel_error": (grey, clean),
        "total_variation": (grey,),
        "fooling": (grey,),
        "criticism": (grey, clean),
        "composite": (pair,),
        "luminance": (rgb,),
        "similarity": (rgb, other),
        "structure": (rgb, other),
        "texture": (rgb, other),
        "patterns": (rgb, other),
        "content": (rgb, clean),
    }
    for name, (made, *rest) in terms.items():
        made = made.clone().requires_grad_()
        value = getattr(use, name)(made, *rest)
        value.sum().backward()
        record.add(f"loss {name}", value)
        record.add(f"loss {name}, gradient", made.grad)


def add_trainings(use: Project, given: Material, record: Record) -> None:
    """Four steps of tiny trainings: losses on the way, weights, the state to go on from, what the outcome computes."""
    import confostain

    pair = np.ascontiguousarray(given.pairs["skin_b"][:, 100:228, 60:156])
    for name, kind in (("swift", SWIFT_TRAINING), ("cyclegan", CYCLEGAN_TRAINING)):
        folder = _trained(use, "stain", f"stainer {name}", kind, given, record)
        record.add(f"trained stainer {name}, stained", given.stained(pair, str(folder)))
    folder = _trained(use, "despeckle", "despeckler", DESPECKLER_TRAINING, given, record)
    record.add("trained despeckler, despeckled", confostain.despeckle(pair[0], str(folder)))


def _trained(use: Project, task: str, name: str, text: str, given: Material, record: Record) -> Path:
    import torch
    from safetensors.torch import load_file

    config, folder = given.folder / f"{name}.toml", given.folder / f"trained {name}"
    paths = [path.as_posix() for path in given.histology_files]
    config.write_text(text.format(train=paths[0], validate=paths[1]))
    use.train_recipe(config, folder, task=task)
    for number, line in enumerate((folder / "metrics.jsonl").read_text().splitlines()):
        values = {key.removeprefix("validation/"): value for key, value in json.loads(line).items()}
        if "score" not in values:  # of a step, not of a validation
            values = {LOGGED.get(key, key): value for key, value in values.items()}
        record.add(f"training {name}, record {number}", values)
    record.add(f"trained {name}, weights", of_any_name(load_file(folder / "weights.safetensors").values()))
    state = torch.load(folder / "checkpoint.pt", weights_only=True, map_location="cpu")
    record.add(f"trained {name}, state", of_any_name(_tensors_in(state)))
    return folder


def _tensors_in(state: Any) -> Iterable[Any]:
    if hasattr(state, "detach"):
        yield state
    elif isinstance(state, (dict, list, tuple)):
        for part in state.values() if isinstance(state, dict) else state:
            yield from _tensors_in(part)


SECTIONS: tuple[Callable[..., None], ...] = (
    add_slides,
    add_stained_slides,
    add_despeckled,
    add_networks,
    add_imaging,
    add_speckle,
    add_nuclei,
    add_measures,
    add_batches,
    add_losses,
    add_trainings,
)


def computed(shared: Path, chosen: Sequence[str]) -> tuple[dict[str, Value], list[str]]:
    """All entries of the chosen sections, and the names of those sections that failed."""
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    use, record, failed = Project(), Record(), []
    precision = ForcedPrecision()
    with tempfile.TemporaryDirectory() as folder:
        given = Material(use, shared, Path(folder))
        for section in SECTIONS:
            name = section.__name__.removeprefix("add_")
            if chosen and name not in chosen:
                continue
            begin, before = time.perf_counter(), len(record.entries)
            try:
                section(use, given, record, *((precision,) if section is add_networks else ()))
            except Exception:  # the other sections may still tell something
                traceback.print_exc()
                failed.append(name)
            seconds, count = time.perf_counter() - begin, len(record.entries) - before
            print(f"{name}: {count} entries in {seconds:.1f} s", file=sys.stderr)
    if not precision.asked and not chosen:
        failed.append("precision: nobody asked the function that was replaced; correct LOCATIONS")
    return record.entries, failed


def differences(entries: Mapping[str, Value], earlier: Mapping[str, Value]) -> list[str]:
    """One line for each entry that is not as it was."""
    lines = [f"gone: {name}" for name in sorted(earlier.keys() - entries.keys())]
    lines += [f"new: {name}" for name in sorted(entries.keys() - earlier.keys())]
    both = sorted(entries.keys() & earlier.keys())
    return lines + [
        f"differs: {name}: {earlier[name]} -> {entries[name]}" for name in both if entries[name] != earlier[name]
    ]


def main() -> int:
    """Compute, write, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("output", type=Path, help="the JSON file to write")
    parser.add_argument("--shared", type=Path, required=True, metavar="DIR", help="the folder that holds data/")
    parser.add_argument(
        "--compare", type=Path, metavar="JSON", help="what an earlier run wrote; 1 is the exit code if they differ"
    )
    names = [section.__name__.removeprefix("add_") for section in SECTIONS]
    parser.add_argument("--only", nargs="+", default=[], choices=names, metavar="SECTION", help=", ".join(names))
    options = parser.parse_args()
    if not os.environ.items() >= ENVIRONMENT.items():
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | ENVIRONMENT)
    if lines := astray():
        print("\n".join(lines), file=sys.stderr)
        return 2
    begin = time.perf_counter()
    entries, failed = computed(options.shared, options.only)
    options.output.write_text(json.dumps(entries, indent=1, sort_keys=True) + "\n")
    print(f"{len(entries)} entries in {time.perf_counter() - begin:.0f} s")
    earlier: dict[str, Value] = json.loads(options.compare.read_text()) if options.compare else entries
    if options.only:  # nothing can be said of the other sections
        earlier = {name: value for name, value in earlier.items() if name in entries}
    changed = differences(entries, earlier)
    for line in [f"failed: {name}" for name in failed] + changed:
        print(line)
    return 1 if failed or changed else 0


if __name__ == "__main__":
    sys.exit(main())
