"""What counts as a phone number, and what of a value may be shown."""

from __future__ import annotations

from decimal import Decimal

import pytest

from costtrace.chat.personal import holds_number, quotable


@pytest.mark.parametrize(
    "text",
    [
        "+14155550100",
        "sms:+14155550100",
        "whatsapp:+4915112345678",
        "+14155550199#+14155550100",
        "14155550100",
        "sms_14155550100",
        "14155550199#14155550100",
        "14155550199_14155550100",
        "415-555-0100",
        "(415) 555-0100",
        "+1 (415) 555-0100",
        "+49 151 1234-5678",
        "sms-14155550100-web",
    ],
)
def test_a_number_is_found_however_it_is_written(text: str) -> None:
    assert holds_number(text)


@pytest.mark.parametrize(
    "text",
    [
        "t1",
        "",
        "user-42",
        "thread:2026",
        "3f2b8c1e-9d4a-4b1c-8f00-446655440000",
        "SM" + "1" * 32,
        "0" * 64,
    ],
)
def test_other_names_are_left_alone(text: str) -> None:
    assert not holds_number(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("-0.00750"), "-0.00750"),
        (7, "7"),
        ("free", "'free'"),
        ("$0.003", "'$0.003'"),
        ("", "''"),
        ("my secret", "9 characters"),
        ("to:+14155550100", "15 characters"),
        ("x" * 41, "41 characters"),
        (["my secret"], "a list"),
        (None, "nothing"),
    ],
)
def test_only_numbers_and_short_words_are_quoted(value: object, text: str) -> None:
    assert quotable(value) == text
