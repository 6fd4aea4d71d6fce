"""`verify`: what PostHog lacks of a day is found, named by its entry, and delivered again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from costtrace import open_ledger
from costtrace.entry import Entry
from costtrace.errors import ConfigurationError, InvalidValue
from costtrace.exporters.protocol import Fate, Refusal
from costtrace.ledger import Ledger
from costtrace.outbox import Outbox
from costtrace.posthog_reports.redelivery import redelivery
from costtrace.posthog_reports.verify import Sum, Verified, verify
from tests.posthog_reports.stored import (
    DAY,
    NEXT_DAY,
    NOON,
    Local,
    Stored,
    call,
    context,
    inbound,
    mapped,
    outbound,
    priced,
)

pytest.importorskip("chdb", reason="queries run on ClickHouse: pip install chdb")

LATER = NEXT_DAY + timedelta(hours=2)
WEB = context("u-browser", "web")
SID = "SM" + "1" * 32


class Taker:
    """An exporter named as PostHog's, which takes everything and remembers it."""

    name = "posthog"
    batch_size = 100

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.refuses: str | None = None

    def export(self, entries: Sequence[Entry]) -> Sequence[Refusal]:
        ids = [entry.entry_id for entry in entries]
        self.taken += ids
        refused = [entry_id for entry_id in ids if entry_id == self.refuses]
        return [Refusal(entry_id=entry_id, fate=Fate.PARKED, reason="quota") for entry_id in refused]

    def close(self) -> None: ...


class Elsewhere:
    """A ledger that keeps no cursors."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)


def entries() -> list[Entry]:
    """An SMS and its price, three model calls of the day, the last at its very end, and one of the next day."""
    sms = outbound(SID, "m1", context())
    return [
        *sms,
        *priced(sms, "-0.00790"),
        call(1, "0.1", "m1", context()),
        call(2, None, "m2", WEB),
        call(3, "0.3", "m3", WEB, at=NEXT_DAY - timedelta(microseconds=1)),
        call(4, "0.4", "m4", WEB, at=NEXT_DAY),
    ]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    opened = open_ledger(f"sqlite:///{tmp_path}/costs.db")
    opened.append(entries())
    return opened


def stored() -> list[Stored]:
    """Everything PostHog should hold, in the form it holds it."""
    return mapped(entries())


def without(events: list[Stored], *uuids: str) -> list[Stored]:
    return [event for event in events if event["uuid"] not in uuids]


def event_of(events: list[Stored], name: str, pico: int | None = None) -> Stored:
    return next(
        event for event in events if event["event"] == name and pico in {None, event["properties"].get("cost_picousd")}
    )


def counted(found: Verified) -> dict[str, tuple[Sum, Sum, tuple[str, ...]]]:
    return {one.event: (one.ledger, one.posthog, one.missing) for one in found.comparisons}


def test_a_day_that_is_complete_is_said_so(ledger: Ledger) -> None:
    found = verify(Local(stored()), ledger, DAY.date(), now=LATER)

    generations, sms, price = (
        Sum(events=3, usd=Decimal("0.4")),
        Sum(events=1),
        Sum(events=1, usd=Decimal("0.0079")),
    )
    assert counted(found) == {
        "$ai_generation": (generations, generations, ()),
        "sms_cost_update": (price, price, ()),
        "sms_outbound": (sms, sms, ()),
    }
    assert (found.missing, found.requeued) == (0, 0)


def test_copies_count_once_even_on_the_other_side_of_midnight(ledger: Ledger) -> None:
    events = stored()
    last = event_of(events, "$ai_generation", 3 * 10**11)
    copies = [*events, *events, {**last, "timestamp": (NEXT_DAY + timedelta(seconds=2)).isoformat()}]

    found = verify(Local(copies), ledger, DAY.date(), now=LATER)

    assert all(one.is_same for one in found.comparisons)


def test_what_is_missing_is_named_by_its_entry_and_delivered_again(ledger: Ledger) -> None:
    taker, events = Taker(), stored()
    outbox = Outbox(ledger, [taker])
    outbox.deliver_once()
    taker.taken.clear()
    lost = [event_of(events, "$ai_generation", 10**11)["uuid"], event_of(events, "sms_cost_update")["uuid"]]

    found = verify(
        Local(without(events, *lost)),
        ledger,
        DAY.date(),
        now=LATER,
        requeue=redelivery(ledger, tuple),
    )
    outbox.deliver_once()

    price = f"sms-price/{SID}/1"
    assert counted(found)["$ai_generation"] == (
        Sum(events=3, usd=Decimal("0.4")),
        Sum(events=2, usd=Decimal("0.3")),
        ("llm/run-1/1",),
    )
    assert counted(found)["sms_cost_update"] == (Sum(events=1, usd=Decimal("0.0079")), Sum(), (price,))
    assert (found.missing, found.requeued, sorted(taker.taken)) == (2, 2, ["llm/run-1/1", price])


def test_an_unpriced_call_that_is_missing_is_noticed_though_no_sum_differs(ledger: Ledger) -> None:
    events = stored()
    unpriced = next(event["uuid"] for event in events if event["properties"].get("unpriced") == 1)

    found = verify(Local(without(events, unpriced)), ledger, DAY.date(), now=LATER)

    assert counted(found)["$ai_generation"][2] == ("llm/run-2/2",)


def test_a_cost_that_differs_is_no_missing_event_and_still_shown(ledger: Ledger) -> None:
    events = stored()
    event_of(events, "$ai_generation", 10**11)["properties"]["cost_change_picousd"] = 1

    found = verify(Local(events), ledger, DAY.date(), now=LATER)

    assert (found.missing, [one.event for one in found.comparisons if not one.is_same]) == (0, ["$ai_generation"])
    assert (found.differing, found.to_dict()["events"][0]["differing"]) == (1, ["llm/run-1/1"])


@pytest.mark.parametrize("change", [None, 0, 1])
def test_a_price_that_is_no_more_there_is_a_cost_that_differs(ledger: Ledger, change: int | None) -> None:
    """Even where another ledger's event makes up for it in the sum and in the count."""
    events = stored()
    event_of(events, "sms_cost_update")["properties"]["cost_change_picousd"] = change
    foreign = mapped([*(sms := outbound("SM" + "9" * 32, "m10", context())), *priced(sms, "-0.0001")])

    found = verify(Local([*events, *foreign]), ledger, DAY.date(), now=LATER, requeue=lambda _entries: 1 // 0)

    assert [one.differing for one in found.comparisons if one.differing] == [(f"sms-price/{SID}/1",)]
    assert (found.missing, found.requeued) == (0, 0)


def test_entries_that_are_still_to_be_delivered_are_not_queued_twice(ledger: Ledger) -> None:
    Outbox(ledger, [Taker()])

    found = verify(Local([]), ledger, DAY.date(), now=LATER, requeue=redelivery(ledger, tuple))

    assert (found.missing, found.requeued) == (5, 0)


def test_events_of_others_are_no_fault(ledger: Ledger) -> None:
    foreign = mapped([call(9, "99", "m9", context(environment="staging")), *inbound("SM" + "9" * 32, "m10", context())])

    found = verify(Local([*stored(), *foreign]), ledger, DAY.date(), now=LATER)

    assert (found.missing, counted(found)["sms_inbound"]) == (0, (Sum(), Sum(events=1), ()))
    assert found.differing == 0


def test_more_events_than_one_answer_holds_are_read_page_by_page(ledger: Ledger) -> None:
    events = stored()
    lost = event_of(events, "$ai_generation", 10**11)["uuid"]
    many = [call(number, "0.001", f"m{number}", WEB, at=NOON) for number in range(10, 17)]
    ledger.append(many)

    found = verify(Local([*without(events, lost), *mapped(many)]), ledger, DAY.date(), now=LATER, page_size=2)

    assert counted(found)["$ai_generation"][2] == ("llm/run-1/1",)


def test_a_ledger_without_an_outbox_delivers_what_is_missing_at_once(ledger: Ledger) -> None:
    """As one on DynamoDB does, whose stream has passed the entries already."""
    taker = Taker()
    taker.batch_size = 2

    again = redelivery(Elsewhere(ledger), lambda: (taker,))
    found = verify(Local([]), ledger, DAY.date(), now=LATER, requeue=again)

    assert (found.missing, found.requeued, len(taker.taken)) == (5, 5, 5)


def test_what_is_still_refused_is_not_called_delivered(ledger: Ledger) -> None:
    taker = Taker()
    taker.refuses = "llm/run-1/1"

    found = verify(Local([]), ledger, DAY.date(), now=LATER, requeue=redelivery(Elsewhere(ledger), lambda: (taker,)))

    assert (found.missing, found.requeued) == (5, 4)


@pytest.mark.parametrize("ledger_is_embedded", [True, False])
def test_where_nothing_is_delivered_to_posthog_it_is_said_so(ledger: Ledger, *, ledger_is_embedded: bool) -> None:
    again = redelivery(ledger if ledger_is_embedded else Elsewhere(ledger), tuple)

    with pytest.raises(ConfigurationError, match="PostHog lacks 5 events, and"):
        verify(Local([]), ledger, DAY.date(), now=LATER, requeue=again)


@pytest.mark.parametrize(
    ("now", "last"),
    [
        (NEXT_DAY + timedelta(hours=1, minutes=59), "2026-11-20"),
        (NOON, "2026-11-20"),
        (DAY + timedelta(hours=1), "2026-11-19"),
    ],
)
def test_a_day_that_has_not_settled_is_refused_with_the_last_one_that_has(
    ledger: Ledger, now: datetime, last: str
) -> None:
    with pytest.raises(InvalidValue, match=f"day: expected {last} or earlier: .* got '2026-11-21'"):
        verify(Local([]), ledger, DAY.date(), now=now)
    verify(Local([]), ledger, date.fromisoformat(last), now=now)


def test_a_day_is_one_of_utc(ledger: Ledger) -> None:
    found = verify(Local(stored()), ledger, NEXT_DAY.date(), now=datetime(2026, 11, 24, tzinfo=UTC))

    assert counted(found) == {"$ai_generation": (Sum(events=1, usd=Decimal("0.4")),) * 2 + ((),)}
