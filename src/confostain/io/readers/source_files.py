"""Files that an image is read from: which they are, and whether they are still as they were when they were opened."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from confostain.errors import SlideError

State = tuple[int, int]  # how many files, and a digest of their names, sizes and times of change


class SourceFiles:
    """Files, or folders of an OME-Zarr, that one image is read from.

    Their state is taken at once; `check_unchanged` compares with it. Contents are not read.

    Args:
        paths: of the files and folders.

    Raises:
        OSError: one of them is not there.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)
        self._opened = [_state(path) for path in self.paths]

    def holds(self, path: Path) -> bool:
        """Whether `path` is one of the files, lies inside one of the folders, or is a folder around any of them."""
        target = path.resolve()
        files = [source.resolve() for source in self.paths]
        return any(target == file or target in file.parents or file in target.parents for file in files)

    def check_unchanged(self) -> None:
        """Compare the files with their state when they were opened.

        Raises:
            SlideError: one has changed, disappeared or appeared since.
        """
        for path, opened in zip(self.paths, self._opened, strict=True):
            try:
                found = _state(path)
            except OSError as error:
                raise _changed(path, error.strerror or str(error)) from error
            if found != opened:
                raise _changed(
                    path, f"{opened[0]} files, now {found[0]}" if opened[0] != found[0] else "other contents"
                )


def _changed(path: Path, what: str) -> SlideError:
    return SlideError(
        f"{path.name}: changed while it was read ({what}); expected files that stay as they are; try again once nothing"
        " writes there"
    )


def _state(path: Path) -> State:
    count = digest = 0
    for name, found in _files(path):
        count += 1
        digest ^= hash((name, found.st_size, found.st_mtime_ns))  # in any order
    return count, digest


def _files(path: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Each file at or below `path`, and what the file system says of it."""
    if not path.is_dir():
        yield path.name, path.stat()
        return
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from ((f"{entry.name}/{name}", found) for name, found in _files(Path(entry.path)))
            else:
                yield entry.name, entry.stat()
