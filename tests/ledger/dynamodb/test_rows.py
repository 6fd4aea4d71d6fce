"""Rows: what they hold in the open, how small they are, and what is refused before DynamoDB hears of it."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from costtrace.entry import Entry
from costtrace.errors import InvalidValue
from costtrace.ledger.dynamodb.body import body_of, entry_of_body
from costtrace.ledger.dynamodb.items import entry_of, rows_of
from costtrace.money import Money
from tests.factories import MESSAGE, NOW, make_costs, make_entry
from tests.ledger.dynamodb.conftest import Store
from tests.peers.fault_proxy import FaultProxy
from tests.strategies import entries
from tests.twilio.sms_entries import SID, bound, sent

OLD_ROW = Path(__file__).with_name("row_1.bin")
"""A body as the first version of it was written; later versions must read it."""


class TestBody:
    @given(entries())
    def test_survives_any_entry(self, entry: Entry) -> None:
        assert entry_of_body(body_of(entry)) == entry

    def test_of_the_first_dictionary_is_read_for_ever(self) -> None:
        assert entry_of_body(OLD_ROW.read_bytes()) == make_entry()

    @pytest.mark.parametrize("body", [b"", b"\x00abc", b"\xff" + body_of(make_entry())[1:]])
    def test_of_another_version_is_refused_as_such(self, body: bytes) -> None:
        with pytest.raises(InvalidValue, match="a row of this version of costtrace; a newer one may have written it"):
            entry_of_body(body)

    @pytest.mark.parametrize("damage", [lambda body: body[:-9], lambda body: body[:1] + b"\x07" * 40])
    def test_that_is_damaged_is_refused(self, damage: Callable[[bytes], bytes]) -> None:
        with pytest.raises(InvalidValue, match="body: expected a row as costtrace writes them"):
            entry_of_body(damage(body_of(make_entry())))


class TestRow:
    def test_holds_in_the_open_what_people_filter_and_sum_by(self) -> None:
        rows = rows_of(make_entry())
        assert {name: value for name, value in rows.row.items() if name != "body"} == {
            "pk": {"S": f"m#{MESSAGE}"},
            "sk": {"S": "llm/run-1/1"},
            "kind": {"S": "llm"},
            "status": {"S": "completed"},
            "occurredAt": {"S": "2026-01-20T09:30:01.000000Z"},
            "standing": {"S": "calculated"},
            "provider": {"S": "openai"},
            "model": {"S": "gpt-4o"},
            "userId": {"S": "u1"},
            "channel": {"S": "web"},
            "cost": {"N": "0.003125"},
            "currency": {"S": "USD"},
        }
        assert (rows.sid, rows.waits, rows.replaced) == (None, False, None)

    def test_of_an_sms_names_its_sid_and_that_it_waits(self) -> None:
        assert (rows_of(bound()).sid, rows_of(bound()).waits) == (SID, False)
        assert (rows_of(sent()).sid, rows_of(sent()).waits) == (None, True)

    def test_of_a_call_takes_one_write_unit_and_the_index_another(self, store: Store) -> None:
        ledger = store.ledger()
        ledger.spool(make_entry(1))
        before = ledger.write_units
        ledger.spool(make_entry(2))
        assert ledger.write_units - before == Decimal(2)

    def test_is_read_from_the_event_of_a_stream_as_well(self) -> None:
        row = rows_of(make_entry()).row
        as_json = {**row, "body": {"B": base64.b64encode(row["body"]["B"]).decode()}}
        assert entry_of(as_json) == entry_of(row) == make_entry()

    @pytest.mark.parametrize(
        "item",
        [
            {"pk": {"S": "feed"}, "sk": {"S": "2026-01-20"}},
            {"pk": {"S": "sid#SM1"}, "sk": {"S": "sid"}, "messageUuid": {"S": "m1"}},
            {"pk": {"S": "w#1"}, "sk": {"S": "m1#sms/SM1"}, "kind": {"S": "sms"}},
            {"pk": {"S": "another"}, "sk": {"S": "x"}, "body": {"B": b"theirs"}},
        ],
    )
    def test_that_is_no_entry_is_none(self, item: dict[str, Any]) -> None:
        assert entry_of(item) is None


class TestWhatDynamoDBCannotHold:
    """Refused before any request, together with all that came with it."""

    REFUSED = (
        (make_costs("1." + "1" * 38), "entry.cost: expected at most 38 digits, which is what DynamoDB holds exactly"),
        (make_costs(estimate="1" * 39), "entry.estimate: expected at most 38 digits"),
        (make_entry(entry_id="漢" * 400), "entry.entry_id: expected at most 1024 bytes in a key"),
        (make_entry(message_uuid="😀" * 512), "entry.message_uuid: expected at most 2048 bytes in a key"),
        (make_costs(estimate="1", entry_id="漢" * 330), "entry.entry_id: expected at most 1024 bytes in a key"),
        (make_costs(estimate="1", kind="😀" * 512), "entry.kind: expected at most 2048 bytes in a key"),
    )

    @pytest.mark.parametrize(("entry", "reason"), REFUSED)
    def test_is_refused_before_any_request(
        self, store: Store, fault_proxy: FaultProxy, entry: Entry, reason: str
    ) -> None:
        ledger = store.ledger(fault_proxy.endpoint)
        with pytest.raises(InvalidValue, match=reason):
            ledger.append([make_entry(2), entry])
        with pytest.raises(InvalidValue, match=reason):
            ledger.spool(entry)
        assert fault_proxy.seen == []

    def test_is_an_entry_of_hundreds_of_kilobytes(self, store: Store, fault_proxy: FaultProxy) -> None:
        noise = random.Random(1).randbytes(400_000).hex()  # noqa: S311 - no secret; what does not get smaller
        ledger = store.ledger(fault_proxy.endpoint)
        with pytest.raises(InvalidValue, match="entry: expected at most 358400 bytes in an item of DynamoDB"):
            ledger.spool(make_entry(details={"noise": noise}))
        assert fault_proxy.seen == []

    @pytest.mark.parametrize("amount", [0.1, float("nan"), Decimal("NaN"), Decimal("Infinity"), Decimal("1E+126")])
    def test_is_never_an_amount_of_money(self, amount: Any) -> None:
        """No float, no NaN and nothing beyond DynamoDB's range gets as far as an entry."""
        with pytest.raises(InvalidValue):
            Money(amount)

    @pytest.mark.parametrize("amount", ["1" * 38, "0." + "1" * 38, "-1E+40", "1E-40", "1" + "0" * 40])
    def test_is_no_amount_of_38_digits_wherever_its_point_is(self, store: Store, amount: str) -> None:
        ledger = store.ledger()
        ledger.append([make_costs(amount)])
        assert ledger.message(MESSAGE).total.actual.usd == Decimal(amount)
        [row] = store.rows(f"m#{MESSAGE}")
        assert Decimal(row["cost"]["N"]) == Decimal(amount)


def test_a_moment_long_ago_and_words_of_any_script_are_kept(store: Store) -> None:
    entry = replace(make_entry(), occurred_at=NOW.replace(year=1901), model="gpt-4o\n\x00ä漢", message_uuid="ä#\x00")
    ledger = store.ledger()
    ledger.append([entry])
    assert [found for _, found in ledger.entries()] == [entry]
