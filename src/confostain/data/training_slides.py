"""H&E of trainings in memory: whole slides, folders of pictures of one slide, and prepared patches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from confostain.arrays import REFERENCE_MPP, Rgb
from confostain.data.manifest import MANIFEST, Split, load_manifest, read_patch
from confostain.data.noisy_patches import MOSTLY_TISSUE
from confostain.data.phantom_histology import is_phantom, phantom_histology
from confostain.errors import ConfigError
from confostain.imaging.histology_tissue import tissue_share
from confostain.imaging.stain_colours import StainColours, fit_stain_colours, glass_level
from confostain.io.readers.histology import PICTURES, open_histology

FITTED = 512, 24  # px, side of the fields to which stain colours are fitted, and their number
BAND = 1 << 22  # px that are recoloured at once


@dataclass(frozen=True, eq=False)
class TrainingSlide:
    """H&E of one slide.

    Attributes:
        images: uint8 (h, w, 3) each.
        microns_per_pixel: of all of them.
    """

    images: Sequence[Rgb]
    microns_per_pixel: float = REFERENCE_MPP

    @property
    def areas(self) -> list[int]:
        """Pixels of each image."""
        return [image.shape[0] * image.shape[1] for image in self.images]

    def crop(self, side: int, microns_per_pixel: float, rng: np.random.Generator) -> Rgb:
        """Random square of `side` px of that pixel size, or as near it as the image is large enough."""
        from PIL import Image

        areas = np.array(self.areas, float)
        image = self.images[rng.choice(len(areas), p=areas / areas.sum())]
        wanted = round(side * microns_per_pixel / self.microns_per_pixel)
        length = min(wanted, *image.shape[:2])
        y, x = (int(rng.integers(extent - length + 1)) for extent in image.shape[:2])
        cut = image[y : y + length, x : x + length]
        if length == side:
            return cut
        return np.asarray(Image.fromarray(cut).resize((side, side), Image.Resampling.BICUBIC))


@dataclass(frozen=True)
class SlideReading:
    """How H&E is read into memory.

    Attributes:
        microns_per_pixel: pixel size in um at which slides are read.
        at_least: smallest side in px.
        split: of prepared patches.
        pixel_sizes: um/px of files and folders that do not state it, by name; they are read as they are.
        colours: in which all H&E is shown, each slide fitted on its own, glass white; None: as it is.
        as_they_are: names of files that have these colours already.
    """

    microns_per_pixel: float = REFERENCE_MPP
    at_least: int = 1
    split: Split = "train"
    pixel_sizes: Mapping[str, float] = field(default_factory=dict)
    colours: StainColours | None = None
    as_they_are: tuple[str, ...] = ()


def read_slides(files: Sequence[str], reading: SlideReading) -> list[TrainingSlide]:
    """H&E of slides, of folders of pictures of one slide each, or of prepared patches of a split.

    Raises:
        ConfigError: no file is given, or one has too few pixels.
        SlideError: a file cannot be read, or stain colours cannot be fitted to it.
    """
    if not files:
        raise ConfigError("no H&E files are given; list them under train and validate of the table data")
    slides = [_read(Path(file), reading) for file in files]
    if not any(slide.images for slide in slides):
        raise ConfigError(
            f"{', '.join(files)}: no H&E to {reading.split} on; expected patches of that split; prepare more"
        )
    return [slide for slide in slides if slide.images]


def read_histology(files: Sequence[str], reading: SlideReading) -> list[Rgb]:
    """The images of `read_slides`, one after the other, uint8 (h, w, 3) each."""
    return [image for slide in read_slides(files, reading) for image in slide.images]


def _read(path: Path, reading: SlideReading) -> TrainingSlide:
    known = reading.pixel_sizes.get(path.name)
    microns = known or reading.microns_per_pixel
    if path.is_dir() and (path / MANIFEST).exists():
        patches = [p for p in load_manifest(path) if (p.kind, p.split) == ("histology", reading.split)]
        images: list[Rgb] = [read_patch(patch).astype(np.uint8, copy=False) for patch in patches]
    elif path.is_dir() and (pictures := sorted(one for one in path.iterdir() if one.suffix.lower() in PICTURES)):
        images = [read_whole(picture, microns) for picture in pictures]
    else:
        images = [read_whole(path, microns)]
    for image in images:
        if min(image.shape[:2]) < reading.at_least:
            raise ConfigError(
                f"{path}: {image.shape[1]} x {image.shape[0]} px at {microns:g} um/px; expected at least"
                f" {reading.at_least} px a side; give larger ones"
            )
    if reading.colours is not None and images and path.name not in reading.as_they_are:
        images = recoloured(images, microns, reading.colours, str(path))
    return TrainingSlide(images, microns)


def read_whole(path: Path, microns_per_pixel: float) -> Rgb:
    """Whole H&E slide at a pixel size, which is also that of a file that does not state it: uint8 (h, w, 3)."""
    if is_phantom(path):
        return phantom_histology(path, microns_per_pixel)
    with open_histology(path, assumed=microns_per_pixel) as slide:
        width, height = slide.size_at(microns_per_pixel)
        whole = np.empty((height, width, 3), np.uint8)
        for y, rgb in slide.strips(microns_per_pixel):
            whole[y : y + len(rgb)] = rgb
    return whole


def recoloured(images: Sequence[Rgb], microns_per_pixel: float, colours: StainColours, where: str) -> list[Rgb]:
    """H&E of one slide in other colours, its own fitted to some of its fields; glass becomes white.

    Raises:
        SlideError: colours cannot be fitted.
    """
    slide, rng = TrainingSlide(images, microns_per_pixel), np.random.default_rng(0)
    side = min(FITTED[0], *(min(image.shape[:2]) for image in images))
    fields = [field for _ in range(8 * FITTED[1]) if _is_tissue(field := slide.crop(side, REFERENCE_MPP, rng))]
    own, white = fit_stain_colours(fields[: FITTED[1]] or list(images[:1]), where), glass_level(images)
    result = []
    for image in images:
        rows = max(1, BAND // image.shape[1])
        bands = [image[y : y + rows] for y in range(0, len(image), rows)]
        result.append(np.concatenate([colours.picture(own.densities(band, white)) for band in bands]))
    return result


def _is_tissue(rgb: Rgb) -> bool:
    return tissue_share(rgb) > MOSTLY_TISSUE
