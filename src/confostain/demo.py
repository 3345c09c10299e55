"""Demo: the digital stains of a phantom scan, and of a sample simulated from H&E of skin beside the true H&E."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image, ImageDraw, ImageFont

from confostain import RESEARCH_USE
from confostain.arrays import REFERENCE_MPP, Progress, Rgb
from confostain.errors import OutputError
from confostain.geometry import Region, Size
from confostain.inference.stain import stain, stain_slide
from confostain.io.writers.atomic import complete_or_absent
from confostain.io.writers.vivascope import write_mosaic
from confostain.models.registry import DEFAULT_MODEL
from confostain.simulation.from_histology import simulate
from confostain.simulation.phantom import Phantom
from confostain.slide import Slide, open_slide

SIZE = Size(2048, 1536)  # px; 1.5 x 1.2 mm: enough for epidermis, dermis, appendages and glass
SEED = 0
DETAIL = 320  # px; width of the detail that is shown enlarged
PANEL = Size(560, 420)  # px of each image in the pictures, and of the sample
GAP, LINE = 12, 26  # px between panels, and height of a line of text

SAMPLE = Path(__file__).parent / "sample" / "skin.jpg"  # H&E at 0.75 um/px
SAMPLE_SEED = 7
SAMPLE_NOTE = (
    "Simulated from H&E: both channels are computed from the true H&E at the right, no microscope recorded them. "
    "H&E: OpenSlide / Carnegie Mellon University, slide CMU-1, CC0."
)


@dataclass(frozen=True)
class Demo:
    """Paths of the results: scan, stained slide, picture of both, picture of the sample simulated from H&E."""

    scan: Path
    stained: Path
    picture: Path
    sample: Path


def run_demo(folder: Path, overwrite: bool = False, progress: Progress | None = None) -> Demo:
    """Write a phantom scan into `folder`, stain it with the default model, and write pictures of it and of a sample.

    Args:
        folder: created if it does not exist.
        overwrite: whether the results of an earlier demo may be replaced.
        progress: called with the pixels stained and the total.

    Raises:
        OutputError: a result exists and `overwrite` is off, or cannot be written.
    """
    demo = Demo(
        folder / "scan" / "mosaic", folder / "stained.ome.tif", folder / "before-after.png", folder / "sample.png"
    )
    for path in (demo.scan, demo.stained, demo.picture, demo.sample):
        if path.exists() and not overwrite:
            raise OutputError(f"{path} exists already: choose another folder, or allow it with --overwrite")
    folder.mkdir(parents=True, exist_ok=True)
    phantom = Phantom(SIZE, SEED)
    bands = phantom.recorded_bands()
    write_mosaic(demo.scan.parent, phantom.size, bands, phantom.microns_per_pixel, overwrite)
    with open_slide(demo.scan) as slide:
        stain_slide(slide, demo.stained, overwrite=overwrite, progress=progress)
        picture = before_and_after(slide, tifffile.imread(demo.stained), _most_varied(slide))
    for path, image in ((demo.picture, picture), (demo.sample, simulated_sample())):
        with complete_or_absent(path, overwrite) as partial:
            image.save(partial, format="PNG", optimize=True)
    return demo


def before_and_after(slide: Slide, stained: Rgb, detail: Region) -> Image.Image:
    """Picture of reflectance, fluorescence and stain of a small slide: the whole slide above, a detail below."""
    whole = slide.size.region
    titles = ("reflectance", "fluorescence", f"digitally stained: {DEFAULT_MODEL}")
    rows = [
        [*map(_grey, slide.read(region)), np.asarray(stained[region.slices_in(whole)])] for region in (whole, detail)
    ]
    return _sheet(titles, rows, slide.microns_per_pixel or 1, (RESEARCH_USE,))


def simulated_sample() -> Image.Image:
    """Picture of a sample: reflectance and fluorescence simulated from H&E of skin, their stain, the true H&E."""
    with Image.open(SAMPLE) as file:
        histology: Rgb = np.asarray(file.convert("RGB"))
    pair = simulate(histology, SAMPLE_SEED, domain_randomisation=0)  # statistics in the middle of those of real scans
    titles = ("reflectance", "fluorescence", f"digitally stained: {DEFAULT_MODEL}", "true H&E")
    channels = tuple(f"{title}, simulated from H&E" for title in titles[:2])
    row = [*map(_grey, pair), stain(pair), histology]
    return _sheet(channels + titles[2:], [row], REFERENCE_MPP, (SAMPLE_NOTE, RESEARCH_USE))


def _sheet(titles: tuple[str, ...], rows: list[list[Rgb]], microns: float, notes: tuple[str, ...]) -> Image.Image:
    """Titled columns of panels, a scale bar in each row by the pixel size of its images, and lines of text below."""
    width = GAP + len(titles) * (PANEL.width + GAP)
    sheet = Image.new("RGB", (width, len(rows) * (LINE + PANEL.height) + (1 + len(notes)) * LINE), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    for number, row in enumerate(rows):
        y = LINE + GAP + number * (PANEL.height + LINE)
        for column, (title, rgb) in enumerate(zip(titles, row, strict=True)):
            x = GAP + column * (PANEL.width + GAP)
            sheet.paste(_fitted(rgb), (x, y))
            if number == 0:
                draw.text((x, y - LINE + 2), title, "black", font)
        _scale_bar(draw, (GAP, y), microns * row[0].shape[1] / PANEL.width)
    for number, note in enumerate(reversed(notes)):
        draw.text((GAP, sheet.height - (1 + number) * LINE), note, "black", font)
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


def _scale_bar(draw: ImageDraw.ImageDraw, corner: tuple[int, int], per_pixel: float) -> None:
    """Draw a scale bar of a round length over the lower left corner of a panel whose pixels are `per_pixel` um."""
    length = max(step for step in (10, 20, 50, 100, 200, 500, 1000) if step / per_pixel < PANEL.width / 3)
    x, y = corner[0] + GAP, corner[1] + PANEL.height - GAP
    draw.rectangle((x - 4, y - 28, x + length / per_pixel + 4, y + 4), "black")
    draw.rectangle((x, y - 4, x + length / per_pixel, y), "white")
    draw.text((x, y - 26), f"{length} um", "white", ImageFont.load_default(14))
