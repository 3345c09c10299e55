from pathlib import Path

import pytest
from PIL import Image

from confostain.geometry import Size
from confostain.simulation.phantom import Phantom


@pytest.fixture(scope="session")
def painted_section(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """H&E of a phantom as a picture, 1100 x 1060 px of 0.75 um."""
    path = tmp_path_factory.mktemp("histology") / "section.png"
    section = Phantom(Size(1100, 1060), seed=5)
    Image.fromarray(section.histology(section.size.region)).save(path)
    return path
