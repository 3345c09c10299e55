"""Stains a whole slide into a pyramidal OME-TIFF: python stain_a_slide.py SLIDE FOLDER."""

import sys
from pathlib import Path

import confostain

source, folder = sys.argv[1], Path(sys.argv[2])
with confostain.open_slide(source) as slide:
    print(slide)
    written = confostain.stain_slide(slide, folder / "stained.ome.tif", model="swift", progress=None)
print(written)
