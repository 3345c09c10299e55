"""Fields of a reader study: image crops at random places in the tissue of each arm, rendered before the first is shown.

Neither the order, the names, the sizes in bytes nor the response times of the fields reveal an arm.
"""

from __future__ import annotations

import hashlib
import hmac
import math
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
        case: 12 hexadecimal digits of the place: fields of several arms at the same place have the same.
        arm: name of the arm.
        x, y: left upper corner in pixels of the field's scale.
        png: the image.
    """

    id: str
    case: str
    arm: str
    x: int
    y: int
    png: bytes


def draw_fields(protocol: Protocol, folder: Path, progress: Progress) -> list[Field]:
    """All fields in the order of their ids, which is random; paths in the protocol are relative to `folder`.

    Arms that show the same slide, and the same region of it, have their fields at the same places where both have
    tissue there. Raises SlideError if the slide of an arm cannot be read, its pixel size is not known, or it shows too
    little tissue.
    """
    fields: list[Field] = []
    total = sum(map(protocol.fields_of, protocol.arms))
    for arm in protocol.arms:
        place = f"{arm.source} {arm.region}"
        crops = _histology_crops if arm.histology else _stained_crops
        for x, y, rgb in crops(protocol, arm, folder, random.Random(f"{protocol.seed} {place}")):
            id_ = _digest(protocol, f"{arm.name} {x} {y}".encode() + rgb.tobytes())[:20]
            case = _digest(protocol, f"{place} {x} {y}".encode())[:12]
            fields.append(Field(id_, case, arm.name, x, y, _uncompressed_png(rgb)))
            progress(len(fields), total)
    return sorted(fields, key=lambda field: field.id)


def _digest(protocol: Protocol, what: bytes) -> str:
    return hmac.new(str(protocol.seed).encode(), what, hashlib.sha256).hexdigest()


def _uncompressed_png(rgb: Rgb) -> bytes:
    """PNG whose number of bytes does not depend on what the image shows."""
    return bytes(imagecodecs.png_encode(np.ascontiguousarray(rgb), level=0))


def _histology_crops(protocol: Protocol, arm: Arm, folder: Path, rng: random.Random) -> list[Crop]:
    side, microns = protocol.field_pixels, protocol.microns_per_pixel
    with open_histology(folder / str(arm.histology), arm.mpp) as slide:

        def crop(x: int, y: int) -> Rgb | None:
            rgb = slide.read_region((x, y), (side, side), microns)
            return rgb if (np.ptp(rgb, axis=2) > MIN_SATURATION).mean() >= MIN_TISSUE else None

        area = _area(arm, slide.size_at(microns), slide.size, microns / slide.microns_per_pixel)
        return _random_crops(arm, protocol, area, rng, crop)


def _stained_crops(protocol: Protocol, arm: Arm, folder: Path, rng: random.Random) -> list[Crop]:
    with open_slide(folder / str(arm.slide), microns_per_pixel=arm.mpp) as slide:
        if slide.microns_per_pixel is None:
            raise SlideError(
                f"arm {arm.name}: {arm.slide} does not state its pixel size; expected um per pixel;"
                " add mpp = ... to the arm"
            )
        model = load_model(str(arm.model))
        reduction = reduction_for(model, slide.microns_per_pixel)
        view = reduced(slide, reduction)
        check_pixel_size(model, view.microns_per_pixel)
        level0_zoom = protocol.microns_per_pixel / slide.microns_per_pixel
        zoom = level0_zoom / reduction
        stainer = TileStainer(view.read, view.size, model)
        size = Size(int(view.size.width / zoom), int(view.size.height / zoom))
        side = protocol.field_pixels

        def crop(x: int, y: int) -> Rgb | None:
            region = Region(round(x * zoom), round(y * zoom), round(side * zoom), round(side * zoom))
            region = region.intersection(view.size.region)
            if view.tissue.coverage(region).mean() < MIN_TISSUE:
                return None
            return _resized(_stained(stainer, region), side)

        return _random_crops(arm, protocol, _area(arm, size, slide.size, level0_zoom), rng, crop)


def _area(arm: Arm, size: Size, level0: Size, zoom: float) -> Region:
    """Where fields are drawn, in pixels of the field's scale: the slide has `size` of them, `zoom` level-0 pixels wide.

    Raises SlideError if the arm's region is not inside `level0`.
    """
    if arm.region is None:
        return size.region
    given = Region(*arm.region)
    if given.is_empty or given.intersection(level0.region) != given:
        raise SlideError(
            f"arm {arm.name}: region {arm.region}; expected x, y, width and height in level-0 pixels inside"
            f" {level0.width} x {level0.height}"
        )
    left, top = math.ceil(given.x / zoom), math.ceil(given.y / zoom)
    right, bottom = math.floor(given.right / zoom), math.floor(given.bottom / zoom)
    return Region(left, top, right - left, bottom - top).intersection(size.region)


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
    arm: Arm, protocol: Protocol, area: Region, rng: random.Random, crop: Callable[[int, int], Rgb | None]
) -> list[Crop]:
    """Crops at random places that do not overlap; `crop` returns None where there is too little tissue."""
    side, wanted, found = protocol.field_pixels, protocol.fields_of(arm), list[Crop]()
    for _ in range(TRIES * wanted if min(area.width, area.height) >= side else 0):
        x, y = rng.randint(area.x, area.right - side), rng.randint(area.y, area.bottom - side)
        if any(abs(x - other[0]) < side and abs(y - other[1]) < side for other in found):
            continue
        rgb = crop(x, y)
        if rgb is not None:
            found.append((x, y, rgb))
        if len(found) == wanted:
            return found
    raise SlideError(
        f"arm {arm.name}: only {len(found)} places with tissue for fields of {side} px; expected {wanted};"
        " ask for fewer or smaller fields"
    )
