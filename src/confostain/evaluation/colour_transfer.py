"""Measure of `--colours-of`: how near a stain in a laboratory's colours comes to that laboratory's H&E.

Two rulers that share nothing: the mean colours at detected nuclei and in stroma, found as the colours are fitted; and
scikit-image's colour deconvolution (Ruifrok and Johnston 2001), the tenth of the tissue with the most haematoxylin and
the half with the least. Neither knows how many nuclei and how dense a stroma the two tissues should have.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from confostain.arrays import Pair, Rgb
from confostain.data.reference_colours import reference_fields
from confostain.evaluation.pages import Section, figure, note, page, table
from confostain.imaging.histology_tissue import tissue_mask
from confostain.imaging.stain_colours import Colour, StainColours, fit_stain_colours, glass_level
from confostain.inference.stain import stain
from confostain.models.registry import load_model
from confostain.slide import Slide

SHOWN = 384  # px, of a picture
MOST, LEAST = 0.1, 0.5  # shares of the tissue with the most and with the least haematoxylin
EVERY = 5  # pixels of the tissue that are looked at
LARGEST_SCAN = 1024  # px

ABOUT = """
dE2000 between the mean colours of nuclei and of stroma in the stains of the scans and in the reference H&E, whose glass
is made white. First ruler: colours at detected nuclei, and in the tissue with the least red. Second: colour
deconvolution. Part of each difference is that the tissues differ.
"""


@dataclass(frozen=True)
class ColourDifference:
    """Differences (CIEDE2000) between stains and the H&E whose colours they were to have.

    Attributes:
        reference: name of the H&E.
        nuclei, stroma: by the ruler of the fit.
        haematoxylin, eosin: by colour deconvolution.
    """

    reference: str
    nuclei: float
    stroma: float
    haematoxylin: float
    eosin: float


def evaluate_colours(
    out: Path,
    model: str,
    scans: Sequence[Slide],
    references: Sequence[str],
    report: Callable[[str], None] = lambda line: None,
) -> list[ColourDifference]:
    """Differences for several references; writes index.html and colours.json into the folder `out`.

    Args:
        out: a folder; created if it does not exist.
        model: name of a model of densities, or its folder.
        scans: that are stained, at most 1024 x 1024 px from the middle of each.
        references: H&E files, or folders of pictures of one slide.
        report: called with one line after each reference.

    Raises:
        ModelError: the model has colours of its own. SlideError: a file cannot be read, or colours cannot be fitted.
    """
    pairs, rows, pictures = [_middle(scan) for scan in scans], [], []
    for reference in references:
        fields = reference_fields(reference)
        glass = glass_level(fields)
        fields = [white_glass(field, glass) for field in fields]
        colours = fit_stain_colours(fields, reference)
        stains = [stain(pair, load_model(model, "cpu", colours)) for pair in pairs]
        rows.append(difference(Path(reference).name, stains, fields))
        shown = np.hstack([_cut(stains[0]), _cut(fields[len(fields) // 2])])
        pictures.append(figure(shown, f"{rows[-1].reference}: stain of {scans[0].name}, and the H&E"))
        report(_line(rows[-1]))
    out.mkdir(parents=True, exist_ok=True)
    (out / "colours.json").write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n", encoding="utf-8")
    header = ["", "nuclei", "stroma", "haematoxylin", "eosin"]
    cells = [[row.reference, *(f"{value:.1f}" for value in list(asdict(row).values())[1:])] for row in rows]
    sections = [Section("Colours", table(header, cells) + note(ABOUT)), Section("Pictures", "".join(pictures))]
    (out / "index.html").write_text(page("Stains in the colours of references", sections), encoding="utf-8")
    return rows


def difference(reference: str, stains: Sequence[Rgb], fields: Sequence[Rgb]) -> ColourDifference:
    """Differences between stains and H&E with white glass, uint8 (h, w, 3) each."""
    fitted = [_shown(fit_stain_colours(images)) for images in (stains, fields)]
    deconvolved = [_by_deconvolution(images) for images in (stains, fields)]
    pairs = [*zip(*fitted, strict=True), *zip(*deconvolved, strict=True)]
    return ColourDifference(reference, *(_delta(a, b) for a, b in pairs))


def white_glass(rgb: Rgb, glass: Colour) -> Rgb:
    """H&E whose glass is 255."""
    return np.rint(np.clip(rgb * (255 / np.array(glass)), 0, 255)).astype(np.uint8)


def _shown(colours: StainColours) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Colours of a typical nucleus and of typical stroma in CIELAB."""
    from skimage.color import rgb2lab

    nucleus, stroma = (10.0 ** -np.array(one) for one in (colours.nucleus, colours.stroma))
    return rgb2lab(nucleus), rgb2lab(stroma)


def _by_deconvolution(images: Sequence[Rgb]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean CIELAB of the tissue with the most haematoxylin, and of that with the least."""
    from skimage.color import rgb2hed, rgb2lab

    pixels = np.concatenate([image[tissue_mask(image)][::EVERY] for image in images])[np.newaxis] / 255
    haematoxylin = rgb2hed(pixels)[0, :, 0]
    lab = rgb2lab(pixels)[0]
    most, least = np.quantile(haematoxylin, (1 - MOST, LEAST))
    return lab[haematoxylin >= most].mean(axis=0), lab[haematoxylin <= least].mean(axis=0)


def _delta(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    from skimage.color import deltaE_ciede2000

    return float(deltaE_ciede2000(a, b))  # type: ignore[no-untyped-call]


def _middle(scan: Slide) -> Pair:
    width, height = (min(length, LARGEST_SCAN) for length in scan.size)
    x, y = (scan.size[0] - width) // 2, (scan.size[1] - height) // 2
    return scan.read_region((x, y), (width, height))


def _cut(rgb: Rgb) -> Rgb:
    """The middle of an image, white where it is smaller."""
    y, x = (max(0, (length - SHOWN) // 2) for length in rgb.shape[:2])
    part = rgb[y : y + SHOWN, x : x + SHOWN]
    whole = np.full((SHOWN, SHOWN, 3), 255, np.uint8)
    whole[: part.shape[0], : part.shape[1]] = part
    return whole


def _line(row: ColourDifference) -> str:
    return (
        f"{row.reference}: dE nuclei {row.nuclei:.1f}, stroma {row.stroma:.1f}; by deconvolution haematoxylin"
        f" {row.haematoxylin:.1f}, eosin {row.eosin:.1f}"
    )
