"""Writes src/confostain/sample/skin-colours.npy: the colours of H&E of skin, to which `adapt` holds stains.

python scripts/skin_colours.py SECTION...    # the sections of CMU-1 that networks are trained on
"""

from __future__ import annotations

import sys

import numpy as np

from confostain.adaptation.histology import COLOURS
from confostain.data.colour_sample import sample_densities
from confostain.data.histology_fields import tissue_fields

FIELDS = 40  # of each section


def main() -> None:
    """Sample the sections and write the file."""
    fields = [field for path in sys.argv[1:] for field in tissue_fields(path, FIELDS)]
    np.save(COLOURS, sample_densities(fields).astype(np.float16))
    print(f"{COLOURS}: colours of {len(fields)} fields")


if __name__ == "__main__":
    main()
