"""What every ledger promises, whatever it stores its entries in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from costtrace.context import Context
from costtrace.entry import Entry, Standing
from costtrace.errors import InvalidValue, UnknownMessage
from costtrace.ledger import GROUPS, Ledger, Selection
from costtrace.ledger.protocol import Recent
from costtrace.messages import Totals, fold, totals_of
from costtrace.quote import Quote, QuoteStatus
from tests.factories import MESSAGE, NOW, make_costs, make_entry, make_quote, make_usage
from tests.ledger.conftest import NewLedger
from tests.strategies import AMOUNTS, MONEY, entries

FRESH_EACH = settings(
    max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
"""The fixture makes a new ledger for each example, so it may be shared by all of them."""


def ids(ledger: Ledger, **options: Any) -> list[str]:
    return [entry.entry_id for _, entry in ledger.entries(**options)]


class TestAppend:
    def test_answers_which_entries_were_new(self, ledger: Ledger) -> None:
        first, second = make_entry(1), make_entry(2)
        assert ledger.append([first]) == {first.entry_id}
        assert ledger.append([first, second]) == {second.entry_id}
        assert ledger.append([first, second]) == frozenset()

    def test_of_nothing_is_nothing(self, ledger: Ledger) -> None:
        assert ledger.append([]) == frozenset()
        assert ledger.append(iter(())) == frozenset()

    def test_takes_any_iterable_once(self, ledger: Ledger) -> None:
        assert len(ledger.append(make_entry(number) for number in range(3))) == 3

    def test_the_first_write_of_an_id_wins(self, ledger: Ledger) -> None:
        ledger.append([make_costs("1")])
        ledger.append([make_costs("2")])
        assert [entry for _, entry in ledger.entries()] == [make_costs("1")]

    def test_the_first_of_equal_ids_in_one_batch_wins_and_keeps_its_place(self, ledger: Ledger) -> None:
        twice = [make_costs("1", number=1), make_costs("5", number=2), make_costs("2", number=1)]
        assert ledger.append(twice) == {entry.entry_id for entry in twice}
        assert [entry for _, entry in ledger.entries()] == twice[:2]

    def test_what_was_spooled_before_is_not_new(self, ledger: Ledger) -> None:
        ledger.spool(make_costs("1"))
        assert ledger.append([make_costs("2")]) == frozenset()
        assert [entry for _, entry in ledger.entries()] == [make_costs("1")]

    def test_is_seen_at_once_and_whole(self, ledger: Ledger) -> None:
        batch = [make_entry(number) for number in range(50)]
        ledger.append(batch)
        assert [entry for _, entry in ledger.entries()] == batch


class TestSpool:
    def test_is_seen_by_every_kind_of_read(self, ledger: Ledger) -> None:
        entry = make_entry()
        ledger.spool(entry)
        assert ledger.message(MESSAGE).entries == (entry,)
        assert [found for _, found in ledger.entries()] == [entry]
        assert ledger.totals()[()] == totals_of(entry)
        assert [ledger.last_seq()] == [seq for seq, _ in ledger.entries()]

    def test_of_the_same_entry_again_changes_nothing(self, ledger: Ledger) -> None:
        for _ in range(3):
            ledger.spool(make_costs("1"))
        ledger.append([make_costs("1")])
        ledger.spool(make_costs("2"))
        assert [entry for _, entry in ledger.entries()] == [make_costs("1")]

    def test_keeps_the_order_of_one_thread(self, ledger: Ledger) -> None:
        for number in (3, 1, 2):
            ledger.spool(make_entry(number))
        assert ids(ledger) == [make_entry(number).entry_id for number in (3, 1, 2)]

    def test_loses_and_doubles_nothing_under_many_threads(self, ledger: Ledger) -> None:
        barrier = threading.Barrier(8)

        def work(worker: int) -> None:
            barrier.wait(timeout=30)
            for number in range(40):
                entry = make_entry(worker * 100 + number)
                if number % 4:
                    ledger.spool(entry)
                else:
                    assert ledger.append([entry]) == {entry.entry_id}
                if number % 10 == 0:
                    assert entry.entry_id in ids(ledger)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))
        found = ids(ledger)
        assert len(found) == len(set(found)) == 320


class TestEntries:
    def test_come_in_order_behind_a_sequence_number(self, ledger: Ledger) -> None:
        ledger.append([make_entry(number) for number in range(5)])
        numbered = list(ledger.entries())
        sequence = [seq for seq, _ in numbered]
        assert sequence == sorted(set(sequence))
        assert sequence[0] > 0
        assert list(ledger.entries(after=sequence[2])) == numbered[3:]
        assert list(ledger.entries(after=sequence[-1])) == []
        assert list(ledger.entries(after=sequence[0], limit=2)) == numbered[1:3]
        assert list(ledger.entries(limit=0)) == []
        assert ledger.last_seq() == sequence[-1]

    def test_are_found_by_when_they_occurred(self, ledger: Ledger) -> None:
        ledger.append([make_entry(number) for number in range(6)])
        selection = Selection(since=NOW + timedelta(seconds=2), until=NOW + timedelta(seconds=4))
        assert ids(ledger, selection=selection) == [make_entry(number).entry_id for number in (2, 3)]
        assert ids(ledger, selection=selection, limit=1) == [make_entry(2).entry_id]

    def test_of_an_empty_ledger_are_none(self, ledger: Ledger) -> None:
        assert list(ledger.entries()) == []
        assert ledger.last_seq() == 0

    def test_are_walked_to_the_end_over_many_pages(self, ledger: Ledger, many: int) -> None:
        ledger.append(make_costs("1", number=number) for number in range(many))
        sequence = [seq for seq, _ in ledger.entries()]
        assert len(sequence) == many
        assert len(ids(ledger, limit=many - 10)) == many - 10
        behind = ledger.entries(after=sequence[49], limit=many - 100)
        assert [seq for seq, _ in behind] == sequence[50:-50]

    def test_written_during_a_walk_are_neither_skipped_nor_repeated(self, ledger: Ledger, many: int) -> None:
        ledger.append(make_costs("1", number=number) for number in range(many))
        walk = ledger.entries()
        seen = [next(walk)[0] for _ in range(10)]
        ledger.spool(make_entry(9999))
        seen += [seq for seq, _ in walk]
        assert seen == sorted(set(seen))
        assert len(seen) >= many

    @given(found=st.lists(entries(), max_size=5, unique_by=lambda entry: entry.entry_id), by_spool=st.booleans())
    @FRESH_EACH
    def test_are_read_as_they_were_written(
        self,
        new_ledger: NewLedger,
        found: list[Entry],
        by_spool: bool,  # noqa: FBT001 - hypothesis passes it by name
    ) -> None:
        ledger = new_ledger()
        if by_spool:
            for entry in found:
                ledger.spool(entry)
        else:
            ledger.append(found)
        assert [entry for _, entry in ledger.entries()] == found
        assert ledger.health().rejected == 0


class TestMessage:
    def test_is_the_fold_of_its_entries(self, ledger: Ledger) -> None:
        own = [make_entry(number) for number in (3, 1, 2)]
        ledger.append([*own, make_entry(4, message_uuid="another")])
        assert ledger.message(MESSAGE) == fold(own)

    def test_that_nobody_recorded_is_unknown(self, ledger: Ledger) -> None:
        ledger.append([make_entry()])
        with pytest.raises(UnknownMessage, match="no message 'nobody' in ") as unknown:
            ledger.message("nobody")
        assert unknown.value.message_uuid == "nobody"
        assert isinstance(unknown.value, LookupError)


TAGS = ["team", 'a "quoted" \\ naïve.name', "\x00"]
WORDS = st.lists(st.sampled_from([*sorted(GROUPS), *(f"tag:{tag}" for tag in TAGS)]), max_size=3)
SAID = st.sampled_from(["a", "b", "ä\n\x00"])
FEW = st.none() | SAID
CLOCKS_GO_BACK = datetime(2026, 10, 25, 1, tzinfo=UTC)
"""In Berlin; an hour earlier it was two o'clock there, and now it is again."""
BACK_OVER_MIDNIGHT = datetime(2010, 11, 7, 2, 31, tzinfo=UTC)
"""In St John's, one minute past midnight, it became one minute past eleven on the day before."""
DAYS = st.sampled_from(
    [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
        NOW,
        NOW + timedelta(hours=20),
        *(CLOCKS_GO_BACK + timedelta(minutes=minutes) for minutes in (-31, -30, 0, 30)),
        *(BACK_OVER_MIDNIGHT + timedelta(seconds=seconds) for seconds in (-60, -1, 0, 59 * 60)),
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
    ]
)
ZONES = st.sampled_from(
    [
        UTC,
        ZoneInfo("Europe/Berlin"),
        ZoneInfo("America/St_Johns"),
        ZoneInfo("Asia/Kathmandu"),
        ZoneInfo("Australia/Lord_Howe"),
        ZoneInfo("Africa/Monrovia"),  # 44 minutes and 30 seconds until 1972
        timezone(timedelta(hours=-3, seconds=7)),
    ]
)
WHERE = st.dictionaries(
    st.sampled_from(["user", "channel", "model", "provider", "thread", *(f"tag:{tag}" for tag in TAGS)]),
    FEW,
    max_size=2,
) | st.sampled_from([{"kind": "sms"}, {"kind": "llm"}, {"message": "m1"}, {"status": "exact"}, {"direction": None}])


@st.composite
def differences(draw: Callable[[st.SearchStrategy[Any]], Any]) -> dict[str, Any]:
    """What makes an entry one that takes another's place: signed money, perhaps of two currencies, a quote or none."""
    quotes = [
        None,
        make_quote(),
        Quote(status=QuoteStatus.PARTIAL, amount=Decimal(1), reason="no rate"),
        Quote(status=QuoteStatus.PENDING, amount=None),
        Quote(status=QuoteStatus.UNPRICED, amount=None, reason="no price"),
    ]
    return {
        "replaces": draw(st.sampled_from(Standing)),
        "quote": draw(st.sampled_from(quotes)),
        "cost": draw(st.none() | MONEY),
        "estimate": draw(st.none() | MONEY),
        "usage": None,
    }


@st.composite
def billed(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Entry:
    """Entries that share a few users, days, models: with every amount an entry can hold, or none."""
    kind = draw(st.sampled_from(["settled", "estimate", "exact", "unpriced", "free", "replacing"]))
    amount = str(draw(AMOUNTS))
    number = draw(st.integers(0, 12))
    changes: dict[str, Any] = {
        "number": number,
        "occurred_at": draw(DAYS),
        "provider": draw(FEW),
        "model": draw(FEW),
        "kind": draw(st.sampled_from(["llm", "sms", "sms-price"])),
        "message_uuid": f"m{number % 2}",  # an id is one message's: the same id in two is two entries to some stores
        "context": Context(
            user_id=draw(FEW),
            channel=draw(FEW),
            thread_id=draw(FEW),
            tags=draw(st.dictionaries(st.sampled_from(TAGS), SAID, max_size=2)),
        ),
    }
    if kind == "exact":
        return make_entry(**changes)
    if kind == "unpriced":
        unpriced = Quote(status=QuoteStatus.UNPRICED, amount=None, reason="no price")
        return make_entry(**changes, quote=unpriced, cost=None)
    if kind == "replacing":
        return make_entry(**changes, **draw(differences()))
    if kind == "free":
        return make_costs(**changes)
    currency = draw(st.sampled_from(["USD", "EUR"]))
    settled = amount if kind == "settled" else None
    return make_costs(settled, estimate=None if settled else amount, currency=currency, **changes)


def said(entry: Entry, word: str, zone: tzinfo = UTC) -> str | None:
    """What a report by that word says of the entry, put down here once more."""
    local = entry.occurred_at.astimezone(zone)
    if word == "day":
        return f"{local:%Y-%m-%d}"
    if word == "hour":
        return local.replace(minute=0, second=0, microsecond=0).isoformat(timespec="minutes")
    if word.startswith("tag:"):
        return entry.context.tags.get(word[4:])
    field = GROUPS[word]
    value = getattr(entry if hasattr(entry, field) else entry.context, field)
    return None if value is None else str(value)


def in_zone(entry: Entry, word: str, zone: tzinfo) -> str | None:
    try:
        return said(entry, word, zone)
    except OverflowError:  # the first and the last day that a calendar here has are shown as in UTC
        return said(entry, word)


def is_asked_for(entry: Entry, where: Mapping[str, str | None]) -> bool:
    return all(
        said(entry, word) == value or (word == "kind" and value == "sms" and str(said(entry, word)).startswith("sms-"))
        for word, value in where.items()
    )


class TestTotals:
    @given(found=st.lists(billed(), max_size=14), by=WORDS, where=WHERE, zone=ZONES, half=st.booleans())
    @settings(FRESH_EACH, max_examples=80)
    def test_equal_a_fold_in_python_for_any_entries_and_any_grouping(  # noqa: PLR0917 - hypothesis passes them by name
        self,
        new_ledger: NewLedger,
        found: list[Entry],
        by: list[str],
        where: dict[str, str | None],
        zone: tzinfo,
        half: bool,  # noqa: FBT001 - hypothesis passes it by name
    ) -> None:
        ledger = new_ledger()
        for entry in found:
            ledger.spool(entry)
        selection = Selection(since=NOW if half else None, where=where)
        first: dict[str, Entry] = {}
        for entry in found:
            first.setdefault(entry.entry_id, entry)
        expected: dict[tuple[str | None, ...], Totals] = {}
        for entry in first.values():
            if (not half or entry.occurred_at >= NOW) and is_asked_for(entry, where):
                key = tuple(in_zone(entry, word, zone) for word in by)
                expected[key] = expected.get(key, Totals()).plus(totals_of(entry))
        assert ledger.totals(by, selection, zone) == expected
        assert [entry for _, entry in ledger.entries(selection=selection)] == [
            entry for entry in first.values() if (not half or entry.occurred_at >= NOW) and is_asked_for(entry, where)
        ]

    def test_of_nothing_are_no_groups(self, ledger: Ledger) -> None:
        assert ledger.totals() == {}
        assert ledger.totals(["user"]) == {}

    def test_by_day_are_those_of_utc_days(self, ledger: Ledger) -> None:
        midnight = datetime(2026, 1, 21, tzinfo=UTC)
        ledger.append(
            [
                make_costs("1", number=1, occurred_at=midnight - timedelta(microseconds=1)),
                make_costs("2", number=2, occurred_at=midnight),
            ]
        )
        assert {key: str(total.actual) for key, total in ledger.totals(["day"]).items()} == {
            ("2026-01-20",): "1 USD",
            ("2026-01-21",): "2 USD",
        }

    def test_of_millions_of_dollars_and_of_trillionths_are_exact(self, ledger: Ledger) -> None:
        amounts = [
            "9000000.000000000001",
            "9000000.000000000001",
            "9223372.036854775808",
            "-0.0000000000000001",
            "1E+30",
        ]
        ledger.append(make_costs(amount, number=number) for number, amount in enumerate(amounts))
        assert str(ledger.totals()[()].actual) == "1000000000000000000000027223372.0368547758099999 USD"

    def test_show_estimates_beside_costs_and_never_in_them(self, ledger: Ledger) -> None:
        ledger.append(
            [make_costs("1", number=1), make_costs(estimate="10", number=2), make_entry(3, quote=make_quote())]
        )
        total = ledger.totals()[()]
        assert (str(total.actual), str(total.pending)) == ("1.003125 USD", "10 USD")
        assert total.coverage == {"settled": 1, "calculated": 1, "pending": 1, "unpriced": 0}
        assert (total.input_tokens, total.output_tokens) == (make_usage().input_tokens, make_usage().output_tokens)

    @pytest.mark.parametrize("word", ["usr", "", "tag:", "tag", "entry_id; DROP TABLE entries", "user_id"])
    def test_by_a_word_nobody_knows_are_refused(self, ledger: Ledger, word: str) -> None:
        with pytest.raises(InvalidValue, match=r"by: expected one of channel, day, .*, user or tag:NAME") as refusal:
            ledger.totals(["user", word])
        assert refusal.value.value == word

    def test_of_what_is_no_time_zone_are_refused(self, ledger: Ledger) -> None:
        with pytest.raises(InvalidValue, match=r"zone: expected a time zone, such as .*, got 'Berlin'"):
            ledger.totals(["day"], zone="Berlin")  # type: ignore[arg-type]  # what is tested

    def test_by_hour_keep_the_hour_that_comes_twice_apart(self, ledger: Ledger) -> None:
        ledger.append(
            [
                make_costs("1", number=1, occurred_at=CLOCKS_GO_BACK - timedelta(minutes=15)),
                make_costs("2", number=2, occurred_at=CLOCKS_GO_BACK + timedelta(minutes=15)),
            ]
        )
        berlin = ZoneInfo("Europe/Berlin")
        assert {key: str(total.actual) for key, total in ledger.totals(["hour"], zone=berlin).items()} == {
            ("2026-10-25T02:00+02:00",): "1 USD",
            ("2026-10-25T02:00+01:00",): "2 USD",
        }

    def test_by_day_of_a_zone_are_those_of_its_calendar(self, ledger: Ledger) -> None:
        ledger.append(
            [
                make_costs("1", number=1, occurred_at=datetime(2026, 3, 28, 22, 59, 59, tzinfo=UTC)),
                make_costs("2", number=2, occurred_at=datetime(2026, 3, 28, 23, tzinfo=UTC)),
                make_costs("4", number=3, occurred_at=datetime(2026, 3, 29, 21, 59, 59, tzinfo=UTC)),
                make_costs("8", number=4, occurred_at=datetime(2026, 3, 29, 22, tzinfo=UTC)),
            ]
        )
        berlin = ZoneInfo("Europe/Berlin")
        assert {key: str(total.actual) for key, total in ledger.totals(["day"], zone=berlin).items()} == {
            ("2026-03-28",): "1 USD",
            ("2026-03-29",): "6 USD",  # a day of 23 hours
            ("2026-03-30",): "8 USD",
        }


class TestRecent:
    @given(
        found=st.lists(billed(), max_size=14, unique_by=lambda entry: entry.entry_id),
        where=WHERE,
        limit=st.integers(1, 3),
    )
    @FRESH_EACH
    def test_are_the_messages_by_their_latest_selected_entry_page_by_page(
        self, new_ledger: NewLedger, found: list[Entry], where: dict[str, str | None], limit: int
    ) -> None:
        ledger = new_ledger()
        ledger.append(found)
        selection = Selection(where=where)
        latest = {entry.message_uuid: seq for seq, entry in ledger.entries(selection=selection)}
        expected = [
            Recent(message_uuid=uuid, seq=seq) for uuid, seq in sorted(latest.items(), key=lambda pair: -pair[1])
        ]
        pages: list[Recent] = []
        while page := ledger.recent(limit, before=pages[-1].seq if pages else None, selection=selection):
            assert len(page) <= limit
            pages += page
        assert pages == expected

    def test_move_to_the_front_with_each_entry(self, ledger: Ledger) -> None:
        ledger.append([make_entry(1, message_uuid="a"), make_entry(2, message_uuid="b")])
        assert [found.message_uuid for found in ledger.recent(10)] == ["b", "a"]
        ledger.spool(make_entry(3, message_uuid="a"))
        assert [found.message_uuid for found in ledger.recent(10)] == ["a", "b"]
        assert [found.message_uuid for found in ledger.recent(1)] == ["a"]

    def test_of_none_are_none(self, ledger: Ledger) -> None:
        assert list(ledger.recent(10)) == []
        ledger.append([make_entry()])
        assert list(ledger.recent(0)) == []


class TestSelection:
    @pytest.mark.parametrize(
        ("where", "message"),
        [
            ({"usr": "a"}, "where: expected one of channel, .* got 'usr'"),
            ({"day": "2026-01-20"}, "where: expected since and until for times, .* got 'day'"),
            ({"user": ""}, r"where\['user'\]: expected a text of 1 to 512 characters"),
            ({"user": 5}, r"where\['user'\]: expected a text of 1 to 512 characters"),
            ("user=a", "where: expected a mapping of words to texts"),
            ({7: "a"}, "where: expected one of channel"),
        ],
    )
    def test_by_what_nobody_can_say_is_refused(self, where: Any, message: str) -> None:
        with pytest.raises(InvalidValue, match=message):
            Selection(where=where)

    def test_of_naive_moments_is_refused(self) -> None:
        with pytest.raises(InvalidValue, match="since: expected a datetime with a time zone"):
            Selection(since=datetime(2026, 1, 20))  # noqa: DTZ001 - naive is the point

    @pytest.mark.parametrize("hours", [0, -1])
    def test_that_ends_before_it_begins_is_refused(self, hours: int) -> None:
        with pytest.raises(InvalidValue, match="until: expected a moment after since"):
            Selection(since=NOW, until=NOW + timedelta(hours=hours))


class TestHealth:
    def test_of_a_working_ledger_counts_and_has_no_problem(self, ledger: Ledger) -> None:
        ledger.spool(make_entry())
        health = ledger.health()
        assert health.name == ledger.name
        assert health.entries in (1, None)  # None where counting means to read them all
        assert (health.waiting, health.rejected, health.lost) == (0, 0, 0)
        assert health.problem is None

    def test_remembers_what_was_reported_lost(self, ledger: Ledger) -> None:
        ledger.report_loss(3, "disk full")
        ledger.report_loss(4, "disk full")
        assert ledger.health().lost == 7


class TestClose:
    def test_keeps_everything_and_the_ledger_can_be_used_again(self, ledger: Ledger) -> None:
        ledger.spool(make_entry(1))
        ledger.close()
        ledger.close()
        ledger.spool(make_entry(2))
        assert ids(ledger) == [make_entry(1).entry_id, make_entry(2).entry_id]

    def test_flush_may_be_called_at_any_time(self, ledger: Ledger) -> None:
        ledger.flush()
        ledger.spool(make_entry())
        ledger.flush()
        assert ids(ledger) == [make_entry().entry_id]


class TestFind:
    def test_gives_the_entry_that_names_an_sms(self, ledger: Ledger) -> None:
        first, second = make_entry(1, entry_id="sms/SM1"), make_costs("2", number=2, entry_id="sms/SM2")
        ledger.append([first])
        ledger.spool(second)
        assert ledger.find("sms/SM1") == first
        assert ledger.find("sms/SM2") == second

    def test_gives_the_entry_of_the_message_that_named_the_sms_first(self, ledger: Ledger) -> None:
        first = make_entry(1, entry_id="sms/SM1")
        assert ledger.append([first]) == {"sms/SM1"}
        assert ledger.append([make_entry(1, entry_id="sms/SM1", message_uuid="another")]) == frozenset()
        assert ledger.find("sms/SM1") == first
        assert ids(ledger) == ["sms/SM1"]

    def test_of_an_unknown_id_is_nothing(self, ledger: Ledger) -> None:
        assert ledger.find("sms/SM1") is None


def waiting(number: int, *, kind: str = "sms", **changes: Any) -> Entry:
    return make_costs(estimate="0.0083", number=number, kind=kind, **changes)


def replacing(number: int, corrects: str, replaces: Standing = Standing.PENDING) -> Entry:
    return make_costs("0.0083", number=number, kind="sms-price", replaces=replaces, details={"corrects": corrects})


class TestWaiting:
    def test_are_the_pending_entries_of_those_kinds(self, ledger: Ledger) -> None:
        unknown = make_entry(
            3, kind="sms-send", usage=None, cost=None, quote=Quote(status=QuoteStatus.PENDING, amount=None)
        )
        ledger.append([waiting(1), waiting(2, kind="tool"), unknown, make_costs("1", number=4, kind="sms")])
        ledger.spool(waiting(5))
        found = list(ledger.waiting(["sms", "sms-send"]))
        assert sorted(found, key=lambda entry: entry.entry_id) == [waiting(1), unknown, waiting(5)]
        assert list(ledger.waiting(["sms-price"])) == []

    def test_are_gone_once_another_entry_has_taken_their_place_in_whichever_order_they_came(
        self, ledger: Ledger
    ) -> None:
        first, second = waiting(1), waiting(2)
        ledger.append([replacing(11, first.entry_id), first, second])
        assert list(ledger.waiting(["sms"])) == [second]
        ledger.append([replacing(12, second.entry_id)])
        assert list(ledger.waiting(["sms"])) == []

    def test_stay_where_something_else_was_replaced(self, ledger: Ledger) -> None:
        first = waiting(1)
        ledger.append([first, replacing(2, first.entry_id, Standing.SETTLED), replacing(3, "sms/another")])
        assert list(ledger.waiting(["sms"])) == [first]

    def test_are_walked_to_the_end_over_many_pages(self, ledger: Ledger, many: int) -> None:
        ledger.append(waiting(number) for number in range(many))
        ledger.append(replacing(5000 + number, waiting(number).entry_id) for number in range(0, many, 2))
        assert [entry.entry_id for entry in ledger.waiting(["sms"])] == [
            waiting(number).entry_id for number in range(1, many, 2)
        ]
