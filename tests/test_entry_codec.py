"""An entry is written and read without loss, as JSON objects, as a row and as a spool record; and checks itself."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given

from costtrace.entry import Entry, SpanRef, decode_entry, encode_entry
from costtrace.errors import InvalidValue
from costtrace.jsontext import decode, encode
from costtrace.ledger.rows import COLUMNS, from_row, to_row
from costtrace.money import Money
from costtrace.quote import Quote, QuoteStatus
from tests.factories import make_basis, make_costs, make_entry, make_quote
from tests.strategies import entries


def numbers_in(value: Any) -> list[Any]:
    """Every number in nested JSON objects."""
    if isinstance(value, dict):
        return [number for inner in value.values() for number in numbers_in(inner)]
    if isinstance(value, list):
        return [number for inner in value for number in numbers_in(inner)]
    return [value] if isinstance(value, (int, float, Decimal)) else []


@given(entries())
def test_an_entry_survives_its_json_objects(entry: Entry) -> None:
    assert decode_entry(encode_entry(entry)) == entry


@given(entries())
def test_an_entry_survives_its_json_text(entry: Entry) -> None:
    assert decode_entry(json.loads(json.dumps(encode_entry(entry)))) == entry


@given(entries())
def test_an_entry_survives_its_row(entry: Entry) -> None:
    assert from_row(to_row(entry)) == entry


@given(entries())
def test_an_entry_survives_its_spool_record(entry: Entry) -> None:
    record = encode(to_row(entry)).encode()
    assert decode(record) == to_row(entry)
    assert from_row(decode(record)) == entry


@given(entries())
def test_no_number_of_an_encoded_entry_is_a_float(entry: Entry) -> None:
    assert all(type(number) in (int, bool) for number in numbers_in(encode_entry(entry)))


@given(entries())
def test_keys_of_a_later_version_are_left_aside_wherever_they_stand(entry: Entry) -> None:
    record = encode_entry(entry)
    for part in (record, record["context"], record["usage"], record["quote"], record["span"]):
        if part is not None:
            part["of_a_later_version"] = {"anything": [1]}
    if record["quote"] and record["quote"]["basis"]:
        record["quote"]["basis"]["of_a_later_version"] = 1
    for line in record["quote"]["lines"] if record["quote"] else ():
        line["of_a_later_version"] = 1
    assert decode_entry(record) == entry


def test_json_objects_hold_money_and_moments_as_text() -> None:
    record = encode_entry(make_entry())
    assert (record["cost"], record["estimate"], record["currency"]) == ("0.003125", None, "USD")
    assert record["occurred_at"] == "2026-01-20T09:30:01.000000Z"
    assert record["quote"]["lines"][0] == {
        "bucket": "input",
        "quantity": 450,
        "rate": "2.5",
        "per": 1_000_000,
        "subtotal": "0.001125",
        "source": None,
    }


def test_a_row_has_a_value_for_every_column_and_two_texts() -> None:
    row = to_row(make_entry())
    assert len(row) == len(COLUMNS) + 2
    assert dict(zip(COLUMNS, row, strict=False))["cost_pico"] == 3_125_000_000


@pytest.mark.parametrize("currency", ["USD", "EUR"])
@pytest.mark.parametrize("part", ["cost", "estimate"])
def test_a_quote_whose_amount_is_not_the_entrys_money_survives_the_row(part: str, currency: str) -> None:
    """A correction costs the difference; its quote may still say what the whole would have been."""
    quote = Quote(status=QuoteStatus.PROVIDER_REPORTED, amount=Decimal("0.0083"), currency=currency)
    money: dict[str, Any] = {"cost": None, "estimate": None, part: Money("0.0004")}
    entry = make_entry(quote=quote, **money)
    assert from_row(to_row(entry)) == entry


def test_an_exact_quote_beside_no_money_survives_the_row() -> None:
    entry = make_entry(cost=None)
    assert from_row(to_row(entry)) == entry


def test_a_bucket_name_that_json_must_escape_survives_the_row() -> None:
    quote = make_quote()
    odd = Quote(status=quote.status, amount=quote.amount, lines=(quote.lines[0]._replace(bucket='of "SMS"'),))
    entry = make_entry(quote=odd)
    assert from_row(to_row(entry)) == entry


@pytest.mark.parametrize("name", ["entry_id", "message_uuid", "kind", "status"])
@pytest.mark.parametrize("value", ["", "x" * 513, "\ud83d", None, 7, b"id"])
def test_a_name_that_no_store_can_hold_is_refused_by_field(name: str, value: Any) -> None:
    with pytest.raises(InvalidValue, match=rf"entry\.{name}: expected a text") as refusal:
        make_entry(**{name: value})
    assert refusal.value.field == f"entry.{name}"
    assert refusal.value.value == value


@pytest.mark.parametrize("name", ["provider", "model", "requested_model", "source_id", "error"])
def test_a_lone_surrogate_is_refused_before_it_reaches_a_store(name: str) -> None:
    wrong: dict[str, Any] = {name: "gpt-\ud83d"}
    with pytest.raises(InvalidValue, match=rf"entry\.{name}: expected a text without lone surrogates"):
        make_entry(**wrong)


@pytest.mark.parametrize("duration", [2**64, -1, 0.5, True])
def test_a_duration_that_no_store_can_hold_is_refused(duration: Any) -> None:
    with pytest.raises(InvalidValue, match=r"entry\.duration_us: expected a whole number"):
        make_entry(duration_us=duration)


@pytest.mark.parametrize("details", [{"text": "\ud83d"}, {"\ud83d": 1}, {"deep": [{"text": "\ud83d"}]}, ["a"], 5])
def test_details_that_could_be_written_and_not_be_read_again_are_refused(details: Any) -> None:
    """One such entry would make every page of entries around it unreadable."""
    with pytest.raises(InvalidValue, match=r"entry\.details: expected a mapping of texts to what JSON can hold"):
        make_entry(details=details)


def test_an_entry_is_not_changed_through_the_details_it_was_made_from() -> None:
    details = {"parent_run_id": "r1", "seen": [1]}
    entry = make_entry(details=details)
    details["seen"] = []
    details.clear()
    assert entry.details == {"parent_run_id": "r1", "seen": [1]}


@pytest.mark.parametrize("name", ["occurred_at", "recorded_at"])
@pytest.mark.parametrize("moment", [datetime(2026, 1, 20, 9, 30), "2026-01-20T09:30:00Z", None])  # noqa: DTZ001 - naive is the point
def test_what_is_no_aware_moment_is_refused_by_field(name: str, moment: Any) -> None:
    with pytest.raises(InvalidValue, match=rf"entry\.{name}: expected a datetime with a time zone"):
        make_entry(**{name: moment})


def test_an_estimate_never_stands_beside_an_actual_cost() -> None:
    with pytest.raises(InvalidValue, match=r"entry\.estimate: expected no estimate beside an actual cost"):
        make_costs("0.0079", estimate="0.0075")


def test_what_takes_the_place_of_another_may_hold_both_as_differences_and_in_two_currencies() -> None:
    entry = make_entry(quote=None, cost=Money("0.0070", "EUR"), estimate=Money("-0.0083"), replaces="pending")
    record = encode_entry(entry)
    assert (record["cost"], record["currency"]) == ("0.007", "EUR")
    assert (record["estimate"], record["estimate_currency"]) == ("-0.0083", "USD")
    assert (record["standing"], record["replaces"]) == ("settled", "pending")
    assert decode_entry(record) == from_row(to_row(entry)) == entry


def test_a_record_of_before_there_were_replacing_entries_is_read() -> None:
    entry = make_costs(estimate="0.0083", currency="EUR")
    record = encode_entry(entry)
    for key in ("estimate_currency", "standing", "replaces"):
        del record[key]
    assert decode_entry(record) == entry


@pytest.mark.parametrize("word", ["", "exact", "Settled", 1, True])
def test_a_standing_nobody_knows_cannot_be_replaced(word: Any) -> None:
    with pytest.raises(
        InvalidValue, match=r"entry\.replaces: expected one of settled, calculated, pending, unpriced, got"
    ):
        make_entry(replaces=word)


@pytest.mark.parametrize("status", [QuoteStatus.ESTIMATED, QuoteStatus.PARTIAL, QuoteStatus.UNPRICED])
def test_a_quote_that_is_not_actual_never_stands_beside_a_cost(status: QuoteStatus) -> None:
    amount = None if status is QuoteStatus.UNPRICED else Decimal("0.01")
    with pytest.raises(InvalidValue, match=rf"entry\.cost: expected no cost, since the quote is '{status}'"):
        make_entry(quote=Quote(status=status, amount=amount), cost=Money("0.01"))


@pytest.mark.parametrize(
    "span",
    [
        {"trace_id": "ab" * 15, "span_id": "cd" * 8},
        {"trace_id": "AB" * 16, "span_id": "cd" * 8},
        {"trace_id": "ab" * 16, "span_id": "xy" * 8},
        {"trace_id": 1, "span_id": "cd" * 8},
    ],
)
def test_a_span_is_named_by_hexadecimal_digits(span: Any) -> None:
    with pytest.raises(InvalidValue, match=r"span\.(trace|span)_id: expected \d+ lower-case hexadecimal digits"):
        SpanRef(**span)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("cost", 0.003125, r"entry\.cost: expected an amount written as text"),
        ("cost", "NaN", r"entry\.cost: expected a finite amount"),
        ("currency", "usd", r"currency: expected a three-letter"),
        ("currency", None, r"currency: expected a three-letter"),
        ("occurred_at", "2026-01-20T09:30:00", r"entry\.occurred_at: expected"),
        ("entry_id", "", r"entry\.entry_id: expected a text"),
    ],
)
def test_a_record_with_a_wrong_value_is_refused_by_field(key: str, value: Any, said: str) -> None:
    with pytest.raises(InvalidValue, match=said):
        decode_entry({**encode_entry(make_entry()), key: value})


def test_a_record_that_is_no_entry_is_refused() -> None:
    with pytest.raises(KeyError):
        decode_entry({"hello": "world"})


def test_the_entry_says_how_its_cost_is_known() -> None:
    assert make_entry().cost_status == "exact"
    assert make_entry().reason is None
    unpriced = Quote(status=QuoteStatus.UNPRICED, amount=None, reason="no price", basis=make_basis())
    entry = make_entry(quote=unpriced, cost=None)
    assert (entry.cost_status, entry.reason) == ("unpriced", "no price")
    assert make_costs("1").cost_status is None
