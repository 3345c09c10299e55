"""Fields of a reader study: image crops at random places in the tissue of each arm, rendered before the first is shown.

Neither the order, the names, the sizes in bytes nor the response times of the fields reveal an arm.
"""

from __future__ import annotations

import hashlib
import hmac
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np

from confostain.arrays import Progress, Rgb
from confostain.errors import SlideError
from confostain.geometry import Region, Size
from confostain.inference.reduced_slide import reduced
from confostain.inference.result import check_pixel_size, reduction_for
from confostain.inference.tile_stainer import TileStainer
from confostain.io.readers.histology import open_histology
from confostain.models.registry import load_model
from confostain.slide import open_slide
from confostain.study.protocol import Arm, Protocol

MIN_TISSUE = 0.7  # fraction of a field
TRIES = 200  # random places tried for each field
MIN_SATURATION = 30  # grey levels between the lowest and the highest colour of an H&E pixel that shows tissue

Crop = tuple[int, int, Rgb]  # x, y in pixels of the field's scale, and the pixels


@dataclass(frozen=True)
class Field:
    """An image to be judged. Its id reveals nothing.

    Attributes:
        id: 20 hexadecimal digits.
        arm: name of the arm.
        x, y: left upper corner in pixels of the field's scale.
        png: the image.
    """

    id: str
    arm: str
    x: int
    y: int
    png: bytes


def draw_fields(protocol: Protocol, folder: Path, progress: Progress) -> list[Field]:
    """All fields in the order of their ids, which is random; paths in the protocol are relative to `folder`.

    Raises SlideError if the slide of an arm cannot be read, or shows too little tissue.
    """
    fields: list[Field] = []
    total = protocol.fields * len(protocol.arms)
    for arm in protocol.arms:
        rng = random.Random(f"{protocol.seed} {arm.name}")
        crops = _histology_crops if arm.histology else _stained_crops
        for x, y, rgb in crops(protocol, arm, folder, rng):
            key = hmac.new(str(protocol.seed).encode(), f"{arm.name} {x} {y}".encode() + rgb.tobytes(), hashlib.sha256)
            fields.append(Field(key.hexdigest()[:20], arm.name, x, y, _uncompressed_png(rgb)))
            progress(len(fields), total)
    return sorted(fields, key=lambda field: field.id)


def _uncompressed_png(rgb: Rgb) -> bytes:
    """PNG whose number of bytes does not depend on what the image shows."""
    return bytes(imagecodecs.png_encode(np.ascontiguousarray(rgb), level=0))


def _histology_crops(protocol: Protocol, arm: Arm, folder: Path, rng: random.Random) -> list[Crop]:
    side, microns = protocol.field_pixels, protocol.microns_per_pixel
    with open_histology(folder / str(arm.histology), arm.mpp) as slide:

        def crop(x: int, y: int) -> Rgb | None:
            rgb = slide.read_region((x, y), (side, side), microns)
            return rgb if (np.ptp(rgb, axis=2) > MIN_SATURATION).mean() >= MIN_TISSUE else None

        return _random_crops(arm, protocol, Size(*slide.size_at(microns)), rng, crop)


def _stained_crops(protocol: Protocol, arm: Arm, folder: Path, rng: random.Random) -> list[Crop]:
    with open_slide(folder / str(arm.slide), microns_per_pixel=arm.mpp) as slide:
        model = load_model(str(arm.model))
        view = reduced(slide, reduction_for(model, slide.microns_per_pixel))
        check_pixel_size(model, view.microns_per_pixel)
        zoom = protocol.microns_per_pixel / (view.microns_per_pixel or protocol.microns_per_pixel)
        stainer = TileStainer(view.read, view.size, model)
        size = Size(int(view.size.width / zoom), int(view.size.height / zoom))
        side = protocol.field_pixels

        def crop(x: int, y: int) -> Rgb | None:
            region = Region(round(x * zoom), round(y * zoom), round(side * zoom), round(side * zoom))
            region = region.intersection(view.size.region)
            if view.tissue.coverage(region).mean() < MIN_TISSUE:
                return None
            return _resized(_stained(stainer, region), side)

        return _random_crops(arm, protocol, size, rng, crop)


def _stained(stainer: TileStainer, region: Region) -> Rgb:
    rgb = stainer.stain_tile(stainer.grid(region, max(region.width, region.height)).at(0, 0))
    assert rgb is not None  # this stainer has no tissue mask, so no tile is blank
    return rgb


def _resized(rgb: Rgb, side: int) -> Rgb:
    from PIL import Image

    if rgb.shape[:2] == (side, side):
        return rgb
    shrinks = rgb.shape[0] > side
    return np.asarray(
        Image.fromarray(rgb).resize((side, side), Image.Resampling.BOX if shrinks else Image.Resampling.BICUBIC)
    )


def _random_crops(
    arm: Arm, protocol: Protocol, size: Size, rng: random.Random, crop: Callable[[int, int], Rgb | None]
) -> list[Crop]:
    """Crops at random places that do not overlap; `crop` returns None where there is too little tissue."""
    side, found = protocol.field_pixels, list[Crop]()
    for _ in range(TRIES * protocol.fields if min(size.width, size.height) >= side else 0):
        x, y = rng.randint(0, size.width - side), rng.randint(0, size.height - side)
        if any(abs(x - other[0]) < side and abs(y - other[1]) < side for other in found):
            continue
        rgb = crop(x, y)
        if rgb is not None:
            found.append((x, y, rgb))
        if len(found) == protocol.fields:
            return found
    raise SlideError(
        f"arm {arm.name}: only {len(found)} places with tissue for fields of {side} px; expected {protocol.fields};"
        " ask for fewer or smaller fields"
    )
