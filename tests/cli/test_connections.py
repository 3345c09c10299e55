"""No command makes a connection beyond this machine, looks a name up, or writes into the user's home unannounced."""

import ast
import ipaddress
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest

from confostain.viewer.serving import OPENSEADRAGON

RECORDER = Path(__file__).with_name("recorder")
RECIPE = Path(__file__).parents[2] / "recipes" / "tiny.toml"
LEFT_OUT = ("CI", "TF_BUILD", "JENKINS_URL")  # OpenVINO's telemetry keeps silent where these are set
ANNOUNCED = (".cache/matplotlib", ".config/matplotlib")  # in the README; of the extra `train`


def is_traceable() -> bool:
    """Whether strace is there and may trace: it sees what is not Python, too."""
    probe = ["strace", "-qq", "-o", os.devnull, "true"]
    return shutil.which("strace") is not None and subprocess.run(probe, check=False).returncode == 0


@dataclass(frozen=True)
class Recorded:
    """A command that runs with an empty home, and what it has called."""

    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def command(self) -> list[str]:
        """What goes before the arguments of Python."""
        trace = ["strace", "-f", "-qq", "-e", "trace=network", "-o", str(self.folder / "trace")]
        return [*(trace if is_traceable() else []), sys.executable]

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in LEFT_OUT and "XDG" not in name}
        path = os.pathsep.join(filter(None, (str(RECORDER), os.environ.get("PYTHONPATH"))))
        return kept | {"HOME": str(self.home), "PYTHONPATH": path, "RECORD": str(self.folder / "record")}

    def run(self, *arguments: object) -> None:
        done = subprocess.run(
            [*self.command, *map(str, arguments)], env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    @property
    def beyond(self) -> set[str]:
        """Hosts and addresses that are not this machine's loopback."""
        hosts: set[object] = set()
        for file in filter(Path.exists, [self.folder / "record"]):
            hosts |= {ast.literal_eval(line.split(" ", 1)[1]) for line in file.read_text().splitlines()}
        for file in filter(Path.exists, [self.folder / "trace"]):
            hosts |= set(re.findall(r'(?:inet_addr\(|inet_pton\(AF_INET6, )"([^"]+)"', file.read_text()))
        return {str(host) for host in hosts if not is_here(host)}

    @property
    def written(self) -> list[str]:
        """Files in the home."""
        return [path.relative_to(self.home).as_posix() for path in self.home.rglob("*") if path.is_file()]


def is_here(host: object) -> bool:
    """Whether this names the loopback interface, or no interface at all: a path, or nothing."""
    if host in (None, "localhost") or "/" in str(host):
        return True
    try:
        return ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        return False


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    (tmp_path / "home").mkdir()
    return Recorded(tmp_path)


@pytest.mark.parametrize(
    ("code", "host"),
    [
        ("import socket; socket.socket(type=socket.SOCK_DGRAM).connect(('192.0.2.1', 9))", "192.0.2.1"),
        (
            "import socket\ntry: socket.getaddrinfo('a.invalid', 1, flags=socket.AI_NUMERICHOST)\nexcept OSError: pass",
            "a.invalid",
        ),
        (
            "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import socket;"
            ' socket.socket(type=socket.SOCK_DGRAM).connect(("192.0.2.2", 9))\'], check=True)',
            "192.0.2.2",
        ),
    ],
)
def test_the_recorder_sees_what_goes_out(code: str, host: str, recorded: Recorded) -> None:
    recorded.run("-c", code)
    assert host in recorded.beyond


@pytest.mark.parametrize(
    "arguments",
    [
        ["info", "{scan}"],
        ["models"],
        ["stain", "{scan}", "-o", "{tmp}/a.ome.tif"],
        ["stain", "{scan}", "-o", "{tmp}/a.ome.zarr", "--model", "cyclegan", "--region", "0,0,64,64"],
        ["despeckle", "{scan}", "-o", "{tmp}/a.tif"],
    ],
    ids=" ".join,
)
def test_nothing_is_called_and_nothing_is_written_into_the_home(
    arguments: list[str], recorded: Recorded, phantom_scan: Path, tmp_path: Path
) -> None:
    words = [argument.format(scan=phantom_scan, tmp=tmp_path) for argument in arguments]
    recorded.run("-m", "confostain.cli", *words)
    assert (recorded.beyond, recorded.written) == (set(), [])


def test_a_training_and_a_release_call_nobody(recorded: Recorded, tmp_path: Path) -> None:
    recorded.run("-m", "confostain.cli", "train", RECIPE, "-o", tmp_path / "run", "--workers", 1)
    recorded.run("-m", "confostain.cli", "release", tmp_path / "run", "-o", tmp_path / "model", "--allow-dirty")
    assert recorded.beyond == set()
    assert [file for file in recorded.written if not file.startswith(ANNOUNCED)] == []


@pytest.mark.skipif(not OPENSEADRAGON.is_file(), reason="installed without npm, so there is no OpenSeadragon")
def test_the_viewer_listens_at_loopback_and_calls_nobody(recorded: Recorded, phantom_scan: Path) -> None:
    command = [sys.executable, "-m", "confostain.cli", "view", str(phantom_scan), "--no-browser", "--port", "0"]
    with subprocess.Popen(command, env=recorded.environment, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            url = server.stdout.readline().strip()
            with urllib.request.urlopen(f"{url}api/slides") as answer:
                (slide,) = json.load(answer)
            with urllib.request.urlopen(f"{url}api/slides/{slide['id']}/tiles/swift/0/0_0.jpg") as answer:
                assert answer.status == 200
        finally:
            server.send_signal(signal.SIGINT)
    assert (recorded.beyond, recorded.written) == (set(), [])
