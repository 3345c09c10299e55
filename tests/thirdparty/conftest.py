"""Results of every format, and readers that nobody of this project wrote; what is not installed is skipped by name."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import tifffile

import confostain

Rgb = npt.NDArray[np.uint8]
Java = Callable[..., str]

BIOFORMATS = Path(sys.prefix) / "bioformats_package.jar"  # where .ci/run puts it


@dataclass(frozen=True)
class Result:
    """A stained slide, and the lossless pixels of each of its levels."""

    path: Path
    levels: list[Rgb]


@pytest.fixture(scope="session")
def truth(phantom_scan: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Rgb]:
    """Every level without loss, as tifffile reads it, uint8 (h, w, 3)."""
    path = tmp_path_factory.mktemp("truth") / "a.ome.tif"
    with confostain.open_slide(phantom_scan) as slide:
        confostain.stain_slide(slide, path, model="gareau", quality=None)
    with tifffile.TiffFile(path) as tiff:
        return [level.asarray() for level in tiff.series[0].levels]


@pytest.fixture(scope="session", params=["jpeg.ome.tif", "lossless.ome.tif"])
def ome_tiff(
    request: pytest.FixtureRequest, phantom_scan: Path, truth: list[Rgb], tmp_path_factory: pytest.TempPathFactory
) -> Result:
    path = tmp_path_factory.mktemp("tiff") / request.param
    with confostain.open_slide(phantom_scan) as slide:
        quality = 90 if request.param.startswith("jpeg") else None
        confostain.stain_slide(slide, path, model="gareau", quality=quality)
    return Result(path, truth)


@pytest.fixture(scope="session", params=["0.4", "0.5"])
def ome_zarr(
    request: pytest.FixtureRequest, phantom_scan: Path, truth: list[Rgb], tmp_path_factory: pytest.TempPathFactory
) -> Result:
    path = tmp_path_factory.mktemp("zarr") / "a.ome.zarr"
    with confostain.open_slide(phantom_scan) as slide:
        confostain.stain_slide(slide, path, model="gareau", ome_zarr=request.param)
    return Result(path, truth)


@pytest.fixture(scope="session")
def dicom(phantom_scan: Path, truth: list[Rgb], tmp_path_factory: pytest.TempPathFactory) -> Result:
    path = tmp_path_factory.mktemp("dicom") / "a.dcm"
    with confostain.open_slide(phantom_scan) as slide:
        confostain.stain_slide(slide, path, model="gareau")
    return Result(path, truth)


def program(name: str, *arguments: object) -> str:
    """What a program prints; the test is skipped where it is not installed."""
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed; .ci/run installs it")
    done = subprocess.run([name, *map(str, arguments)], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def bioformats() -> Java:
    """Runs a command-line tool of Bio-Formats."""
    if shutil.which("java") is None or not BIOFORMATS.is_file():
        pytest.skip("Java or the jar of Bio-Formats is not installed; .ci/run installs both")

    def run(tool: str, *arguments: object) -> str:
        return program("java", "-cp", BIOFORMATS, f"loci.formats.tools.{tool}", *arguments)

    return run


def close(made: Rgb, truth: Rgb) -> bool:
    """Whether colours differ by no more than JPEG does; a colour space read twice differs by 40 and more."""
    return made.shape == truth.shape and float(np.abs(made.astype(int) - truth).mean()) < 4
