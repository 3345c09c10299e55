"""Commands without what POSIX systems alone have. This is not Windows, but what Windows lacks is not asked for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ELSEWHERE = Path(__file__).with_name("elsewhere")
SUFFIXES = (".ome.tif", ".ome.zarr", ".dcm", ".png")
REGION = ("--region", "300,200,96,80")


@pytest.mark.parametrize(
    "arguments",
    [
        ("info", "{scan}"),
        ("models",),
        *(("stain", "{scan}", "-o", "{tmp}/a" + suffix, "--model", "gareau", *REGION) for suffix in SUFFIXES),
        ("stain", "{scan}", "-o", "{tmp}/a.png", *REGION),
        ("despeckle", "{scan}", "-o", "{tmp}/a.tif", *REGION),
        ("prepare", "confocal", "{scan}", "--side", "128", "-o", "{tmp}/a"),
    ],
    ids=" ".join,
)
def test_commands_do_without_what_only_posix_has(
    arguments: tuple[str, ...], phantom_scan: Path, tmp_path: Path
) -> None:
    words = [argument.format(scan=phantom_scan, tmp=tmp_path) for argument in arguments]
    path = os.pathsep.join(filter(None, (str(ELSEWHERE), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-m", "confostain.cli", *words],
        env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "-o" not in arguments or list(tmp_path.iterdir())
