"""A ledger of ten entries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from costtrace.ledger import SqliteLedger
from tests.outbox.parts import Clock, filled


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    made = filled(tmp_path / "costs.db", 10)
    yield made
    made.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()
