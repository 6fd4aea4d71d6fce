"""The table layout of a SQLite ledger, as an ordered list of migrations. Never edit one: append the next."""

from __future__ import annotations

import sqlite3
from typing import Final

from costtrace.errors import LedgerUnusable

APPLICATION_ID: Final = 0x43547263
"""Marks the file as a costtrace ledger for tools such as ``file``."""
_PRIMARY_CODE: Final = 0xFF

_FIRST: Final = """
CREATE TABLE price_basis (
    id INTEGER PRIMARY KEY,
    body TEXT NOT NULL UNIQUE           -- JSON: price list, version, hash, matched model, context
);
CREATE TABLE entries (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    entry_id TEXT NOT NULL UNIQUE,
    message_uuid TEXT NOT NULL,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    occurred_us INTEGER NOT NULL,       -- microseconds since 1970, UTC
    recorded_us INTEGER NOT NULL,
    duration_us INTEGER,
    provider TEXT,
    model TEXT,
    requested_model TEXT,
    source_id TEXT,
    cost TEXT,                          -- exact decimal: money we know we owe
    currency TEXT,                      -- of the cost, or else of the estimate
    cost_pico INTEGER,                  -- the cost in 1e-12, where it is exactly that
    estimate TEXT,                      -- exact decimal: money we expect to owe, never part of the cost
    estimate_currency TEXT,
    estimate_pico INTEGER,
    cost_status TEXT,                   -- of the quote
    standing TEXT,                      -- settled, calculated, pending, unpriced; NULL where nothing was bought
    replaces TEXT,                      -- standing of the entry whose place it takes: the money is the difference
    input_tokens INTEGER,
    output_tokens INTEGER,
    user_id TEXT,
    thread_id TEXT,
    channel TEXT,
    direction TEXT,
    role TEXT,
    environment TEXT,
    message_type TEXT,
    reply_to TEXT,
    error TEXT,
    basis INTEGER REFERENCES price_basis (id),
    body TEXT NOT NULL                  -- JSON: usage, quote lines, tags, span, details
);
CREATE INDEX entries_by_message ON entries (message_uuid);
CREATE INDEX entries_by_time ON entries (occurred_us);
CREATE INDEX entries_by_user ON entries (user_id, occurred_us) WHERE user_id IS NOT NULL;
CREATE INDEX entries_replacing ON entries (occurred_us) WHERE replaces IS NOT NULL;
CREATE TABLE spool_segments (
    name TEXT PRIMARY KEY,
    ingested INTEGER NOT NULL           -- bytes of the segment that are in `entries`
) WITHOUT ROWID;
CREATE TABLE rejected (
    id INTEGER PRIMARY KEY,
    segment TEXT NOT NULL,
    reason TEXT NOT NULL,
    record BLOB NOT NULL
);
CREATE TABLE losses (
    id INTEGER PRIMARY KEY,
    reported_us INTEGER NOT NULL,
    entries INTEGER NOT NULL,
    reason TEXT NOT NULL
);
CREATE VIEW costs AS
    SELECT seq, strftime('%Y-%m-%d %H:%M:%f', occurred_us / 1000000.0, 'unixepoch') AS occurred_at, message_uuid, kind,
           provider, model, input_tokens, output_tokens, cost, currency, estimate, estimate_currency, cost_status,
           standing, replaces, user_id, channel, thread_id
    FROM entries;
"""

_WAITING: Final = """
CREATE INDEX entries_pending ON entries (kind) WHERE standing = 'pending' AND replaces IS NULL;
CREATE INDEX entries_no_longer_pending ON entries (json_extract(body, '$.details.corrects'))
    WHERE replaces = 'pending';
"""
"""Finds what waits for a price. Other entries are in neither index and pay for none."""

_DELIVERIES: Final = """
CREATE TABLE deliveries (
    exporter TEXT PRIMARY KEY,
    start INTEGER NOT NULL,             -- entries up to this sequence number are not for this exporter
    cursor INTEGER NOT NULL,            -- entries up to this one were acknowledged or have a letter
    sent INTEGER NOT NULL DEFAULT 0,    -- entries that were acknowledged
    failures INTEGER NOT NULL DEFAULT 0,-- attempts in a row that came to nothing
    faults INTEGER NOT NULL DEFAULT 0,  -- attempts at which the exporter itself broke
    failing_since_us INTEGER,
    next_try_us INTEGER,
    stopped INTEGER NOT NULL DEFAULT 0, -- waits for a person
    problem TEXT,                       -- the last one
    problem_us INTEGER,
    owner TEXT,                         -- who is delivering at the moment
    lease_until_us INTEGER,             -- another may take over then
    fence INTEGER NOT NULL DEFAULT 0    -- counts the owners: what an earlier one decides no longer counts
) WITHOUT ROWID;
CREATE TABLE letters (
    exporter TEXT NOT NULL,
    seq INTEGER NOT NULL,               -- of the entry
    state TEXT NOT NULL,                -- retry, parked, dead
    reason TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    since_us INTEGER NOT NULL,
    next_try_us INTEGER,                -- NULL where it waits for a person
    PRIMARY KEY (exporter, seq)
) WITHOUT ROWID;
CREATE INDEX letters_due ON letters (exporter, next_try_us) WHERE next_try_us IS NOT NULL;
CREATE INDEX letters_by_state ON letters (exporter, state);
"""
"""How far each exporter is, and what could not be delivered to it. Storing an entry touches neither."""

_ROLLUPS: Final = """
CREATE TABLE rollup_cursor (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    seq INTEGER NOT NULL                -- entries up to this sequence number are in the roll-ups
);
INSERT INTO rollup_cursor VALUES (1, 0);
CREATE TABLE rollup_shapes (
    id INTEGER PRIMARY KEY,             -- what many entries say alike; '' where they say nothing of it
    channel TEXT NOT NULL,
    direction TEXT NOT NULL,
    environment TEXT NOT NULL,
    kind TEXT NOT NULL,
    message_type TEXT NOT NULL,
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    cost_status TEXT NOT NULL,
    currency TEXT NOT NULL,
    estimate_currency TEXT NOT NULL,
    UNIQUE (model, kind, cost_status, channel, direction, provider, message_type, environment, currency,
            estimate_currency)
);
CREATE TABLE rollup_users (
    id INTEGER PRIMARY KEY,
    user_id TEXT NOT NULL UNIQUE        -- '' where nobody is named
);
CREATE TABLE rollup_finer (
    seq INTEGER PRIMARY KEY             -- of an entry with an amount that no integer of 1e-12 holds
);
CREATE TABLE rollups (
    level INTEGER NOT NULL,             -- how long a stretch of time is, and whether users are told apart
    start INTEGER NOT NULL,             -- number of the stretch, counted from 1970
    user INTEGER NOT NULL,              -- 0 for all together
    shape INTEGER NOT NULL,
    cost_high INTEGER NOT NULL,         -- the sums; amounts as their millions of 1e-12, and the rest
    cost_low INTEGER NOT NULL,
    estimate_high INTEGER NOT NULL,
    estimate_low INTEGER NOT NULL,
    costs INTEGER NOT NULL,
    estimates INTEGER NOT NULL,
    settled INTEGER NOT NULL,
    calculated INTEGER NOT NULL,
    pending INTEGER NOT NULL,
    unpriced INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    finer INTEGER NOT NULL,
    PRIMARY KEY (level, start, user, shape),
    -- a sum that no longer fits an integer would go on as a float
    CHECK (typeof(cost_high + cost_low + estimate_high + estimate_low + input_tokens + output_tokens) = 'integer')
) WITHOUT ROWID;
"""
"""Sums of entries by time and by what they say, kept behind a cursor. Storing an entry touches none of it."""

MIGRATIONS: Final[tuple[str, ...]] = (_FIRST, _WAITING, _DELIVERIES, _ROLLUPS)
"""Each brings the layout from its place in this list to the next; ``PRAGMA user_version`` counts them."""

LAYOUT_WITH_ROLLUPS: Final = 4


def version_of(connection: sqlite3.Connection) -> int:
    """How many migrations the file has seen; raises LedgerUnusable when those are more than this version knows.

    The same for a database that is somebody else's, which must not be written to.
    """
    # In this order, because another process may be making the tables, and marks the file in the same transaction.
    used = connection.execute("SELECT EXISTS (SELECT 1 FROM sqlite_schema)").fetchone()[0]
    if used and connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise LedgerUnusable("this SQLite database belongs to another application; check the address")
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise LedgerUnusable(
            f"the ledger has layout {version}, this costtrace knows layouts up to {len(MIGRATIONS)}; upgrade costtrace"
        )
    return version


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the layout up to date in one transaction per step. Several processes may try at once.

    A file that may only be read keeps the layout it has: its entries can be read and added up all the same.
    """
    while (seen := version_of(connection)) < len(MIGRATIONS):
        try:
            _next_layout(connection)
        except sqlite3.OperationalError as error:
            if not seen or error.sqlite_errorcode & _PRIMARY_CODE != sqlite3.SQLITE_READONLY:
                raise
            return


def _next_layout(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = version_of(connection)  # another process may have been first
        if version < len(MIGRATIONS):
            for statement in MIGRATIONS[version].split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {version + 1}")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
