"""Description of results: what was written, its provenance, and its pixel size against that of the model's card."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import confostain
from confostain.errors import ConfostainWarning, OptionError
from confostain.geometry import Region, Size
from confostain.imaging.intensity import IntensityRange
from confostain.imaging.stain_colours import StainColours
from confostain.io.readers.pixel_size import agreed
from confostain.models.card import FAR_OUTSIDE, ROUNDED, ModelCard

OUTSIDE = 1.1  # times the largest pixel size of a model that was trained for a range: coarser is warned of


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
        reduction: side in level-0 pixels of the slide's block of which a pixel is the mean; 1 where none was reduced.
    """

    path: Path
    size: Size
    levels: int
    microns_per_pixel: float | None
    model: str
    seconds: float
    reduction: int = 1


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


def reduction_for(model: object, microns_per_pixel: float | None) -> int:
    """Whole factor by which a slide of that pixel size is reduced for a model, as its card says; 1 without a card."""
    card = getattr(model, "card", None)
    return card.reduction(microns_per_pixel) if isinstance(card, ModelCard) else 1


def check_pixel_size(model: object, microns_per_pixel: float | None) -> None:
    """Check the pixel size of what a model computes, after any reduction, against the range that its card names.

    A warning (`ConfostainWarning`) tells where it is outside, see `ModelCard.microns_per_pixel`.

    Args:
        model: a stainer or a despeckler; nothing is checked for one without a card, or whose card names no range.
        microns_per_pixel: of the image; None: nothing is checked.

    Raises:
        OptionError: the pixel size cannot be a microscope's, or is too coarse for the model.
    """
    if microns_per_pixel is None:
        return
    agreed("", None, microns_per_pixel)
    card = getattr(model, "card", None)
    if not isinstance(card, ModelCard) or card.microns_per_pixel is None:
        return
    low, high = card.microns_per_pixel
    trained = f"{low:g}" if low == high else f"{low:g} to {high:g}"
    if card.refuses(microns_per_pixel):
        raise OptionError(
            f"pixel size {microns_per_pixel:g} um: model {card.name} was trained at {trained} um; expected at most"
            f" {card.coarsest:g} um; scan finer, correct the pixel size, or choose another model"
        )
    least, most = (
        (low / (1 + ROUNDED), high * OUTSIDE) if card.spans_scales else (low / FAR_OUTSIDE, high * FAR_OUTSIDE)
    )
    if not least <= microns_per_pixel <= most:
        warnings.warn(
            f"pixel size {microns_per_pixel:g} um: model {card.name} was trained at {trained} um, so its result may be"
            " wrong; resample the image to that pixel size, or choose another model",
            ConfostainWarning,
            stacklevel=3,
        )
