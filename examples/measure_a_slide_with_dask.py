"""Measures a slide of any size lazily, in chunks: python measure_a_slide_with_dask.py SLIDE FOLDER."""

import sys
from pathlib import Path

import numpy as np

import confostain

with confostain.open_slide(sys.argv[1]) as slide:
    lazy = slide.to_dask(chunk=256)  # float32 (2, height, width); nothing is read yet
    means = lazy.mean(axis=(1, 2)).compute()
    thumbnail = slide.thumbnail(um_per_px=8)
np.save(Path(sys.argv[2]) / "thumbnail.npy", thumbnail)
print(f"reflectance {means[0]:.3f}, fluorescence {means[1]:.3f}, thumbnail {thumbnail.shape}")
