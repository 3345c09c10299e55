"""File names and machines that are unlike a developer's: a result, or one clear line; never a traceback."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from command_line import answered, refused
from confostain.cli.common import escaped
from confostain.cli.study import PROTOCOL_HELP
from confostain.viewer.serving import OPENSEADRAGON

NAMES = {"latin-1": b"M\xfcller", "control": b"new\nline \x1b[31mred", "scripts": "Änne 日本 😀".encode()}
LANGUAGES = {
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "ascii": {"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "ascii"},
    "utf-8": {"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "utf-8"},
}
REGION = ("--region", "300,200,96,80")


@pytest.fixture(params=NAMES)
def folder(request: pytest.FixtureRequest, phantom_scan: Path, tmp_path: Path) -> bytes:
    """A folder with a scan, both of an odd name."""
    name = NAMES[request.param]
    folder = bytes(tmp_path) + b"/" + name
    try:
        Path(os.fsdecode(folder)).mkdir()
    except OSError:
        pytest.skip("this file system takes no such name")
    shutil.copytree(bytes(phantom_scan), folder + b"/" + name)
    return folder


def call(variables: dict[str, str], *arguments: str | bytes) -> tuple[int, bytes]:
    """Exit code and output of a command, which has no traceback and at most one line on stderr."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHONIO"))}
    command = [sys.executable, "-m", "confostain.cli", *arguments]
    done = subprocess.run(command, env=kept | variables, capture_output=True, check=False)
    assert re.fullmatch(rb"(confostain: [^\n\x1b]+\n)?", done.stderr), done.stderr
    assert (done.returncode == 0) is (done.stderr == b"")
    return done.returncode, done.stdout or done.stderr


@pytest.mark.parametrize("language", LANGUAGES)
def test_names_are_printed_whatever_the_terminal_can_show(folder: bytes, language: str) -> None:
    scan = folder + b"/" + os.path.basename(folder)  # noqa: PTH119  # pathlib has no bytes
    code, said = call(LANGUAGES[language], "info", scan)
    assert code == 0
    assert b"\x1b" not in said
    assert b"layout " in said
    for arguments in (("info", folder + b"/none"), ("stain", scan, "-o", "x.png", "--model", scan + b"/none"), (scan,)):
        code, said = call(LANGUAGES[language], *arguments)
        assert code == 2


@pytest.mark.parametrize("suffix", [".ome.tif", ".ome.zarr", ".dcm", ".png"])
def test_results_have_any_name(folder: bytes, suffix: str) -> None:
    name = os.path.basename(folder)  # noqa: PTH119
    result = folder + b"/" + name + suffix.encode()
    code, said = call(LANGUAGES["ascii"], "stain", folder + b"/" + name, "-o", result, "--model", "gareau", *REGION)
    assert (code, said.count(b"\n")) == (0, 1)
    assert Path(os.fsdecode(result)).exists()
    assert sorted(os.listdir(folder)) == sorted([name, name + suffix.encode()])  # noqa: PTH208


def test_models_and_despeckled_images_have_any_name(folder: bytes) -> None:
    import confostain.weights

    name = os.path.basename(folder)  # noqa: PTH119
    shipped = Path(str(confostain.weights.__path__[0]))
    for model, command in (("swift", "stain"), ("despeckler", "despeckle")):
        copied = folder + b"/" + model.encode() + name
        shutil.copytree(bytes(shipped / model), copied)
        result = folder + b"/" + command.encode() + name + b".tif"
        code, _ = call(LANGUAGES["C"], command, folder + b"/" + name, "-o", result, "--model", copied, *REGION)
        assert code == 0
        assert tifffile.imread(os.fsdecode(result)).shape[:2] == (80, 96)


@pytest.mark.parametrize("language", LANGUAGES)
def test_protocols_and_recipes_are_utf_8_in_any_language(language: str, tmp_path: Path) -> None:
    protocol, recipe = tmp_path / "study.toml", tmp_path / "recipe.toml"
    text = PROTOCOL_HELP.partition("\n\n")[2].replace("Real or stained?", "Echt oder gefärbt?")
    protocol.write_text(text, encoding="utf-8")
    recipe.write_text('task = "stain"\n[data]\ntrain = ["Präparat.svs"]\n', encoding="utf-8")
    asked = ("study", bytes(protocol), "--results", "none.csv", "--summary")
    for arguments, reason in (
        (asked, b"no answers yet"),
        (("train", bytes(recipe), "-o", "x"), b"'data.validate' is m"),
    ):
        code, said = call(LANGUAGES[language], *arguments)
        assert (code, reason in said) == (2, True), said


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ÄÖÜ 日本 µm/px", "plain ÄÖÜ 日本 µm/px"),
        ("two\nlines\r\t\x00", "two\\nlines\\r\\t\\x00"),
        ("\x1b[31m\x9b\u2028\u202e", "\\x1b[31m\\x9b\\u2028\\u202e"),
        ("M\udcfcller", "M\\udcfcller"),
    ],
)
def test_control_characters_and_undecodable_bytes_are_escaped(text: str, shown: str) -> None:
    assert escaped(text) == shown


HOMES = {"unset": None, "absent": "/proc/none", "a file": os.devnull, "empty": ""}


@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize("command", ["info", "stain", "despeckle"])
def test_no_home_and_no_writable_temporary_folder_are_needed(
    command: str, home: str, phantom_scan: Path, tmp_path: Path
) -> None:
    chosen = HOMES[home]
    variables = {"TMPDIR": "/proc/none", "PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    variables |= {} if chosen is None else {"HOME": chosen}
    output = () if command == "info" else ("-o", tmp_path / "a.tif", *REGION)
    done = subprocess.run(
        [sys.executable, "-m", "confostain.cli", command, phantom_scan, *output],
        env=variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def no_temporary_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [os.devnull])


@pytest.mark.usefixtures("no_temporary_folder")
@pytest.mark.parametrize("command", ["info", "stain", "despeckle"])
def test_without_any_temporary_folder_scans_are_read_that_need_none(
    command: str, phantom_scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = () if command == "info" else ("-o", tmp_path / "a.ome.tif", *REGION)
    assert answered(capsys, command, phantom_scan, *output)


@pytest.mark.usefixtures("no_temporary_folder")
@pytest.mark.parametrize("command", ["info", "stain", "despeckle"])
def test_a_missing_temporary_folder_is_one_line_where_one_is_needed(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("785.png", "488.png"):
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 300), np.uint8)).save(tmp_path / name)
    output = () if command == "info" else ("-o", tmp_path / "a.ome.tif")
    said = refused(capsys, command, tmp_path, *output)
    assert "expected a folder for temporary files that can be written to; name it by the variable TMPDIR" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["488.png", "785.png"]


@pytest.mark.usefixtures("no_temporary_folder")
@pytest.mark.skipif(not OPENSEADRAGON.is_file(), reason="installed without npm, so there is no OpenSeadragon")
def test_the_viewer_says_in_one_line_that_it_needs_a_temporary_folder(
    phantom_scan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, "view", phantom_scan, "--no-browser", "--port", 0)
    assert "no folder for temporary files can be written to; expected one; name it by the variable TMPDIR" in said
