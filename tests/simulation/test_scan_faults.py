import numpy as np
import pytest

from confostain.simulation import scan_faults
from confostain.simulation.scan_faults import bleached_mosaic, elastic_fibres, haze_patches

SHAPE = 200, 240


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FIBRES", "HAZE", "MOSAIC"):
        monkeypatch.setattr(scan_faults, name, 1.0)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("zoom", [0.75, 1.0, 1.9])
def test_fibres_are_thin_and_bright(zoom: float) -> None:
    images = [elastic_fibres(SHAPE, zoom, np.random.default_rng(seed)) for seed in range(12)]
    for light in images:
        assert light.shape == SHAPE
        assert light.dtype == np.float32
        assert light.min() >= 0
        assert (light > 0.5 * light.max()).mean() < 0.2
    assert max(light.max() for light in images) > 0.2


@pytest.mark.usefixtures("always")
def test_haze_has_no_detail() -> None:
    for seed in range(8):
        light = haze_patches(SHAPE, 1.0, np.random.default_rng(seed))
        assert light.min() >= 0
        if light.max() > 0.05:
            assert np.abs(np.diff(light, axis=0)).max() < 0.2 * light.max()


@pytest.mark.usefixtures("always")
def test_a_mosaic_has_few_steps_where_its_tiles_meet() -> None:
    steps = 0
    for seed in range(10):
        made = bleached_mosaic(np.full((2, *SHAPE), 0.5, np.float32), 0.5, np.random.default_rng(seed))
        assert made.min() > 0.5 * (1 - scan_faults.LARGEST_STEP) * 0.74
        assert made.max() <= 0.5 * (1 + scan_faults.LARGEST_STEP) * 1.001
        jumps = np.abs(np.diff(made[0], axis=1)).max(axis=0) > 1e-3
        assert jumps.sum() <= 4
        steps += int(jumps.sum())
    assert steps


@pytest.mark.parametrize("fault", [elastic_fibres, haze_patches])
def test_many_scans_have_none(fault) -> None:
    without = [not fault(SHAPE, 1.0, np.random.default_rng(seed)).any() for seed in range(40)]
    assert 0.3 < np.mean(without) < 0.95
