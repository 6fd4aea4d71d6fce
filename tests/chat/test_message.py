"""Values as DynamoDB writes them, and the moments that rows of earlier systems mean."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costtrace.chat.attributes import read, write
from costtrace.chat.message import chat_message, moment_of
from costtrace.errors import InvalidValue

NUMBERS = st.builds(
    lambda digits, exponent: Decimal(digits).scaleb(exponent),
    st.integers(-(10**28) + 1, 10**28 - 1),
    st.integers(-90, 90),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.text(max_size=9) | NUMBERS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_what_is_written_is_read_back(value: Any) -> None:
    assert read(write(value, "costs")) == value


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ({"N": "0.00031249999999999995"}, Decimal("0.00031249999999999995")),
        ({"SS": ["a", "b"]}, ["a", "b"]),
        ({"NS": ["1", "2.5"]}, [Decimal(1), Decimal("2.5")]),
        ({"B": b"\x00"}, b"\x00"),
        ({"L": [{"BOOL": True}, {"NULL": True}]}, [True, None]),
    ],
)
def test_values_of_every_kind_are_read(attribute: dict[str, Any], value: Any) -> None:
    assert read(attribute) == value


@pytest.mark.parametrize(
    "number",
    [
        "1E-130",
        "9.9999999999999999999999999999999999999E+125",
        "-0",
        "1" + "0" * 100,
        "0.00000000000000000000000000001",
    ],
)
def test_numbers_that_dynamodb_holds_are_written(number: str) -> None:
    assert Decimal(write(Decimal(number), "n")["N"]) == Decimal(number)


@pytest.mark.parametrize(
    "value",
    [0.1, Decimal("NaN"), Decimal("Infinity"), Decimal("1E-131"), Decimal("1E+126"), Decimal("1" * 39), object()],
)
def test_what_dynamodb_cannot_hold_exactly_is_refused(value: object) -> None:
    with pytest.raises(InvalidValue) as refused:
        write({"costUsd": value}, "costs.gpt")
    assert refused.value.field == "costs.gpt.costUsd"


HALF_PAST_NINE = datetime(2026, 1, 20, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "timestamp",
    [
        "2026-01-20T09:30:00.000000Z",
        "2026-01-20T09:30:00",
        "2026-01-20 09:30:00",
        "2026-01-20T10:30:00+01:00",
        "20260120T093000Z",
        "1768901400",
        "1768901400.0",
        "1768901400000",
        "1768901400000000",
        "1768901400000000000",
        Decimal(1768901400),
        Decimal("1.7689014E+9"),
    ],
)
def test_a_timestamp_of_any_common_form_is_read(timestamp: object) -> None:
    assert moment_of(timestamp) == HALF_PAST_NINE


@pytest.mark.parametrize("timestamp", ["", "noon", "2026-13-01T00:00:00", None, True, "9" * 21, "-1768901400", b"1"])
def test_a_timestamp_that_says_nothing_is_refused(timestamp: object) -> None:
    with pytest.raises(InvalidValue, match="timestamp: expected a time such as 2026-01-20T09:30:00"):
        moment_of(timestamp)


def test_a_row_of_nothing_but_a_key_is_read() -> None:
    message = chat_message({"threadId": {"S": "t1"}, "timestamp": {"S": "2026"}, "costs": {"S": "{}"}})
    assert (message.thread_id, message.timestamp, message.content, message.costs) == ("t1", "2026", None, {})
