"""The command `despeckle`, and what other commands say about despecklers."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from confostain import cli


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a call."""
    with pytest.raises(SystemExit) as exit_:
        cli.main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return int(exit_.value.code or 0), out, err


def test_a_slide_is_despeckled(phantom_scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "clean.tif"
    code, said, _ = run(capsys, "despeckle", phantom_scan, "-o", out)
    assert code == 0
    assert "Mpx/s" in said
    raw, clean = tifffile.imread(phantom_scan / "DET#1" / "highres_raw.tif"), tifffile.imread(out)
    assert (clean.dtype, clean.shape) == (raw.dtype, raw.shape)
    assert clean.mean() == pytest.approx(raw.mean(), rel=0.02)
    assert np.abs(np.diff(clean.astype(float))).mean() < 0.6 * np.abs(np.diff(raw.astype(float))).mean()
    code, said, refused = run(capsys, "despeckle", phantom_scan, "-o", out)
    assert (code, said) == (2, "")
    assert "--overwrite" in refused
    assert run(capsys, "despeckle", phantom_scan, "-o", out, "--overwrite", "--tile", 300)[0] == 0
    assert np.array_equal(tifffile.imread(out), clean)
    part = tmp_path / "part.ome.tif"
    code, said, _ = run(capsys, "despeckle", phantom_scan, "-o", part, "--device", "cpu", "--region", "30,40,300,200")
    assert code == 0
    assert f"{part}: 300 x 200 px in " in said
    assert np.array_equal(tifffile.imread(part), clean[40:240, 30:330])


def test_the_channels_of_a_slide_can_be_swapped(
    phantom_scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "clean.tif"
    assert run(capsys, "despeckle", phantom_scan, "-o", out, "--swap-channels")[0] == 0
    raw = tifffile.imread(phantom_scan / "DET#2" / "highres_raw.tif")
    assert tifffile.imread(out).mean() == pytest.approx(raw.mean(), rel=0.02)


def test_a_grey_image_is_despeckled(phantom_scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "clean.tif"
    assert run(capsys, "despeckle", phantom_scan / "DET#1" / "highres_raw.tif", "-o", out)[0] == 0
    assert tifffile.imread(out).shape == (523, 700)


def test_despecklers_are_listed_with_their_cards(capsys: pytest.CaptureFixture[str]) -> None:
    code, said, _ = run(capsys, "models", "--json")
    cards = {entry["name"]: entry for entry in json.loads(said)}
    assert code == 0
    assert cards["despeckler"]["figures"]["psnr"]["L = 10"] > 24
    assert cards["despeckler-paper"]["median"] is True


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["despeckle", "{tmp}/none.tif", "-o", "{tmp}/out.tif"], "no such file"),
        (["despeckle", "{scan}", "-o", "{tmp}/out.jpg"], "ends in .tif"),
        (["despeckle", "{scan}", "-o", "{tmp}/out.tif", "--model", "nobody"], "no model is called"),
        (["despeckle", "{scan}", "-o", "{tmp}/out.tif", "--tile", "0"], "tile of"),
        (["despeckle", "{scan}", "-o", "{tmp}/out.tif", "--region", "0,0,9999,9"], "inside the slide"),
        (["despeckle", "{scan}", "-o", "{scan}/DET#1/highres_raw.tif", "--overwrite"], "belongs to the slide"),
        (["train", "despeckler", "--config", "{tmp}/none.toml", "-o", "{tmp}/run"], "cannot be read"),
    ],
)
def test_bad_input_gets_one_line_and_leaves_nothing(
    arguments: list[str], message: str, phantom_scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, *(argument.format(scan=phantom_scan, tmp=tmp_path) for argument in arguments))
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
