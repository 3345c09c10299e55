"""Cuts the fields of a reader study from random places in the tissue of each arm."""

from __future__ import annotations

import hashlib
import hmac
import random
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np

from confostain.arrays import Rgb
from confostain.errors import SlideError
from confostain.geometry import Region, Size
from confostain.inference.tile_stainer import TileStainer
from confostain.io.readers.histology import open_histology
from confostain.models.registry import load_model
from confostain.slide import open_slide
from confostain.study.protocol import Arm, Field, Protocol

Drawn = list[tuple[int, int, Rgb]]

MIN_TISSUE = 0.7  # of a field
TRIES = 200  # random places looked at for one field
STAINED = 30  # grey levels between the lightest and the darkest colour of a pixel that is no glass


def draw_fields(protocol: Protocol, beside: Path, progress: Callable[[int, int], None]) -> list[Field]:
    """Cut and render all fields, in no order that means anything; paths are relative to `beside`.

    Raises SlideError where an arm cannot be read, or shows too little tissue.
    """
    fields: list[Field] = []
    total = protocol.fields * len(protocol.arms)
    for arm in protocol.arms:
        chance = random.Random(f"{protocol.seed} {arm.name}")
        draw = _of_histology if arm.histology else _of_stain
        for x, y, rgb in draw(protocol, arm, beside, chance):
            key = hmac.new(str(protocol.seed).encode(), f"{arm.name} {x} {y}".encode() + rgb.tobytes(), hashlib.sha256)
            fields.append(Field(key.hexdigest()[:20], arm.name, x, y, _picture(rgb)))
            progress(len(fields), total)
    return sorted(fields, key=lambda field: field.id)


def _picture(rgb: Rgb) -> bytes:
    """PNG without compression, so that the number of bytes says nothing about the picture."""
    return bytes(imagecodecs.png_encode(np.ascontiguousarray(rgb), level=0))


def _of_histology(protocol: Protocol, arm: Arm, beside: Path, chance: random.Random) -> Drawn:
    side, microns = protocol.field_pixels, protocol.microns_per_pixel
    with open_histology(beside / str(arm.histology), arm.mpp) as slide:
        width, height = slide.size_at(microns)

        def look(x: int, y: int) -> Rgb | None:
            rgb = slide.read_region((x, y), (side, side), microns)
            return rgb if (np.ptp(rgb, axis=2) > STAINED).mean() >= MIN_TISSUE else None

        return _drawn(arm, protocol, Size(width, height), chance, look)


def _of_stain(protocol: Protocol, arm: Arm, beside: Path, chance: random.Random) -> Drawn:
    with open_slide(beside / str(arm.slide), microns_per_pixel=arm.mpp) as slide:
        zoom = protocol.microns_per_pixel / (slide.microns_per_pixel or protocol.microns_per_pixel)
        tiles = TileStainer(slide.read, Size(*slide.size), load_model(str(arm.model)))
        size = Size(int(slide.size[0] / zoom), int(slide.size[1] / zoom))
        side = protocol.field_pixels

        def look(x: int, y: int) -> Rgb | None:
            level0 = Region(round(x * zoom), round(y * zoom), round(side * zoom), round(side * zoom))
            level0 = level0.intersection(tiles.size.region)
            if slide.tissue.coverage(level0).mean() < MIN_TISSUE:
                return None
            return _resized(_stained(tiles, level0), side)

        return _drawn(arm, protocol, size, chance, look)


def _stained(tiles: TileStainer, level0: Region) -> Rgb:
    rgb = tiles.stain_tile(tiles.grid(level0, max(level0.width, level0.height)).at(0, 0))
    assert rgb is not None  # the tiles knows no mask, so nothing is white to it
    return rgb


def _resized(rgb: Rgb, side: int) -> Rgb:
    from PIL import Image

    if rgb.shape[:2] == (side, side):
        return rgb
    shrinks = rgb.shape[0] > side
    return np.asarray(
        Image.fromarray(rgb).resize((side, side), Image.Resampling.BOX if shrinks else Image.Resampling.BICUBIC)
    )


def _drawn(
    arm: Arm, protocol: Protocol, size: Size, chance: random.Random, look: Callable[[int, int], Rgb | None]
) -> Drawn:
    """Random fields that do not overlap."""
    side, found = protocol.field_pixels, Drawn()
    for _ in range(TRIES * protocol.fields if min(size.width, size.height) >= side else 0):
        x, y = chance.randint(0, size.width - side), chance.randint(0, size.height - side)
        if any(abs(x - other[0]) < side and abs(y - other[1]) < side for other in found):
            continue
        rgb = look(x, y)
        if rgb is not None:
            found.append((x, y, rgb))
        if len(found) == protocol.fields:
            return found
    raise SlideError(
        f"arm {arm.name}: only {len(found)} places with tissue for fields of {side} px; expected {protocol.fields};"
        " ask for fewer or smaller ones"
    )
