"""Runs a module and stops for good at the Nth call of one function, so that a test can end the process right there.

python stalled.py MODULE:FUNCTION N MARKER MODULE-TO-RUN [ARGUMENTS...]
"""

import importlib
import runpy
import signal
import sys
import time
from pathlib import Path
from typing import Any


def stall(target: str, number: int, marker: Path) -> None:
    """Replace a function by one that, called for the `number`-th time, makes the marker and waits for a signal."""
    module, _, path = target.partition(":")
    owner: Any = importlib.import_module(module)
    *owners, name = path.split(".")
    for attribute in owners:
        owner = getattr(owner, attribute)
    original, calls = getattr(owner, name), 0

    def stalling(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            marker.touch()
            while True:  # not signal.pause(): a signal that comes just before it would be waited for in vain
                time.sleep(0.05)
        return original(*arguments, **options)

    setattr(owner, name, stalling)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell has it ignored
    target, number, marker, module = sys.argv[1:5]
    sys.argv = [module, *sys.argv[5:]]
    stall(target, int(number), Path(marker))
    runpy.run_module(module, run_name="__main__")
