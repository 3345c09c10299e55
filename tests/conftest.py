"""Painted fixtures: nothing is downloaded."""

from pathlib import Path

import pytest
from hypothesis import settings

from confostain.geometry import Size
from confostain.imaging.phantom import Phantom
from confostain.io.vivascope import write_mosaic

settings.register_profile("confostain", deadline=None)  # shared machines are now and then slow
settings.load_profile("confostain")


@pytest.fixture(scope="session")
def phantom() -> Phantom:
    return Phantom(Size(700, 523), seed=3)


@pytest.fixture(scope="session")
def phantom_scan(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The phantom as a VivaScope mosaic folder, 16 bit, 0.75 um/px."""
    scan = tmp_path_factory.mktemp("scan")
    write_mosaic(scan, phantom.size, phantom.recorded_bands(), phantom.microns_per_pixel)
    return scan / "mosaic"
