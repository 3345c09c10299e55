"""Demo: a phantom scan, its digital stain, and a picture of both side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image, ImageDraw, ImageFont

from confostain import RESEARCH_USE
from confostain.arrays import Progress, Rgb
from confostain.errors import OutputError
from confostain.geometry import Region, Size
from confostain.inference.stain import stain_slide
from confostain.io.writers.atomic import complete_or_absent
from confostain.io.writers.vivascope import write_mosaic
from confostain.models.registry import DEFAULT_MODEL
from confostain.simulation.phantom import Phantom
from confostain.slide import Slide, open_slide

SIZE = Size(2048, 1536)  # px; 1.5 x 1.2 mm: enough for epidermis, dermis, appendages and glass
SEED = 0
DETAIL = 320  # px; width of the detail that is shown enlarged
PANEL = Size(560, 420)  # px of each image in the picture
GAP, LINE = 12, 26  # px between panels, and height of a line of text


@dataclass(frozen=True)
class Demo:
    """Paths of the results: scan, stained slide, picture."""

    scan: Path
    stained: Path
    picture: Path


def run_demo(folder: Path, overwrite: bool = False, progress: Progress | None = None) -> Demo:
    """Write a phantom scan into `folder`, stain it with the default model, and write a picture of both.

    Args:
        folder: created if it does not exist.
        overwrite: whether the results of an earlier demo may be replaced.
        progress: called with the pixels stained and the total.

    Raises:
        OutputError: a result exists and `overwrite` is off, or cannot be written.
    """
    demo = Demo(folder / "scan" / "mosaic", folder / "stained.ome.tif", folder / "before-after.png")
    for path in (demo.scan, demo.stained, demo.picture):
        if path.exists() and not overwrite:
            raise OutputError(f"{path} exists already: choose another folder, or allow it with --overwrite")
    folder.mkdir(parents=True, exist_ok=True)
    phantom = Phantom(SIZE, SEED)
    bands = phantom.recorded_bands()
    write_mosaic(demo.scan.parent, phantom.size, bands, phantom.microns_per_pixel, overwrite)
    with open_slide(demo.scan) as slide:
        stain_slide(slide, demo.stained, overwrite=overwrite, progress=progress)
        picture = before_and_after(slide, tifffile.imread(demo.stained), _most_varied(slide))
    with complete_or_absent(demo.picture, overwrite) as partial:
        picture.save(partial, format="PNG", optimize=True)
    return demo


def before_and_after(slide: Slide, stained: Rgb, detail: Region) -> Image.Image:
    """Picture of reflectance, fluorescence and stain of a small slide: the whole slide above, a detail below."""
    whole = slide.size.region
    columns = len(titles := ("reflectance", "fluorescence", f"digitally stained: {DEFAULT_MODEL}"))
    sheet = Image.new(
        "RGB",
        (GAP + columns * (PANEL.width + GAP), 2 * (LINE + PANEL.height) + 2 * GAP + LINE),
        "white",
    )
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    for row, region in enumerate((whole, detail)):
        y = GAP + LINE + row * (PANEL.height + LINE)
        panels = (*map(_grey, slide.read(region)), stained[region.slices_in(whole)])
        for column, (title, rgb) in enumerate(zip(titles, panels, strict=True)):
            x = GAP + column * (PANEL.width + GAP)
            sheet.paste(_fitted(rgb), (x, y))
            if row == 0:
                draw.text((x, y - LINE + 2), title, "black", font)
        _scale_bar(draw, (GAP, y), region, slide.microns_per_pixel or 1)
    draw.text((GAP, sheet.height - LINE), RESEARCH_USE, "black", font)
    return sheet


def _most_varied(slide: Slide) -> Region:
    """Region in the shape of a panel where both channels vary most: nuclei beside collagen."""
    width, height = slide.size
    size = Size(DETAIL, DETAIL * PANEL.height // PANEL.width)
    regions = [
        Region(x, y, size.width, size.height)
        for y in range(0, height - size.height + 1, size.height // 2)
        for x in range(0, width - size.width + 1, size.width // 2)
    ]
    return max(regions, key=lambda region: float(slide.read(region).std(axis=(1, 2)).prod()))


def _grey(channel: npt.NDArray[np.float32]) -> Rgb:
    return np.repeat(np.rint(channel * 255).astype(np.uint8)[..., np.newaxis], 3, axis=2)


def _fitted(rgb: Rgb) -> Image.Image:
    return Image.fromarray(rgb).resize((PANEL.width, PANEL.height), Image.Resampling.LANCZOS)


def _scale_bar(draw: ImageDraw.ImageDraw, corner: tuple[int, int], region: Region, microns: float) -> None:
    """Draw a scale bar of a round length over the lower left corner of a panel."""
    per_pixel = microns * region.width / PANEL.width
    length = max(step for step in (10, 20, 50, 100, 200, 500, 1000) if step / per_pixel < PANEL.width / 3)
    x, y = corner[0] + GAP, corner[1] + PANEL.height - GAP
    draw.rectangle((x - 4, y - 28, x + length / per_pixel + 4, y + 4), "black")
    draw.rectangle((x, y - 4, x + length / per_pixel, y), "white")
    draw.text((x, y - 26), f"{length} um", "white", ImageFont.load_default(14))
