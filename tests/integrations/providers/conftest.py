"""A stand-in for the provider, and a way to make one call and see what became of it."""

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import costtrace
from costtrace.testing import MemoryLedger
from tests.integrations.providers.stand_in import StandIn

Recorded = Callable[..., costtrace.Entry]


@pytest.fixture
def leaves_connections() -> Iterator[None]:
    """For packages that leave their connections to the garbage collector, which then speaks up in a later test."""
    yield
    gc.collect()


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    server = StandIn()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def recorded() -> Recorded:
    """Calls the model and gives the entry of that call."""
    ledger = MemoryLedger()
    handler = costtrace.CostCallbackHandler(costtrace.Recorder(ledger))

    def record(model: Any, prompt: Any = "Hi", *, stream: bool = False) -> costtrace.Entry:
        with costtrace.message() as message:
            if stream:
                assert list(model.stream(prompt, {"callbacks": [handler]}))
            else:
                model.invoke(prompt, {"callbacks": [handler]})
        (entry,) = ledger.message(message.uuid).entries
        return entry

    return record
