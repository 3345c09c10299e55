import pytest

from confostain.cli import main


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes"),
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB"),
    ],
)
def test_running_out_of_memory_is_one_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr("confostain.models.registry.list_models", fail)
    with pytest.raises(SystemExit) as ended:
        main(["models"])
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("confostain: out of memory; ")


def test_any_other_error_of_a_library_is_shown_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr("confostain.models.registry.list_models", fail)
    with pytest.raises(RuntimeError, match="shapes"):
        main(["models"])
