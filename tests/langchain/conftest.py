"""A stand-in provider, a ledger in memory and a handler that has nothing open when its test is over."""

from collections.abc import Iterator

import pytest

from costtrace import CostCallbackHandler, Recorder
from costtrace.sandbox.openai import OpenAIServer
from costtrace.testing import MemoryLedger


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
def recorder(ledger: MemoryLedger) -> Recorder:
    return Recorder(ledger)


@pytest.fixture
def handler(recorder: Recorder) -> Iterator[CostCallbackHandler]:
    handler = CostCallbackHandler(recorder)
    yield handler
    assert handler.open_runs == 0
