"""A short run of benchmarks/viewer_attack.py: everybody attacks, and one client is served all the same."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from confostain.viewer.serving import OPENSEADRAGON

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "viewer_attack.py"


@pytest.mark.skipif(not OPENSEADRAGON.is_file(), reason="installed without npm, so there is no OpenSeadragon")
@pytest.mark.skipif(sys.platform == "win32", reason="1,100 connections of one process")
def test_an_honest_client_is_served_while_others_attack() -> None:
    command = [sys.executable, str(SCRIPT), "--requests", "50", "--attacks", "everything"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = run.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["no attack", "everything"]
    for line in lines:
        assert re.search(r"; 1 saved, .*; 0 errors; memory at most \d{2,3} MB", line)  # not gigabytes
