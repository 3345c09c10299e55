"""Removes the speckle of the reflectance channel: python despeckle_an_image.py SLIDE FOLDER."""

import sys
from pathlib import Path

import numpy as np

import confostain

with confostain.open_slide(sys.argv[1]) as slide:
    reflectance = slide.read_region((0, 0), slide.size)[0]
clean = confostain.despeckle(reflectance, device="cpu")  # float32 (h, w)
np.save(Path(sys.argv[2]) / "clean.npy", clean)
print(f"mean {reflectance.mean():.4f} before, {clean.mean():.4f} after")
