from pathlib import Path

from tests.fuzz.mutants import KINDS, run


def test_damaged_files_are_read_or_refused_in_one_line(tmp_path: Path) -> None:
    found = run(60 * len(KINDS), seed=2, folder=tmp_path)

    assert not [result for result in found if result.startswith("FAULT")]
    assert found["refused"] > 200
    assert found["read as before"] > 20
