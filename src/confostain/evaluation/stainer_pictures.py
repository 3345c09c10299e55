"""Pictures of the stainer comparison: inputs and stains side by side, and marks on the nuclei of the audit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from confostain.arrays import Pair, Rgb
from confostain.evaluation.pages import figure
from confostain.imaging.nuclei import NucleiAudit, audit_nuclei

Box = tuple[slice, slice]  # rows, columns

SIDE = 384  # px, of a picture
ZOOM = 2  # enlargement of pictures in which nuclei are marked
MARKS = {"matched": (60, 220, 60), "missing": (255, 200, 0), "invented": (0, 190, 255)}  # visible on pink and purple
MARK_RADIUS = 5  # px, on the enlarged picture


def central_box(image: npt.NDArray[np.uint8]) -> Box:
    """The central 384 x 384 px of an image (h, w) or (h, w, 3)."""
    rows, columns = (
        slice(max(0, (length - SIDE) // 2), max(0, (length - SIDE) // 2) + SIDE) for length in image.shape[:2]
    )
    return rows, columns


def side_by_side(pair: Pair, stains: Mapping[str, Rgb], box: Box) -> str:
    """HTML figures of a part of both channels and of each stain."""
    channels = zip(("reflectance", "fluorescence"), _grey_levels(pair), strict=True)
    pictures = [figure(channel[box], name) for name, channel in channels]
    return "".join(pictures + [figure(rgb[box], name) for name, rgb in stains.items()])


def marked_nuclei(fluorescence: npt.NDArray[np.float32], rgb: Rgb, box: Box, name: str) -> str:
    """HTML figure of a part of the fluorescence (h, w) and its stain, both with the nuclei of the audit marked."""
    audit = audit_nuclei(fluorescence, rgb)
    caption = f"{name}: {audit.missing_share:.1%} missing, {audit.invented_share:.1%} invented"
    sides = (np.repeat(_grey_levels(fluorescence)[..., np.newaxis], 3, axis=-1), rgb)
    return figure(np.concatenate([draw_marks(side, audit, box) for side in sides], axis=1), caption)


def draw_marks(rgb: Rgb, audit: NucleiAudit, box: Box) -> Rgb:
    """Part of an image, enlarged twice, with circles: matched nuclei green, missing yellow, invented blue."""
    from PIL import Image, ImageDraw

    rows, columns = box
    part = rgb[box]
    picture = Image.fromarray(part).resize((part.shape[1] * ZOOM, part.shape[0] * ZOOM), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(picture)
    for kind, colour in MARKS.items():
        for y, x in (getattr(audit, kind) - (rows.start, columns.start) + 0.5) * ZOOM:
            circle = (x - MARK_RADIUS, y - MARK_RADIUS, x + MARK_RADIUS, y + MARK_RADIUS)
            draw.ellipse(circle, outline=colour, width=1 if kind == "matched" else 2)
    return np.asarray(picture)


def marks_legend() -> str:
    """HTML legend of the colours of the marks."""
    words = (f'<b style="background:#555;color:rgb{colour}">&nbsp;{kind}&nbsp;</b>' for kind, colour in MARKS.items())
    return " ".join(words)


def _grey_levels(channel: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Values in [0, 1] as grey levels."""
    return np.rint(channel * np.float32(255)).astype(np.uint8)
