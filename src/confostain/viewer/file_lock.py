"""Lock of a file for one writer at a time, of all threads and processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from confostain.errors import OutputError

LOCK_SECONDS = 10.0  # s to wait for another writer, which takes milliseconds


def lock_path(path: Path) -> Path:
    """Hidden file beside `path` that is locked. It stays: the old and a new one could be locked at the same time."""
    return path.with_name(f".{path.name}.lock")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Exclusive access of one writer to the file at `path`, which need not exist. A process that ends frees its lock.

    Raises OutputError if another one has it for long, or the folder cannot be written.
    """
    lock = FileLock(lock_path(path), timeout=LOCK_SECONDS, mode=0o666)  # servers may run under several users
    try:
        lock.acquire()
    except Timeout as error:
        raise OutputError(
            f"{path.name}: another program has locked it for {LOCK_SECONDS:g} s; try again, or end that one"
        ) from error
    except (OSError, NotImplementedError) as error:  # the latter where the file system has no locks
        raise OutputError(f"{path.name}: cannot be locked for writing ({error})") from error
    try:
        yield
    finally:
        lock.release()
