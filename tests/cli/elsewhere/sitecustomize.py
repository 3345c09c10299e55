"""Takes away what POSIX systems alone have, as far as the standard library can do without."""

import os
import signal
import sys

for name in (
    "pread",
    "preadv",
    "readv",
    "fstatvfs",
    "statvfs",
    "sched_getaffinity",
    "getuid",
    "geteuid",
    "chown",
    "mkfifo",
):
    delattr(os, name)
for name in ("SIGHUP", "SIGKILL", "SIGUSR1", "pthread_sigmask"):
    delattr(signal, name)
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None  # type: ignore[assignment]  # importing it fails
