"""Places that exporters deliver to, each with somebody who looks what arrived. A new exporter adds one here."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from costtrace.exporters import Exporter
from costtrace.exporters.jsonl import JsonlExporter, jsonl_files, read_jsonl
from costtrace.exporters.ledgers import LedgerExporter
from costtrace.exporters.posthog import PostHogExporter
from costtrace.exporters.posthog.contract import COSTED
from costtrace.ledger import Ledger, SqliteLedger
from costtrace.money import pico_amount
from costtrace.sandbox.posthog import PostHogServer
from costtrace.sandbox.posthog_capture import Fault
from tests.peers.emulator import Account


class Place(Protocol):
    """One place, empty at first."""

    def exporter(self) -> Exporter:
        """Another exporter to it."""

    def misled(self) -> Exporter:
        """An exporter that a person has to set right first: a wrong key, a missing directory or table."""

    def down(self) -> AbstractContextManager[Exporter]:
        """An exporter to it while it cannot be reached; afterwards the same one reaches it."""

    def total(self) -> Decimal:
        """The US dollars of what arrived, each entry counted once."""

    def close(self) -> None:
        """Let go of it."""


class JsonlPlace:
    """A file of JSON lines."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / "entries.jsonl"

    def exporter(self) -> JsonlExporter:
        return JsonlExporter(self._path, fsync=False)

    def misled(self) -> JsonlExporter:
        return JsonlExporter(self._directory / "nowhere" / "entries.jsonl")

    @contextmanager
    def down(self) -> Iterator[JsonlExporter]:
        """A full disk, as Linux has one to try."""
        exporter = JsonlExporter(self._path, fsync=False)
        self._path.symlink_to("/dev/full")
        yield exporter
        self._path.unlink()

    def total(self) -> Decimal:
        return sum((e.cost.amount for e in read_jsonl(jsonl_files(self._path)) if e.cost), Decimal(0))

    def close(self) -> None:
        """Nothing is open."""


class SqlitePlace:
    """A copy in another SQLite file."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / "copy.db"
        self._ledgers: list[SqliteLedger] = []

    def exporter(self) -> LedgerExporter:
        return LedgerExporter(self._ledger(self._path))

    def misled(self) -> LedgerExporter:
        (self._directory / "taken.db").mkdir()
        return LedgerExporter(self._ledger(self._directory / "taken.db"))

    @contextmanager
    def down(self) -> Iterator[LedgerExporter]:
        ledger = self._ledger(self._path)
        ledger.health()
        with closing(sqlite3.connect(self._path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield LedgerExporter(ledger)

    def total(self) -> Decimal:
        return total_of(self._ledger(self._path))

    def close(self) -> None:
        for ledger in self._ledgers:
            ledger.close()

    def _ledger(self, path: Path) -> SqliteLedger:
        self._ledgers.append(SqliteLedger(path, busy_timeout_s=0.05))
        return self._ledgers[-1]


class DynamoDBPlace:
    """A table of an emulator."""

    def __init__(self, account: Account) -> None:
        from costtrace.ledger.dynamodb.tables import create_tables  # noqa: PLC0415 - boto3

        self._account = account
        create_tables(account.client())

    def exporter(self) -> LedgerExporter:
        return LedgerExporter(self._ledger())

    def misled(self) -> LedgerExporter:
        return LedgerExporter(self._ledger(table="no-such-table"))

    @contextmanager
    def down(self) -> Iterator[LedgerExporter]:
        from tests.peers.fault_proxy import FaultProxy  # noqa: PLC0415 - with the emulator

        proxy = FaultProxy(self._account.endpoint)
        proxy.start()
        address = proxy.endpoint
        proxy.stop()
        yield LedgerExporter(self._ledger(endpoint=address))

    def total(self) -> Decimal:
        return total_of(self._ledger())

    def close(self) -> None:
        """The account is left behind."""

    def _ledger(self, *, table: str = "costtrace-ledger", endpoint: str | None = None) -> Any:
        from costtrace.ledger.dynamodb import DynamoDBLedger  # noqa: PLC0415 - boto3

        return DynamoDBLedger(self._account.client(endpoint=endpoint), table=table)


class PostHogPlace:
    """A project of the stand-in."""

    def __init__(self) -> None:
        self._server = PostHogServer()
        self._server.start()
        self._exporters: list[PostHogExporter] = []

    def exporter(self) -> PostHogExporter:
        return self._exporter(self._server.project_token)

    def misled(self) -> PostHogExporter:
        return self._exporter("phc_of_somebody_else")

    @contextmanager
    def down(self) -> Iterator[PostHogExporter]:
        exporter = self.exporter()
        self._server.outage = Fault(status=503)
        yield exporter
        self._server.outage = None

    def total(self) -> Decimal:
        events = [event for event in self._server.distinct if event.event in COSTED]
        return pico_amount(sum(event.properties.get("cost_change_picousd") or 0 for event in events))

    def close(self) -> None:
        for exporter in self._exporters:
            exporter.close()
        self._server.stop()

    def _exporter(self, token: str) -> PostHogExporter:
        self._exporters.append(PostHogExporter(token, host=self._server.host))
        return self._exporters[-1]


def total_of(ledger: Ledger) -> Decimal:
    """The actual US dollars of everything in it."""
    total = ledger.totals().get(())
    return Decimal(0) if total is None else total.actual.get("USD", Decimal(0))
