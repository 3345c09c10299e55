"""The commands `evaluate despeckler` and `evaluate stainer`."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from confostain import cli
from confostain.evaluation.classical_despeckling import ClassicalMethod, median
from confostain.geometry import Region, Size
from confostain.simulation.phantom import Phantom


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a call."""
    with pytest.raises(SystemExit) as exit_:
        cli.main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return int(exit_.value.code or 0), out, err


@pytest.fixture(scope="module")
def files(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """H&E of one phantom, and a field of another as one picture for each channel."""
    folder = tmp_path_factory.mktemp("field")
    section = Phantom(Size(1100, 1060), seed=5)
    Image.fromarray(section.histology(section.size.region)).save(folder / "he.png")
    for name, channel in zip(("R.png", "F.png"), phantom.pair(Region(200, 150, 320, 300)), strict=True):
        Image.fromarray(np.rint(channel * 255).astype(np.uint8)).save(folder / name)
    return folder


def test_stainers_are_compared(
    files: Path,
    phantom_scan: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("confostain.evaluation.feature_distances.CROPS", 4)
    code, said, err = run(
        capsys, "evaluate", "stainer", "--histology", files / "he.png", "--patches", 1, "--histology-mpp", 0.7,
        "--real", phantom_scan,
        "--reflectance", files / "R.png", "--fluorescence", files / "F.png", "-o", tmp_path / "out",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert said.count("missing") == 4  # two models on two scans
    facts = json.loads((tmp_path / "out" / "stainers.json").read_text())
    assert facts["scans"] == [f"{phantom_scan.parent.name}/mosaic", files.name]
    assert facts["patches"] == 1
    assert (tmp_path / "out" / "index.html").stat().st_size > 100_000


def test_despecklers_are_compared_and_evaluated_on_a_scan(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--histology", files / "he.png", "--patches", 1, "--no-classical", "--real", files / "R.png"]
    code, said, err = run(capsys, "evaluate", "despeckler", *arguments, "-o", tmp_path / "out")
    assert (code, err) == (0, "")
    assert "| despeckler |" in said
    assert "checkerboard" in said
    rows = json.loads((tmp_path / "out" / "despecklers.json").read_text())["rows"]
    assert [row["method"] for row in rows][-1] == "despeckler"
    assert not any(row["method"] == "wavelets" for row in rows)
    assert json.loads((tmp_path / "out" / "real.json").read_text())["looks_before"] > 0
    assert (tmp_path / "out" / "real.png").stat().st_size > 10_000


def test_classical_methods_that_are_not_installed_are_left_out(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    methods = (ClassicalMethod("median 3 x 3", median), ClassicalMethod("other", median, module="no_such_module"))
    monkeypatch.setattr("confostain.evaluation.classical_despeckling.CLASSICAL_METHODS", methods)
    arguments = ["--histology", files / "he.png", "--patches", 1, "-o", tmp_path / "out"]
    code, said, err = run(capsys, "evaluate", "despeckler", *arguments)
    assert (code, err) == (0, "confostain: other was left out: no_such_module is not installed\n")
    assert "| median 3 x 3 |" in said
    assert "| other |" not in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["despeckler"], "--histology"),
        (["despeckler", "--histology", "{files}/none.svs"], "no such file"),
        (["despeckler", "--histology", "{files}/he.png", "--patches", "0"], "at least one"),
        (["despeckler", "--histology", "{files}/he.png", "--patches", "-1"], "at least one"),
        (["despeckler", "--histology", "{files}/he.png", "--side", "0"], "a side of at least 64"),
        (["stainer"], "--histology"),
        (["stainer", "--real", "{scan}"], "--reference"),
        (["stainer", "--histology", "{files}/none.svs"], "no such file"),
        (["stainer", "--histology", "{files}/he.png", "--patches", "0"], "at least one"),
        (["stainer", "--histology", "{files}/he.png", "--histology-mpp", "72"], "pixel size 72 um"),
        (["stainer", "--histology", "{files}/he.png", "{files}/he.png"], "different names"),
        (["stainer", "--histology", "{files}/he.png", "--model", "nobody"], "nobody"),
        (["stainer", "--histology", "{files}/he.png", "--reflectance", "{files}/R.png"], "same number of both"),
    ],
)
def test_bad_input_gets_one_line_and_leaves_nothing(
    arguments: list[str],
    message: str,
    files: Path,
    phantom_scan: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = (argument.format(files=files, scan=phantom_scan) for argument in arguments)
    code, out, err = run(capsys, "evaluate", *given, "-o", tmp_path / "out")
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
