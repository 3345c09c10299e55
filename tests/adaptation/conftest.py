from collections.abc import Iterator
from pathlib import Path

import pytest

from confostain.adaptation import adapt, adapted_model, stainer
from confostain.adaptation.stain_figures import CropFeatures
from confostain.geometry import Size
from confostain.io.writers.vivascope import write_mosaic
from confostain.simulation.phantom import Phantom


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Leave out what takes seconds each time and has tests of its own: features, precisions, most fields that judge."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CropFeatures, "of", lambda images: None)
        patch.setattr(adapted_model, "measure_precisions", lambda *arguments, **options: {})
        patch.setattr(adapt, "JUDGES", 2)
        patch.setattr(stainer, "SHARES", (1.0, 0.5))
        patch.setattr(stainer, "TRUTH_SEEDS", range(1))
        yield


@pytest.fixture(scope="session")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom large enough to be cut into fields, as a VivaScope mosaic folder, 0.75 um/px."""
    folder = tmp_path_factory.mktemp("patient-name")
    phantom = Phantom(Size(1100, 800), seed=4)
    write_mosaic(folder, phantom.size, phantom.recorded_bands(), phantom.microns_per_pixel)
    return folder / "mosaic"
