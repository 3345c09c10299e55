from collections.abc import Iterator
from pathlib import Path

import pytest

from confostain.adaptation.stain_figures import CropFeatures
from confostain.geometry import Size
from confostain.io.writers.vivascope import write_mosaic
from confostain.simulation.phantom import Phantom


@pytest.fixture(scope="session", autouse=True)
def without_features() -> Iterator[None]:
    """Leave the features of natural images out, which take seconds each time and have tests of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CropFeatures, "of", lambda images: None)
        yield


@pytest.fixture(scope="session")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom large enough to be cut into fields, as a VivaScope mosaic folder, 0.75 um/px."""
    folder = tmp_path_factory.mktemp("patient-name")
    phantom = Phantom(Size(1100, 800), seed=4)
    write_mosaic(folder, phantom.size, phantom.recorded_bands(), phantom.microns_per_pixel)
    return folder / "mosaic"
