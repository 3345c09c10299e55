"""Annotations of one slide written by several server processes at once."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from confostain.errors import OutputError
from confostain.viewer import file_lock
from confostain.viewer.annotation_schema import check_annotations
from confostain.viewer.annotations import EMPTY, AnnotationFile
from confostain.viewer.serving import OPENSEADRAGON

WRITES = 12  # of each client

Stalled = Callable[..., subprocess.Popen[str]]


@contextmanager
def server(scan: Path) -> Iterator[httpx.Client]:
    command = [sys.executable, "-m", "confostain.cli", "view", str(scan), "--no-browser", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            with httpx.Client(base_url=process.stdout.readline().strip(), timeout=60) as client:
                yield client
        finally:
            process.terminate()


def add(client: httpx.Client, url: str, name: str) -> None:
    """Add one feature as the page does: again with the new version whenever somebody else was faster."""
    feature = {"type": "Feature", "id": name, "geometry": {"type": "Point", "coordinates": [1, 2]}, "properties": {}}
    status = 412
    while status == 412:
        read = client.get(url)
        collection = read.json()
        collection["features"].append(feature)
        status = client.put(url, json=collection, headers={"If-Match": read.headers["etag"]}).status_code
    assert status == 200


@pytest.mark.skipif(not OPENSEADRAGON.is_file(), reason="installed without npm, so there is no OpenSeadragon")
def test_two_servers_lose_no_acknowledged_write(phantom_scan: Path) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(server(phantom_scan)) for _ in range(2)]
        url = f"/api/slides/{clients[0].get('/api/slides').json()[0]['id']}/annotations"
        acknowledged: list[str] = []

        def write(number: int) -> None:
            for count in range(WRITES):
                add(clients[number % 2], url, f"{number}-{count}")
                acknowledged.append(f"{number}-{count}")

        threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        saved = {feature["id"] for feature in clients[0].get(url).json()["features"]}
        AnnotationFile(phantom_scan, check_annotations).path.unlink()
    assert len(acknowledged) == 4 * WRITES
    assert set(acknowledged) - saved == set()


WRITER = """
import sys
from pathlib import Path
from confostain.viewer.annotations import EMPTY, AnnotationFile
file = AnnotationFile(Path(sys.argv[1]), len)
file.write(EMPTY + b" ", file.read()[1])
"""


def test_a_writer_waits_for_another_process_and_not_for_a_dead_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stalled: Stalled
) -> None:
    monkeypatch.setattr(file_lock, "LOCK_SECONDS", 0.0)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    (tmp_path / "writer.py").write_text(WRITER)
    file = AnnotationFile(tmp_path / "scan", check_annotations)
    process = stalled("pathlib:Path.write_bytes", 1, "writer", tmp_path / "scan")
    with pytest.raises(OutputError, match="another program has locked it"):
        file.write(EMPTY, file.read()[1])
    process.kill()
    process.wait()
    file.write(EMPTY, file.read()[1])
    assert file.path.read_bytes() == EMPTY
