"""The README's promises and the package's front door."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import confostain
from confostain import errors

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_front_door_is_exactly_this() -> None:
    assert sorted(confostain.__all__) == [
        "ConfostainError",
        "ConfostainWarning",
        "Model",
        "ModelCard",
        "RESEARCH_USE",
        "Slide",
        "StainColours",
        "__version__",
        "despeckle",
        "despeckle_slide",
        "list_models",
        "load_model",
        "open_histology",
        "open_slide",
        "read_stain_colours",
        "simulate",
        "stain",
        "stain_slide",
    ]
    assert all(getattr(confostain, name) for name in confostain.__all__)


def test_importing_loads_nothing_heavy() -> None:
    heavy = ("pydantic", "torch", "numpy", "scipy", "zarr", "pyvips", "openvino", "PIL", "tifffile")
    code = f"import sys, confostain, confostain.cli; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_staining_and_despeckling_need_no_torch() -> None:
    code = """
import sys
sys.modules["torch"] = None  # importing it fails
import numpy, confostain
pair = numpy.random.default_rng(0).random((2, 64, 64), numpy.float32)
print(confostain.stain(pair).shape, confostain.despeckle(pair[0]).shape)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "(64, 64, 3) (64, 64)"


def test_every_error_stands_under_one_base() -> None:
    raised = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, Exception)]
    others = [one for one in raised if not issubclass(one, Warning | confostain.ConfostainError)]
    assert len(raised) > 5
    assert others == []


def test_the_house_map_is_the_tree() -> None:
    command = [sys.executable, ROOT / "scripts" / "readme_map.py", "--check"]
    assert subprocess.run(command, check=False).returncode == 0, "run python scripts/readme_map.py"


def test_the_reference_page_is_what_the_docstrings_say() -> None:
    command = [sys.executable, ROOT / "scripts" / "reference.py", "--check"]
    assert subprocess.run(command, check=False).returncode == 0, "run python scripts/reference.py"


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_examples_run(example: Path, phantom_scan: Path, histology: Path, tmp_path: Path) -> None:
    """Each takes what its first line says and writes into the last folder."""
    inputs = {"histology": histology, "slide": phantom_scan}["histology" if "histology" in example.stem else "slide"]
    done = subprocess.run(
        [sys.executable, example, inputs, tmp_path], capture_output=True, text=True, check=False, timeout=250
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_every_make_target_and_command_that_the_readme_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"(?:^|`)make (\w+)", README, flags=re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target
    for path in set(re.findall(r"\b(?:benchmarks|docs|recipes|scripts|tests)/[\w./-]*\w", README + makefile)):
        assert (ROOT / path).exists(), path
    code = "".join(README.split("```")[1::2])
    for command in set(re.findall(r"^confostain (\w+)", code, flags=re.MULTILINE)):
        result = subprocess.run(
            [sys.executable, "-m", "confostain.cli", command, "--help"], capture_output=True, check=False
        )
        assert result.returncode == 0, command


def test_the_version_is_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "version" in project["dynamic"]
    assert f"## {confostain.__version__}" in (ROOT / "CHANGELOG.md").read_text()
