from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import confostain
from confostain.errors import OptionError, SlideError
from confostain.evaluation.evaluation_data import (
    evaluation_window,
    load_evaluation_data,
    read_scan,
    scan_name,
    simulate_pairs,
    tissue_fields,
)
from confostain.geometry import Region
from confostain.imaging.linear_stain import gareau
from confostain.slide import Slide


def section(path: Path, width: int = 640, height: int = 384, tissue_from: int = 256) -> Path:
    """Pink to the right of a column, each row of squares of 128 px a little darker than the one above."""
    rgb = np.full((height, width, 3), 243, np.uint8)
    rgb[:, tissue_from:] = (200, 120, 160)
    rgb[:, tissue_from:] -= (np.arange(height) // 128)[:, None, None].astype(np.uint8) * 10
    Image.fromarray(rgb).save(path)
    return path


def test_fields_of_h_and_e_are_tissue_evenly_from_all(tmp_path: Path) -> None:
    path = section(tmp_path / "he.png")
    fields = tissue_fields(path, 100, side=128)
    assert [int(field[0, 0, 0]) for field in fields] == [200] * 3 + [190] * 3 + [180] * 3
    assert all(field.shape == (128, 128, 3) and field.dtype == np.uint8 for field in fields)
    assert [int(field[0, 0, 0]) for field in tissue_fields(path, 3, side=128)] == [200, 190, 180]
    # A field of which 28 % is glass is still mostly tissue, one of which half is glass is not.
    assert len(tissue_fields(section(tmp_path / "more.png", tissue_from=164), 100, side=128)) == 12
    assert len(tissue_fields(section(tmp_path / "less.png", tissue_from=192), 100, side=128)) == 9


def test_a_section_without_a_field_of_tissue_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SlideError, match="mostly tissue"):
        tissue_fields(section(tmp_path / "he.png", tissue_from=600), 4, side=128)
    with pytest.raises(SlideError, match="mostly tissue"):
        tissue_fields(section(tmp_path / "he.png"), 4, side=1024)


def test_pairs_are_simulated_from_every_section_and_keep_their_truth(tmp_path: Path, painted_section: Path) -> None:
    sections = [str(painted_section), str(section(tmp_path / "he.png"))]
    pairs = simulate_pairs(sections, 3, side=128)
    assert [pair.name for pair in pairs] == ["section, field 1", "section, field 2", "he, field 3"]
    for pair in pairs:
        assert (pair.pair.shape, pair.truth.shape) == ((2, 128, 128), (128, 128, 3))
        assert 0 <= pair.pair.min() < pair.pair.max() <= 1
    again = simulate_pairs(sections, 3, side=128)
    assert all(np.array_equal(one.pair, other.pair) for one, other in zip(pairs, again, strict=True))
    assert len(simulate_pairs(sections, 1, side=128)) == 1


def test_the_evaluation_window_is_the_whole_scan_or_where_its_tissue_is(
    phantom_scan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with confostain.open_slide(phantom_scan) as slide:
        scan = read_scan(slide)
        assert scan.window == Region(0, 0, 700, 523)
        assert np.array_equal(scan.linear, gareau(slide.read_region((0, 0), (700, 523))))
        whole = Region(0, 0, 700, 523)
        for side in (192, 300, 515, 640, 699):
            monkeypatch.setattr("confostain.evaluation.evaluation_data.MAX_WINDOW", side)
            window = evaluation_window(slide)
            assert (window.width, window.height) == (side, min(side, 523))
            assert whole.intersection(window) == window
            assert slide.tissue.coverage(window).mean() >= slide.tissue.coverage(whole).mean()


def files(folder: Path) -> Slide:
    folder.mkdir()
    grey = np.random.default_rng(0).integers(20, 200, (64, 64)).astype(np.uint8)
    for name in ("R.png", "F.png"):
        Image.fromarray(grey).save(folder / name)
    return confostain.open_slide(reflectance=folder / "R.png", fluorescence=folder / "F.png")


def test_a_file_pair_has_the_name_of_its_folder(phantom_scan: Path, tmp_path: Path) -> None:
    with files(tmp_path / "patient 7") as pair, confostain.open_slide(phantom_scan) as slide:
        assert scan_name(pair) == "patient 7"
        assert scan_name(slide) == slide.name


def test_missing_or_ambiguous_data_is_refused(tmp_path: Path, painted_section: Path) -> None:
    he = [str(painted_section)]
    with pytest.raises(OptionError, match="no data"):
        load_evaluation_data([], [], he, 2, 128)
    with pytest.raises(OptionError, match="expected at least one"):
        load_evaluation_data(he, [], [], 0, 128)
    with files(tmp_path / "a") as one:
        with pytest.raises(OptionError, match="no real H&E"):
            load_evaluation_data([], [one], [], 2, 128)
        with pytest.raises(OptionError, match="different names"):
            load_evaluation_data(he, [one, one], [], 2, 128)
