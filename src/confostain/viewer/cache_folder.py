"""Cache folder: a temporary folder of this process. One that a killed process left is removed by the next that starts.

A living process holds a lock on its folder, which its end frees, whatever ended it. Windows knows no locks on folders:
there, what a killed process left stays.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

PREFIX = "confostain-cache-"


class CacheFolder:
    """An empty folder for the files of one process, readable by its user only.

    Attributes:
        path: of the folder.
    """

    def __init__(self) -> None:
        """Make the folder, and remove those of processes that are gone."""
        remove_abandoned()
        self._lock: int | None = None
        while True:
            self._folder = tempfile.TemporaryDirectory(prefix=PREFIX)
            self.path = Path(self._folder.name)
            with suppress(FileNotFoundError):  # another process took it for abandoned before it was locked
                self._lock = _lock(self.path, waits=True)
                self.path.stat()
                return
            self.close()

    def close(self) -> None:
        """Remove the folder."""
        self._folder.cleanup()
        if self._lock is not None:
            os.close(self._lock)
        self._lock = None


def remove_abandoned() -> None:
    """Remove the cache folders of this user's processes that are gone."""
    if sys.platform == "win32":
        return
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # in use, removed by another process, or no folder
            if path.lstat().st_uid != os.getuid():
                continue
            lock = _lock(path, waits=False)
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock)


if sys.platform == "win32":

    def _lock(folder: Path, waits: bool) -> int | None:
        return None

else:
    import fcntl

    def _lock(folder: Path, waits: bool) -> int:
        """Lock a folder until the file descriptor returned is closed; BlockingIOError if it is locked."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
        except OSError:
            os.close(descriptor)
            raise
        return descriptor
