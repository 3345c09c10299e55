from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from confostain.data.reference_colours import read_stain_colours, write_stain_colours
from confostain.errors import ConfigError, OutputError, SlideError
from confostain.imaging.stain_colours import NEUTRAL, StainColours

PAINTED = StainColours(nucleus=(0.4, 0.62, 0.3), stroma=(0.1, 0.28, 0.14))


@pytest.fixture(scope="module")
def section() -> np.ndarray:
    field = np.zeros((3, 900, 1000), np.float32)
    field[1, :, 200:] = 1
    rows, columns = np.mgrid[:900, :1000]
    nuclei = (np.hypot((rows % 24) - 12, (columns % 24) - 12) < 4.5) & (columns > 200)
    field[0][nuclei], field[1][nuclei] = 1, 0
    return PAINTED.picture(field)


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.toml"])
def test_colours_come_from_slides_pictures_and_saved_files(name: str, section: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "a.tif":
        tifffile.imwrite(path, section, resolution=(1e4 / 0.75, 1e4 / 0.75), resolutionunit=3, tile=(256, 256))
    elif name == "a.png":
        Image.fromarray(section).save(path)
    else:
        write_stain_colours(PAINTED, path)
    found = read_stain_colours(path)
    tolerance = 0 if name == "a.toml" else 0.02
    assert found.nucleus == pytest.approx(PAINTED.nucleus, abs=tolerance)
    assert found.stroma == pytest.approx(PAINTED.stroma, abs=tolerance)


def test_saved_colours_are_not_overwritten_unasked(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    write_stain_colours(PAINTED, path)
    with pytest.raises(OutputError):
        write_stain_colours(NEUTRAL, path)
    assert read_stain_colours(path) == PAINTED
    write_stain_colours(NEUTRAL, path, overwrite=True)
    assert read_stain_colours(path) == NEUTRAL


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no keys"),
        ("nucleus = [1, 2, 3]", "expected nucleus and stroma"),
        ("nucleus = [1, 2, 3]\nstroma = [0.1, 0.2]", "stroma is"),
        ("nucleus = [1, 2, 'a']\nstroma = [0.1, 0.2, 0.3]", "nucleus is"),
        ("nucleus = [0, 0, 0]\nstroma = [0.1, 0.2, 0.3]", "nucleus is"),
        ("nucleus = [1, 2, nan]\nstroma = [0.1, 0.2, 0.3]", "nucleus is"),
        ("nucleus = [1, 2, 5]\nstroma = [0.1, 0.2, 0.3]", "nucleus is"),
        ("nucleus = [true, 1, 1]\nstroma = [0.1, 0.2, 0.3]", "nucleus is"),
        ("nucleus = [1, 2, 3]\nstroma = [0.1, 0.2, 0.3]\nrest = 1", "nothing else"),
        ("no toml", "not valid TOML"),
    ],
)
def test_files_that_hold_no_colours_are_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_stain_colours(path)


def test_what_is_no_histology_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_stain_colours(tmp_path / "missing.toml")
    with pytest.raises(SlideError, match="no such file"):
        read_stain_colours(tmp_path / "missing.tif")
    Image.new("RGB", (600, 600), (250, 250, 250)).save(tmp_path / "glass.png")
    with pytest.raises(SlideError, match="at least 30% tissue"):
        read_stain_colours(tmp_path / "glass.png")
