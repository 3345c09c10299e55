"""Slides, and a client of the viewer."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import numpy as np
import pytest
import tifffile

from confostain.slide import Slide, open_slide
from confostain.viewer.app import create_app
from confostain.viewer.guard import AccessRules
from confostain.viewer.library import Library


@pytest.fixture(scope="session")
def large_scan(phantom_scan: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The phantom side by side with glass in between, 4433 x 1169 px: six levels, odd at most of them."""
    folder = tmp_path_factory.mktemp("large")
    paths = []
    for detector in ("DET#1", "DET#2"):
        plane = np.tile(tifffile.imread(phantom_scan / detector / "highres_raw.tif"), (3, 7))[:1169, :4433]
        plane[300:1169, 900:2600] = np.percentile(plane, 1)
        paths.append(folder / f"{detector}.tif")
        tifffile.imwrite(paths[-1], plane, resolution=(1e4 / 0.75, 1e4 / 0.75), resolutionunit="CENTIMETER")
    return paths[0], paths[1]


@pytest.fixture(scope="session")
def large_slide(large_scan: tuple[Path, Path]) -> Iterator[Slide]:
    with open_slide(reflectance=large_scan[0], fluorescence=large_scan[1]) as slide:
        yield slide


@pytest.fixture
def library(large_scan: tuple[Path, Path]) -> Iterator[Library]:
    with Library("gareau") as library:
        slide = open_slide(reflectance=large_scan[0], fluorescence=large_scan[1])
        library.add_confocal(slide, large_scan[0].parent / "scan")
        yield library


@pytest.fixture
def client(library: Library, serve: Callable[..., AbstractContextManager[httpx.Client]]) -> Iterator[httpx.Client]:
    with serve(create_app(library, AccessRules())) as client:
        yield client


@pytest.fixture
def slide_url(client: httpx.Client) -> str:
    return f"/api/slides/{client.get('/api/slides').json()[0]['id']}"
