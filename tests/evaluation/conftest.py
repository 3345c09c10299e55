from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from confostain.arrays import Image as GreyImage
from confostain.geometry import Size
from confostain.simulation.phantom import Phantom


@pytest.fixture(scope="session")
def painted_section(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """H&E of a phantom as a picture, 1100 x 1060 px of 0.75 um."""
    path = tmp_path_factory.mktemp("histology") / "section.png"
    section = Phantom(Size(1100, 1060), seed=5)
    Image.fromarray(section.histology(section.size.region)).save(path)
    return path


@pytest.fixture(scope="session")
def tissue_image() -> Callable[..., GreyImage]:
    """Make a square grey image that varies slowly and has small brighter spots, float32 in [0.05, 0.9]."""

    def make(size: int, seed: int = 0) -> GreyImage:
        rng = np.random.default_rng(seed)
        slow, fine = (gaussian_filter(rng.standard_normal((size, size)), sigma) for sigma in (18, 5))
        return (0.35 * np.exp(0.4 * slow / slow.std()) + 0.05 * (fine > fine.std())).clip(0.05, 0.9).astype(np.float32)

    return make
