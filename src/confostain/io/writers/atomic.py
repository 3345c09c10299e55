"""Atomic writes: files and folders that are complete or absent, whatever ends the process that writes them.

A result is written under a hidden name beside its final one, and renamed at the end. The process that writes holds a
lock on what lies under the hidden name; what nobody holds a lock on was left by a process that is gone, and is removed
by the next one that writes into the same folder.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from confostain.errors import OutputError

PARTIAL = ".confostain-partial"  # ending of hidden names: nobody else's
ASIDE = ".confostain-replaced"  # an earlier result while it is being replaced, where two names cannot be exchanged
AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of Linux: fcntl.h, stdio.h


@contextmanager
def as_output_error(path: Path) -> Iterator[None]:
    """Raise any OSError while writing `path` as an OutputError that names it.

    Raises:
        OutputError: instead of an OSError.
    """
    try:
        yield
    except BrokenPipeError:  # of the progress output, not of the file
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"{path}: writing failed: {reason}; free space in {path.absolute().parent} or choose another folder"
        ) from error


def _is_folder_result(folder: Path) -> bool:
    """Whether a folder is a result of the kind of its suffix, so that --overwrite cannot remove other files."""
    suffix = folder.suffix.lower()
    try:
        entries = list(folder.iterdir())
        if suffix == ".zarr" and entries:
            return _is_ome_zarr(folder)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    if suffix == ".dcm":
        return all(entry.is_file() and re.fullmatch(r"level-\d+\.dcm", entry.name) for entry in entries)
    return suffix == ".zarr"


def _is_ome_zarr(folder: Path) -> bool:
    """Whether a folder is an OME-Zarr image: of NGFF 0.4 (Zarr format 2) or 0.5 (Zarr format 3)."""
    if (folder / ".zattrs").exists():
        return "multiscales" in json.loads((folder / ".zattrs").read_bytes())
    return "multiscales" in json.loads((folder / "zarr.json").read_bytes())["attributes"]["ome"]


def refuse_existing(path: Path, overwrite: bool, is_result: Callable[[Path], bool] = _is_folder_result) -> None:
    """Check that `path` may be written.

    Args:
        path: of the result.
        overwrite: whether an existing result may be replaced.
        is_result: whether a folder at `path` is a result of the right kind, which may be replaced.

    Raises:
        OutputError: it exists and `overwrite` is off; it is a folder but no result of the kind of its name; its parent
            folder does not exist or cannot be written; or the file system does not accept the name.
    """
    if not path.parent.is_dir():
        raise OutputError(f"{path}: the folder {path.parent} does not exist; expected an existing one; create it first")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OutputError(
            f"{path}: the folder {path.parent} cannot be written; expected a writable one; choose another"
        )
    _restore(path)
    try:
        path.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}; choose another name") from None
    if path.is_dir() and not is_result(path):
        raise OutputError(f"{path} is a folder and no result of this kind, so it is not replaced; choose another name")
    if not overwrite:
        raise OutputError(f"{path} exists already: choose another name, or allow it with --overwrite")


@contextmanager
def complete_or_absent(path: Path, overwrite: bool) -> Iterator[Path]:
    """Atomic write of a file: a temporary file beside `path`, renamed to it at the end, removed after an error.

    Raises:
        OutputError: as `refuse_existing`, before and after, and as `as_output_error`; or the temporary file has been
            removed or replaced by somebody else.
    """
    refuse_existing(path, overwrite)
    with as_output_error(path):
        remove_leftovers(path.parent)
        partial, handle = _claimed(path, folder=False)
        try:
            yield partial
            refuse_existing(path, overwrite)
            _check_same(partial, os.fstat(handle))
            partial.chmod(0o666 & ~_umask())
            if sys.platform == "win32":  # an open file cannot be renamed there
                os.close(handle)
                handle = -1
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
            if handle >= 0:
                os.close(handle)


class PartialFolder:
    """Atomic write of a folder: a hidden folder beside `path`, renamed to it by `complete`, else removed.

    Attributes:
        partial: hidden folder, empty at first.

    Raises:
        OutputError: as `refuse_existing` and `as_output_error`, at the beginning and in `complete`.
    """

    def __init__(self, path: Path, overwrite: bool, is_result: Callable[[Path], bool] = _is_folder_result) -> None:
        refuse_existing(path, overwrite, is_result)
        self._path, self._overwrite, self._is_result = path, overwrite, is_result
        with as_output_error(path):
            remove_leftovers(path.parent)
            self.partial, self._handle = _claimed(path, folder=True)
            self._created = self.partial.stat()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for _ in range(50):  # after an error, a thread may still be writing a file
            _remove(self.partial)  # a file, where the new folder has taken the name of one
            if not os.path.lexists(self.partial):
                break
            time.sleep(0.02)
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def complete(self, files: int = 0) -> None:
        """Rename the folder to its final name; an earlier result there gives way in the same step.

        Where the system cannot exchange two names, the earlier result is set aside for a moment; a process that is
        killed right then leaves it there, and the next one that writes to the same name puts it back.

        Args:
            files: how many files have been written into the folder, at least.

        Raises:
            OutputError: the folder, or some of its files, has been removed or replaced by somebody else.
        """
        refuse_existing(self._path, self._overwrite, self._is_result)
        with as_output_error(self._path):
            _check_same(self.partial, self._created)
            found = sum(len(names) for _, _, names in os.walk(self.partial))
            if found < files:
                raise OutputError(
                    f"{self._path}: {files - found} of {files} files of the result have disappeared while it was"
                    " written; expected a folder that nobody else changes; try again"
                )
            self.partial.chmod(0o777 & ~_umask())
            if not os.path.lexists(self._path):
                self.partial.rename(self._path)
            elif not _exchange(self.partial, self._path):
                self._replace_in_two_steps()

    def _replace_in_two_steps(self) -> None:
        aside = _aside(self._path)
        _remove(aside)
        self._path.rename(aside)
        try:
            self.partial.rename(self._path)
        except BaseException:
            aside.rename(self._path)
            raise
        _remove(aside)


def remove_leftovers(folder: Path) -> None:
    """Remove hidden files and folders that processes which are gone have left in a folder; those in use stay.

    Nothing is done where the system has no locks that end with their process.
    """
    for path in list(folder.iterdir()):
        if path.name.startswith(".") and path.name.endswith(PARTIAL) and not path.is_symlink():
            with suppress(OSError):
                handle = os.open(path, os.O_RDONLY)
                try:
                    if _lock(handle):
                        _remove(path)
                finally:
                    os.close(handle)


def _claimed(path: Path, folder: bool) -> tuple[Path, int]:
    """New hidden file or folder beside `path`, and an open handle that holds its lock (-1 for folders on Windows).

    Another process may take it for a leftover in the moment before it is locked: then there is another.
    """
    while True:
        if folder:
            partial = Path(tempfile.mkdtemp(prefix=_hidden(path), suffix=PARTIAL, dir=path.parent))
            if sys.platform == "win32":
                return partial, -1
            with suppress(FileNotFoundError):
                handle = os.open(partial, os.O_RDONLY)
                _lock(handle)
                if partial.exists():
                    return partial, handle
                os.close(handle)
        else:
            handle, name = tempfile.mkstemp(prefix=_hidden(path), suffix=PARTIAL, dir=path.parent)
            _lock(handle)
            if Path(name).exists():
                return Path(name), handle
            os.close(handle)


def _lock(handle: int) -> bool:
    """Take the lock on an open file or folder; whether it is held now. It ends with the process at the latest."""
    try:
        import fcntl
    except ImportError:  # Windows
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # held by another, or a file system without locks
        return False
    return True


def _check_same(path: Path, created: os.stat_result) -> None:
    """Check that what lies at `path` is what was created there."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        found = None
    if found is None or (found.st_dev, found.st_ino) != (created.st_dev, created.st_ino):
        raise OutputError(
            f"{path}: the unfinished result has been removed or replaced while it was written; expected a folder that"
            " nobody else changes; try again"
        )


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step (renameat2 of Linux); False where the system or the file system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    return rename is not None and (
        rename(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) == 0
    )


def _restore(path: Path) -> None:
    """Put an earlier result back that a killed process has set aside and not replaced; remove one that it has."""
    aside = _aside(path)
    with suppress(OSError):
        if os.path.lexists(aside):
            if os.path.lexists(path):
                _remove(aside)
            else:
                aside.rename(path)


def _aside(path: Path) -> Path:
    short = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]  # the name itself may be as long as names can be
    return path.with_name(f".{short}{ASIDE}")


def _remove(path: Path) -> None:
    """Remove a file, a link or a folder, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _hidden(path: Path) -> str:
    """Beginning of temporary names: part of the final name, short enough for any file system."""
    return f".{path.name[:40]}."


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
