"""`confostain view` from the command line."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from command_line import refused
from confostain.viewer.serving import OPENSEADRAGON, Address, listening


@pytest.mark.skipif(not OPENSEADRAGON.is_file(), reason="installed without npm, so there is no OpenSeadragon")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_view_prints_its_address_and_serves_until_it_is_stopped(phantom_scan: Path, tmp_path: Path, name: str) -> None:
    """With a page open that listens, and a cache folder that is gone in the end."""
    if not hasattr(signal, name):
        pytest.skip(f"this platform has no {name}")
    command = [sys.executable, "-m", "confostain.cli", "view", str(phantom_scan), "--no-browser", "--port", "0"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    number = getattr(signal, name)
    pipes["preexec_fn"] = lambda: signal.signal(number, signal.SIG_DFL)  # tests may run under nohup
    with subprocess.Popen(command, env={**os.environ, "TMPDIR": str(tmp_path)}, **pipes) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", url)
        with urllib.request.urlopen(url + "api/slides") as answer:
            (slide,) = json.load(answer)
        assert slide["name"] == phantom_scan.parent.name
        with urllib.request.urlopen(url + "api/events") as events:
            assert events.readline() == b": listening\n"
            assert len(list(tmp_path.iterdir())) > 0
            server.send_signal(number)
            _, err = server.communicate(timeout=60)
    assert (server.returncode, err) == (0, "")
    assert list(tmp_path.iterdir()) == []


def test_view_refuses_in_one_line(
    capsys: pytest.CaptureFixture[str], phantom_scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("confostain.viewer.serving.check_page", lambda: None)  # as where npm has brought OpenSeadragon
    assert "no slide given; expected SLIDE" in refused(capsys, "view")
    assert "no such file" in refused(capsys, "view", tmp_path / "nowhere")
    assert "no model is called" in refused(capsys, "view", phantom_scan, "--model", "nothing")
    assert "no such folder" in refused(capsys, "view", "--watch", tmp_path / "nowhere")
    with listening(Address(port=0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port}" in refused(capsys, "view", phantom_scan, "--no-browser", "--port", port)
    assert "cannot listen" in refused(capsys, "view", phantom_scan, "--no-browser", "--port", 99_999)
