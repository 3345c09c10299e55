"""The phantom's dermis beside that of real skin: dim and smooth in fluorescence, broad bundles, few thin clefts."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import binary_dilation, gaussian_filter

import confostain
from confostain.geometry import Size
from confostain.simulation.phantom import BLOCK, Phantom
from confostain.simulation.phantom.lattice import Canvas
from confostain.simulation.phantom.section import HALO, Section, section

SIZE = Size(BLOCK, BLOCK)
INNER = (slice(HALO, -HALO), slice(HALO, -HALO))

Mask = npt.NDArray[np.bool_]


class Dermis(NamedTuple):
    view: Section
    plain: Mask  # dermis with its clefts, away from nuclei, organs, epidermis and glass
    nuclei: Mask
    pair: npt.NDArray[np.float32]


@pytest.fixture(scope="module", params=range(5))
def dermis(request: pytest.FixtureRequest) -> Dermis:
    view, _ = section(Canvas(0, 0, BLOCK, request.param), SIZE)
    others = (view.epithelium > 0.01) | (view.tissue < 0.99) | (view.foam > 0.01) | (view.keratin > 0.01)
    near = binary_dilation(others | (view.crowd > 0.01), iterations=8) | binary_dilation(view.chromatin > 0.02, None, 5)
    plain = (view.collagen > 0.3) & ~near
    return Dermis(view, plain[INNER], view.chromatin[INNER] > 0.5, Phantom(SIZE, request.param).pair(SIZE.region))


def test_no_fibre_is_as_bright_as_nuclei_in_fluorescence(dermis: Dermis) -> None:
    smooth = gaussian_filter(dermis.pair[1], 1.5)
    assert np.percentile(smooth[dermis.plain], 99) < 0.78 * np.median(smooth[dermis.nuclei])  # threads: 0.83 to 1.23
    assert smooth[dermis.plain].std() < 0.17 * np.median(smooth[dermis.nuclei])


def test_bundles_are_broad_and_clefts_few(dermis: Dermis) -> None:
    collagen, cleft = dermis.view.collagen[INNER], dermis.view.cleft[INNER]
    both = dermis.plain[8:] & dermis.plain[:-8]
    assert np.corrcoef(collagen[8:][both], collagen[:-8][both])[0, 1] > 0.6  # 8 px: 6 um; threads: 0.3 to 0.45
    assert 0.002 < (cleft[dermis.plain] > 0.5).mean() < 0.12


def test_the_stain_of_the_dermis_shows_no_threads(dermis: Dermis) -> None:
    low, high = np.percentile(dermis.pair, (0.5, 99.7), axis=(1, 2))[..., None, None]
    scaled = np.clip((dermis.pair - low) / (high - low), 0, 1).astype(np.float32)
    colours = confostain.stain(scaled)[dermis.plain]
    assert (colours[:, 0] < 150).mean() < 0.03  # as dark as nuclei; threads: 0.056 to 0.14
    assert (colours.min(-1) > 200).mean() < 0.08  # white; threads: 0.10 to 0.13
