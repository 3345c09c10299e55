from pathlib import Path
from typing import Annotated, Literal

import pytest

from confostain.errors import ConfigError, ConfostainWarning
from confostain.training.config import Histology, Table, ordered, read_table, real, validated, whole


class Inner(Table):
    ends: Annotated[tuple[float, float], ordered(0, 10)] = (0.0, 1.0)


class Outer(Table):
    name: str
    steps: Annotated[int, whole(1, 9)] = 3
    rate: Annotated[float, real(0, 1, above=True)] = 0.5
    kind: Literal["a", "b"] = "a"
    start: str | None = None
    inner: Inner = Inner()
    more: tuple[Inner, ...] = ()
    data: Histology | None = None


def written(folder: Path, text: str) -> Path:
    path = folder / "c.toml"
    path.write_text(text)
    return path


def test_a_table_fills_its_model(tmp_path: Path) -> None:
    text = 'name = "x"\nrate = 1\nkind = "b"\nstart = "w"\n[inner]\nends = [1, 2.5]\n'
    config = validated(Outer, read_table(written(tmp_path, text)), "c.toml")
    assert config == Outer(name="x", rate=1.0, kind="b", start="w", inner=Inner(ends=(1.0, 2.5)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = "x"\nstep = 3', "unknown key 'step'; expected one of name, steps, rate"),
        ('name = "x"\n[inner]\nend = 3', "unknown key 'inner.end'; expected one of ends$"),
        ('name = "x"\n[[more]]\n[[more]]\nend = 3', r"unknown key 'more\[1\].end'; expected one of ends$"),
        ('name = "x"\n[data]\ntrain = []\nvalidate = []\nmpp = 1', "unknown key 'data.mpp'; expected one of train, v"),
        ("steps = 3", "the key 'name' is missing"),
        ('name = "x"\nsteps = 3.5', "steps is 3.5; expected a whole number from 1 to 9"),
        ('name = "x"\nsteps = true', "steps is True; expected a whole number from 1 to 9"),
        ('name = "x"\nsteps = 10', "steps is 10; expected a whole number from 1 to 9"),
        ('name = "x"\nrate = "fast"', "rate is 'fast'; expected a number above 0, at most 1"),
        ('name = "x"\nrate = nan', "rate is nan; expected a number above 0, at most 1"),
        ('name = "x"\nrate = inf', "rate is inf; expected a number above 0, at most 1"),
        ('name = "x"\nrate = -0.1', "rate is -0.1; expected a number above 0, at most 1"),
        ('name = "x"\nrate = 0', "rate is 0; expected a number above 0, at most 1"),
        ('name = "x"\nkind = "c"', "kind is 'c'; expected 'a' or 'b'"),
        ('name = "x"\nname2 = 1\nsteps = 0', "; and 1 more$"),
        ('name = "x"\ninner = 3', "inner is 3; expected an object"),
        ('name = "x"\n[inner]\nends = [1, 2, 3]', r"inner.ends is .*; expected \[smallest, largest\] from 0 to 10"),
        ('name = "x"\n[inner]\nends = [2, 1]', r"inner.ends is \[2, 1\]; expected \[smallest, largest\] from 0 to 10"),
        ('name = "x"\n[inner]\nends = [1, nan]', r"inner.ends is \[1, nan\]; expected \[smallest, largest\]"),
        (
            'name = "x"\n[data]\ntrain = []\nvalidate = []\nmicrons_per_pixel = -1',
            "data.microns_per_pixel is -1; expect",
        ),
        ("name = ", "not valid TOML"),
        ("a = " + 5000 * "[", "not valid TOML"),
    ],
)
def test_a_wrong_table_is_refused_in_one_line_with_key_and_limits(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError, match=message) as refused:
        validated(Outer, read_table(path), str(path))
    assert str(refused.value).startswith(str(path))
    assert "\n" not in str(refused.value)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none.toml: cannot be read"):
        read_table(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_table(tmp_path)
    (tmp_path / "latin.toml").write_bytes('name = "é"'.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"latin.toml: byte 8 is not UTF-8"):
        read_table(tmp_path / "latin.toml")


def test_keys_of_the_version_before_are_read_with_a_warning(tmp_path: Path) -> None:
    old = """
look_every = 3
gain = [0.9, 1.1]
[objective]
content = 2
[noise]
gain = [0.5, 2.0]
[[parts]]
averaging = 0.9
[parts.objective]
witnessed = true
"""
    with pytest.warns(
        ConfostainWarning, match=r"gain \(now intensity_jitter\), look_every \(now validate_every\)"
    ) as said:
        table = read_table(written(tmp_path, old))
    assert len(said) == 1
    assert "parts[0].objective.witnessed (now conditional_discriminator)" in str(said[0].message)
    assert table == {
        "validate_every": 3,
        "intensity_jitter": [0.9, 1.1],
        "objective": {"nuclei_correlation": 2},
        "noise": {"gain": [0.5, 2.0]},
        "parts": [{"ema_decay": 0.9, "objective": {"conditional_discriminator": True}}],
    }


def test_a_key_under_both_names_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="look_every is the old name of validate_every"):
        read_table(written(tmp_path, "look_every = 3\nvalidate_every = 4"))
