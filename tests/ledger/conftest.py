"""Fresh ledgers of every implementation, closed when the test is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from costtrace.ledger import Ledger, SqliteLedger
from costtrace.ledger.dynamodb import DynamoDBLedger
from costtrace.ledger.dynamodb.tables import create_tables
from costtrace.testing import MemoryLedger
from tests.peers.emulator import Emulator
from tests.peers.fixtures import *  # noqa: F403 - fixtures

NewLedger = Callable[[], Ledger]


@pytest.fixture(params=["sqlite", "memory", "dynamodb"])
def store(request: pytest.FixtureRequest) -> str:
    """The word for the implementation that the test is run with."""
    word: str = request.param
    return word


@pytest.fixture
def new_ledger(store: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NewLedger]:
    """Makes empty ledgers, as many as a test wants."""
    made: list[Ledger] = []
    makers: dict[str, Callable[[], NewLedger]] = {
        "sqlite": lambda: lambda: SqliteLedger(tmp_path / f"costs{len(made)}.db"),
        "memory": lambda: MemoryLedger,
        "dynamodb": lambda: in_dynamodb(request.getfixturevalue("aws_emulator")),
    }
    make_one = makers[store]()

    def make() -> Ledger:
        made.append(make_one())
        return made[-1]

    yield make
    for ledger in made:
        ledger.close()


def in_dynamodb(emulator: Emulator) -> NewLedger:
    """Makes ledgers in tables of their own, in one account."""
    client, numbers = emulator.account().client(), count(1)

    def make() -> Ledger:
        table = f"ledger-{next(numbers)}"
        create_tables(client, ledger=table, messages=None)
        return DynamoDBLedger(client, table=table)

    return make


@pytest.fixture
def many(store: str) -> int:
    """So many entries that each local store reads several pages; each takes an emulator of AWS some milliseconds."""
    return 200 if store == "dynamodb" else 2500


@pytest.fixture
def ledger(new_ledger: NewLedger) -> Ledger:
    """An empty ledger, of each implementation in turn."""
    return new_ledger()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[SqliteLedger]:
    """An empty SQLite ledger that waits for no lock."""
    made = SqliteLedger(tmp_path / "costs.db", busy_timeout_s=0.05)
    yield made
    made.close()
