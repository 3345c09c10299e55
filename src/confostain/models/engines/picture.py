"""Picture: how the result of a staining network becomes 8-bit colours."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from confostain.imaging.stain_colours import DYES, Dye, Matrix, StainColours


@dataclass(frozen=True)
class Picture:
    """Rule that makes uint8 (h, w, 3) of a network's three channels.

    Attributes:
        colours: of the laboratory, where the channels are densities of haematoxylin, eosin and rest; None: they are RGB
            in [0, 1].
        dye: the only one that is shown, of densities; None: all that there is.
    """

    colours: StainColours | None = None
    dye: Dye | None = None

    @cached_property
    def matrix(self) -> Matrix | None:
        """Decadic optical densities of red, green and blue that density 1 of each channel has, a row for each.

        None where the channels are RGB.
        """
        if self.colours is None or self.dye is None:
            return None if self.colours is None else self.colours.matrix
        shown = np.arange(3) == DYES.index(self.dye)
        return self.colours.matrix * shown[:, np.newaxis].astype(np.float32)
