"""The commands that make training data, as a user gives them."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from confostain import cli
from confostain.data.manifest import load_manifest
from confostain.simulation.phantom import Phantom


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a call."""
    with pytest.raises(SystemExit) as exit_:
        cli.main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return int(exit_.value.code or 0), out, err


@pytest.fixture(scope="module")
def section(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("section") / "section.png"
    Image.fromarray(phantom.histology(phantom.size.region)).save(path)
    return path


def test_scans_are_prepared(phantom_scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "patches"
    code, said, warned = run(capsys, "prepare", "confocal", phantom_scan, "--side", 128, "-o", out)
    assert code == 0
    assert "--validate" in warned
    kept = load_manifest(out)
    assert f"train {len(kept):10} patches of 1 slide\n" in said
    assert "--overwrite" in run(capsys, "prepare", "confocal", phantom_scan, "--side", 128, "-o", out)[2]
    assert run(capsys, "prepare", "confocal", phantom_scan, "--side", 128, "-o", out, "--overwrite")[0] == 0
    assert load_manifest(out) == kept


def test_sections_are_prepared_and_ranked(section: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.png"
    with Image.open(section) as picture:
        picture.rotate(180).save(other)
    out = tmp_path / "patches"
    arguments = ["prepare", "histology", section, "--validate", other, "--mpp", 0.75, "--side", 128, "-o", out]
    code, said, warned = run(capsys, *arguments)
    assert (code, warned) == (0, "")
    assert "validate" in said
    assert re.search(r"left out +\d+ blank\n", said)
    assert {patch.slide: patch.split for patch in load_manifest(out)} == {"section": "train", "other": "validate"}
    code, said, _ = run(capsys, "prepare", "rank", section, other, "--mpp", 0.75)
    assert code == 0
    assert said.splitlines()[1].endswith(".png")
    code, said, _ = run(capsys, "prepare", "rank", section, "--mpp", 0.75, "--json")
    (slide,) = json.loads(said)
    assert (slide["file"], 0 < slide["haematoxylin"] < 1) == (str(section), True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["confocal", "{tmp}/none", "-o", "{tmp}/out"], "{tmp}/none"),
        (["confocal", "{scan}", "-o", "{tmp}/out", "--side", "0"], "side"),
        (["confocal", "{scan}", "-o", "{tmp}/out", "--side", "128", "--split", "80"], "split"),
        (["confocal", "{scan}", "{scan}", "-o", "{tmp}/out", "--side", "128"], "give each slide once"),
        (["histology", "{he}", "-o", "{tmp}/out"], "pixel size"),
        (["histology", "{he}", "-o", "{tmp}/no/out", "--mpp", "0.75"], "create it first"),
        (["rank", "{tmp}/none.svs"], "no such file"),
    ],
)
def test_bad_input_gets_one_line_and_leaves_nothing(
    arguments: list[str],
    message: str,
    phantom_scan: Path,
    section: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = {"scan": phantom_scan, "he": section, "tmp": tmp_path}
    code, out, err = run(capsys, "prepare", *(argument.format(**names) for argument in arguments))
    assert (code, out) == (2, "")
    assert message.format(**names) in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
