"""What Twilio says of a price, one thing after the other, as charges: they add up to what it said last."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from costtrace.entry import Entry
from costtrace.exporters.focus import FocusExport, write_csv
from costtrace.testing import MemoryLedger
from costtrace.twilio.entries import refused_entry
from tests.exporters.focus.specification import violations
from tests.twilio.sms_entries import bound, later, leg, price, sent, status

PRICES = st.tuples(
    st.sampled_from(["-0.00790", "-0.00750", "0.00100", "-0.00000", "-12.5"]), st.sampled_from(["USD", "USD", "EUR"])
)


def exported(entries: list[Entry]) -> tuple[list[dict[str, str]], FocusExport]:
    ledger = MemoryLedger()
    ledger.append(entries)
    export = FocusExport(ledger)
    stream = io.StringIO(newline="")
    write_csv(export.rows(), stream)
    return list(csv.DictReader(io.StringIO(stream.getvalue(), newline=""))), export


def chain(*prices: tuple[str, str]) -> list[Entry]:
    """An SMS that was sent, delivered and priced, and priced again."""
    entries = [sent(), bound(), status("delivered")]
    for number, (raw, unit) in enumerate(prices, 1):
        entries += price(leg(entries), raw, unit, seconds=60 * number)
    return entries


def test_a_price_that_changes_is_a_usage_and_an_adjustment() -> None:
    rows, export = exported(chain(("-0.00790", "USD"), ("-0.00750", "USD")))

    assert [(row["ChargeCategory"], row["BilledCost"]) for row in rows] == [
        ("Usage", "0.0079"),
        ("Adjustment", "-0.0004"),
    ]
    assert rows[1]["x_Corrects"] == rows[0]["x_EntryId"]
    assert export.exported.to_dict()["billed"] == {"USD": "0.0075"}


def test_a_price_that_changes_its_currency_is_taken_back_in_the_old_one() -> None:
    rows, export = exported(chain(("-0.00790", "USD"), ("-0.00700", "EUR")))

    assert [(row["ChargeCategory"], row["BilledCost"], row["BillingCurrency"]) for row in rows] == [
        ("Usage", "0.0079", "USD"),
        ("Adjustment", "-0.0079", "USD"),
        ("Usage", "0.007", "EUR"),
    ]
    assert dict(export.exported.billed.without_zeros()) == {"EUR": Decimal("0.007")}


def test_an_sms_that_was_refused_is_no_charge() -> None:
    send = sent()

    rows, export = exported([send, refused_entry(send, error="TwilioRestException 21610", now=later(1))])

    assert rows == []
    assert (export.exported.free, export.exported.pending, export.exported.complete) == (1, 0, True)


def test_an_sms_whose_price_is_not_out_yet_is_no_charge_and_is_counted() -> None:
    rows, export = exported(chain())

    assert rows == []
    assert (export.exported.pending, export.exported.complete) == (1, False)


@given(st.lists(PRICES, min_size=1, max_size=5))
def test_whatever_is_said_of_a_price_the_charges_add_up_to_what_was_said_last(prices: list[tuple[str, str]]) -> None:
    rows, export = exported(chain(*prices))

    raw, unit = prices[-1]
    owed = -Decimal(raw)
    assert dict(export.exported.billed.without_zeros()) == ({unit: owed} if owed else {})
    assert [violations(row) for row in rows] == [[] for _ in rows]
    assert export.exported.pending == export.exported.unpriced == 0
