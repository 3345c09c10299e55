"""Ground truth of a block at full resolution: the share of each tissue component in every pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from confostain.geometry import Size
from confostain.simulation.phantom.anatomy import CORNEUM_DEPTH, HORN_REACH, STEP, Anatomy, skin
from confostain.simulation.phantom.cells import LOOSE, Nuclei, no_nuclei, nuclei, stamped
from confostain.simulation.phantom.lattice import Canvas, Floats, enlarged
from confostain.simulation.phantom.organs import add_organs

HALO = 16  # px generated around a block, for blurs and for nuclei that reach into it
_FLOW = 64  # px of anatomy beyond the halo: with it, as far as fibres are followed
_PIGMENT_DEPTH = 150.0  # px below the surface at which melanin ends: deeper epithelium is follicle or gland


@dataclass(frozen=True)
class Section:
    """Share of each component in every pixel of a canvas: float32 (side, side), 0 to 1, except `fibre`."""

    canvas: Canvas
    tissue: Floats
    epithelium: Floats
    seams: Floats  # between epithelial cells
    keratin: Floats
    granules: Floats  # keratohyalin below the horn
    melanin: Floats
    foam: Floats  # sebaceous cytoplasm around its droplets
    collagen: Floats
    cleft: Floats  # gaps between bundles, which fixation tears open
    fibre: Floats  # fine structure of collagen, mean 0, standard deviation about 1
    blood: Floats  # red cells in vessels
    crowd: Floats  # smoothed density of cells, for light from out of focus
    chromatin: Floats


def section(block: Canvas, size: Size) -> tuple[Section, Nuclei]:
    """Ground truth of `block` and `HALO` px around it, and its nuclei, some of which lie a little outside."""
    canvas = block.grown(HALO)
    parts = skin(canvas.grown(_FLOW), size)
    if parts.is_glass:
        nothing = np.zeros((canvas.side, canvas.side), np.float32)
        return Section(canvas, *[nothing] * 13), no_nuclei()
    add_organs(parts, size)
    cells = nuclei(parts, canvas)
    return _filled(canvas, parts, cells), cells


def _magnified(field: Floats, limit: float = 60.0) -> Floats:
    """Inner part of an anatomy field at full resolution, clipped to +-`limit`."""
    inner = slice(_FLOW // STEP, -_FLOW // STEP)
    return enlarged(np.clip(field[inner, inner], -limit, limit), STEP)


def _soft(distance: Floats) -> Floats:
    """Coverage from a signed distance: an edge one px wide."""
    return np.clip(distance + np.float32(0.5), 0, 1)


def _filled(canvas: Canvas, parts: Anatomy, cells: Nuclei) -> Section:
    depth = _magnified(parts.surface, _PIGMENT_DEPTH)
    epithelial, glandular = _magnified(parts.epithelium), _magnified(parts.foam)
    fibre, tear, bundle = _fibres(canvas, parts)
    inside = _soft(_magnified(parts.margin) + np.float32(3) * fibre * (epithelial < 0))  # cut collagen is frayed
    flakes, horn = _horn(canvas, depth)
    hair = _soft(_magnified(parts.keratin))
    tissue = np.maximum(np.maximum(_soft(depth), flakes), hair) * inside
    keratin = np.maximum(horn, hair) * tissue
    hollow = _soft(_magnified(np.maximum(parts.lumen, parts.fat)))
    flesh = tissue * (1 - hollow * (1 - hair)) * (1 - keratin)
    epithelium, foam = _soft(epithelial), _soft(glandular)
    stroma = (1 - epithelium) * (1 - foam) * flesh
    papillary = _magnified(np.exp(np.minimum(parts.epidermis, 0) / np.float32(90)))
    seams, droplets = _cell_walls(canvas, epithelial, glandular)
    crowd = np.maximum(np.clip((epithelial + 10) * np.float32(0.04), 0, 0.8), _magnified(parts.cuff) * (1 - epithelium))
    return Section(
        canvas,
        tissue=tissue,
        epithelium=epithelium * flesh,
        seams=seams,
        keratin=keratin,
        granules=_granules(canvas, depth) * epithelium * flesh,
        melanin=_melanin(canvas, epithelial, depth) * flesh,
        foam=foam * (1 - droplets) * flesh,
        collagen=_density(fibre, bundle, papillary) * stroma,
        cleft=_clefts(canvas, papillary, tear, bundle),
        fibre=fibre,
        blood=_red_cells(canvas, _magnified(parts.blood)) * tissue,
        crowd=crowd * tissue,
        chromatin=stamped(cells, canvas) * flesh,
    )


def _fibres(canvas: Canvas, parts: Anatomy) -> tuple[Floats, ...]:
    """Textures along the fibres: fine fibres, tears, broad bundles; mean 0, standard deviation about 1 each."""
    angle = np.ascontiguousarray(parts.angle[::2, ::2])
    textures = []
    for layer, shape, gain in (("fine", (2, 3, 4), 2.4), ("tear", (2, 5, 5), 2.7), ("bundle", (4, 24, 4), 1.4)):
        step = shape[0]
        texture = parts.canvas.strokes(f"collagen/{layer}", angle, 2 * STEP, shape)
        inner = slice(_FLOW // step, -_FLOW // step)
        textures.append(enlarged(texture[inner, inner] * np.float32(gain), step))
    return tuple(textures)


def _density(fibre: Floats, bundle: Floats, papillary: Floats) -> Floats:
    """Density of collagen: less at the borders of bundles, other in each bundle, paler just below the epidermis."""
    core = np.tanh(np.abs(bundle) * 2)
    other = np.float32(0.09) * np.tanh(bundle * 2) * (1 - papillary)
    return np.float32(0.7) + np.float32(0.12) * core + other + np.float32(0.02) * fibre - np.float32(0.2) * papillary


def _clefts(canvas: Canvas, papillary: Floats, tear: Floats, bundle: Floats) -> Floats:
    """Clefts that taper at both ends: at the borders of bundles, more in loose dermis, few below the epidermis."""
    threshold = np.float32(1.25) + papillary - np.float32(0.5) * canvas.noise("collagen/loose", 128)
    threshold += np.float32(0.6) * np.minimum(np.abs(bundle), 2)
    return np.clip((tear - threshold) * np.float32(1.5), 0, 1)


def _cell_walls(canvas: Canvas, epithelial: Floats, glandular: Floats) -> tuple[Floats, Floats]:
    """Pale borders between epithelial cells, and fat droplets in sebaceous cells."""
    if max(epithelial.max(), glandular.max()) <= 0:
        return np.zeros_like(epithelial), np.zeros_like(epithelial)
    walls = canvas.mosaic(f"nuclei/{LOOSE}", LOOSE, 2).inside  # the lattice of the nuclei: one per cell
    seams = enlarged(np.clip(np.float32(1.3) - walls, 0, 1), 2)
    droplets = np.clip(canvas.noise("foam/droplet", 4) * np.float32(0.8) + np.float32(0.35), 0, 0.85)
    return seams * np.clip((epithelial - 8) / 4, 0, 1), droplets * (1 - seams)


def _horn(canvas: Canvas, depth: Floats) -> tuple[Floats, Floats]:
    """Flakes that stand off the surface, and all of the stratum corneum: flakes and compact layer."""
    if depth.min() > HORN_REACH:
        return np.zeros_like(depth), np.zeros_like(depth)
    wave = depth + 7 * canvas.noise("horn/wave", 64) + 4 * canvas.noise("horn/ripple", 20)
    sheet = np.cos(wave * np.float32(2 * np.pi / 8)) + np.float32(0.5) * canvas.noise("horn/torn", 24)
    strand = np.clip((sheet - np.float32(0.75)) * 3, 0, 1)
    reach = np.clip(7 + 12 * canvas.noise("horn/reach", 64), -2, HORN_REACH - 6)
    flakes = strand * np.clip((depth + reach) / 3, 0, 1) * (depth < 1)
    compact = np.clip((np.float32(CORNEUM_DEPTH) - depth) / 2, 0, 1) * _soft(depth)
    return flakes, np.maximum(flakes, compact * (np.float32(0.75) + np.float32(0.25) * strand))


def _granules(canvas: Canvas, depth: Floats) -> Floats:
    """Dark granules of the granular layer."""
    layer = np.clip(1 - np.abs(depth - np.float32(15)) / np.float32(8), 0, 1)
    return layer * np.clip(canvas.noise("granules", 2), 0, 1) if layer.any() else layer


def _melanin(canvas: Canvas, epithelial: Floats, depth: Floats) -> Floats:
    """Melanin granules in the basal layer of the epidermis, in patches."""
    layer: Floats = np.maximum(1 - np.abs(epithelial - 6) / np.float32(6), 0) * (depth < _PIGMENT_DEPTH)
    if not layer.any():
        return layer
    patch = np.clip(canvas.noise("melanin/patch", 256) + np.float32(0.2), 0, 1)
    return layer * patch * np.clip(np.float32(0.4) * (canvas.noise("melanin/grain", 3) + 1), 0, 1)


def _red_cells(canvas: Canvas, vessel: Floats) -> Floats:
    """Red blood cells in the vessels."""
    if vessel.max() <= 0:
        return np.zeros_like(vessel)
    left = canvas.noise("blood/left", 24) + np.float32(0.9) * canvas.noise("blood/cells", 5)
    return np.clip(left * 2, 0, 1) * np.clip(vessel, 0, 1)
