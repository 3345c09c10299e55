import ctypes
import subprocess
import sys

import pytest

from confostain.models.card import SHIPPED
from confostain.models.engines import signal_stack
from confostain.models.engines.signal_stack import kept_signal_stack

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signal stacks")

FREED_IN_ORDER = """
import os, signal, sys
from pathlib import Path
from confostain.models.engines.cpu import OpenVinoNetwork
first, second = OpenVinoNetwork(Path(sys.argv[1])), OpenVinoNetwork(Path(sys.argv[1]))
del first
del second
try:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""


def stack_now() -> tuple[int | None, int]:
    stack = signal_stack._SignalStack()
    ctypes.CDLL(None).sigaltstack(None, ctypes.byref(stack))
    return stack.pointer, stack.size


def replace_stack(memory: ctypes.Array[ctypes.c_char]) -> None:
    stack = signal_stack._SignalStack(pointer=ctypes.addressof(memory), size=len(memory))
    assert ctypes.CDLL(None).sigaltstack(ctypes.byref(stack), None) == 0


def test_the_stack_is_put_back() -> None:
    before, memory = stack_now(), ctypes.create_string_buffer(1 << 16)
    with kept_signal_stack():
        replace_stack(memory)
        assert stack_now()[0] == ctypes.addressof(memory)
    assert stack_now() == before


def test_the_stack_is_put_back_after_an_error() -> None:
    before, memory = stack_now(), ctypes.create_string_buffer(1 << 16)

    def fail() -> None:
        with kept_signal_stack():
            replace_stack(memory)
            raise ValueError("once")

    with pytest.raises(ValueError, match="once"):
        fail()
    assert stack_now() == before


def test_ctrl_c_is_handled_after_networks_are_freed_in_the_order_in_which_they_were_made() -> None:
    command = [sys.executable, "-c", FREED_IN_ORDER, str(SHIPPED / "swift" / "network.onnx")]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout.strip()) == (0, "interrupted")
