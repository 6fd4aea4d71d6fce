"""What the events add up to is what the ledger says, to the last digit, however often they are delivered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from costtrace.entry import Entry, Kind
from costtrace.exporters.posthog import EventMapper, PostHogExporter
from costtrace.exporters.posthog.contract import COSTED
from costtrace.exporters.posthog.money import MAX_PICO
from costtrace.ledger import Selection
from costtrace.messages import Totals, fold, totals_of
from costtrace.money import EXACT, ZERO
from costtrace.pricing import Catalog
from costtrace.pricing.rate_file import RateFile
from costtrace.repricing import reprice
from costtrace.sandbox.posthog import PostHogServer
from costtrace.testing import MemoryLedger
from tests.exporters.posthog.known import PICO, newest_prices, usd
from tests.factories import MESSAGE, make_costs, make_entry
from tests.strategies import entries as any_entry
from tests.twilio.sms_entries import SID, bound, leg, price, sent

KINDS = st.sampled_from(
    [*Kind, "sms", "sms-send", "sms-end", "sms-status", "sms-check", "sms-price", "search", "anything"]
)


@st.composite
def ledgers(draw: st.DrawFn) -> list[Entry]:
    """Entries of a few messages, each id once, of every kind and with all the money an entry can hold."""
    drawn = draw(st.lists(any_entry(), max_size=8))
    return [
        replace(entry, entry_id=f"{entry.kind}/{number}"[-500:], kind=draw(KINDS), message_uuid=f"m{number % 3}")
        for number, entry in enumerate(drawn)
    ]


def in_pico(entry: Entry) -> int:
    """What the contract says that an entry's dollars are: rounded once, half to even; nothing beyond 2**53."""
    if entry.cost is None or entry.cost.currency != "USD":
        return 0
    whole = int(entry.cost.amount.scaleb(12, EXACT).to_integral_value(ROUND_HALF_EVEN, EXACT.copy()))
    return whole if abs(whole) <= MAX_PICO else 0


@settings(max_examples=40)  # each draws whole ledgers
@given(ledgers(), st.booleans(), st.randoms())
def test_events_add_up_to_the_ledger(
    entries: list[Entry],
    reads_messages: bool,  # noqa: FBT001 - hypothesis gives it by place
    random: Random,
) -> None:
    """Whatever the entries are, in any order, some twice: no dollar is missing and none is there twice."""
    delivered = [*entries, *random.sample(entries, len(entries) // 2)]
    random.shuffle(delivered)
    by_message = {uuid: [e for e in entries if e.message_uuid == uuid] for uuid in {e.message_uuid for e in entries}}
    mapper = EventMapper(messages=(lambda uuid: fold(by_message[uuid])) if reads_messages else None)

    events = [event for entry in delivered for event in mapper.events([entry])]

    assert usd(events) == sum(map(in_pico, entries)) * PICO
    exact = {
        event.uuid: Decimal(event.properties["cost_usd_exact"])
        for event in events
        if event.name not in {"message_cost", "sms_cost_update"} and "cost_usd_exact" in event.properties
    }
    own = [e.cost.amount for e in entries if e.cost and e.cost.currency == "USD" and not e.kind.startswith("sms-")]
    assert _sum(exact.values()) == _sum(own)


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    total = ZERO
    for amount in amounts:
        total = EXACT.add(total, amount)
    return total


@settings(max_examples=40)  # each draws whole ledgers
@given(ledgers())
def test_calls_pending_and_unpriced_add_up_to_the_ledger_too(entries: list[Entry]) -> None:
    events = EventMapper().events(entries)
    counted = [event for event in events if not event.name.startswith("sms_")]
    total = Totals()
    for entry in entries:
        if not entry.kind.startswith("sms"):
            total = total.plus(totals_of(entry))

    assert sum(event.properties["unpriced"] for event in counted) == total.unpriced
    assert sum(event.properties["pending"] for event in counted) == total.estimated


@settings(max_examples=40)  # each draws whole ledgers
@given(ledgers())
def test_every_event_is_json_with_one_uuid_of_its_own(entries: list[Entry]) -> None:
    events = EventMapper(messages=lambda uuid: fold([e for e in entries if e.message_uuid == uuid])).events(entries)

    assert len({event.uuid for event in events}) == len(events)
    for event in events:
        assert 0 < len(event.distinct_id) <= 200
        assert all(type(value) in {str, int, float, bool} for value in event.properties.values())


PRICES = st.tuples(st.sampled_from(["-0.00790", "-0.00750", "0.00100", "-0.065", "0"]), st.sampled_from(["USD", "EUR"]))


@given(st.lists(PRICES, max_size=6), st.randoms())
def test_the_newest_price_of_an_sms_is_the_sum_of_its_changes(said: list[tuple[str, str]], random: Random) -> None:
    """Both ways to read prices give what the ledger says: the newest version, and the sum of all differences."""
    entries = [sent(), bound()]
    for number, (raw, unit) in enumerate(said):
        entries += price(leg(entries), raw, unit, seconds=60 * number)
    events = EventMapper().events(random.sample(entries, len(entries)))

    owed = fold(entries).total.actual
    assert usd(events) == owed.get("USD", ZERO)
    if said:
        newest = newest_prices(events)[SID]
        assert newest["cost_native_pico"] * PICO == owed.get(newest["price_unit"], ZERO)


def test_events_named_costed_are_all_that_carry_money() -> None:
    entries = [sent(), bound(), make_entry(), make_costs("0.008", kind="tool", entry_id="tool/1")]
    entries += price(leg(entries[:2]), "-0.00790")

    for event in EventMapper(messages=lambda uuid: fold([e for e in entries if e.message_uuid == uuid])).events(
        entries
    ):
        assert ("cost_change_picousd" not in event.properties) or event.name in COSTED


def test_a_ledger_delivered_three_times_and_repriced_in_between_is_counted_once(tmp_path: Path) -> None:
    """Through a real server: 40 calls of gpt-4o, each corrected from 0.003125 to 0.00625 USD."""
    rates = tmp_path / "rates.toml"
    rates.write_text('[[rate]]\nprovider = "openai"\nmodel = "gpt-4o"\ninput = 5\noutput = 20\n')
    ledger = MemoryLedger()
    ledger.append(make_entry(number, message_uuid=f"{MESSAGE[:-2]}{number:02}") for number in range(40))
    with PostHogServer() as server:
        exporter = PostHogExporter(server.project_token, host=server.host, messages=ledger.message)
        exporter.export([entry for _, entry in ledger.entries()])
        reprice(ledger, Catalog(RateFile.own(rates)), selection=Selection())
        for _ in range(2):
            assert exporter.export([entry for _, entry in ledger.entries()]) == ()
        exporter.close()

    assert usd(server.distinct) == ledger.totals()[()].actual["USD"] == Decimal("0.25")
    assert len(server.copies) > len(server.events)
