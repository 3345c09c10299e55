"""Functions that tests run in an isolated process, which imports them by name."""

import os
import signal
from pathlib import Path

from confostain.errors import OptionError
from confostain.slide import Slide, open_slide


def hang(*arguments: object) -> None:
    """Never return, whatever signal but SIGKILL comes."""
    while True:
        signal.pause()


def allocate(size: int) -> int:
    """Fill memory."""
    return len(bytearray(size))


def crash(*arguments: object) -> None:
    """End as a fault in a library does."""
    os.kill(os.getpid(), signal.SIGSEGV)


def own_pid() -> int:
    """Process that runs this."""
    return os.getpid()


def refuse(text: str) -> None:
    """Raise one of our own errors."""
    raise OptionError(text)


def open_as_named(path: Path) -> Slide:
    """Open a slide, unless its name says otherwise."""
    if "hang" in path.name:
        hang()
    if "crash" in path.name:
        crash()
    if "greedy" in path.name:
        allocate(1 << 40)
    if "unexpected" in path.name:
        raise ZeroDivisionError("a fault of ours")
    if "contradicts" in path.name:
        raise OptionError("0.5 um/px given; expected 0.75, as the file says; leave out --mpp")
    return open_slide(path)
