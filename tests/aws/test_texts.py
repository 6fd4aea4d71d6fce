"""The file of texts: what stands in it is checked before anything is sent with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from costtrace.aws.notifications import Texts
from costtrace.errors import ConfigurationError, InvalidValue

SHIPPED = Path(__file__).parents[2] / "integrations" / "aws" / "handlers" / "notifications.toml"


def texts(tmp_path: Path, content: str) -> Texts:
    path = tmp_path / "texts.toml"
    path.write_text(content, encoding="utf-8")
    return Texts(path)


def test_the_shipped_texts_are_one_segment_long() -> None:
    """With values of usual length: a longer one costs twice."""
    shipped = Texts(SHIPPED)
    data = {"company": "Parcels Ltd", "plan": "gold", "until": "1 May 2027", "name": "Ada", "text": "it has arrived"}
    wanted = {
        "welcome": {"company", "name"},
        "notification": {"company", "text"},
        "subscription": {"company", "plan", "until"},
        "cancellation": {"company", "plan", "until"},
    }
    for kind, names in wanted.items():
        text = shipped.text(kind, {name: data[name] for name in names})
        assert len(text) <= 160
        assert text.isascii()


def test_braces_and_numbers_are_filled_in_as_they_are(tmp_path: Path) -> None:
    known = texts(tmp_path, '[code]\ntext = "Your code is {code}. {{No}} reply."')
    assert known.text("code", {"code": 4711}) == "Your code is 4711. {No} reply."
    assert known.text("code", {"code": "{other}"}) == "Your code is {other}. {No} reply."


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[a", "texts.toml cannot be read"),
        ("[a]", r"texts.toml: \[a\] needs a text"),
        ('[a]\ntext = " "', r"texts.toml: \[a\] needs a text"),
        ("a = 1", r"texts.toml: \[a\] needs a text"),
        ('[a]\ntext = "{"', r"texts.toml: \[a\] text: "),
        ('[a]\ntext = "{}"', "expected a plain name in braces, got ''"),
        ('[a]\ntext = "{x.__class__}"', "expected a plain name in braces, got 'x.__class__'"),
        ('[a]\ntext = "{x!r}"', "expected a plain name in braces"),
        ('[a]\ntext = "{x:>1000000}"', "expected a plain name in braces"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        texts(tmp_path, content)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.toml cannot be read"):
        Texts(tmp_path / "nowhere.toml")


@pytest.mark.parametrize("value", [None, True, 1.5, "", "x" * 301, "two\nlines", "nul\0", ["a"]])
def test_a_value_that_is_no_plain_text_is_refused(tmp_path: Path, value: object) -> None:
    known = texts(tmp_path, '[code]\ntext = "Your code is {code}."')
    with pytest.raises(InvalidValue, match=r"^data\.code: expected a text of 1 to 300 printable characters"):
        known.text("code", {"code": value})


@pytest.mark.parametrize("data", [None, [], {}, {"code": "1", "more": "2"}])
def test_data_must_have_the_names_of_the_text(tmp_path: Path, data: object) -> None:
    known = texts(tmp_path, '[code]\ntext = "Your code is {code}."')
    with pytest.raises(InvalidValue, match=r"^data: expected an object of code"):
        known.text("code", data)
