"""What the figures of stainers are to be held against: how H&E differs from itself, and what the audit must find."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from confostain.arrays import Rgb
from confostain.evaluation.distribution_metrics import Looks, colour_distance, patch_distance
from confostain.evaluation.material import Material, Scan, Simulated
from confostain.imaging.nuclei import audit_nuclei

Audited = tuple[float, float]  # shares of nuclei missing and invented

MOVED = 12  # px, by which a stain is displaced to see what the audit finds by chance
BLURS = (1, 2, 3)  # px, sigma


def within_he_baseline(material: Material) -> dict[str, tuple[float, float]]:
    """How far one half of the real H&E is from the other, over how far each scan's Gareau image is from all of it.

    By patches and by colours: as near as H&E comes to itself. Empty where there is but one field of H&E.
    """
    half = len(material.references) // 2
    if not half:
        return {}
    upper, lower = Looks.of(material.references[:half]), Looks.of(material.references[half:])
    patches, colours = patch_distance(upper, lower), colour_distance(upper, lower)
    return {
        scan.name: (
            patches / patch_distance(scan.looks, material.looks),
            colours / colour_distance(scan.looks, material.looks),
        )
        for scan in material.scans
    }


def audit_sanity(scans: Sequence[Scan]) -> dict[str, dict[str, Audited]]:
    """Whether the audit sees what it should: the Gareau image loses nothing, unless one moves or blurs it."""
    return {
        scan.name: {name: _audited(scan.pair[1], image) for name, image in _spoilt(scan.linear).items()}
        for scan in scans
    }


def _spoilt(rgb: Rgb) -> dict[str, Rgb]:
    from scipy.ndimage import gaussian_filter

    blurred = {sigma: gaussian_filter(rgb.astype(np.float32), (sigma, sigma, 0)) for sigma in BLURS}
    return {
        "as it is": rgb,
        f"moved by {MOVED} px": np.roll(rgb, MOVED, axis=1),
        **{f"blurred, sigma {sigma} px": np.rint(image).astype(np.uint8) for sigma, image in blurred.items()},
    }


def truth_audited(fields: Sequence[Simulated]) -> Audited | None:
    """What the audit says of the H&E that pairs were simulated from, the mean: no stain can be expected to beat it."""
    audits = [_audited(view.pair[1], view.truth) for view in fields]
    if not audits:
        return None
    missing, invented = np.mean(audits, axis=0)
    return float(missing), float(invented)


def _audited(fluorescence: npt.NDArray[np.float32], rgb: Rgb) -> Audited:
    audit = audit_nuclei(fluorescence, rgb)
    return audit.missing_share, audit.invented_share
