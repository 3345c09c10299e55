"""Array types with shapes, ranges and units, and the reference pixel size."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Rgb: TypeAlias = npt.NDArray[np.uint8]  # (h, w, 3), sRGB
Grey: TypeAlias = npt.NDArray[np.uint8]  # (h, w)
Pair: TypeAlias = npt.NDArray[np.float32]  # (2, h, w) in [0, 1], reflectance then fluorescence
Image: TypeAlias = npt.NDArray[np.float32]  # (h, w) or (c, h, w), in [0, 1] unless said otherwise
Mask: TypeAlias = npt.NDArray[np.bool_]  # (h, w)
Progress: TypeAlias = Callable[[int, int], None]  # called with the amount done and the total

REFERENCE_MPP = 0.75  # um/px of the published method (Combalia et al., MIDL 2019), at which networks are trained
