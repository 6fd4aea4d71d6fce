"""A ledger, a recorder whose clock stands still, and the app on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Router

from costtrace.ledger import SqliteLedger
from costtrace.recorder import Recorder
from costtrace.twilio import NumberHasher
from costtrace.twilio.signature import Verifier
from costtrace.web import SmsWebhooks, create_app
from tests.web.parts import BASE, NOW_NS, TOKEN

KEY = b"a key of the tests, 32 bytes lon"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    store = SqliteLedger(tmp_path / "costs.db", busy_timeout_s=0.2)
    yield store
    store.close()


@pytest.fixture
def recorder(ledger: SqliteLedger) -> Recorder:
    return Recorder(ledger, clock=lambda: NOW_NS)


@pytest.fixture
def webhooks(recorder: Recorder) -> Callable[..., SmsWebhooks]:
    """Makes webhooks that know one token and hash numbers; whatever is given replaces that."""

    def make(**changes: Any) -> SmsWebhooks:
        known: dict[str, Any] = {"hasher": NumberHasher(KEY)}
        return SmsWebhooks(recorder, Verifier(tokens=TOKEN, public_base=BASE), **{**known, **changes})

    return make


@pytest.fixture
def app(recorder: Recorder, webhooks: Callable[..., SmsWebhooks]) -> Router:
    return create_app(recorder, webhooks())
