"""Segments of an SMS: every tricky text, and any text against a count made another way."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costtrace.errors import InvalidValue
from costtrace.twilio import Forcing, segment
from costtrace.twilio.smart_encoding import smart_encoded
from tests.twilio.segment_cases import CASES

EXTENSION = {0x0C, 0x5B, 0x5C, 0x5D, 0x5E, 0x7B, 0x7C, 0x7D, 0x7E, 0x20AC}
BASIC = (
    {0x0A, 0x0D, 0x5F, *range(0x20, 0x5B), *range(0x61, 0x7B)}
    | {0xA1, 0xA3, 0xA4, 0xA5, 0xA7, 0xBF, 0xC4, 0xC5, 0xC6, 0xC7, 0xC9, 0xD1, 0xD6, 0xD8, 0xDC, 0xDF}
    | {0xE0, 0xE4, 0xE5, 0xE6, 0xE8, 0xE9, 0xEC, 0xF1, 0xF2, 0xF6, 0xF8, 0xF9, 0xFC}
    | {0x393, 0x394, 0x398, 0x39B, 0x39E, 0x3A0, 0x3A3, 0x3A6, 0x3A8, 0x3A9}
)
"""The characters of GSM 03.38 by their code points."""


def counted(text: str) -> tuple[str, int, int]:
    """Encoding, units and segments: what each character takes, dealt into parts from the left."""
    points = [ord(character) for character in text]
    if set(points) <= BASIC | EXTENSION:
        encoding, whole, part = "GSM-7", 160, 153
        sizes = [2 if point in EXTENSION else 1 for point in points]
    else:
        encoding, whole, part = "UCS-2", 70, 67
        sizes = [len(character.encode("utf-16-be", "surrogatepass")) // 2 for character in text]
    if sum(sizes) <= whole:
        return encoding, sum(sizes), 1
    parts, room = 1, part
    for size in sizes:
        if size > room:
            parts, room = parts + 1, part
        room -= size
    return encoding, sum(sizes), parts


GSM_TEXTS = st.text(st.sampled_from([chr(point) for point in sorted(BASIC | EXTENSION)]), max_size=500)
SEAMS = st.lists(st.sampled_from(["a" * 66, "a" * 67, "a" * 152, "a" * 153, "€", "😀", "a", "`"]), max_size=8)
TEXTS = GSM_TEXTS | SEAMS.map("".join) | st.text(max_size=300)


@pytest.mark.parametrize("name", CASES)
def test_a_tricky_text_is_counted_as_twilio_counts_it(name: str) -> None:
    text, smart_encoding, encoding, units, segments = CASES[name]
    found = segment(text, smart_encoding=smart_encoding)
    assert (found.encoding, found.units, found.segments) == (encoding, units, segments)
    assert found.smart_encoded is smart_encoding


@given(TEXTS)
def test_any_text_is_counted_as_by_the_code_points(text: str) -> None:
    found = segment(text)
    assert (str(found.encoding), found.units, found.segments) == counted(text)
    assert found.characters == len(text)


@given(TEXTS)
def test_smart_encoding_counts_the_text_that_is_sent(text: str) -> None:
    found = segment(text, smart_encoding=True)
    assert (str(found.encoding), found.units, found.segments) == counted(smart_encoded(text))


@given(TEXTS)
def test_a_text_without_the_forcing_characters_is_gsm_7(text: str) -> None:
    forcing = segment(text).forces_ucs2
    assert bool(forcing) == (segment(text).encoding == "UCS-2")
    for character, _, positions in forcing:
        assert positions == tuple(place for place, each in enumerate(text) if each == character)
    assert segment("".join(c for c in text if c not in {each.character for each in forcing})).encoding == "GSM-7"


@given(GSM_TEXTS)
def test_smart_encoding_leaves_gsm_7_alone(text: str) -> None:
    assert smart_encoded(text) == text


@given(st.text(max_size=200))
def test_smart_encoding_twice_is_smart_encoding_once(text: str) -> None:
    assert smart_encoded(smart_encoded(text)) == smart_encoded(text)


def test_the_characters_that_force_ucs_2_are_named_with_their_places() -> None:
    assert segment("It\u2019s 5\t€, that\u2019s it 😀").forces_ucs2 == (
        Forcing("\u2019", "RIGHT SINGLE QUOTATION MARK", (2, 14)),
        Forcing("\t", "U+0009", (6,)),
        Forcing("😀", "GRINNING FACE", (20,)),
    )


def test_what_smart_encoding_replaces_forces_nothing_and_places_are_those_of_the_text_given() -> None:
    assert segment("\u2026 it\u2019s 😀", smart_encoding=True).forces_ucs2 == (Forcing("😀", "GRINNING FACE", (7,)),)


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidValue, match="body: expected a text, got 'bytes'"):
        segment(b"secret")  # type: ignore[arg-type]  # what the test is about


def test_without_smsutil_the_error_names_the_extra() -> None:
    blocked = """
import sys
sys.modules["smsutil"] = None
from costtrace.errors import MissingExtra
from costtrace.twilio import segment
try:
    segment("hi")
except MissingExtra as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", blocked], capture_output=True, text=True, check=True)
    expected = "counting SMS segments needs the package 'smsutil': pip install 'langchain-costtrace[twilio]'\n"
    assert said.stdout == expected
