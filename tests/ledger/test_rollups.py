"""Roll-ups and the entries behind their cursor are together what a recount of all entries is."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from costtrace.entry import Entry, Standing
from costtrace.ledger import Recent, Selection, SqliteLedger
from costtrace.ledger.protocol import Replaced
from costtrace.ledger.recency import recent
from costtrace.ledger.recount import Recount, recount
from costtrace.ledger.rollups import LONG, VERY_LONG, cursor_of
from costtrace.ledger.schema import APPLICATION_ID, MIGRATIONS
from costtrace.messages import Totals
from costtrace.reports import report
from costtrace.testing import MemoryLedger
from tests.factories import NOW, make_costs, make_entry
from tests.ledger.processes import ROOT, TIMEOUT_S, Child, run
from tests.ledger.test_contract import CLOCKS_GO_BACK, WHERE, WORDS, ZONES, billed
from tests.ledger.test_file import FIRST_LAYOUT_ROWS

LEDGERS = count(1)
MOMENTS = st.one_of(
    st.none(),
    st.sampled_from([NOW, CLOCKS_GO_BACK, datetime(2026, 1, 21, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)]),
    st.datetimes(
        min_value=datetime(2026, 1, 19),  # noqa: DTZ001 - the strategy adds the zone
        max_value=datetime(2026, 1, 22),  # noqa: DTZ001 - as above
        timezones=st.just(UTC),
    ),
)
TIMES = st.sampled_from([timedelta(minutes=minutes) for minutes in (-9000, -61, -15, -1, 0, 14, 15, 59, 1440, 60_000)])


@st.composite
def spread(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Entry:
    """Entries at the edges of stretches, and anywhere else."""
    entry: Entry = draw(billed())
    if draw(st.booleans()):
        return make_costs("0.25", number=int(entry.entry_id.rsplit("/", 1)[1]) + 100, occurred_at=NOW + draw(TIMES))
    return entry


@st.composite
def selections(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Selection:
    since, until = draw(MOMENTS), draw(MOMENTS)
    if since is not None and until is not None and since >= until:
        until = None
    return Selection(since=since, until=until, where=draw(WHERE))


STEPS = st.lists(st.tuples(st.lists(spread(), max_size=6), st.integers(0, 5)), min_size=1, max_size=4)
"""Entries that are stored, and how many of the next are added to the roll-ups then."""


@given(
    steps=STEPS,
    questions=st.lists(st.tuples(WORDS, selections(), ZONES), min_size=1, max_size=4),
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_report_is_that_of_a_recount_however_far_the_cursor_is(
    tmp_path: Path,
    steps: list[tuple[list[Entry], int]],
    questions: list[tuple[list[str], Selection, tzinfo]],
) -> None:
    ledger, recount = SqliteLedger(tmp_path / f"{next(LEDGERS)}.db"), MemoryLedger()
    for entries, most in steps:
        ledger.append(entries)
        recount.append(entries)
        if most:
            ledger.rollups.advance(most)
        for words, selection, zone in questions:
            assert ledger.totals(words, selection, zone) == recount.totals(words, selection, zone)
    ledger.close()


def test_a_report_adds_a_long_tail_to_the_roll_ups_and_a_short_one_only_up(sqlite: SqliteLedger) -> None:
    sqlite.append(make_costs("0.25", number=number) for number in range(LONG - 1))
    assert str(sqlite.totals()[()].actual) == "1249.75 USD"
    assert cursor(sqlite) == 0
    sqlite.append([make_costs("0.25", number=LONG)])
    assert str(sqlite.totals()[()].actual) == "1250 USD"
    assert cursor(sqlite) > 0  # as far as it came in its time
    sqlite.append([make_costs("1", number=LONG + 1, occurred_at=NOW - timedelta(days=400))])
    assert str(sqlite.totals(["day"])["2024-12-16",].actual) == "1 USD"


def test_the_background_lets_roll_ups_follow_what_nobody_reads(sqlite: SqliteLedger) -> None:
    for first in range(0, VERY_LONG, 10_000):
        sqlite.append(make_costs("0.25", number=first + number) for number in range(10_000))
    assert eventually(lambda: cursor(sqlite) > VERY_LONG // 2)  # less than a long way is left for whoever reads


def test_a_report_waits_for_nobody_who_writes(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "costs.db", busy_timeout_s=60)
    ledger.append(make_costs("0.25", number=number) for number in range(LONG))
    other = sqlite3.connect(ledger.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    begun = time.monotonic()
    assert str(ledger.totals()[()].actual) == "1250 USD"
    assert time.monotonic() - begun < 30  # not the minute that a writer would have waited
    assert cursor(ledger) == 0
    other.execute("ROLLBACK")
    other.close()
    assert ledger.append([make_entry(LONG)])
    ledger.close()


REPORT_AS_NOBODY = """
import os, sys
from pathlib import Path
from costtrace.ledger import SqliteLedger
os.setuid(65534)
ledger = SqliteLedger(Path(sys.argv[1]))
totals = ledger.totals(["user", "day"])
assert {key: str(total.actual) for key, total in totals.items()} == {("u1", "2026-01-20"): "0.003125 USD"}, totals
assert [found.message_uuid for found in ledger.recent(5)] == ["m1"]
ledger.close()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("layout", [1, 3, len(MIGRATIONS)])
@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_file_that_may_only_be_read_answers_from_its_entries(layout: int, mode: str) -> None:
    with TemporaryDirectory() as directory:  # not below pytest's own, which nobody else may enter
        path = Path(directory) / "costs.db"
        made = sqlite3.connect(path)
        made.execute(f"PRAGMA journal_mode = {mode}")
        for migration in MIGRATIONS[:layout]:
            made.executescript(migration)
        made.executescript(FIRST_LAYOUT_ROWS)
        made.executescript(f"PRAGMA user_version = {layout}; PRAGMA application_id = {APPLICATION_ID}")
        made.close()
        path.parent.chmod(0o755)
        command = [sys.executable, "-W", "error", "-c", REPORT_AS_NOBODY, str(path)]
        subprocess.run(command, check=True, timeout=TIMEOUT_S, cwd=ROOT)


STEPS_OF_AN_ADVANCE = [("INSERT", times) for times in (2, 3, 4, 6, 9, 12, 16)] + [("UPDATE", 1), ("COMMIT", 2)]


@pytest.mark.parametrize("step", STEPS_OF_AN_ADVANCE, ids=[f"{step}-{times}" for step, times in STEPS_OF_AN_ADVANCE])
def test_roll_ups_are_whole_when_a_process_is_killed_at_a_named_step(tmp_path: Path, step: tuple[str, int]) -> None:
    path = tmp_path / "costs.db"
    safe = run(path, worker="before", append=30)
    with Child(path, worker="a", append=30, advance_by=7, die_at=step) as child:
        child.go()
        safe += child.acknowledged()
        assert child.was_killed, "the step was never reached"
    ledger = SqliteLedger(path, busy_timeout_s=30)
    found = recount(path)
    assert found is not None
    assert found.wrong == 0
    ledger.rollups.advance()
    assert ledger.totals()[()].actual.usd * 10**12 == len(list(ledger.entries())) >= len(safe)
    assert recount(path) == Recount(entries=ledger.last_seq(), sums=8, wrong=0)
    ledger.close()


@given(entries=st.lists(spread(), min_size=1, max_size=12), most=st.integers(1, 12))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_a_recount_finds_nothing_wrong_with_any_entries(tmp_path: Path, entries: list[Entry], most: int) -> None:
    ledger = SqliteLedger(tmp_path / f"{next(LEDGERS)}.db")
    ledger.append(entries)
    ledger.rollups.advance(most)
    found = recount(ledger.path)
    ledger.close()
    assert found is not None
    assert found.wrong == 0


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE rollups SET cost_low = cost_low + 1 WHERE level = 5",
        "DELETE FROM rollups WHERE level = 4",
        "INSERT INTO rollups SELECT 2, 7, 0, shape, 0,0,0,0,0,0,0,0,0,0,0,0,0 FROM rollups WHERE level = 1",
        "UPDATE rollup_shapes SET model = 'another'",
    ],
)
def test_a_recount_finds_what_somebody_changed_and_a_rebuild_mends_it(sqlite: SqliteLedger, damage: str) -> None:
    sqlite.append([make_entry(1)])
    sqlite.rollups.advance()
    other = sqlite3.connect(sqlite.path)
    other.execute(damage)
    other.commit()
    other.close()
    found = recount(sqlite.path)
    assert found is not None
    assert found.wrong
    sqlite.rollups.clear()
    sqlite.rollups.advance()
    assert recount(sqlite.path) == Recount(entries=1, sums=8, wrong=0)
    assert sqlite.totals(["model"])["gpt-4o",].calculated == 1


@given(
    found=st.lists(billed(), min_size=1, max_size=14, unique_by=lambda entry: entry.entry_id),
    selection=selections(),
    limit=st.integers(1, 3),
    newest=st.integers(1, 5),
    rolled=st.booleans(),
    hurried=st.booleans(),
)
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_recent_messages_are_found_however_far_back_they_are(  # noqa: PLR0917 - hypothesis passes them by name
    tmp_path: Path,
    found: list[Entry],
    selection: Selection,
    limit: int,
    newest: int,
    rolled: bool,  # noqa: FBT001 - as above
    hurried: bool,  # noqa: FBT001 - as above
) -> None:
    ledger, other = SqliteLedger(tmp_path / f"{next(LEDGERS)}.db"), MemoryLedger()
    ledger.append(found)
    other.append(found)
    if rolled:
        ledger.rollups.advance()
    pages: list[Recent] = []
    with ledger._database.snapshot() as connection:
        before: int | None = None
        while True:
            page = recent(connection, limit, before, selection, newest=newest, within_s=0 if hurried else 60)
            pages += page
            before = page.before
            if before is None:
                break
    ledger.close()
    assert pages == other.recent(100, selection=selection)


@given(
    found=st.lists(billed(), min_size=1, max_size=14, unique_by=lambda entry: entry.entry_id),
    words=WORDS,
    selection=selections(),
    zone=ZONES,
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_messages_in_which_something_was_replaced_are_found_through_an_index_and_are_all_of_them(
    tmp_path: Path, found: list[Entry], words: list[str], selection: Selection, zone: tzinfo
) -> None:
    ledger, other = SqliteLedger(tmp_path / f"{next(LEDGERS)}.db"), MemoryLedger()
    ledger.append(found)
    other.append(found)
    known, counted = ledger.replaced(words, selection, zone), other.replaced(words, selection, zone)
    ledger.close()
    assert known.totals == counted.totals
    assert each(known) == each(counted)


def each(found: Replaced) -> Counter[frozenset[tuple[tuple[str | None, ...], Totals]]]:
    messages: Counter[frozenset[tuple[tuple[str | None, ...], Totals]]] = Counter()
    for alike in found.messages:
        messages[frozenset(alike.groups.items())] += alike.times
    return messages


def test_messages_that_are_alike_come_once(sqlite: SqliteLedger) -> None:
    for number in range(5):
        sms: dict[str, Any] = {"message_uuid": f"m{number}", "provider": "twilio"}
        sqlite.append(
            [
                make_costs(estimate="0.0083", number=10 * number, kind="sms", **sms),
                make_costs("0.0083", estimate="-0.0083", number=10 * number + 1, replaces=Standing.PENDING, **sms),
            ]
        )
    assert [alike.times for alike in sqlite.replaced(["kind"]).messages] == [5]
    assert str(report(sqlite, ["kind"]).total.actual) == "0.0415 USD"


def cursor(ledger: SqliteLedger) -> int:
    with ledger._database.reading() as connection:
        return cursor_of(connection)


def eventually(done: Callable[[], bool]) -> bool:
    until = time.monotonic() + TIMEOUT_S
    while not done() and time.monotonic() < until:
        time.sleep(0.02)
    return done()
