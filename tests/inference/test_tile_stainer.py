import numpy as np
import numpy.typing as npt

from confostain.geometry import Size
from confostain.imaging.tissue import TissueMask
from confostain.inference.tile_stainer import TileStainer
from confostain.models.stainer import linear_stain


def test_only_what_holds_tissue_is_computed() -> None:
    cells = np.zeros((64, 64), bool)
    cells[40:44, 20:40] = True  # 640 to 704 px from the top, 320 to 640 px from the left
    seen: list[tuple[int, ...]] = []

    def watched(pair: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
        seen.append(pair.shape)
        return np.zeros((*pair.shape[1:], 3), np.uint8)

    size = Size(1024, 1024)
    tissue = TissueMask(cells, 16, size)
    stainer = TileStainer(
        lambda region: np.zeros((2, region.height, region.width), np.float32),
        size,
        linear_stain("black", watched, ""),
        tissue,
    )
    rgb = stainer.stain_tile(stainer.grid(size.region, 1024).at(0, 0))
    assert seen == [(2, 256, 512)]
    assert rgb is not None
    expected = np.rint(255 * (1 - tissue.coverage(size.region)))
    np.testing.assert_array_equal(rgb[..., 0], expected)
