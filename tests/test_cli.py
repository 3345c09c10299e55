import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import tifffile

from command_line import answered, refused

Stalled = Callable[..., subprocess.Popen[str]]


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


def test_models_say_which_pixel_sizes_they_are_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from confostain.models import registry
    from confostain.models.card import ModelCard

    one = ModelCard(name="one", kind="stainer", input="pair", stride=1, receptive_field=1, description="a stain")
    scales = {"wide": (0.4, 1.0), "narrow": (0.6, 0.9), "single": (0.75, 0.75), "any": None}
    cards = [one.model_copy(update={"name": name, "microns_per_pixel": of}) for name, of in scales.items()]
    cards.append(cards[0].model_copy(update={"name": "clean", "kind": "despeckler"}))
    monkeypatch.setattr(registry, "list_models", lambda: cards)
    told = {line.split()[0]: line.partition("a stain")[2] for line in answered(capsys, "models").splitlines()}
    assert told == {
        "wide": "; for 0.4 to 1 um/px; finer slides are reduced; above 1.5 um/px it is refused",
        "narrow": "; for 0.6 to 0.9 um/px",
        "single": "; for 0.75 um/px",
        "any": "",
        "clean": "; for 0.4 to 1 um/px; above 1.5 um/px it is refused",
    }


@pytest.mark.parametrize(
    ("mpp", "arguments", "told"),
    [
        ("0.2", [], "350 x 262 px"),
        ("0.15", ["--region", "10,10,31,20"], "11 x 7 px"),
        ("0.5", [], "700 x 523 px"),
    ],
)
def test_a_fine_slide_is_reduced_and_that_is_said(
    make_stainer: Callable[..., Path],
    unscaled_planes: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    mpp: str,
    arguments: list[str],
    told: str,
) -> None:
    folder, (r, f) = make_stainer("trained", microns_per_pixel=(0.4, 1.0)), unscaled_planes
    channels = ["--reflectance", r, "--fluorescence", f, "--mpp", mpp, "--model", folder]
    line = answered(capsys, "stain", *channels, "-o", tmp_path / "a.ome.tif", *arguments)
    assert told in line
    reduced = {"0.2": ", reduced by 2 to 0.4 um/px", "0.15": ", reduced by 3 to 0.45 um/px", "0.5": ")"}
    assert line.strip().endswith(reduced[mpp])


def test_a_slide_too_coarse_is_refused_in_one_line(
    make_stainer: Callable[..., Path],
    unscaled_planes: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, (r, f) = make_stainer("trained", microns_per_pixel=(0.4, 1.0)), unscaled_planes
    channels = ["--reflectance", r, "--fluorescence", f, "--mpp", "2", "--model", folder]
    line = refused(capsys, "stain", *channels, "-o", tmp_path / "a.ome.tif")
    assert "pixel size 2 um: model trained was trained at 0.4 to 1 um; expected at most 1.5 um" in line
    assert not (tmp_path / "a.ome.tif").exists()


def test_the_demo_paints_stains_and_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from confostain import demo
    from confostain.geometry import Size

    monkeypatch.setattr(demo, "SIZE", Size(600, 500))
    out = answered(capsys, "demo", tmp_path / "demo")
    for name in ("scan/mosaic", "stained.ome.tif", "before-after.png", "sample.png"):
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
    command = (
        f"{sys.executable} -m confostain.cli stain '{phantom_scan}' -o '{tmp_path}/a.ome.tif' --model gareau {closing}"
    )
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert result.stderr == ""
    assert tifffile.imread(tmp_path / "a.ome.tif").shape == (523, 700, 3)


def test_bad_options_are_refused_before_the_slide_is_read(
    phantom_scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def surveyed(*planes: object) -> None:
        raise AssertionError("the slide was surveyed")

    monkeypatch.setattr("confostain.slide.survey_slide", surveyed)
    out = tmp_path / "a.ome.tif"
    assert "suffix" in refused(capsys, "stain", phantom_scan, "-o", tmp_path / "a.jpg")
    assert "tile" in refused(capsys, "stain", phantom_scan, "-o", out, "--tile", "0")
    assert "region" in refused(capsys, "stain", phantom_scan, "-o", out, "--region", "0,0,0,0")
    assert "no model" in refused(capsys, "stain", phantom_scan, "-o", out, "--model", "x")
    out.touch()
    assert "exists" in refused(capsys, "stain", phantom_scan, "-o", out)


def test_a_missing_pixel_size_is_asked_for(
    phantom_scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planes = [tifffile.imread(phantom_scan / detector / "highres_raw.tif") for detector in ("DET#1", "DET#2")]
    paths = [tmp_path / "R.tif", tmp_path / "F.tif"]
    for path, plane in zip(paths, planes, strict=True):
        tifffile.imwrite(path, plane)
    channels = ("--reflectance", paths[0], "--fluorescence", paths[1])
    assert "--mpp" in refused(capsys, "stain", *channels, "-o", tmp_path / "a.ome.tif")


def stain_stalled(stalled: Stalled, event: tuple[str, int], scan: Path, out: Path) -> subprocess.Popen[str]:
    """A closed-form staining that stands still at an event; 6 tiles of level 0."""
    options = ("--model", "gareau", "--tile", 256, "--lossless", "-o", out)
    return stalled(*event, "confostain.cli", "stain", scan, *options)


WRITING = "confostain.io.writers.ometiff:OmeTiffWriter"


@pytest.mark.parametrize("request_to_end", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_cleanly(request_to_end: int, stalled: Stalled, phantom_scan: Path, tmp_path: Path) -> None:
    process = stain_stalled(stalled, (f"{WRITING}.append", 3), phantom_scan, tmp_path / "a.ome.tif")
    process.send_signal(request_to_end)
    _, err = process.communicate()
    assert process.returncode == 1
    assert "interrupted" in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "event",
    [
        (f"{WRITING}.append", 1),
        (f"{WRITING}.append", 6),
        (f"{WRITING}.complete", 1),
        (f"{WRITING}._level_options", 1),
        (f"{WRITING}._level_options", 2),
        ("confostain.io.writers.ometiff:_link_levels_for_generic_readers", 1),
        ("pathlib:Path.replace", 1),
    ],
    ids=str,
)
def test_sigkill_at_any_moment_leaves_no_file_under_the_final_name(
    event: tuple[str, int], stalled: Stalled, phantom_scan: Path, tmp_path: Path
) -> None:
    process = stain_stalled(stalled, event, phantom_scan, tmp_path / "a.ome.tif")
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "a.ome.tif").exists()
