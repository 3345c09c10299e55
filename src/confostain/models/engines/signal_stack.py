"""Alternate signal stack of a thread, kept as it was while a library is called that replaces it.

OpenVINO gives the thread that compiles a network an alternate signal stack and frees it with the compiled network.
Where two networks are freed in the order in which they were compiled, the freed stack of the first remains in place,
and the next signal that Python handles, such as Ctrl-C, ends the process by a segmentation fault.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class _SignalStack(ctypes.Structure):
    """`stack_t` of POSIX: Linux and macOS order its fields differently."""

    _fields_ = (
        [("pointer", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]
        if sys.platform != "darwin"
        else [("pointer", ctypes.c_void_p), ("size", ctypes.c_size_t), ("flags", ctypes.c_int)]
    )


@contextmanager
def kept_signal_stack() -> Iterator[None]:
    """Alternate signal stack of the calling thread: put back after the block, whatever the block made of it."""
    if sys.platform == "win32":  # knows no signal stacks
        yield
        return
    sigaltstack = ctypes.CDLL(None).sigaltstack
    before = _SignalStack()
    sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        sigaltstack(ctypes.byref(before), None)
