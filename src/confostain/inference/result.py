"""Description of results: what was written, its provenance, and its pixel size against that of the model's card."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import confostain
from confostain.errors import ConfostainWarning
from confostain.geometry import Region, Size
from confostain.imaging.intensity import IntensityRange
from confostain.imaging.stain_colours import StainColours
from confostain.io.readers.pixel_size import agreed
from confostain.models.card import ModelCard

FAR_OUTSIDE = 1.5  # times the pixel sizes that a model was trained for; nearer, networks were seen to work


@dataclass(frozen=True)
class Written:
    """Description of a result file or folder.

    Attributes:
        path: of the file or folder.
        size: level-0 pixels.
        levels: number of levels of its pyramid, 1 without a pyramid.
        microns_per_pixel: pixel size of level 0 in um; None where it is unknown.
        model: name of the model that computed it.
        seconds: from the start of the call to the complete result.
    """

    path: Path
    size: Size
    levels: int
    microns_per_pixel: float | None
    model: str
    seconds: float


class NamedModel(Protocol):
    """Stainer or despeckler, as far as provenance names it."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def weights_sha256(self) -> str | None: ...  # noqa: D102


def provenance(
    label: str, model: NamedModel, ranges: Mapping[str, IntensityRange], level0_area: Region
) -> dict[str, str]:
    """Provenance of a result, as it is written into its file: readable key-value pairs, none that names the slide.

    Args:
        label: what the image is.
        model: what computed it.
        ranges: intensity range, in stored units, of each channel that was read, by its name.
        level0_area: the part of the slide that was computed.
    """
    return {
        "label": label,
        "use": confostain.RESEARCH_USE,
        "software": f"confostain {confostain.__version__}",
        "model": model.name,
        "weights SHA-256": model.weights_sha256 or "none (closed form)",
        **{f"{name} range": f"{found.dark:g} to {found.bright:g}" for name, found in ranges.items()},
        "region": f"{level0_area.x},{level0_area.y},{level0_area.width},{level0_area.height}",
    }


def colour_facts(colours: StainColours | None) -> dict[str, str]:
    """Stain colours of a result for its provenance; nothing for a model with colours of its own."""
    if colours is None:
        return {}
    pairs = (("nucleus", colours.nucleus), ("stroma", colours.stroma))
    return {f"{name} optical density": ", ".join(f"{value:g}" for value in colour) for name, colour in pairs}


def result_name(what: str, slide: str | None) -> str:
    """Name of a result image: what it is comes first, for viewers and standards cut long names; then the slide's."""
    return f"{what}: {slide}" if slide else what


def check_pixel_size(model: object, microns_per_pixel: float | None) -> None:
    """Warn (`ConfostainWarning`) where the pixel size is far outside the range that the model's card names.

    Args:
        model: a stainer or a despeckler; nothing is checked for one without a card, or whose card names no range.
        microns_per_pixel: of the image; None: nothing is checked.

    Raises:
        OptionError: the pixel size cannot be a microscope's.
    """
    if microns_per_pixel is None:
        return
    agreed("", None, microns_per_pixel)
    card = getattr(model, "card", None)
    if not isinstance(card, ModelCard) or card.microns_per_pixel is None:
        return
    low, high = card.microns_per_pixel
    if not low / FAR_OUTSIDE <= microns_per_pixel <= high * FAR_OUTSIDE:
        trained = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        warnings.warn(
            f"pixel size {microns_per_pixel:g} um: model {card.name} was trained at {trained} um, so its result may be"
            " wrong; resample the image to that pixel size, or choose another model",
            ConfostainWarning,
            stacklevel=3,
        )
