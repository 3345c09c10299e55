"""Results of our own, given back to the program: said what they are, never stained again, and shown."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

import confostain
from confostain.cli import main
from confostain.errors import SlideError
from confostain.io.readers.histology import open_histology
from confostain.io.readers.layouts import open_channels, open_grey
from confostain.io.readers.results import find_result

FORMATS = [".ome.tif", ".tif", ".ome.zarr", "-05.ome.zarr", ".dcm", ".png"]


@pytest.fixture(scope="module")
def stains(phantom_scan: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stains")
    with confostain.open_slide(phantom_scan) as slide:
        for suffix in FORMATS:
            version = "0.5" if "05" in suffix else "0.4"
            confostain.stain_slide(slide, folder / f"a{suffix}", model="gareau", ome_zarr=version)
        for suffix in (".ome.tif", ".tif"):
            confostain.despeckle_slide(slide, folder / f"clean{suffix}")
    return folder


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_stain_says_what_it_is(suffix: str, stains: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = find_result(stains / f"a{suffix}")
    assert found is not None
    assert found.is_stain
    assert found.label == "digitally stained: gareau"
    with pytest.raises(SystemExit) as ended:
        main(["info", str(stains / f"a{suffix}"), "--json"])
    facts = json.loads(capsys.readouterr().out)
    assert ended.value.code == 0
    assert facts["what"] == "a result of confostain: digitally stained: gareau"
    assert facts["software"] == f"confostain {confostain.__version__}"


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_stain_is_not_stained_again(suffix: str, stains: Path, tmp_path: Path) -> None:
    for opened in (open_channels, open_grey):
        with pytest.raises(SlideError, match=r"^a.*: digitally stained: gareau already, by confostain .*raw scan"):
            opened(stains / f"a{suffix}")
    with pytest.raises(SystemExit) as ended:
        main(["stain", str(stains / f"a{suffix}"), "-o", str(tmp_path / "again.ome.tif")])
    assert ended.value.code == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_stain_is_shown_as_it_was_written(suffix: str, stains: Path) -> None:
    found = find_result(stains / f"a{suffix}")
    assert found is not None
    with open_histology(found.picture) as slide, open_histology(stains / "a.png") as truth:
        assert slide.microns_per_pixel == pytest.approx(0.75, rel=1e-3)
        assert slide.size == truth.size
        made, expected = (one.read_region((30, 20), (300, 200)).astype(int) for one in (slide, truth))
    assert np.abs(made - expected).mean() < (0.01 if suffix.endswith(("zarr", "png")) else 4)


@pytest.mark.parametrize("suffix", [".ome.tif", ".tif"])
def test_a_despeckled_channel_says_what_it_is(suffix: str, stains: Path) -> None:
    found = find_result(stains / f"clean{suffix}")
    assert found is not None
    assert not found.is_stain
    assert found.label == "despeckled reflectance"
    assert found.provenance["model"] == "despeckler"


@pytest.mark.parametrize("kind", ["scan", "foreign TIFF", "text", "folder", "nothing"])
def test_anything_else_is_no_result(kind: str, phantom_scan: Path, tmp_path: Path) -> None:
    path = {"scan": phantom_scan, "folder": tmp_path}.get(kind, tmp_path / "a.tif")
    if kind == "foreign TIFF":
        tifffile.imwrite(path, np.zeros((20, 20, 3), np.uint8), description='{"label": "digitally stained: x"}')
    elif kind == "text":
        path.write_text("digitally stained")
    assert find_result(path) is None
