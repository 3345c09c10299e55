"""Isolated process: runs functions in a child process with limits of time and memory, and outlives whatever they do."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any


class IsolatedCallError(Exception):
    """A call that took too long, needed too much memory, or ended the process; the text says which."""


class IsolatedProcess:
    """A child process that runs one function at a time. It starts with the first call, and anew after each failure.

    The limit of memory holds on Linux; elsewhere only the limit of time does.
    """

    def __init__(self, seconds: float, memory: int) -> None:
        """Allow each call `seconds` s, the start of the process included, and `memory` bytes above what it starts with.

        Functions, arguments and results must be picklable.
        """
        self._seconds = seconds
        self._memory = memory
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._is_closed = False
        self._lock = threading.Lock()

    def call(self, function: Callable[..., Any], *arguments: object) -> Any:
        """Result of `function(*arguments)`, computed in the child process; its exceptions are raised here.

        Raises IsolatedCallError if there is no result. Several threads may call; they take turns.
        """
        with self._lock:
            if self._is_closed:
                raise IsolatedCallError("was given up: the program ends")
            try:
                connection = self._connection or self._start()
                connection.send((function, arguments))
                if not connection.poll(self._seconds):
                    raise IsolatedCallError(f"took longer than {self._seconds:g} s")
                is_error, result = connection.recv()
            except (OSError, EOFError) as error:
                self._stop()
                raise IsolatedCallError(f"needed more than {self._memory >> 20} MB, or ended the process") from error
            except BaseException:
                self._stop()
                raise
        if is_error:
            raise result
        return result

    def close(self) -> None:
        """End the child process, and with it the call in progress."""
        self._is_closed = True
        process = self._process
        if process is not None:
            process.kill()
        with self._lock:
            self._stop()

    def _start(self) -> Connection:
        context = get_context("spawn")
        self._connection, theirs = context.Pipe()
        limits = (int(self._seconds) + 1, self._memory)
        process = context.Process(target=_serve, args=(theirs, *limits), name="isolated", daemon=True)
        process.start()
        self._process = process
        theirs.close()  # the end of the child is seen as the end of the stream
        return self._connection

    def _stop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            self._process.kill()
            self._process.join()
        self._connection = self._process = None


def _serve(connection: Connection, seconds: int, memory: int) -> None:
    """Answer calls until the other side closes the connection."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which then ends this process
    warnings.simplefilter("ignore")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libraries that fail write what helps nobody; the server says why
    is_limited = False
    while True:
        try:
            function, arguments = connection.recv()
        except (EOFError, OSError):
            return
        if not is_limited:  # now that the modules of the function are loaded
            _limit_memory(memory)
            is_limited = True
        _alarm(seconds)
        answer = _answer(function, arguments)
        _alarm(0)
        connection.send(answer)


def _answer(function: Callable[..., Any], arguments: tuple[object, ...]) -> tuple[bool, object]:
    try:
        return False, function(*arguments)
    except MemoryError:
        os._exit(1)  # gives all of it back
    except Exception as error:
        return True, error
    except BaseException:  # libraries in Rust raise one where memory ends
        os._exit(1)


def _alarm(seconds: int) -> None:
    """End this process after some seconds, should the server be gone that would otherwise do it; 0 for never."""
    if sys.platform != "win32":
        signal.alarm(seconds)


def _limit_memory(memory: int) -> None:
    """Allow `memory` bytes above what the process has now, on Linux."""
    if sys.platform == "linux":
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[5])  # data and stack
        limit = pages * resource.getpagesize() + memory
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
