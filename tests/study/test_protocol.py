"""Protocols: what is accepted, and how a wrong one is refused."""

from pathlib import Path

import pytest

from confostain.errors import ConfigError
from confostain.study.protocol import Question, read_protocol


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
        ("fields = 3", "fields = 3\nrounds = 7", "rounds = 7: expected at most one for each of the 6 fields"),
        ("fields = 3", "fields = 3\nwashout_days = -1", "washout_days: Input should be"),
        ('positive = "stained"', 'positive = "real"', "question real: positive = 'real': expected a choice after"),
        ('positive = "stained"', 'positive = "perhaps"', "question real: positive = 'perhaps'"),
        ('choices = ["1", "2", "3"]', 'choices = ["1", "2", "1"]', "question quality: the same choice twice"),
        ("mpp = 0.5", "mpp = 0.5\nregion = [1, 2, 3]", "arms.0.region: List should have at least 4"),
        ("mpp = 0.5", "mpp = 0.5\nregion = [-1, 2, 3, 4]", "arms.0.region.0: Input should be"),
        (
            "mpp = 0.5",
            'mpp = 0.5\nmodality = "x"\n[[arms]]\nname = "y"\nhistology = "section.png"\nmodality = "x"',
            "section.png: two arms of one modality show the same fields",
        ),
    ],
)
def test_a_wrong_protocol_is_refused(toml: Path, old: str, new: str, message: str) -> None:
    assert old in toml.read_text()
    toml.write_text(toml.read_text().replace(old, new, 1))
    with pytest.raises(ConfigError, match=message):
        read_protocol(toml)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('lesson = "real", ', "", "arm lesson: training without a correct answer"),
        ("other.png", "x/../section.png", "arm lesson: its slide is also in an arm that counts"),
        ("other.png", "section.png", "arm lesson: its slide is also in an arm that counts"),
        ('name = "stained"\n', 'name = "stained"\ntraining = true\n', None),
    ],
)
def test_training_is_apart_from_what_counts(lesson_toml: Path, old: str, new: str, message: str | None) -> None:
    text = lesson_toml.read_text()
    assert old in text
    lesson_toml.write_text(text.replace(old, new, 1))
    if message is None:
        assert [arm.name for arm in read_protocol(lesson_toml).arms if arm.training] == ["stained", "lesson"]
        return
    with pytest.raises(ConfigError, match=message):
        read_protocol(lesson_toml)


def test_a_study_of_training_alone_is_refused(toml: Path) -> None:
    toml.write_text(toml.read_text().replace("[[arms]]", "[[arms]]\ntraining = true"))
    with pytest.raises(ConfigError, match="every arm is for training"):
        read_protocol(toml)


@pytest.mark.parametrize(
    ("old", "new", "is_same"),
    [
        ("fields = 3", "fields   =   3  # of each arm", True),
        ("fields = 3", "fields = 4", False),
        ("seed = 7", "seed = 8", False),
        ('choices = ["1", "2", "3"]', 'choices = ["3", "2", "1"]', False),
        ('text = "How good is it?"', 'text = "How bad is it?"', False),
    ],
)
def test_the_fingerprint_is_of_the_settings(toml: Path, old: str, new: str, is_same: bool) -> None:
    before = read_protocol(toml).fingerprint
    assert old in toml.read_text()
    toml.write_text(toml.read_text().replace(old, new))
    assert (read_protocol(toml).fingerprint == before) == is_same


SCALE = Question(
    id="q", text="?", choices=["no", "rather no", "rather yes", "yes"], positive="rather yes", correct={"a": "yes"}
)


@pytest.mark.parametrize(
    ("question", "arm", "choice", "expected"),
    [
        (SCALE, "a", "rather yes", True),
        (SCALE, "a", "rather no", False),
        (SCALE, "b", "yes", None),
        (SCALE.model_copy(update={"positive": None}), "a", "rather yes", False),
        (SCALE.model_copy(update={"positive": None}), "a", "yes", True),
    ],
)
def test_with_a_positive_choice_an_answer_need_only_be_on_the_right_side(
    question: Question, arm: str, choice: str, expected: bool | None
) -> None:
    assert question.is_correct(arm, choice) is expected


@pytest.mark.parametrize(
    ("screen", "width"), [("", 96), ("screen_microns_per_pixel = 0.375", 192), ("screen_microns_per_pixel = 1.5", 48)]
)
def test_the_scale_on_the_screen_is_in_um(toml: Path, screen: str, width: float) -> None:
    toml.write_text(toml.read_text().replace("seed = 7", f"seed = 7\n{screen}"))
    assert read_protocol(toml).screen_width == width


def test_the_hibiscuss_design_is_a_protocol() -> None:
    """Numbers of the publication: 300 images in seven rounds, after a training of 110 images."""
    protocol = read_protocol(Path(__file__).parents[2] / "examples" / "reader_study_hibiscuss.toml")
    counts = [sum(protocol.fields_of(arm) for arm in protocol.arms if arm.training == which) for which in (True, False)]
    assert (counts, protocol.rounds) == ([110, 300], 7)


@pytest.mark.parametrize(
    ("truth", "positive", "is_refused"),
    [("stained", 'positive = "stained"', True), ("real", 'positive = "stained"', False), ("stained", "", False)],
)
def test_one_place_has_one_truth(toml: Path, truth: str, positive: str, is_refused: bool) -> None:
    """Two arms that show the same fields, as multi-reader multi-case data."""
    text = toml.read_text().replace('positive = "stained"', positive)
    text = text.replace("[[questions]]", '[[arms]]\nname = "again"\nhistology = "section.png"\n[[questions]]', 1)
    toml.write_text(text.replace('correct = {section = "real"', f'correct = {{again = "{truth}", section = "real"'))
    if not is_refused:
        assert len(read_protocol(toml).arms) == 3
        return
    with pytest.raises(ConfigError, match=r"section.png: positive in one arm and negative in another"):
        read_protocol(toml)
