"""Priority executor: a thread pool that runs the most urgent task first and drops tasks that no client needs.

A task that is submitted twice under one key runs once, and both callers share its result. A task that has not
started is dropped when every client that waits for it has disconnected or moved on to a later view. While the queue
is empty, all threads but one run background work.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from cachetools import LRUCache

KNOWN_CLIENTS = 1024  # whose latest view is known; tasks of a forgotten client are only kept longer than necessary
BACKGROUND_INTERVAL = 0.1  # s between requests for background work when there was none

Rank = tuple[float, ...]  # the smallest runs first


@dataclass(frozen=True)
class View:
    """View of a client. A later number of the same client makes the earlier ones stale."""

    client: str
    number: int


@dataclass(eq=False)
class Task:
    """A computation, and the views that wait for it (None: a client that never moves on)."""

    key: Hashable
    rank: Rank
    work: Callable[[], Any]
    future: Future[Any] = field(default_factory=Future)
    waiting: list[View | None] = field(default_factory=list)


class PriorityExecutor:
    """A thread pool with a priority queue."""

    def __init__(self, threads: int, background: Callable[[], Callable[[], object] | None] = lambda: None) -> None:
        """Start `threads` threads; `background` returns work without urgency, or None."""
        self._background = background
        self._background_slots = max(1, threads - 1)  # threads that may still start background work
        self._tasks: dict[Hashable, Task] = {}
        self._queue: list[tuple[Rank, int, Task]] = []
        self._latest_views: LRUCache[str, int] = LRUCache(KNOWN_CLIENTS)
        self._serial_numbers = count()
        self._is_closed = False
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=self._run, name=f"tile-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def submit(self, key: Hashable, rank: Rank, work: Callable[[], Any], view: View | None = None) -> Task:
        """Queue `work`; returns the task of this key if it is queued or running already."""
        with self._changed:
            if view is not None:
                self._latest_views[view.client] = max(view.number, self._latest_views.get(view.client, 0))
            task = self._tasks.get(key)
            if task is None:
                task = self._tasks[key] = Task(key, rank, work)
            if rank <= task.rank:
                task.rank = rank
                heapq.heappush(self._queue, (rank, next(self._serial_numbers), task))
            task.waiting.append(view)
            self._changed.notify()
        return task

    def release(self, task: Task, view: View | None = None) -> None:
        """Stop waiting for a task."""
        with self._changed:
            if view in task.waiting:
                task.waiting.remove(view)

    def close(self) -> None:
        """Finish the running tasks, cancel the others."""
        with self._changed:
            self._is_closed = True
            for task in self._tasks.values():
                task.future.cancel()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while (work := self._next_work()) is not None:
            work()

    def _next_work(self) -> Callable[[], object] | None:
        """The most urgent task, else background work; None when the executor is closed."""
        with self._changed:
            while not self._is_closed:
                while self._queue:
                    task = heapq.heappop(self._queue)[2]
                    if self._start(task):
                        return lambda task=task: self._execute(task)  # type: ignore[misc]
                if self._background_slots and (work := self._background()) is not None:
                    self._background_slots -= 1
                    return lambda work=work: self._execute_background(work)  # type: ignore[misc]
                self._changed.wait(BACKGROUND_INTERVAL)
            return None

    def _start(self, task: Task) -> bool:
        """Mark a task as running; False if it runs already, has run, or is no longer needed."""
        if task.future.running() or task.future.done():
            return False
        if not self._is_needed(task):
            del self._tasks[task.key]
            task.future.cancel()
            return False
        return task.future.set_running_or_notify_cancel()

    def _is_needed(self, task: Task) -> bool:
        return any(view is None or view.number >= self._latest_views.get(view.client, 0) for view in task.waiting)

    def _execute(self, task: Task) -> None:
        try:
            result = task.work()
        except BaseException as error:
            self._forget(task)
            task.future.set_exception(error)
        else:
            self._forget(task)
            task.future.set_result(result)

    def _forget(self, task: Task) -> None:
        with self._changed:
            del self._tasks[task.key]

    def _execute_background(self, work: Callable[[], object]) -> None:
        try:
            with suppress(Exception):  # no client waits for it; one that requests the same gets the error
                work()
        finally:
            with self._changed:
                self._background_slots += 1
                self._changed.notify()
