"""The costs of an existing table in the ledger: every digit of them, once, and nothing that the ledger knows better."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from costtrace import open_ledger
from costtrace.chat import ChatMessages
from costtrace.chat.imports import ANOTHER, LIVE, PROJECTED, ChatImport, Imported
from costtrace.context import Context
from costtrace.entry import Standing
from costtrace.errors import ConfigurationError, LedgerUnavailable
from costtrace.ledger import Ledger
from costtrace.ledger.dynamodb import DynamoDBLedger
from costtrace.ledger.dynamodb.tables import create_tables
from costtrace.messages import Amounts, Totals, fold
from costtrace.money import EXACT, ZERO, Money
from costtrace.pricing import Catalog
from costtrace.quote import QuoteStatus
from costtrace.sandbox.twilio import TwilioServer
from costtrace.testing import MemoryLedger
from costtrace.twilio import NumberHasher
from costtrace.twilio.cost_states import CostState
from costtrace.twilio.entries import callback_entries, refused_entry
from costtrace.twilio.legs import legs
from costtrace.twilio.reconcile import Reconcile
from costtrace.twilio.settlement import Settlement
from costtrace.twilio.webhooks import StatusCallback
from tests.chat.conftest import TABLE, make_table
from tests.factories import make_entry
from tests.peers.emulator import Account
from tests.peers.fault_proxy import Fault, FaultProxy
from tests.sandbox.twilio_app import OURS, PHONE, sdk
from tests.twilio.sms_entries import sent

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SID = "SM" + "a" * 32
GPT = {
    "model": {"S": "gpt-4o-mini"},
    "inputTokens": {"N": "1200"},
    "outputTokens": {"N": "85"},
    "totalTokens": {"N": "1285"},
    "costUsd": {"N": "0.00023099999999999998"},
    "timestamp": {"S": "2026-01-20T09:30:04.120000"},
}
"""1,200 x 0.15 + 85 x 0.6 per million, the way floats see it."""
TWILIO = {
    "messageSid": {"S": SID},
    "price": {"S": "-0.00750"},
    "priceUnit": {"S": "USD"},
    "numSegments": {"S": "1"},
    "status": {"S": "delivered"},
    "timestamp": {"S": "2026-01-20T09:31:00"},
}
Rows = Callable[..., None]
Import = Callable[..., Imported]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = open_ledger(f"sqlite:///{tmp_path}/costs.db")
    yield ledger
    ledger.close()


@pytest.fixture
def put(client: Any) -> Rows:
    """Puts a row as an earlier system did: an answer by SMS."""

    def put(costs: Any = None, **attributes: Any) -> None:
        known: dict[str, Any] = {
            "threadId": {"S": "t1"},
            "timestamp": {"S": "2026-01-20T09:30:00.500000"},
            "messageId": {"S": "m1"},
            "role": {"S": "assistant"},
            "content": {"S": "my secret"},
            "channel": {"S": "sms"},
            "costs": costs,
        }
        item = {name: value for name, value in {**known, **attributes}.items() if value is not None}
        client.put_item(TableName=TABLE, Item=item)

    return put


@pytest.fixture
def imported(client: Any, ledger: Ledger) -> Import:
    def imported(into: Ledger | None = None, **options: Any) -> Imported:
        made = {name: options.pop(name) for name in ("hasher", "unsigned") if name in options}
        run = ChatImport(client, into or ledger, table=TABLE, clock=lambda: NOW, **made)
        return run.run(**options)

    return imported


def costs(gpt: Any = None, twilio: Any = None) -> dict[str, Any]:
    parts = {"gpt": gpt, "twilio": twilio}
    return {"M": {name: {"M": part} for name, part in parts.items() if part is not None}}


def test_a_row_becomes_entries_of_its_message(put: Rows, imported: Import, ledger: Ledger) -> None:
    put(costs(GPT, TWILIO))
    done = imported()
    assert (done.rows, done.llm, done.sms, done.prices, done.bad) == (1, 1, 1, 1, 0)
    assert done.claimed == Amounts({"USD": Decimal("0.00023099999999999998")})
    assert done.charged == Amounts({"USD": Decimal("0.00750")})
    message = ledger.message("m1")
    calls, identified, price = sorted(message.entries, key=lambda entry: entry.kind)
    assert message.context == Context(thread_id="t1", channel="sms", role="assistant", direction="outbound")
    assert (calls.entry_id, calls.kind, calls.model, calls.provider) == ("import/m1/gpt", "llm", "gpt-4o-mini", None)
    assert calls.occurred_at == datetime(2026, 1, 20, 9, 30, 4, 120_000, tzinfo=UTC)
    assert calls.details == {"aggregate": True, "source": "import", "table": TABLE}
    assert calls.usage is not None
    assert (calls.usage.input_tokens, calls.usage.output_tokens) == (1200, 85)
    assert (identified.entry_id, price.entry_id) == (f"sms/{SID}", f"sms-price/{SID}/1")
    assert all(entry.details["aggregate"] is True for entry in message.entries)


def test_what_the_earlier_system_calculated_is_an_estimate_and_twilios_price_is_none(
    put: Rows, imported: Import, ledger: Ledger
) -> None:
    put(costs(GPT, TWILIO))
    imported()
    total = ledger.message("m1").total
    assert total.actual == Amounts({"USD": Decimal("0.00750")})
    assert total.pending == Amounts({"USD": Decimal("0.00023099999999999998")})
    assert total.coverage == {"settled": 1, "calculated": 0, "pending": 1, "unpriced": 0}
    (leg,) = legs(ledger.message("m1"))
    assert (leg.cost_state, leg.price, leg.direction) == (CostState.FINAL, Money("0.0075"), "outbound")
    assert leg.delivery is not None
    assert leg.delivery.status == "delivered"
    assert leg.details["num_segments"] == 1


def test_doing_it_again_changes_nothing(put: Rows, imported: Import, ledger: Ledger) -> None:
    put(costs(GPT, TWILIO))
    imported()
    before = ledger.last_seq()
    again = imported()
    assert (again.llm, again.sms, again.prices, again.known, again.bad) == (0, 0, 0, 2, 0)
    assert ledger.last_seq() == before


def test_a_dry_run_says_the_same_and_writes_nothing(put: Rows, imported: Import, ledger: Ledger) -> None:
    put(costs(GPT, TWILIO))
    would = imported(dry_run=True)
    assert ledger.last_seq() == 0
    did = imported()
    assert {**would.to_dict(), "dry_run": False} == did.to_dict()


def test_a_dry_run_counts_what_stands_there_twice_as_an_import_does(put: Rows, imported: Import) -> None:
    put(costs(GPT, TWILIO))
    put(costs(GPT, TWILIO), timestamp={"S": "2026-01-20T09:30:01"})
    would, did = imported(dry_run=True), imported()
    for done in (would, did):
        assert (done.llm, done.sms, done.prices, done.bad) == (1, 1, 1, 0)
    assert (would.claimed, would.charged) == (did.claimed, did.charged)


def test_an_sms_without_a_price_waits_for_it(put: Rows, imported: Import, ledger: Ledger) -> None:
    put(costs(twilio={**TWILIO, "price": {"NULL": True}, "priceUnit": {"NULL": True}}))
    done = imported()
    assert (done.sms, done.prices) == (1, 0)
    assert [entry.entry_id for entry in ledger.waiting(["sms"])] == [f"sms/{SID}"]
    put(costs(twilio=TWILIO))
    later = imported()
    assert (later.known, later.prices) == (1, 1)
    assert ledger.message("m1").total.actual.usd == Decimal("0.0075")


def test_a_webhook_that_comes_later_belongs_to_the_imported_sms(put: Rows, imported: Import, ledger: Ledger) -> None:
    put(costs(twilio={**TWILIO, "price": {"NULL": True}}))
    imported()
    known = ledger.find(f"sms/{SID}")
    assert known is not None
    told = StatusCallback(message_sid=SID, account_sid="AC" + "0" * 32, status="delivered")
    ledger.append(callback_entries(told, now=NOW, message_uuid=known.message_uuid, identified=True))
    (leg,) = legs(ledger.message("m1"))
    assert leg.sid == SID


@pytest.mark.parametrize("price", [{"NULL": True}, {"S": "-0.00830"}])
def test_neither_settlement_nor_reconciliation_counts_an_imported_sms_again(
    put: Rows, imported: Import, ledger: Ledger, price: dict[str, Any]
) -> None:
    """One that had no price in the table gets it from Twilio; one that had it is the same to the last digit."""
    with TwilioServer(manual=True) as server, sdk(server) as twilio:
        sid = twilio.messages.create(to=PHONE, from_=OURS, body="On its way.").sid
        server.advance(sid, "sent", "delivered")
        put(costs(twilio={**TWILIO, "messageSid": {"S": sid}, "price": price}))
        imported()
        settled = Settlement(twilio, ledger).run_once()
        found = Reconcile(twilio, ledger).run(days=1)
    assert settled.priced + found.priced == ("NULL" in price)
    assert (found.listed, found.found_outbound, found.revised) == (1, 0, 0)
    assert ledger.totals()[()].actual.usd == Decimal("0.0083")


def test_what_was_recorded_live_is_left_out(put: Rows, imported: Import, ledger: Ledger) -> None:
    put(costs(GPT, TWILIO))
    ledger.append([make_entry(1, message_uuid="m1")])
    told = StatusCallback(message_sid=SID, account_sid="AC" + "0" * 32, status="sent", message_uuid="m1", send_id="s1")
    ledger.append(callback_entries(told, now=NOW))
    before = ledger.last_seq()
    done = imported()
    assert (done.skipped, ledger.last_seq()) == ({LIVE: 2}, before)


def test_an_sms_that_is_being_sent_live_is_left_out(put: Rows, imported: Import, ledger: Ledger) -> None:
    live = sent()
    put(costs(GPT, TWILIO), messageId={"S": live.message_uuid})
    ledger.append([live])
    done = imported()
    assert (done.skipped, done.llm, done.sms) == ({LIVE: 1}, 1, 0)


def test_what_the_ledger_itself_shows_in_the_table_is_left_out(put: Rows, imported: Import, client: Any) -> None:
    put(costs())
    chat = ChatMessages(client)
    refused = refused_entry(sent(), error="TwilioRestException 21211", now=NOW)
    live = [make_entry(1), sent(), refused]
    assert chat.project(fold([replace(entry, message_uuid="m1") for entry in live]))
    done = imported()
    assert (done.skipped, done.llm, done.bad) == ({PROJECTED: 2}, 0, 0)


def test_one_sms_in_two_rows_counts_once(put: Rows, imported: Import, ledger: Ledger) -> None:
    put(costs(twilio=TWILIO))
    put(costs(twilio=TWILIO), messageId={"S": "m2"}, timestamp={"S": "2026-01-20T09:30:01"})
    done = imported()
    assert (done.sms, done.prices, done.skipped) == (1, 1, {ANOTHER: 1})
    assert ledger.totals()[()].actual.usd == Decimal("0.0075")


def test_two_rows_of_one_message_with_different_numbers_are_not_added(
    put: Rows, imported: Import, ledger: Ledger
) -> None:
    put(costs(GPT))
    put(costs({**GPT, "costUsd": {"N": "0.5"}}), timestamp={"S": "2026-01-20T09:30:01"})
    done = imported()
    assert (done.llm, done.bad) == (1, 1)
    assert done.problems[0].endswith(
        "costs.gpt: expected 0.00023099999999999998/1200/85, costUsd/inputTokens/outputTokens of an earlier import, or"
        " of another row of this message, got '0.5/1200/85'"
    )
    assert ledger.totals()[()].estimated == 1


def test_a_row_without_a_message_keeps_its_cost(put: Rows, imported: Import, ledger: Ledger) -> None:
    """What an unguarded update of the earlier system left behind; its uuid follows from its key."""
    put(costs(GPT), messageId=None, role=None, content=None, channel=None)
    imported()
    ((uuid_, total),) = ledger.totals(["message"]).items()
    assert uuid.UUID(str(uuid_[0])).version == 5
    assert total.pending.usd == Decimal("0.00023099999999999998")
    assert imported().known == 1


@pytest.mark.parametrize(
    "standing", [None, {"NULL": True}, {"M": {}}, costs({}, {}), {"M": {"gpt": {"NULL": True}, "stripe": {"M": {}}}}]
)
def test_rows_without_costs_are_counted(put: Rows, imported: Import, standing: Any) -> None:
    put(standing)
    done = imported()
    assert (done.rows, done.without_costs, done.bad) == (1, 1, 0)


def test_a_row_of_another_kind_is_no_message_that_cannot_be_read(put: Rows, imported: Import) -> None:
    put(timestamp={"S": "settings#v1"}, messageId=None, content=None)
    done = imported()
    assert (done.rows, done.without_costs, done.bad) == (1, 1, 0)


@pytest.mark.parametrize("nothing", [{"NULL": True}, {"S": ""}])
def test_a_cost_that_the_table_does_not_name_is_unpriced(
    put: Rows, imported: Import, ledger: Ledger, nothing: dict[str, Any]
) -> None:
    put(costs({"model": {"S": "gpt-4o"}, "inputTokens": {"N": "10"}, "costUsd": nothing}))
    imported()
    (entry,) = ledger.message("m1").entries
    assert (entry.standing, entry.reason) == (Standing.UNPRICED, "the table names no cost for this message")


def test_a_price_list_makes_of_an_estimate_another_estimate(put: Rows, imported: Import, ledger: Ledger) -> None:
    put(costs(GPT))
    imported()
    (entry,) = ledger.message("m1").entries
    quote = Catalog.default().quote(provider="openai", model=entry.model, usage=entry.usage, at=entry.occurred_at)
    assert quote.status is QuoteStatus.ESTIMATED


@pytest.mark.parametrize(
    ("role", "status", "direction"),
    [
        ("user", "received", "inbound"),
        ("human", "received", "inbound"),
        ("customer", "received", "inbound"),
        ("human", "", "inbound"),
        ("ai", "sent", "outbound"),
        ("bot", "sent", "outbound"),
    ],
)
def test_what_came_in_is_inbound_whatever_the_role_is_called(
    put: Rows, imported: Import, ledger: Ledger, *, role: str, status: str, direction: str
) -> None:
    put(costs(twilio={**TWILIO, "status": {"S": status}}), role={"S": role})
    imported()
    (leg,) = legs(ledger.message("m1"))
    assert (leg.direction, leg.context.role) == (direction, role)


@pytest.mark.parametrize(
    ("price", "amount"),
    [
        ({"S": "-0.00750"}, "0.0075"),
        ({"N": "-0.0075"}, "0.0075"),
        ({"S": "0"}, "0"),
        ({"S": "-0.00000"}, "0"),
    ],
)
def test_prices_are_twilios_texts_or_numbers(
    put: Rows, imported: Import, ledger: Ledger, price: dict[str, Any], amount: str
) -> None:
    put(costs(twilio={**TWILIO, "price": price, "priceUnit": {"S": "eur"}}))
    assert imported().prices == 1
    assert ledger.message("m1").total.actual == Amounts({"EUR": Decimal(amount)})


def test_prices_that_lost_their_sign_are_refused_unless_the_table_is_known_for_it(
    put: Rows, imported: Import, ledger: Ledger
) -> None:
    put(costs(twilio={**TWILIO, "price": {"S": "0.00750"}}))
    done = imported()
    assert (done.bad, done.sms) == (1, 0)
    assert "costs.twilio.price: expected a price below zero, as Twilio writes what it charges" in done.problems[0]
    assert imported(unsigned=True).prices == 1
    assert ledger.message("m1").total.actual.usd == Decimal("0.0075")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"costs": costs({**GPT, "costUsd": {"S": "a lot"}})}, "costs.gpt.costUsd"),
        ({"costs": costs({**GPT, "costUsd": {"BOOL": True}})}, "costs.gpt.costUsd"),
        ({"costs": costs({**GPT, "costUsd": {"N": "-1"}})}, "costs.gpt.costUsd"),
        ({"costs": costs({**GPT, "inputTokens": {"N": "1.5"}})}, "costs.gpt.inputTokens"),
        ({"costs": costs({**GPT, "inputTokens": {"N": "-1"}})}, "costs.gpt.inputTokens"),
        ({"costs": costs({**GPT, "timestamp": {"S": "noon"}})}, "costs.gpt.timestamp"),
        ({"costs": costs({**GPT, "model": {"N": "4"}})}, "entry.model"),
        ({"costs": costs(twilio={**TWILIO, "messageSid": {"NULL": True}})}, "costs.twilio.messageSid"),
        ({"costs": costs(twilio={**TWILIO, "messageSid": {"S": "N/A"}})}, "costs.twilio.messageSid"),
        ({"costs": costs(twilio={**TWILIO, "messageSid": {"S": "../Accounts"}})}, "costs.twilio.messageSid"),
        ({"costs": costs(twilio={**TWILIO, "priceUnit": {"NULL": True}})}, "costs.twilio.priceUnit"),
        ({"costs": costs(twilio={**TWILIO, "priceUnit": {"L": []}})}, "costs.twilio.priceUnit"),
        ({"costs": costs(twilio={**TWILIO, "status": {"L": [{"S": "sent"}]}})}, "entry.status"),
        ({"costs": costs({**GPT, "timestamp": {"S": "my secret to +14155550100"}})}, "costs.gpt.timestamp"),
        ({"costs": costs(GPT), "messageId": {"S": "m" * 600}}, "entry.entry_id"),
        ({"costs": costs(twilio={**TWILIO, "price": {"S": "free"}})}, "price"),
        ({"costs": costs(twilio={**TWILIO, "numSegments": {"S": "few"}})}, "costs.twilio.numSegments"),
        ({"costs": {"S": "{}"}}, "costs"),
        ({"costs": {"M": {"gpt": {"N": "0.1"}}}}, "costs.gpt"),
        ({"costs": costs(GPT), "timestamp": {"S": "yesterday"}}, "timestamp"),
        ({"costs": costs(GPT), "channel": {"S": "x" * 513}}, "context.channel"),
    ],
)
def test_what_cannot_be_read_is_named_and_the_rest_goes_on(
    put: Rows, imported: Import, ledger: Ledger, changes: dict[str, Any], reason: str
) -> None:
    put(**changes)
    put(costs(GPT), threadId={"S": "t2"}, messageId={"S": "fine"})
    done = imported()
    assert (done.bad, done.llm) == (1, 1)
    assert done.problems[0].startswith(("t1 2026-01-20T09:30:00.500000: ", "t1 yesterday: "))
    assert f": {reason}: expected " in done.problems[0]
    assert not any(said in done.problems[0] for said in ("secret", "4155550100", "mmm"))
    assert ledger.last_seq() == 1


@pytest.mark.parametrize("damaged", [{"M": {**GPT, "costUsd": {"S": "?"}}}, {"L": [{"M": GPT}]}, {"S": "{}"}])
def test_one_part_that_cannot_be_read_does_not_hold_up_the_other(
    put: Rows, imported: Import, damaged: dict[str, Any]
) -> None:
    put({"M": {"gpt": damaged, "twilio": {"M": TWILIO}}})
    done = imported()
    assert (done.llm, done.sms, done.prices, done.bad) == (0, 1, 1, 1)


@pytest.mark.parametrize("thread", ["+14155550100", "14155550199#14155550100", "+1 (415) 555-0100"])
def test_phone_numbers_do_not_come_along(put: Rows, imported: Import, ledger: Ledger, thread: str) -> None:
    put(costs({**GPT, "costUsd": {"N": "-1"}}, TWILIO), threadId={"S": thread})
    done = imported()
    assert done.problems[0].startswith("(a phone number) 2026-01-20T09:30:00.500000: costs.gpt.costUsd: ")
    assert ledger.message("m1").context.thread_id is None
    hashed = MemoryLedger()
    imported(hashed, hasher=NumberHasher(b"0123456789abcdef"))
    assert len(str(hashed.message("m1").context.thread_id)) == 64


def test_only_messages_since_a_moment(put: Rows, imported: Import) -> None:
    put(costs(GPT))
    put(costs(GPT), messageId={"S": "m2"}, timestamp={"S": "2026-02-01T00:00:00Z"})
    done = imported(since=datetime(2026, 2, 1, tzinfo=UTC))
    assert (done.rows, done.llm) == (1, 1)


def test_a_large_table_is_read_page_by_page(put: Rows, imported: Import) -> None:
    heard: list[int] = []
    for number in range(12):
        put(costs(GPT), messageId={"S": f"m{number}"}, threadId={"S": f"t{number}"}, content={"S": "x" * 200_000})
    assert imported(tell=heard.append).llm == 12
    assert len(heard) > 1
    assert heard[-1] == 12


def test_a_table_with_other_keys_is_no_chat_table(client: Any) -> None:
    create_tables(client, ledger="costtrace-ledger", messages=None)
    DynamoDBLedger(client).append([make_entry(1)])
    with pytest.raises(ConfigurationError, match="table 'costtrace-ledger' has other keys: a chat table has threadId"):
        ChatImport(client, MemoryLedger(), table="costtrace-ledger").run()


class Slept:
    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def test_a_table_that_is_throttled_is_left_alone_for_a_while(
    aws: Account, put: Rows, ledger: Ledger, fault_proxy: FaultProxy
) -> None:
    for number in range(12):
        put(costs(GPT), messageId={"S": f"m{number}"}, threadId={"S": f"t{number}"}, content={"S": "x" * 200_000})
    through, slept = aws.client(endpoint=fault_proxy.endpoint), Slept()
    run = ChatImport(through, ledger, table=TABLE, sleep=slept)
    fault_proxy.script(Fault.PASS, Fault.THROTTLE, Fault.DROP_AFTER, Fault.ERROR)
    assert run.run().llm == 12
    assert slept.seconds == [1.0, 2.0, 4.0]
    with pytest.raises(LedgerUnavailable, match="Scan was put off"):
        run.run(tell=lambda _rows: fault_proxy.always(Fault.BUSY))
    assert sum(slept.seconds) == 7 + 91
    through.close()


def test_a_table_that_does_not_answer_at_all_is_not_waited_for(
    aws: Account, ledger: Ledger, fault_proxy: FaultProxy
) -> None:
    through, slept = aws.client(endpoint=fault_proxy.endpoint), Slept()
    fault_proxy.always(Fault.BUSY)
    with pytest.raises(LedgerUnavailable, match="Scan was put off"):
        ChatImport(through, ledger, table=TABLE, sleep=slept).run()
    assert slept.seconds == []
    through.close()


NUMBERS = st.builds(
    lambda digits, exponent: Decimal(digits).scaleb(exponent), st.integers(0, 10**20), st.integers(-35, 0)
)
PRICES = st.none() | st.integers(0, 10**7).map(lambda number: f"-{Decimal(number).scaleb(-5):f}")


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(st.tuples(st.none() | NUMBERS, PRICES), max_size=12))
def test_the_totals_are_the_tables_numbers_to_the_last_digit(
    aws: Account, rows: list[tuple[Decimal | None, str | None]]
) -> None:
    client, table = aws.client(), f"chat-{uuid.uuid4().hex}"
    make_table(client, table)
    for number, (claim, price) in enumerate(rows):
        gpt = None if claim is None else {"costUsd": {"N": str(claim)}}
        sms = None if price is None else {**TWILIO, "messageSid": {"S": f"SM{number:032d}"}, "price": {"S": price}}
        key = {"threadId": {"S": "t"}, "timestamp": {"S": f"2026-01-20T09:30:{number:02d}"}}
        client.put_item(TableName=table, Item={**key, "messageId": {"S": f"m{number}"}, "costs": costs(gpt, sms)})
    ledger = MemoryLedger()
    done = ChatImport(client, ledger, table=table).run()
    total = ledger.totals().get((), Totals())
    assert total.pending.usd == reduce(EXACT.add, [claim for claim, _ in rows if claim], ZERO) == done.claimed.usd
    prices = reduce(EXACT.add, [Decimal(price) for _, price in rows if price], ZERO)
    assert total.actual.usd == -prices == done.charged.usd
    client.close()
