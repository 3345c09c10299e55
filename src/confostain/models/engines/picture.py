"""Picture: how the result of a staining network becomes 8-bit colours."""

from __future__ import annotations

from dataclasses import dataclass

from confostain.imaging.stain_colours import StainColours


@dataclass(frozen=True)
class Picture:
    """Rule that makes uint8 (h, w, 3) of a network's three channels.

    Attributes:
        colours: of the laboratory, where the channels are densities of haematoxylin, eosin and rest; None: they are RGB
            in [0, 1].
    """

    colours: StainColours | None = None
