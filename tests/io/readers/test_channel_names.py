import pytest

from confostain.io.readers.channel_names import reflectance_and_fluorescence


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("Reflectance", "Fluorescence"), (0, 1)),
        (("Fluorescence", "Reflectance"), (1, 0)),
        (("Refl 488", "Fluo"), (0, 1)),
        (("Fluo 488", "Refl 488"), (1, 0)),
        (("488", "785"), (1, 0)),
        (("785 nm", "488 nm"), (0, 1)),
        (("638", "488"), (0, 1)),
        (("R", "F"), (0, 1)),
        (("f", "r"), (1, 0)),
        (("FCM", "RCM"), (1, 0)),
        (("Acridine orange", ""), (1, 0)),
        (("", "Reflectance"), (1, 0)),
        (("Ch 1", "Ch 2"), None),
        (("", ""), None),
        (("488", "488"), None),
        (("Reflectance", "Reflectance"), None),
        (("DAPI", "Reflectance", "Fluorescence"), (1, 2)),
        (("Fluorescence", "transmission", "Reflectance"), (2, 0)),
        (("a", "b", "Reflectance"), None),
        (("only",), None),
        ((), None),
    ],
    ids=str,
)
def test_both_names_decide_together(names: tuple[str, ...], expected: tuple[int, int] | None) -> None:
    assert reflectance_and_fluorescence(names) == expected
