"""Simulates the reflectance and fluorescence of an H&E image: python simulate_from_histology.py H&E FOLDER."""

import sys
from pathlib import Path

import numpy as np

import confostain

with confostain.open_histology(sys.argv[1], microns_per_pixel=0.75) as slide:
    rgb = slide.read_region((0, 0), (200, 150), 0.75)  # uint8 (h, w, 3) at 0.75 um/px
pair = confostain.simulate(rgb, seed=1)  # float32 (2, h, w) in [0, 1], reflectance then fluorescence
np.save(Path(sys.argv[2]) / "pair.npy", pair)
print(pair.shape, pair.mean(axis=(1, 2)))
