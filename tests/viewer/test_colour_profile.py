"""ICC colour profiles of H&E: applied, unusable, none."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from confostain.arrays import Rgb
from confostain.io.readers.histology import open_histology
from confostain.viewer.colour_profile import APPLIED, UNUSABLE
from confostain.viewer.histology_layer import HistologyLayer
from confostain.viewer.layer import TileIndex

PINK: Rgb = np.full((300, 300, 3), (220, 130, 180), np.uint8)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SWAPPED = SRGB.replace(b"rXYZ", b"####").replace(b"bXYZ", b"rXYZ").replace(b"####", b"bXYZ")  # its red is sRGB's blue
LAB = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


def write_png(path: Path, profile: bytes | None) -> Path:
    path = path.with_suffix(".png")
    Image.fromarray(PINK).save(path, icc_profile=profile)
    return path


def write_tiff(path: Path, profile: bytes | None, **options: object) -> Path:
    path = path.with_suffix(".tif")
    tags = [] if profile is None else [(34675, 7, len(profile), profile, True)]
    tifffile.imwrite(path, PINK, photometric="rgb", extratags=tags, **options)
    return path


def write_tiled_tiff(path: Path, profile: bytes | None) -> Path:
    return write_tiff(path, profile, tile=(256, 256))


@pytest.mark.parametrize("write", [write_png, write_tiff, write_tiled_tiff])
@pytest.mark.parametrize(
    ("profile", "colour", "said"),
    [
        (None, (220, 130, 180), ""),
        (SRGB, (220, 130, 180), APPLIED),
        (SWAPPED, (180, 130, 220), APPLIED),
        (LAB, (220, 130, 180), UNUSABLE),
        (SRGB[:200], (220, 130, 180), UNUSABLE),
    ],
    ids=["none", "sRGB", "red and blue swapped", "not of RGB", "cut off"],
)
def test_tiles_are_in_srgb(
    tmp_path: Path,
    write: Callable[[Path, bytes | None], Path],
    profile: bytes | None,
    colour: tuple[int, ...],
    said: str,
) -> None:
    with open_histology(write(tmp_path / "section", profile), 0.5) as slide:
        layer = HistologyLayer(slide)
        rgb, _ = layer.render(TileIndex(0, 0, 0))
        stored = slide.read_region((0, 0), (4, 4))
    assert layer.info.colours == said
    assert np.abs(rgb.astype(int) - colour).max() <= 2
    assert (stored == PINK[0, 0]).all()  # nothing else sees other pixels than before
