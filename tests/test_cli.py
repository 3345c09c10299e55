import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tifffile

from confostain import cli


def run(*arguments: object, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "confostain.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line that a refused call prints."""
    with pytest.raises(SystemExit) as exit_:
        cli.main([str(argument) for argument in arguments])
    assert exit_.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"confostain: [^\n]+\n", err)
    return err


def answered(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as exit_:
        cli.main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert exit_.value.code == 0, err
    return out


@pytest.fixture(scope="module")
def large_pair(phantom_scan: Path, tmp_path_factory: pytest.TempPathFactory) -> Sequence[Path]:
    """The phantom side by side, 8400 x 6276 px: staining it takes a second or more."""
    folder = tmp_path_factory.mktemp("large")
    paths = []
    for detector in ("DET#1", "DET#2"):
        paths.append(folder / f"{detector}.tif")
        tifffile.imwrite(paths[-1], np.tile(tifffile.imread(phantom_scan / detector / "highres_raw.tif"), (12, 12)))
    return paths


def test_a_slide_is_stained_from_the_command_line(
    phantom_scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a.ome.tif"
    assert "700 x 523 px" in answered(capsys, "stain", phantom_scan, "-o", out, "--model", "beer-lambert")
    assert tifffile.imread(out).shape == (523, 700, 3)
    assert "exists already" in refused(capsys, "stain", phantom_scan, "-o", out)
    answered(capsys, "stain", phantom_scan, "-o", out, "--overwrite", "--lossless", "--region", "10,20,300,200")
    assert tifffile.imread(out).shape == (200, 300, 3)


def test_info_tells_what_there_is_to_know(phantom_scan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = json.loads(answered(capsys, "info", phantom_scan, "--json"))
    assert facts["layout"] == "VivaScope mosaic"
    assert facts["size"] == [700, 523]
    assert facts["dtype"] == "uint16"
    assert facts["microns_per_pixel"] == pytest.approx(0.75)
    assert 0.2 < facts["tissue_share"] < 1
    assert facts["fluorescence_range"][0] < facts["fluorescence_range"][1]
    text = answered(capsys, "info", phantom_scan)
    assert "700 x 523" in text
    assert "0.75" in text


def test_models_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    names = {entry["name"] for entry in json.loads(answered(capsys, "models", "--json"))}
    assert {"gareau", "beer-lambert"} <= names
    assert "gareau" in answered(capsys, "models")


def test_the_demo_paints_stains_and_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from confostain import demo
    from confostain.geometry import Size

    monkeypatch.setattr(demo, "SIZE", Size(600, 500))
    out = answered(capsys, "demo", tmp_path / "demo")
    for name in ("scan/mosaic", "stained.ome.tif", "before-after.png"):
        assert (tmp_path / "demo" / name).exists()
        assert name in out
    assert "exists already" in refused(capsys, "demo", tmp_path / "demo")
    answered(capsys, "demo", tmp_path / "demo", "--overwrite")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stain", "nowhere", "-o", "{tmp}/a.ome.tif"], "nowhere"),
        (["stain", "{scan}", "-o", "{tmp}/a.jpg"], "suffix"),
        (["stain", "{scan}", "-o", "{tmp}/none/a.ome.tif"], "does not exist"),
        (["stain", "{scan}", "-o", "{tmp}/a.ome.tif", "--model", "nosuch"], "no model is called 'nosuch'"),
        (["stain", "{scan}", "-o", "{tmp}/a.ome.tif", "--region", "0,0,9999,9"], "inside the slide"),
        (["stain", "{scan}", "-o", "{tmp}/a.ome.tif", "--mpp", "0.5"], "0.75"),
        (["stain", "{scan}", "-o", "{tmp}/a.ome.tif", "--quality", "0"], "quality 0"),
        (["info", "{tmp}"], "."),
    ],
)
def test_bad_input_gets_one_line_and_exit_code_2(
    arguments: list[str], message: str, phantom_scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled = [argument.format(scan=phantom_scan, tmp=tmp_path) for argument in arguments]
    assert message in refused(capsys, *filled)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["stain"],
        ["stain", "x"],
        ["nonsense"],
        ["stain", "x", "-o", "y", "--region", "1,2"],
        ["info", "--tile", "1.5"],
        [],
    ],
)
def test_bad_usage_gets_one_line_and_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "--help" in refused(capsys, *arguments)


@pytest.mark.parametrize("closing", ["2>&-", "| true"])
def test_closed_streams_do_no_harm(closing: str, phantom_scan: Path, tmp_path: Path) -> None:
    command = f"{sys.executable} -m confostain.cli stain '{phantom_scan}' -o '{tmp_path}/a.ome.tif' {closing}"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert result.stderr == ""
    assert tifffile.imread(tmp_path / "a.ome.tif").shape == (523, 700, 3)


def test_bad_options_are_refused_before_the_slide_is_read(
    phantom_scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def surveyed(*planes: object) -> None:
        raise AssertionError("the slide was surveyed")

    monkeypatch.setattr("confostain.slide._surveyed", surveyed)
    out = tmp_path / "a.ome.tif"
    assert "suffix" in refused(capsys, "stain", phantom_scan, "-o", tmp_path / "a.jpg")
    assert "tile" in refused(capsys, "stain", phantom_scan, "-o", out, "--tile", "0")
    assert "region" in refused(capsys, "stain", phantom_scan, "-o", out, "--region", "0,0,0,0")
    assert "no model" in refused(capsys, "stain", phantom_scan, "-o", out, "--model", "x")
    out.touch()
    assert "exists" in refused(capsys, "stain", phantom_scan, "-o", out)


def test_a_missing_pixel_size_is_asked_for(large_pair: Sequence[Path], tmp_path: Path) -> None:
    result = run("stain", "--reflectance", large_pair[0], "--fluorescence", large_pair[1], "-o", tmp_path / "a.ome.tif")
    assert result.returncode == 2
    assert "--mpp" in result.stderr
    assert result.stderr.count("\n") == 1


def started(pair: Sequence[Path], out: Path) -> subprocess.Popen[str]:
    channels = ["--reflectance", pair[0], "--fluorescence", pair[1], "--mpp", 0.75]
    command = [sys.executable, "-m", "confostain.cli", "stain", *channels, "--tile", 256, "--lossless", "-o", out]
    return subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_work(process: subprocess.Popen[str], folder: Path) -> None:
    """Until tiles are being written: the scratch file has no name, but it is open."""
    descriptors = Path(f"/proc/{process.pid}/fd")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        for link in descriptors.iterdir():
            try:
                if link.readlink().is_relative_to(folder) and link.stat().st_size > 500_000:
                    return
            except OSError:
                continue
        time.sleep(0.005)
    process.kill()
    raise AssertionError(f"the work was not seen to begin: {process.communicate()}")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks at the work through /proc")
@pytest.mark.parametrize("request_to_end", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_cleanly(request_to_end: int, large_pair: Sequence[Path], tmp_path: Path) -> None:
    process = started(large_pair, tmp_path / "a.ome.tif")
    wait_for_work(process, tmp_path)
    process.send_signal(request_to_end)
    begin = time.monotonic()
    _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "interrupted" in err
    assert "Traceback" not in err
    assert time.monotonic() - begin < 5
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks at the work through /proc")
@pytest.mark.parametrize("moment", [0.0, 0.2, 0.5, 0.8, 0.9, 1.0])
def test_sigkill_at_any_moment_leaves_no_file_under_the_final_name(
    moment: float, large_pair: Sequence[Path], tmp_path: Path
) -> None:
    out = tmp_path / "a.ome.tif"
    process = started(large_pair, out)
    wait_for_work(process, tmp_path)
    if moment == 1.0:  # while the file is being laid out under its temporary name
        while not any(tmp_path.iterdir()):
            time.sleep(0.001)
    else:
        time.sleep(moment)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    if process.returncode == -signal.SIGKILL:
        assert not out.exists()
    else:  # it was faster than the signal: then the result is whole
        assert tifffile.imread(out).shape == (6276, 8400, 3)
