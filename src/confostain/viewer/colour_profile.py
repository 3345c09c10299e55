"""ICC colour profiles of H&E slides: pixels in sRGB, as browsers show them."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageCms

from confostain.arrays import Rgb

APPLIED = "in sRGB by the ICC profile of its file"
UNUSABLE = "as stored: the ICC profile of its file cannot be used"


class ColourProfile:
    """Conversion of a slide's pixels to sRGB.

    Attributes:
        said: what is done with the profile, as captions say it; "" where there is none.
    """

    def __init__(self, icc_profile: bytes | None) -> None:
        """Use the profile of a slide; None, and a profile that is damaged or not one of RGB, changes nothing."""
        self._transform = _to_srgb(icc_profile) if icc_profile else None
        self.said = "" if icc_profile is None else APPLIED if self._transform else UNUSABLE

    def to_srgb(self, rgb: Rgb) -> Rgb:
        """Pixels in sRGB, uint8 (h, w, 3)."""
        if self._transform is None:
            return rgb
        return np.asarray(ImageCms.applyTransform(Image.fromarray(np.ascontiguousarray(rgb)), self._transform))


def _to_srgb(icc_profile: bytes) -> ImageCms.ImageCmsTransform | None:
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
        return ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), "RGB", "RGB")
    except (ImageCms.PyCMSError, OSError):
        return None
