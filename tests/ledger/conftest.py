"""Fresh ledgers of every implementation, closed when the test is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from costtrace.ledger import Ledger, SqliteLedger
from costtrace.testing import MemoryLedger

NewLedger = Callable[[], Ledger]


@pytest.fixture(params=["sqlite", "memory"])
def new_ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NewLedger]:
    """Makes empty ledgers, as many as a test wants."""
    made: list[Ledger] = []

    def make() -> Ledger:
        made.append(MemoryLedger() if request.param == "memory" else SqliteLedger(tmp_path / f"costs{len(made)}.db"))
        return made[-1]

    yield make
    for ledger in made:
        ledger.close()


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
