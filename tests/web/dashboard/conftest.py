"""A dashboard on a real server, over a ledger whose every amount is written out here."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import uvicorn

from costtrace.ledger import Ledger, SqliteLedger
from costtrace.recorder import Recorder
from costtrace.web import create_app
from costtrace.web.dashboard import Dashboard
from tests.browser import browser, visit
from tests.web.dashboard.books import BOOKS

TOKEN: Final = "the-token-of-these-tests"  # noqa: S105 - of no dashboard but these
CLOCK: Final = datetime(2026, 1, 22, 12, 0, tzinfo=UTC)

__all__ = ["browser", "visit"]


@dataclass(frozen=True, kw_only=True)
class Served:
    """A dashboard that listens."""

    address: str
    client: httpx.Client
    """One that has been let in."""

    @property
    def link(self) -> str:
        """What a person opens."""
        return f"{self.address}/?token={TOKEN}"

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.client.get(path, **options)


@contextmanager
def listening(app: Any) -> Iterator[str]:
    """The app on a real server, on a free port of this machine."""
    config = uvicorn.Config(app, log_config=None, access_log=False, proxy_headers=False, ws="none")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=20)


Serve = Callable[..., Served]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves a ledger: ``serve(ledger, limit_s=1)``; the options are those of `Dashboard`."""
    with ExitStack() as stack:

        def serve(ledger: Ledger, **options: Any) -> Served:
            known = {"token": TOKEN, "clock": lambda: CLOCK}
            app = create_app(Recorder(ledger), dashboard=Dashboard(ledger, **{**known, **options}))
            address = stack.enter_context(listening(app))
            client = stack.enter_context(httpx.Client(base_url=address, follow_redirects=True, timeout=30))
            client.get(f"/live?token={TOKEN}")
            return Served(address=address, client=client)

        yield serve


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    """An empty one."""
    store = SqliteLedger(tmp_path / "costs.db", busy_timeout_s=0.2)
    yield store
    store.close()


@pytest.fixture
def books(ledger: SqliteLedger) -> SqliteLedger:
    """One with everything that `BOOKS` tells of."""
    ledger.append(BOOKS)
    return ledger


@pytest.fixture
def served(serve: Serve, books: SqliteLedger) -> Served:
    """The dashboard over the books, at noon of 22 January 2026."""
    return serve(books)
