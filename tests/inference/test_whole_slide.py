import threading
from collections.abc import Callable
from concurrent.futures import Future

import numpy as np
import numpy.typing as npt
import pytest

from confostain.errors import OptionError
from confostain.geometry import Region, Size
from confostain.inference.tiling import HaloTile, TileGrid
from confostain.inference.whole_slide import (
    ArraySink,
    checked_region,
    checked_tile,
    in_order,
    process_tiles,
    tile_side,
)


@pytest.fixture
def four_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("confostain.inference.whole_slide.usable_processors", lambda: 4)


@pytest.mark.usefixtures("four_processors")
def test_results_come_in_order_whichever_is_ready_first() -> None:
    second_is_ready = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert second_is_ready.wait(20)
        second_is_ready.set()
        return -item

    assert list(in_order(work, range(50))) == [-item for item in range(50)]


@pytest.mark.usefixtures("four_processors")
def test_few_items_are_under_way_however_many_there_are() -> None:
    begun: list[int] = []

    def items() -> "list[int]":
        for item in range(1000):
            begun.append(item)
            yield item

    for number, _ in enumerate(in_order(lambda item: item, items())):
        assert len(begun) <= number + 4 + 3


def test_what_has_not_begun_is_dropped_when_the_consumer_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("confostain.inference.whole_slide.usable_processors", lambda: 1)
    cancel, last_is_cancelled, begun = Future.cancel, threading.Event(), []

    def watched(future: "Future[int]") -> bool:
        was_cancelled = cancel(future)
        if was_cancelled:
            last_is_cancelled.set()
        return was_cancelled

    def work(item: int) -> None:
        begun.append(item)
        assert item == 0 or last_is_cancelled.wait(10)

    monkeypatch.setattr(Future, "cancel", watched)
    results = in_order(work, range(1000))
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert len(begun) < 4  # of the four that were submitted; one may begin between two cancellations
    assert not [one for one in threading.enumerate() if one.name.startswith("confostain-tiles")]


def test_an_error_of_a_tile_ends_the_run() -> None:
    def work(item: int) -> int:
        if item == 3:
            raise ValueError("tile 3")
        return item

    with pytest.raises(ValueError, match="tile 3"):
        list(in_order(work, range(9)))


class Recorder:
    """Sink that notes in which thread each tile is prepared, and in which order and thread it is stored."""

    def __init__(self) -> None:
        self.prepared: dict[HaloTile, int] = {}
        self.stored: list[tuple[HaloTile, float]] = []

    def prepare(self, tile: HaloTile, computed: float) -> float:
        self.prepared[tile] = threading.get_ident()
        return computed + 1

    def store(self, tile: HaloTile, ready: float) -> None:
        assert threading.current_thread() is threading.main_thread()
        self.stored.append((tile, ready))


def test_tiles_are_prepared_in_threads_and_stored_in_the_order_of_the_grid() -> None:
    grid, sink, told = TileGrid(Region(5, 7, 300, 200), 64), Recorder(), []
    process_tiles(lambda tile: float(tile.column), grid, sink, lambda *pixels: told.append(pixels))
    assert sink.stored == [(tile, tile.column + 1.0) for tile in grid]
    assert threading.get_ident() not in sink.prepared.values()
    assert told[0] == (0, 60_000)
    assert told[-1] == (60_000, 60_000)
    assert [done for done, _ in told] == sorted({done for done, _ in told})


@pytest.mark.parametrize("samples", [(), (3,)])
def test_an_array_takes_tiles_at_their_places(samples: tuple[int, ...]) -> None:
    area = Region(3, 2, 130, 70)
    truth = np.random.default_rng(0).integers(0, 255, (70, 130, *samples), np.uint8)
    made = np.full_like(truth, 255)

    def compute(tile: HaloTile) -> npt.NDArray[np.uint8] | None:
        return None if tile.column == 1 else truth[tile.level0_core.slices_in(area)]

    process_tiles(compute, TileGrid(area, 32), ArraySink(made, area))
    white = np.full_like(truth, 255)
    white[:, :32], white[:, 64:] = truth[:, :32], truth[:, 64:]
    np.testing.assert_array_equal(made, white)


@pytest.mark.parametrize("check", [checked_tile, tile_side])
def test_tiles_have_a_side_from_1_to_16384(check: Callable[[int | None], int]) -> None:
    assert check(None) == 1024
    assert check(300) == (300 if check is checked_tile else 512)
    for tile in (0, -5, 16_385):
        with pytest.raises(OptionError, match=f"tile of {tile} px: expected a side from 1 to 16384"):
            check(tile)


def test_a_region_lies_inside_the_slide() -> None:
    size = Size(700, 523)
    assert checked_region(None, size) == size.region
    assert checked_region((1, 2, 699, 521), size) == Region(1, 2, 699, 521)
    for region in ((1, 2, 700, 521), (0, 0, 0, 5), (-1, 0, 5, 5)):
        with pytest.raises(OptionError, match="inside the slide, which is 700 x 523 px"):
            checked_region(region, size)
