"""In which order tiles are computed, and which are not."""

import threading
from collections.abc import Callable, Iterator

import pytest

from confostain.viewer.priority_executor import PriorityExecutor, View


class Bench:
    """A workshop with one thread that is held up until everything has been ordered."""

    def __init__(self, idle: Callable[[], Callable[[], None] | None] = lambda: None) -> None:
        self.done: list[object] = []
        self.workshop = PriorityExecutor(1, idle)
        self.gate, self.begun = threading.Event(), threading.Event()
        self.workshop.order("gate", (-1000,), self._hold)
        assert self.begun.wait(5)

    def _hold(self) -> None:
        self.begun.set()
        self.gate.wait(5)

    def order(self, key: object, *rank: float, view: View | None = None):  # type: ignore[no-untyped-def]
        return self.workshop.order(key, rank, lambda: self.done.append(key), view)

    def finish(self) -> list[object]:
        last = self.order("last", 1000)
        self.gate.set()
        last.future.result(5)
        return self.done[: self.done.index("last")]


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.gate.set()
    bench.workshop.close()


def test_the_smallest_rank_goes_first(bench: Bench) -> None:
    for rank in ((0, 5), (-3, 9), (0, 1), (-3, 2)):
        bench.order(rank, *rank)
    assert bench.finish() == [(-3, 2), (-3, 9), (0, 1), (0, 5)]


def test_the_same_is_computed_once_and_at_the_best_rank(bench: Bench) -> None:
    first, other, again = bench.order("a", 5), bench.order("b", 3), bench.order("a", 1)
    assert first is again
    assert other is not first
    assert bench.finish() == ["a", "b"]


def test_what_a_later_view_does_not_ask_for_is_dropped(bench: Bench) -> None:
    stale = bench.order("stale", 1, view=View("anna", 1))
    bench.order("shared", 2, view=View("anna", 1))
    bench.order("shared", 2, view=View("bert", 1))
    bench.order("wanted", 3, view=View("anna", 2))
    bench.order("without a view", 4)
    assert bench.finish() == ["shared", "wanted", "without a view"]
    assert stale.future.cancelled()


def test_what_everybody_has_left_is_dropped(bench: Bench) -> None:
    left, shared = bench.order("left", 1), bench.order("shared", 2)
    bench.order("shared", 2)
    bench.workshop.leave(left)
    bench.workshop.leave(shared)
    assert bench.finish() == ["shared"]


def test_an_error_reaches_who_waits_and_the_thread_goes_on(bench: Bench) -> None:
    failing = bench.workshop.order("fails", (1,), lambda: 1 // 0)
    bench.gate.set()
    with pytest.raises(ZeroDivisionError):
        failing.future.result(5)
    assert bench.finish() == []


def test_idle_work_waits_for_orders_and_may_fail() -> None:
    idled = threading.Event()
    ideas: list[Callable[[], object]] = []
    bench = Bench(lambda: ideas.pop() if ideas else None)
    bench.order("urgent", 1)
    ideas += [idled.set, lambda: bench.done.append("idle"), lambda: 1 // 0]
    assert bench.finish() == ["urgent"]
    assert idled.wait(5)
    bench.workshop.close()


def test_closing_drops_what_has_not_begun() -> None:
    bench = Bench()
    waiting = bench.order("waiting", 1)
    threading.Timer(0.1, bench.gate.set).start()
    bench.workshop.close()
    assert waiting.future.cancelled()
