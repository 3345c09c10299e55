"""Stains 200 x 150 um of a slide into an array and a picture: python stain_a_region_in_um.py SLIDE FOLDER."""

import sys
from pathlib import Path

from PIL import Image

import confostain

with confostain.open_slide(sys.argv[1]) as slide:
    rf = slide.read_region_um((100, 100), (200, 150))  # float32 (2, h, w) in [0, 1]
    rgb = confostain.stain(rf, model="gareau", microns_per_pixel=slide.microns_per_pixel)  # uint8 (h, w, 3)
Image.fromarray(rgb).save(Path(sys.argv[2]) / "region.png")
print(rgb.shape, rgb.mean(axis=(0, 1)))
