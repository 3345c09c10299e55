from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import confostain
from confostain.errors import OptionError
from confostain.evaluation.evaluation_data import (
    evaluation_window,
    load_evaluation_data,
    read_scan,
    scan_name,
    simulate_pairs,
)
from confostain.geometry import Region
from confostain.imaging.linear_stain import gareau
from confostain.slide import Slide


def pink(path: Path) -> Path:
    Image.fromarray(np.full((384, 384, 3), (200, 120, 160), np.uint8)).save(path)
    return path


def test_pairs_are_simulated_from_every_section_and_keep_their_truth(tmp_path: Path, painted_section: Path) -> None:
    sections = [str(painted_section), str(pink(tmp_path / "he.png"))]
    pairs = simulate_pairs(sections, 3, side=128)
    assert [pair.name for pair in pairs] == ["section, field 1", "section, field 2", "he, field 3"]
    assert [pair.slide for pair in pairs] == ["section", "section", "he"]
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
        with pytest.raises(OptionError, match="scans called a, a: expected different names"):
            load_evaluation_data(he, [one, one], [], 2, 128)
    for histology, references in ((he * 2, []), (he, he * 2)):
        with pytest.raises(OptionError, match="H&E called section, section: expected different names"):
            load_evaluation_data(histology, [], references, 2, 128)
    with pytest.raises(OptionError, match="pixel size 300 um"):
        load_evaluation_data(he, [], [], 2, 128, histology_mpp=300)


def test_the_first_reference_is_the_reference_and_further_ones_are_others(
    tmp_path: Path, painted_section: Path
) -> None:
    he, other = str(painted_section), str(pink(tmp_path / "other.png"))
    alone = load_evaluation_data([he], [], [], 1, 128)
    assert (alone.reference.name, alone.others) == ("section", [])
    both = load_evaluation_data([he], [], [other, he], 1, 128)
    assert (both.reference.name, [one.name for one in both.others]) == ("other", ["section"])
    assert all((field == (200, 120, 160)).all() for field in both.reference.fields)
