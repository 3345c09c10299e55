"""H&E of an adaptation: one's own, and the built-in sample, whose left part teaches and whose right part judges."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from confostain.arrays import REFERENCE_MPP, Rgb
from confostain.data.colour_sample import Densities, read_densities, sample_densities
from confostain.data.reference_colours import read_stain_colours, reference_fields
from confostain.data.training_slides import recoloured
from confostain.demo import SAMPLE
from confostain.imaging.stain_colours import StainColours

COLOURS = SAMPLE.with_name("skin-colours.npy")  # of sections of skin, made by scripts/skin_colours.py
TEACHES = 352  # px: columns of the sample that pairs are simulated from; the others judge


@dataclass(frozen=True)
class AdaptationHistology:
    """H&E of an adaptation.

    Attributes:
        files: one's own slides, or folders of pictures of one slide each; none: the built-in sample alone.
        microns_per_pixel: um/px of those that do not say it; None: 0.75.
    """

    files: tuple[Path, ...] = ()
    microns_per_pixel: float | None = None

    @property
    def assumed(self) -> float:
        """Pixel size in um of H&E that does not say it."""
        return self.microns_per_pixel or REFERENCE_MPP

    def own_colours(self) -> StainColours | None:
        """Colours of one's own first slide; None without one.

        Raises:
            SlideError: they cannot be fitted.
        """
        return read_stain_colours(self.files[0], self.microns_per_pixel) if self.files else None

    def fields(self, colours: StainColours | None) -> list[Rgb]:
        """Fields of real H&E that stains are compared with, uint8 (h, w, 3), each slide brought into `colours`.

        Raises:
            SlideError: the H&E cannot be read, or its colours cannot be fitted.
        """
        if not self.files:
            return [sample()]
        slides = [(str(file), reference_fields(file, self.microns_per_pixel)) for file in self.files]
        if colours is None:
            return [field for _, fields in slides for field in fields]
        return [field for name, fields in slides for field in recoloured(fields, REFERENCE_MPP, colours, name)]

    def densities(self, fields: list[Rgb]) -> Densities:
        """Colours that stains should have as often as H&E: of those fields, or of the built-in sections of skin."""
        return sample_densities(fields) if self.files else read_densities(COLOURS)


def sample() -> Rgb:
    """The built-in H&E of skin at 0.75 um/px, uint8 (h, w, 3), in the neutral colours, which are those of its slide."""
    from PIL import Image

    with Image.open(SAMPLE) as file:
        return np.asarray(file.convert("RGB"))


def judging_sample() -> Rgb:
    """The part of the built-in H&E that no adaptation is trained on."""
    return np.ascontiguousarray(sample()[:, TEACHES:])


def write_teaching_sample(path: Path) -> None:
    """Write the other part of the built-in H&E as PNG."""
    from PIL import Image

    Image.fromarray(sample()[:, :TEACHES]).save(path, format="PNG")
