"""Which cache folders are removed: those that nobody uses any more."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from confostain.viewer.cache_folder import PREFIX, CacheFolder, remove_abandoned

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no locks on folders")

HOLDER = """
from confostain.viewer.cache_folder import CacheFolder
folder = CacheFolder()
(folder.path / "block").touch()
print(folder.path, flush=True)
input()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def holder() -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Another process, and its folder."""
    command = [sys.executable, "-c", HOLDER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())
        process.kill()


def test_the_folder_of_a_living_process_stays(holder: tuple[subprocess.Popen[str], Path]) -> None:
    with closing(CacheFolder()) as folder:
        assert folder.path.is_dir()
        assert (holder[1] / "block").exists()


def test_the_folder_of_a_killed_process_is_removed(holder: tuple[subprocess.Popen[str], Path]) -> None:
    process, path = holder
    process.kill()
    process.wait()
    assert path.exists()
    with closing(CacheFolder()) as folder:
        assert list(path.parent.iterdir()) == [folder.path]
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("place", ["tempfile.mkdtemp", "os.open", "fcntl.flock"])
def test_a_folder_that_is_removed_before_it_is_locked_is_made_again(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """As by a process that took it for abandoned, right after the call of `place` for the first folder."""
    module, name = place.split(".")
    call = getattr(sys.modules[module], name)
    removed: list[Path] = []

    def followed(*arguments: object, **options: object) -> object:
        result = call(*arguments, **options)
        if not removed and (found := list(temporary.iterdir())):
            removed.extend(found)
            found[0].rmdir()
        return result

    monkeypatch.setattr(sys.modules[module], name, followed)
    with closing(CacheFolder()) as folder:
        assert list(temporary.iterdir()) == [folder.path]
        assert len(removed) == 1


def file(place: Path) -> Path:
    path = place / f"{PREFIX}file"
    path.touch()
    return path


def link(place: Path) -> Path:
    (place / "elsewhere").mkdir()
    (place / f"{PREFIX}link").symlink_to(place / "elsewhere", target_is_directory=True)
    return place / "elsewhere"


def other_name(place: Path) -> Path:
    path = place / "confostain-results"
    path.mkdir()
    return path


def other_user(place: Path) -> Path:
    if os.getuid():
        pytest.skip("only the superuser can make such a folder")
    path = place / f"{PREFIX}other"
    path.mkdir()
    os.chown(path, 12345, 12345)
    return path


@pytest.mark.parametrize("make", [file, link, other_name, other_user])
def test_what_is_not_ours_stays(temporary: Path, make: Callable[[Path], Path]) -> None:
    path = make(temporary)
    remove_abandoned()
    assert path.exists()
