"""Which tiles are encoded once, and which layer background work goes to."""

from collections.abc import Iterator

import numpy as np
import pytest

from confostain.arrays import Rgb
from confostain.viewer.layer import LayerInfo, PixelSource, TileIndex, Work
from confostain.viewer.tile_service import EncodedTile, TileService

TILE = TileIndex(0, 0, 0)


class GreyLayer:
    """A layer of one grey tile, whose version the test sets."""

    info = LayerInfo("grey", "", "", "channel", True)

    def __init__(self) -> None:
        self.grey = 0
        self.renders = 0

    def version(self, tile: TileIndex) -> str:
        return str(self.grey)

    def preparation(self, tile: TileIndex) -> None:
        return None

    def render(self, tile: TileIndex) -> tuple[Rgb, PixelSource]:
        self.renders += 1
        return np.full((4, 4, 3), self.grey, np.uint8), "closed-form"

    def final_fractions(self) -> list[float]:
        return [1.0]

    def next_background_work(self, level0_xy: tuple[float, float]) -> Work | None:
        return None


@pytest.fixture
def service() -> Iterator[TileService]:
    service = TileService(threads=1)
    yield service
    service.close()


def tile_of(service: TileService, layer: GreyLayer) -> EncodedTile:
    (task,) = service.tasks(layer, TILE, "png", None, None)
    return task.future.result(60)


def test_a_tile_is_rendered_once_for_each_version(service: TileService) -> None:
    layer = GreyLayer()
    first = tile_of(service, layer)
    assert tile_of(service, layer) == first == service.cached(service.etag(layer, TILE, "png"))
    assert layer.renders == 1
    layer.grey = 9
    second = tile_of(service, layer)
    assert layer.renders == 2
    assert second.etag != first.etag
    assert second.data != first.data


def test_a_tile_whose_version_changes_while_it_is_rendered_is_not_kept(service: TileService) -> None:
    class Changing(GreyLayer):
        def render(self, tile: TileIndex) -> tuple[Rgb, PixelSource]:
            rendered = super().render(tile)
            self.grey += 1
            return rendered

    tile = tile_of(service, Changing())
    assert service.cached(tile.etag) is None
