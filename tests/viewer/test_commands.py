"""`confostain view` and `confostain study` from the command line."""

import json
import re
import signal
import socket
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path

import pytest

from confostain import cli
from confostain.cli import view as viewing
from confostain.viewer.serving import OPENSEADRAGON, Address, listening


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as exit_:
        cli.main([str(argument) for argument in arguments])
    assert exit_.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"confostain: [^\n]+\n", err)
    return err


@pytest.mark.skipif(not OPENSEADRAGON.is_file(), reason="installed without npm, so there is no OpenSeadragon")
def test_view_prints_its_address_and_serves_until_it_is_stopped(phantom_scan: Path) -> None:
    command = [sys.executable, "-m", "confostain.cli", "view", str(phantom_scan), "--no-browser", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", url)
        with urllib.request.urlopen(url + "api/slides") as answer:
            (slide,) = json.load(answer)
        assert slide["name"] == phantom_scan.parent.name
        server.send_signal(signal.SIGINT)
        _, err = server.communicate(timeout=20)
    assert (server.returncode, err) == (0, "")


def test_view_refuses_in_one_line(capsys: pytest.CaptureFixture[str], phantom_scan: Path, tmp_path: Path) -> None:
    assert "nothing to look at" in refused(capsys, "view")
    assert "no such file" in refused(capsys, "view", tmp_path / "nowhere")
    assert "no model is called" in refused(capsys, "view", phantom_scan, "--model", "nothing")
    assert "no such folder" in refused(capsys, "view", "--watch", tmp_path / "nowhere")
    with listening(Address(port=0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port}" in refused(capsys, "view", phantom_scan, "--no-browser", "--port", port)
    assert "cannot listen" in refused(capsys, "view", phantom_scan, "--no-browser", "--port", 99_999)


def test_the_next_free_port_is_taken() -> None:
    with listening(Address()) as first, listening(Address()) as second:
        assert first.getsockname()[1] != second.getsockname()[1]
        assert first.proto == socket.IPPROTO_TCP  # else asyncio leaves Nagle's algorithm on


@pytest.mark.parametrize(
    ("host", "is_local"), [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("box", False)]
)
def test_only_this_machine_goes_without_a_token(host: str, is_local: bool) -> None:
    assert Address(host).is_local is is_local


def test_study_refuses_in_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text("title = 1")
    options = ("--reader", "anna", "--results", tmp_path / "answers.csv")
    assert "title: Input should be a valid string" in refused(capsys, "study", tmp_path / "study.toml", *options)
    assert "no protocol" in refused(capsys, "study", tmp_path / "nowhere.toml", *options)


def test_the_summary_is_csv(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    example = viewing.STUDY_HELP.partition("\n\n")[2]
    (tmp_path / "study.toml").write_text(example)
    assert len(tomllib.loads(example)["arms"]) == 2
    columns = "reader,field,arm,x,y,question,answer,correct,seconds,comment,time"
    lines = [f"{reader},{n},section,0,0,real,a real section,1,2.0,,now" for reader in "ab" for n in range(3)]
    (tmp_path / "answers.csv").write_text("\n".join([columns, *lines]) + "\n")
    with pytest.raises(SystemExit) as exit_:
        cli.main(["study", str(tmp_path / "study.toml"), "--results", str(tmp_path / "answers.csv"), "--summary"])
    assert exit_.value.code == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "question,reader,fields,accuracy,low,high,kappa"
    assert [line.split(",")[1:4] for line in printed[1:]] == [
        ["a", "3", "1.0000"], ["b", "3", "1.0000"], ["(all)", "6", "1.0000"]
    ]  # fmt: skip
