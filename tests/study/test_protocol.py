"""Protocols: what is accepted, and how a wrong one is refused."""

from pathlib import Path

import pytest

from confostain.errors import ConfigError
from confostain.study.protocol import read_protocol


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("title", "tilte", "title: Field required"),
        ("seed", "sede", "sede: Extra inputs"),
        ('title = "Real or stained?"', "", "title"),
        ('choices = ["1", "2", "3"]', 'choices = ["1"]', "questions.1.choices"),
        ('histology = "section.png"', "", "arm section: expected either"),
        ('model = "gareau"', "", "arm stained: expected either"),
        ('name = "section"', 'name = "stained"', "different names"),
        ('stained = "stained"}', 'stained = "perhaps"}', "perhaps"),
        ("fields = 3", "fields = 0", "fields: Input should be"),
        ("fields = 3", "fields = [", "cannot be read as a protocol"),
        ("fields = 3", 'fields = "3"', "fields: Input should be"),
    ],
)
def test_a_wrong_protocol_is_refused(toml: Path, old: str, new: str, message: str) -> None:
    assert old in toml.read_text()
    toml.write_text(toml.read_text().replace(old, new, 1))
    with pytest.raises(ConfigError, match=message):
        read_protocol(toml)
