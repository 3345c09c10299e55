"""Computes what is asked for, most urgent first, and nothing that nobody waits for any more.

A few threads take orders from one heap. Whoever orders the same thing twice waits for one computation. An order
is dropped as long as it has not begun when everyone who waits for it has gone away or moved on to a later view.
While there is no order, all threads but one do what `idle` gives them.
"""

from __future__ import annotations

import heapq
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

REMEMBERED_CLIENTS = 1024  # whose latest view is known; who is forgotten is only served longer than needed
IDLE_WAIT = 0.1  # s between looks for idle work when there was none

Rank = tuple[float, ...]  # the smallest goes first


@dataclass(frozen=True)
class View:
    """What a client looks at. A later number of the same client makes the earlier ones stale."""

    client: str
    number: int


@dataclass(eq=False)
class Order:
    """Something to be computed, and who waits for it (None: someone who never moves on)."""

    key: Hashable
    rank: Rank
    work: Callable[[], Any]
    future: Future[Any] = field(default_factory=Future)
    waiting: list[View | None] = field(default_factory=list)


class PriorityExecutor:
    """A few threads and a heap of orders."""

    def __init__(self, threads: int, idle: Callable[[], Callable[[], object] | None] = lambda: None) -> None:
        """Start `threads` threads; `idle` gives work of no urgency, or None."""
        self._idle = idle
        self._idling = max(1, threads - 1)  # how many threads may do idle work at the same time
        self._orders: dict[Hashable, Order] = {}
        self._heap: list[tuple[Rank, int, Order]] = []
        self._latest: OrderedDict[str, int] = OrderedDict()
        self._serial = count()
        self._closed = False
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=self._serve, name=f"tile-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def order(self, key: Hashable, rank: Rank, work: Callable[[], Any], view: View | None = None) -> Order:
        """Have `work` done; whoever orders the same key meanwhile shares the result."""
        with self._changed:
            if view is not None:
                self._note(view)
            order = self._orders.get(key)
            if order is None:
                order = self._orders[key] = Order(key, rank, work)
            if rank <= order.rank:
                order.rank = rank
                heapq.heappush(self._heap, (rank, next(self._serial), order))
            order.waiting.append(view)
            self._changed.notify()
        return order

    def leave(self, order: Order, view: View | None = None) -> None:
        """Wait for an order no longer."""
        with self._changed:
            if view in order.waiting:
                order.waiting.remove(view)

    @property
    def length(self) -> int:
        """How many orders have not begun."""
        return len(self._heap)

    def close(self) -> None:
        """Stop after what has begun; drop the rest."""
        with self._changed:
            self._closed = True
            for order in self._orders.values():
                order.future.cancel()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _note(self, view: View) -> None:
        self._latest[view.client] = max(view.number, self._latest.get(view.client, 0))
        self._latest.move_to_end(view.client)
        if len(self._latest) > REMEMBERED_CLIENTS:
            self._latest.popitem(last=False)

    def _is_wanted(self, order: Order) -> bool:
        return any(view is None or view.number >= self._latest.get(view.client, 0) for view in order.waiting)

    def _serve(self) -> None:
        while (work := self._next()) is not None:
            work()

    def _next(self) -> Callable[[], object] | None:
        """What a thread does next: the most urgent order, else idle work; None at the end."""
        with self._changed:
            while not self._closed:
                while self._heap:
                    order = heapq.heappop(self._heap)[2]
                    if self._begins(order):
                        return lambda order=order: self._finish(order)  # type: ignore[misc]
                if self._idling and (idle := self._idle()) is not None:
                    self._idling -= 1
                    return lambda idle=idle: self._rest(idle)  # type: ignore[misc]
                self._changed.wait(IDLE_WAIT)
            return None

    def _begins(self, order: Order) -> bool:
        if order.future.running() or order.future.done():
            return False
        if not self._is_wanted(order):
            del self._orders[order.key]
            order.future.cancel()
            return False
        return order.future.set_running_or_notify_cancel()

    def _finish(self, order: Order) -> None:
        try:
            result = order.work()
        except BaseException as error:
            self._forget(order)
            order.future.set_exception(error)
        else:
            self._forget(order)
            order.future.set_result(result)

    def _forget(self, order: Order) -> None:
        with self._changed:
            del self._orders[order.key]

    def _rest(self, idle: Callable[[], object]) -> None:
        try:
            with suppress(Exception):  # nobody waits for it; whoever orders the same will hear of the error
                idle()
        finally:
            with self._changed:
                self._idling += 1
                self._changed.notify()
