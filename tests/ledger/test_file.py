"""The SQLite file itself: opened by anybody, upgraded from its first layout, as durable as it was asked to be."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from costtrace.context import Context
from costtrace.entry import Entry
from costtrace.errors import ConfigurationError
from costtrace.ledger import Selection, SqliteLedger, open_ledger
from costtrace.ledger.schema import APPLICATION_ID, MIGRATIONS
from costtrace.ledger.spool import MAGIC
from costtrace.money import Money
from costtrace.quote import PriceBasis, Quote, QuoteLine, QuoteStatus
from costtrace.usage import Usage
from tests.factories import NOW, make_costs, make_entry
from tests.ledger.processes import ROOT, TIMEOUT_S

FIRST_LAYOUT_ROWS = """
INSERT INTO price_basis (id, body) VALUES (1, '{"provider":"openai","model":"gpt-4o","rule":"exact name",\
"source":"genai-prices","version":"0.2.3","data_hash":"0123456789abcdef","url":null,"effective_from":"2024-08-06",\
"context_used":{},"context_ignored":{"region":"eu"}}');
INSERT INTO entries VALUES (
    7, 'llm/run-1/1768901401000000', 'm1', 'llm', 'completed', 1768901401000000, 1768901401005000, 5000,
    'openai', 'gpt-4o', 'gpt-4o', 'run-1', '0.003125', 'USD', 3125000000, NULL, NULL, NULL,
    'exact', 'calculated', NULL, 450, 200,
    'u1', 't1', 'web', NULL, NULL, NULL, NULL, NULL, NULL, 1,
    '{"usage":{"buckets":{"input":450,"output":200},"reasoning_tokens":20},\
"quote":{"lines":[["input",450,"2.5",1000000],["output",200,"10",1000000]]},"tags":{"team":"blue"},\
"details":{"parent_run_id":"run-0"},"raw":{"usage_metadata":{"input_tokens":450}}}'
);
INSERT INTO entries VALUES (
    9, 'sms/SM1', 'm1', 'sms', 'queued', 1768901402000000, 1768901402000000, NULL,
    'twilio', NULL, NULL, 'SM1', NULL, 'USD', NULL, '0.0079', 'USD', 7900000000,
    NULL, 'pending', NULL, NULL, NULL,
    'u1', NULL, 'sms', 'outbound', NULL, NULL, NULL, NULL, NULL, NULL,
    '{}'
);
"""
"""What the first version of costtrace wrote. Never changed."""

FIRST_LAYOUT_ENTRIES = (
    Entry(
        entry_id="llm/run-1/1768901401000000",
        message_uuid="m1",
        kind="llm",
        status="completed",
        occurred_at=datetime(2026, 1, 20, 9, 30, 1, tzinfo=UTC),
        recorded_at=datetime(2026, 1, 20, 9, 30, 1, 5000, tzinfo=UTC),
        duration_us=5000,
        provider="openai",
        model="gpt-4o",
        requested_model="gpt-4o",
        source_id="run-1",
        usage=Usage(
            buckets={"input": 450, "output": 200},
            reasoning_tokens=20,
            raw_json='{"usage_metadata":{"input_tokens":450}}',
        ),
        quote=Quote(
            status=QuoteStatus.EXACT,
            amount=Decimal("0.003125"),
            lines=(
                QuoteLine("input", 450, Decimal("2.5"), 1_000_000),
                QuoteLine("output", 200, Decimal(10), 1_000_000),
            ),
            basis=PriceBasis(
                provider="openai",
                model="gpt-4o",
                rule="exact name",
                source="genai-prices",
                version="0.2.3",
                data_hash="0123456789abcdef",
                effective_from=datetime(2024, 8, 6, tzinfo=UTC).date(),
                context_ignored={"region": "eu"},
            ),
        ),
        cost=Money("0.003125"),
        context=Context(user_id="u1", thread_id="t1", channel="web", tags={"team": "blue"}),
        details={"parent_run_id": "run-0"},
    ),
    Entry(
        entry_id="sms/SM1",
        message_uuid="m1",
        kind="sms",
        status="queued",
        occurred_at=datetime(2026, 1, 20, 9, 30, 2, tzinfo=UTC),
        recorded_at=datetime(2026, 1, 20, 9, 30, 2, tzinfo=UTC),
        provider="twilio",
        source_id="SM1",
        estimate=Money("0.0079"),
        context=Context(user_id="u1", channel="sms", direction="outbound"),
    ),
)


def test_a_file_of_the_first_layout_is_upgraded_and_read(tmp_path: Path) -> None:
    path = tmp_path / "costs.db"
    old = sqlite3.connect(path)
    old.executescript(MIGRATIONS[0])
    old.executescript(FIRST_LAYOUT_ROWS)
    old.executescript(f"PRAGMA user_version = 1; PRAGMA application_id = {APPLICATION_ID}")
    old.close()
    ledger = SqliteLedger(path)
    assert tuple(ledger.entries()) == tuple(zip((7, 9), FIRST_LAYOUT_ENTRIES, strict=True))
    ledger.append([make_entry(1)])
    ledger.spool(make_entry(2))
    assert [seq for seq, _ in ledger.entries()] == sorted({seq for seq, _ in ledger.entries()})
    assert str(ledger.totals()[()].actual) == "0.009375 USD"
    ledger.close()
    upgraded = sqlite3.connect(path)
    assert upgraded.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    upgraded.close()


def test_every_layout_can_be_reached_from_every_earlier_one(tmp_path: Path) -> None:
    for seen in range(len(MIGRATIONS)):
        path = tmp_path / f"from{seen}.db"
        old = sqlite3.connect(path)
        for migration in MIGRATIONS[:seen]:
            old.executescript(migration)
        if seen:
            old.executescript(f"PRAGMA user_version = {seen}; PRAGMA application_id = {APPLICATION_ID}")
        old.close()
        ledger = SqliteLedger(path)
        assert ledger.append([make_entry()])
        ledger.close()


def test_the_file_opens_in_plain_sqlite_and_its_view_reads(sqlite: SqliteLedger) -> None:
    sqlite.append([make_entry(1), make_costs(estimate="0.0079", number=2, kind="sms")])
    plain = sqlite3.connect(sqlite.path)
    plain.row_factory = sqlite3.Row
    first, second = [dict(row) for row in plain.execute("SELECT * FROM costs ORDER BY seq")]
    assert first == {
        "seq": 1,
        "occurred_at": "2026-01-20 09:30:01.000",
        "message_uuid": make_entry().message_uuid,
        "kind": "llm",
        "provider": "openai",
        "model": "gpt-4o",
        "input_tokens": 450,
        "output_tokens": 200,
        "cost": "0.003125",
        "currency": "USD",
        "estimate": None,
        "estimate_currency": None,
        "cost_status": "exact",
        "standing": "calculated",
        "replaces": None,
        "user_id": "u1",
        "channel": "web",
        "thread_id": "t1",
    }
    assert (second["kind"], second["cost"], second["estimate"]) == ("sms", None, "0.0079")
    for (body,) in plain.execute("SELECT body FROM entries UNION ALL SELECT body FROM price_basis"):
        assert isinstance(json.loads(body), dict)
    plain.close()


def test_the_file_says_whose_it_is(sqlite: SqliteLedger) -> None:
    sqlite.append([make_entry()])
    sqlite.close()
    assert sqlite.path.read_bytes()[68:72] == APPLICATION_ID.to_bytes(4, "big")


def test_thousands_of_entries_share_one_price_basis(sqlite: SqliteLedger) -> None:
    sqlite.append(make_entry(number) for number in range(300))
    plain = sqlite3.connect(sqlite.path)
    assert plain.execute("SELECT count(*), count(DISTINCT basis) FROM entries").fetchone() == (300, 1)
    assert plain.execute("SELECT count(*) FROM price_basis").fetchone() == (1,)
    plain.close()


@pytest.mark.parametrize(
    ("url", "path"), [("sqlite:///costs.db", "costs.db"), ("sqlite:////var/lib/costs.db", "/var/lib/costs.db")]
)
def test_an_address_is_a_path_and_nothing_is_made_before_its_first_use(url: str, path: str) -> None:
    ledger = open_ledger(url)
    assert isinstance(ledger, SqliteLedger)
    assert ledger.path == Path(path)
    assert ledger.name == path
    assert not ledger.exists


@pytest.mark.parametrize(
    "url", ["costs.db", "sqlite://costs.db", "sqlite:///", "sqlite:///:memory:", "postgresql://localhost/costs", ""]
)
def test_an_address_nobody_knows_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="ledger address"):
        open_ledger(url)


@pytest.mark.parametrize("durability", ["FULL", "", "fsync"])
def test_a_durability_nobody_knows_is_refused(durability: str) -> None:
    with pytest.raises(ConfigurationError, match="is not known; use 'normal' or 'full'"):
        open_ledger("sqlite:///costs.db", durability=durability)


def test_full_durability_stores_the_same(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path}/costs.db", durability="full")
    ledger.spool(make_entry(1))
    ledger.append([make_entry(2)])
    assert [entry for _, entry in ledger.entries(selection=Selection(since=NOW))] == [make_entry(1), make_entry(2)]
    ledger.close()


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
@pytest.mark.parametrize("full", [True, False])
def test_full_durability_flushes_each_entry_to_the_disk_before_it_is_safe(tmp_path: Path, *, full: bool) -> None:
    trace = tmp_path / "trace"
    plan = {"worker": "a", "spool": 12, "fsync": full, "vanish": True}
    command = [sys.executable, "-m", "tests.ledger.child", str(tmp_path / "costs.db"), json.dumps(plan)]
    strace = ["strace", "-f", "-e", "trace=fsync,fdatasync,write", "-o", str(trace)]
    subprocess.run(
        [*strace, *command], input=b"go\n", stdout=subprocess.DEVNULL, timeout=TIMEOUT_S, cwd=ROOT, check=False
    )
    calls = [line.split(maxsplit=1)[1] for line in trace.read_text().splitlines()]
    order = [
        "sync" if call.startswith(("fsync", "fdatasync")) else "told" if '"sms/a/' in call[:20] else "written"
        for call in calls
        if call.startswith(("fsync", "fdatasync")) or '"sms/a/' in call[:20] or MAGIC.decode() in call[:20]
    ]
    if full:
        assert order[-36:] == ["written", "sync", "told"] * 12
        assert order.count("sync") >= 12 + 1  # and the name of the segment in its directory
    else:
        assert order == ["written", "told"] * 12
