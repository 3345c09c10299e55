"""confostain: digital staining of confocal microscopy.

Raw two-channel scans (reflectance and fluorescence) in, H&E-like whole slides out.

    >>> import confostain
    >>> with confostain.open_slide("scan/mosaic") as slide:
    ...     confostain.stain_slide(slide, "out.ome.tif", model="gareau")

For Research Use Only. Not for use in diagnostic procedures.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from confostain.errors import ConfostainError

if TYPE_CHECKING:
    from confostain.inference.despeckle import despeckle as despeckle
    from confostain.inference.despeckle import despeckle_slide as despeckle_slide
    from confostain.inference.stain import stain as stain
    from confostain.inference.stain import stain_slide as stain_slide
    from confostain.slide import Slide as Slide
    from confostain.slide import open_slide as open_slide

__version__ = "0.1.0"
RESEARCH_USE = "For Research Use Only. Not for use in diagnostic procedures."

_HOMES = {
    "Slide": "confostain.slide",
    "despeckle": "confostain.inference.despeckle",
    "despeckle_slide": "confostain.inference.despeckle",
    "open_slide": "confostain.slide",
    "stain": "confostain.inference.stain",
    "stain_slide": "confostain.inference.stain",
}
__all__ = [
    "RESEARCH_USE",
    "ConfostainError",
    "Slide",
    "__version__",
    "despeckle",
    "despeckle_slide",
    "open_slide",
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
