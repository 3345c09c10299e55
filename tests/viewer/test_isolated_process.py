"""What a function in an isolated process may do: anything."""

import os
import sys
from collections.abc import Callable, Iterator

import pytest

import isolated_calls
from confostain.errors import OptionError
from confostain.viewer.isolated_process import IsolatedCallError, IsolatedProcess

MEMORY = 64 << 20


@pytest.fixture
def process() -> Iterator[IsolatedProcess]:
    process = IsolatedProcess(seconds=60, memory=MEMORY)
    yield process
    process.close()


@pytest.mark.parametrize(
    ("function", "argument", "result"), [(len, b"abc", 3), (sorted, (2, 1), [1, 2]), (isolated_calls.allocate, 9, 9)]
)
def test_results_come_back(
    process: IsolatedProcess, function: Callable[..., object], argument: object, result: object
) -> None:
    assert process.call(function, argument) == result


@pytest.mark.parametrize(
    ("function", "argument", "error"),
    [(isolated_calls.refuse, "why", OptionError), (int, "x", ValueError), (len, 3, TypeError)],
)
def test_errors_come_back_and_the_process_goes_on(
    process: IsolatedProcess, function: Callable[..., object], argument: object, error: type[Exception]
) -> None:
    pid = process.call(isolated_calls.own_pid)
    with pytest.raises(error):
        process.call(function, argument)
    assert process.call(isolated_calls.own_pid) == pid != os.getpid()


@pytest.mark.parametrize(
    ("function", "argument"),
    [
        (isolated_calls.crash, 0),
        (os._exit, 0),
        pytest.param(
            isolated_calls.allocate,
            2 * MEMORY,
            marks=pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux"),
        ),
    ],
)
def test_a_process_that_ends_is_said_and_the_next_call_has_a_new_one(
    process: IsolatedProcess, function: Callable[..., object], argument: object
) -> None:
    with pytest.raises(IsolatedCallError, match="needed more than 64 MB, or ended the process"):
        process.call(function, argument)
    assert process.call(isolated_calls.allocate, MEMORY // 2) == MEMORY // 2


def test_what_does_not_end_is_ended() -> None:
    process = IsolatedProcess(seconds=0.1, memory=MEMORY)
    with pytest.raises(IsolatedCallError, match=r"took longer than 0\.1 s"):
        process.call(isolated_calls.hang)
    process.close()
