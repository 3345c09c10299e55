"""confostain: digital staining of confocal microscopy.

Raw two-channel scans (reflectance and fluorescence) in, H&E-like whole slides out.

    >>> import confostain
    >>> with confostain.open_slide("scan/mosaic") as slide:
    ...     confostain.stain_slide(slide, "out.ome.tif", model="gareau")

For Research Use Only. Not for use in diagnostic procedures.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from confostain.errors import ConfostainError, ConfostainWarning

if TYPE_CHECKING:
    from confostain.data.reference_colours import read_stain_colours as read_stain_colours
    from confostain.imaging.stain_colours import StainColours as StainColours
    from confostain.inference.despeckle import despeckle as despeckle
    from confostain.inference.despeckle import despeckle_slide as despeckle_slide
    from confostain.inference.stain import stain as stain
    from confostain.inference.stain import stain_slide as stain_slide
    from confostain.io.readers.histology import open_histology as open_histology
    from confostain.models.card import ModelCard as ModelCard
    from confostain.models.registry import list_models as list_models
    from confostain.models.registry import load_model as load_model
    from confostain.models.stainer import Model as Model
    from confostain.simulation.from_histology import simulate as simulate
    from confostain.slide import Slide as Slide
    from confostain.slide import open_slide as open_slide

__version__ = "0.1.0"
RESEARCH_USE = "For Research Use Only. Not for use in diagnostic procedures."

_HOMES = {
    "Model": "confostain.models.stainer",
    "ModelCard": "confostain.models.card",
    "Slide": "confostain.slide",
    "StainColours": "confostain.imaging.stain_colours",
    "despeckle": "confostain.inference.despeckle",
    "despeckle_slide": "confostain.inference.despeckle",
    "list_models": "confostain.models.registry",
    "load_model": "confostain.models.registry",
    "open_histology": "confostain.io.readers.histology",
    "open_slide": "confostain.slide",
    "read_stain_colours": "confostain.data.reference_colours",
    "simulate": "confostain.simulation.from_histology",
    "stain": "confostain.inference.stain",
    "stain_slide": "confostain.inference.stain",
}
__all__ = [
    "RESEARCH_USE",
    "ConfostainError",
    "ConfostainWarning",
    "Model",
    "ModelCard",
    "Slide",
    "StainColours",
    "__version__",
    "despeckle",
    "despeckle_slide",
    "list_models",
    "load_model",
    "open_histology",
    "open_slide",
    "read_stain_colours",
    "simulate",
    "stain",
    "stain_slide",
]


def __getattr__(name: str) -> object:
    """Load a public name where it is first used, so that importing the package costs next to nothing."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'confostain' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
