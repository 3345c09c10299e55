"""Overlays that the command line names belong to one slide, or are refused before anything is opened."""

from pathlib import Path

import pytest

from confostain.cli import main
from overlay_files import write_features


@pytest.mark.parametrize(
    ("slides", "name", "reason"),
    [
        ([], "a.geojson", "--overlay with 0 slides: expected the one SLIDE"),
        (["one", "two"], "a.geojson", "--overlay with 2 slides: expected the one SLIDE"),
        (["one"], "missing.geojson", "missing.geojson: no overlay"),
        (["one"], "a.txt", "a.txt: no overlay; expected a .geojson file"),
        (["one"], "folder", "folder: no overlay"),
    ],
)
def test_an_overlay_without_its_slide_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], slides: list[str], name: str, reason: str
) -> None:
    write_features(tmp_path / "a.geojson")
    (tmp_path / "a.txt").touch()
    (tmp_path / "folder").mkdir()
    arguments = [str(tmp_path / slide) for slide in slides] or ["--watch", str(tmp_path)]
    with pytest.raises(SystemExit) as ended:
        main(["view", *arguments, "--overlay", str(tmp_path / name), "--no-browser"])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert reason in told
    assert len(told.splitlines()) == 1
