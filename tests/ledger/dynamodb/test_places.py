"""Where entries stand beside their message: in the feed of days, among those that wait, under the SID of their SMS."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from costtrace.entry import Entry, Standing
from costtrace.errors import InvalidValue, LedgerUnusable
from costtrace.ledger import Selection
from costtrace.ledger.dynamodb.feed import Numbers, day_of
from costtrace.ledger.dynamodb.items import shard_of
from costtrace.ledger.dynamodb.tables import create_tables
from costtrace.reports import newest
from tests.factories import MESSAGE, make_costs, make_entry
from tests.ledger.dynamodb.conftest import TABLE, Store
from tests.peers.fault_proxy import Fault, FaultProxy

MIDNIGHT = datetime(2026, 11, 23, tzinfo=UTC)


class Clock:
    """Nanoseconds since 1970; each look a millisecond later, unless the test says otherwise."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.step = timedelta(milliseconds=1)

    def __call__(self) -> int:
        self.now += self.step
        return int(self.now.timestamp() * 1_000_000) * 1_000


class TestFeed:
    def test_is_read_over_days_and_shards_in_the_order_of_storing(self, store: Store) -> None:
        clock = Clock(MIDNIGHT - timedelta(milliseconds=30))
        ledger = store.ledger(clock=clock)
        batch = [make_entry(number, message_uuid=f"m{number % 7}") for number in range(60)]
        for entry in batch:
            ledger.spool(entry)
        numbered = list(ledger.entries())
        assert [entry for _, entry in numbered] == batch
        assert [row["sk"]["S"] for row in store.rows("feed")] == ["2026-11-22", "2026-11-23"]
        assert {day_of(seq) for seq, _ in numbered} == {"2026-11-22", "2026-11-23"}
        assert len({shard_of(entry.message_uuid) for entry in batch}) > 2
        for seq, _ in numbered[::9]:
            assert list(ledger.entries(after=seq)) == [pair for pair in numbered if pair[0] > seq]
        assert ledger.last_seq() == numbered[-1][0]
        assert newest(ledger, 5) == numbered[-5:]

    def test_of_a_day_whose_first_entry_was_never_stored_is_empty(self, store: Store, fault_proxy: FaultProxy) -> None:
        clock = Clock(MIDNIGHT - timedelta(hours=1))
        store.ledger(clock=clock).spool(make_entry(1))
        clock.now = MIDNIGHT
        ledger = store.ledger(fault_proxy.endpoint, clock=clock)
        fault_proxy.script(Fault.PASS, *[Fault.ERROR] * 4)
        with pytest.raises(Exception, match="put off"):
            ledger.spool(make_entry(2))
        assert len(store.rows("feed")) == 2
        [(seq, _)] = ledger.entries()
        assert ledger.last_seq() == seq

    def test_that_lags_behind_shows_an_entry_later_and_the_message_at_once(
        self, store: Store, fault_proxy: FaultProxy
    ) -> None:
        ledger = store.ledger(fault_proxy.endpoint)
        ledger.spool(make_entry())
        fault_proxy.plan = lambda request: Fault.EMPTY if b"FeedIndex" in request.body else Fault.PASS
        assert list(ledger.entries()) == []
        assert ledger.message(MESSAGE).entries == (make_entry(),)
        fault_proxy.heal()
        assert len(list(ledger.entries())) == 1

    def test_is_not_read_for_days_before_those_that_are_asked_for(self, store: Store, fault_proxy: FaultProxy) -> None:
        clock = Clock(MIDNIGHT - timedelta(days=30))
        writer = store.ledger(clock=clock)
        for day in range(31):
            clock.now = MIDNIGHT - timedelta(days=30 - day)
            writer.spool(make_costs("1", number=day, occurred_at=clock.now))
        ledger = store.ledger(fault_proxy.endpoint)
        week = Selection(since=MIDNIGHT - timedelta(days=6))
        assert len(list(ledger.entries(selection=week))) == 7
        assert fault_proxy.seen.count("Query") == 1 + 4 * 9  # the days, and four shards of seven days and two to spare
        assert str(ledger.totals((), week)[()].actual) == "7 USD"

    def test_of_few_entries_reads_few(self, store: Store) -> None:
        ledger = store.ledger()
        ledger.append(make_entry(number, details={"filled": "x" * 3000 + str(number)}) for number in range(50))
        before = ledger.read_units
        assert len(list(ledger.entries(limit=2))) == 2
        assert ledger.read_units - before < 10

    def test_of_a_table_that_was_made_again_shows_what_is_stored_in_it(self, store: Store) -> None:
        """The note of the day went with the old table."""
        ledger = store.ledger()
        ledger.spool(make_entry(1))
        store.client.delete_table(TableName=TABLE)
        with pytest.raises(LedgerUnusable, match="there is no such table"):
            ledger.spool(make_entry(2))
        create_tables(store.client, messages=None)
        ledger.spool(make_entry(3))
        assert [entry for _, entry in ledger.entries()] == [make_entry(3)]


class TestNumbers:
    def test_grow_when_the_clock_stands_still_or_goes_back(self) -> None:
        clock = Clock(MIDNIGHT)
        clock.step = timedelta(0)
        numbers = Numbers(clock)
        found = [numbers.next() for _ in range(100)]
        clock.now -= timedelta(hours=1)
        found += [numbers.next() for _ in range(100)]
        assert found == sorted(set(found))
        assert found[0] < 2**63
        assert {number % 1024 for number in found} == {found[0] % 1024}

    def test_of_two_processes_differ_at_the_same_moment(self) -> None:
        clock = Clock(MIDNIGHT)
        clock.step = timedelta(0)
        assert len({Numbers(clock).next() for _ in range(50)}) > 40


def pending(number: int, kind: str = "sms", **changes: Any) -> Entry:
    return make_costs(estimate="0.0083", number=number, kind=kind, entry_id=f"{kind}/{number}", **changes)


def price_of(entry: Entry, number: int) -> Entry:
    details = {"corrects": entry.entry_id}
    return make_costs(
        "0.0083",
        number=number,
        kind="sms-price",
        replaces=Standing.PENDING,
        details=details,
        message_uuid=entry.message_uuid,
    )


def hints(store: Store) -> list[str]:
    return [row["entryId"]["S"] for shard in range(4) for row in store.rows(f"w#sms#{shard}")]


class TestWaiting:
    def test_leaves_no_hint_behind_once_it_is_replaced(self, store: Store) -> None:
        ledger = store.ledger()
        ledger.append([pending(1), pending(2, message_uuid="m2")])
        assert sorted(hints(store)) == [pending(1).entry_id, pending(2).entry_id]
        ledger.append([price_of(pending(1), 3)])
        assert hints(store) == [pending(2).entry_id]
        assert list(ledger.waiting(["sms"])) == [pending(2, message_uuid="m2")]

    def test_does_not_depend_on_the_hint_being_taken_away(self, store: Store, fault_proxy: FaultProxy) -> None:
        ledger = store.ledger(fault_proxy.endpoint)
        ledger.append([pending(1)])
        fault_proxy.always(Fault.ERROR, ["DeleteItem"])
        assert ledger.append([price_of(pending(1), 2)]) == {price_of(pending(1), 2).entry_id}
        fault_proxy.heal()
        assert hints(store) == [pending(1).entry_id]
        assert list(ledger.waiting(["sms"])) == []
        assert hints(store) == []

    def test_takes_hints_of_other_kinds_for_what_they_are(self, store: Store) -> None:
        ledger = store.ledger()
        ledger.append([pending(1), price_of(pending(1), 2), pending(1)])
        assert list(ledger.waiting(["tool"])) == []
        assert hints(store) == [pending(1).entry_id]  # put there again by the repetition
        assert list(ledger.waiting(["sms"])) == []
        assert hints(store) == []

    def test_reads_nothing_of_kinds_that_nobody_asks_for(self, store: Store, fault_proxy: FaultProxy) -> None:
        """Estimates that nothing ever replaces, such as those of an import, may be very many."""
        ledger = store.ledger(fault_proxy.endpoint)
        ledger.append([pending(1), *(pending(number, "llm", message_uuid=f"m{number}") for number in range(1, 20))])
        fault_proxy.bodies.clear()
        assert list(ledger.waiting(["sms"])) == [pending(1)]
        asked = {body["ExpressionAttributeValues"][":pk"]["S"] for body in fault_proxy.bodies}
        assert asked == {f"m#{MESSAGE}", *(f"w#sms#{shard}" for shard in range(4))}
        assert len(list(ledger.waiting(["llm"]))) == 19

    def test_of_an_entry_whose_id_does_not_begin_with_its_kind_ends_all_the_same(self, store: Store) -> None:
        ledger = store.ledger()
        entry = make_costs(estimate="1", kind="sms", entry_id="import/1")
        ledger.append([entry, price_of(entry, 2)])
        assert hints(store) == ["import/1"]
        assert list(ledger.waiting(["sms"])) == []
        assert hints(store) == []

    def test_forgets_a_hint_whose_entry_never_came_after_a_day(self, store: Store, fault_proxy: FaultProxy) -> None:
        clock = Clock(MIDNIGHT)
        ledger = store.ledger(fault_proxy.endpoint, clock=clock)
        fault_proxy.script(Fault.PASS, Fault.PASS, *[Fault.ERROR] * 4)
        with pytest.raises(Exception, match="put off"):
            ledger.spool(pending(1))
        assert (hints(store), list(ledger.waiting(["sms"]))) == ([pending(1).entry_id], [])
        clock.now += timedelta(hours=23)
        assert (list(ledger.waiting(["sms"])), hints(store)) == ([], [pending(1).entry_id])
        clock.now += timedelta(hours=2)
        assert (list(ledger.waiting(["sms"])), hints(store)) == ([], [])


class TestSid:
    def test_leads_to_the_entry_of_its_message_at_once(self, store: Store, fault_proxy: FaultProxy) -> None:
        store.ledger().append([make_entry(1, entry_id="sms/SM1")])
        ledger = store.ledger(fault_proxy.endpoint)
        assert ledger.find("sms/SM1") == make_entry(1, entry_id="sms/SM1")
        assert fault_proxy.seen == ["GetItem", "GetItem"]
        assert all(body["ConsistentRead"] for body in fault_proxy.bodies)

    @pytest.mark.parametrize("entry_id", ["llm/run-1/1", "sms-status/SM1/sent", "SM1", ""])
    def test_is_all_that_can_be_found(self, store: Store, entry_id: str) -> None:
        with pytest.raises(InvalidValue, match=r"entry_id: expected an id that names an SMS, such as 'sms/SM...'"):
            store.ledger().find(entry_id)

    def test_claimed_by_a_message_that_never_got_its_entry_is_free_again_after_a_day(
        self, store: Store, fault_proxy: FaultProxy
    ) -> None:
        clock = Clock(MIDNIGHT)
        ledger = store.ledger(fault_proxy.endpoint, clock=clock)
        first, second = (make_entry(1, entry_id="sms/SM1", message_uuid=uuid) for uuid in ("m1", "m2"))
        fault_proxy.script(Fault.PASS, Fault.PASS, *[Fault.ERROR] * 4)
        with pytest.raises(Exception, match="put off"):
            ledger.append([first])
        assert ledger.find("sms/SM1") is None
        assert ledger.append([second]) == frozenset()
        clock.now += timedelta(hours=25)
        assert ledger.append([second]) == {"sms/SM1"}
        assert ledger.append([first]) == frozenset()
        assert ledger.find("sms/SM1") == second
        assert store.rows("m#m1") == []

    def test_stays_with_its_message_however_old_it_is(self, store: Store) -> None:
        clock = Clock(MIDNIGHT)
        ledger = store.ledger(clock=clock)
        first, second = (make_entry(1, entry_id="sms/SM1", message_uuid=uuid) for uuid in ("m1", "m2"))
        ledger.append([first])
        clock.now += timedelta(days=400)
        assert ledger.append([second]) == frozenset()
        assert ledger.find("sms/SM1") == first


def test_losses_are_remembered_and_told_by_one_query(store: Store, fault_proxy: FaultProxy) -> None:
    ledger = store.ledger(fault_proxy.endpoint)
    ledger.report_loss(3, "buffer full")
    ledger.report_loss(4, "buffer full")
    fault_proxy.seen.clear()
    assert store.ledger().health().lost == ledger.health().lost == 7
    assert fault_proxy.seen == ["Query"]


def test_nothing_is_ever_updated(store: Store, fault_proxy: FaultProxy) -> None:
    """Each row of an entry is put if it is absent; an update, an ADD or a transaction is asked for nowhere."""
    ledger = store.ledger(fault_proxy.endpoint)
    for _ in range(2):
        ledger.append([make_entry(1), pending(2), make_entry(3, entry_id="sms/SM1"), price_of(pending(2), 4)])
    assert set(fault_proxy.seen) == {"PutItem", "DeleteItem"}
    puts = [body for body in fault_proxy.bodies if "Item" in body]
    entries = [body for body in puts if body["Item"]["pk"]["S"].startswith("m#")]
    assert len(entries) == 8
    assert all(body["ConditionExpression"] == "attribute_not_exists(pk)" for body in entries)
    assert {body["TableName"] for body in puts} == {TABLE}
