"""A Twilio account over a ledger of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from costtrace.ledger import Ledger, SqliteLedger
from costtrace.testing import MemoryLedger
from tests.twilio.account import Account, account


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    ledger: Ledger = MemoryLedger() if request.param == "memory" else SqliteLedger(tmp_path / "costs.db")
    yield ledger
    ledger.close()


@pytest.fixture
def twilio(store: Ledger) -> Iterator[Account]:
    with account(store) as made:
        yield made
