"""In which order tasks run, and which do not."""

import threading
from collections.abc import Callable, Iterator

import pytest

from confostain.viewer.priority_executor import PriorityExecutor, Task, View


class Held:
    """An executor with one thread that is held up until everything has been submitted."""

    def __init__(self, background: Callable[[], Callable[[], None] | None] = lambda: None) -> None:
        self.done: list[object] = []
        self.executor = PriorityExecutor(1, background)
        self.gate, self.begun = threading.Event(), threading.Event()
        self.executor.submit("gate", (-1000,), self._hold)
        assert self.begun.wait(5)

    def _hold(self) -> None:
        self.begun.set()
        self.gate.wait(5)

    def submit(self, key: object, *rank: float, view: View | None = None) -> Task:
        return self.executor.submit(key, rank, lambda: self.done.append(key), view)

    def finish(self) -> list[object]:
        last = self.submit("last", 1000)
        self.gate.set()
        last.future.result(5)
        return self.done[: self.done.index("last")]


@pytest.fixture
def held() -> Iterator[Held]:
    held = Held()
    yield held
    held.gate.set()
    held.executor.close()


def test_the_smallest_rank_goes_first(held: Held) -> None:
    for rank in ((0, 5), (-3, 9), (0, 1), (-3, 2)):
        held.submit(rank, *rank)
    assert held.finish() == [(-3, 2), (-3, 9), (0, 1), (0, 5)]


def test_the_same_is_computed_once_and_at_the_best_rank(held: Held) -> None:
    first, other, again = held.submit("a", 5), held.submit("b", 3), held.submit("a", 1)
    assert first is again
    assert other is not first
    assert held.finish() == ["a", "b"]


def test_what_a_later_view_does_not_ask_for_is_dropped(held: Held) -> None:
    stale = held.submit("stale", 1, view=View("anna", 1))
    held.submit("shared", 2, view=View("anna", 1))
    held.submit("shared", 2, view=View("bert", 1))
    held.submit("wanted", 3, view=View("anna", 2))
    held.submit("without a view", 4)
    assert held.finish() == ["shared", "wanted", "without a view"]
    assert stale.future.cancelled()


def test_what_nobody_waits_for_is_dropped(held: Held) -> None:
    left, shared = held.submit("left", 1), held.submit("shared", 2)
    held.submit("shared", 2)
    held.executor.release(left)
    held.executor.release(shared)
    assert held.finish() == ["shared"]


def test_an_error_reaches_who_waits_and_the_thread_goes_on(held: Held) -> None:
    failing = held.executor.submit("fails", (1,), lambda: 1 // 0)
    held.gate.set()
    with pytest.raises(ZeroDivisionError):
        failing.future.result(5)
    assert held.finish() == []


def test_background_work_waits_for_tasks_and_may_fail() -> None:
    finished = threading.Event()
    works: list[Callable[[], object]] = []
    held = Held(lambda: works.pop() if works else None)
    held.submit("urgent", 1)
    works += [finished.set, lambda: held.done.append("background"), lambda: 1 // 0]
    assert held.finish() == ["urgent"]
    assert finished.wait(5)
    held.executor.close()


def test_closing_drops_what_has_not_begun() -> None:
    held = Held()
    waiting = held.submit("waiting", 1)
    threading.Timer(0.1, held.gate.set).start()
    held.executor.close()
    assert waiting.future.cancelled()
