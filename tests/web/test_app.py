"""The app is made of what it is given: webhooks, pages, both, and whether all is well in any case."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.routing import Router

from costtrace.ledger import SqliteLedger
from costtrace.recorder import Recorder
from costtrace.web import SmsWebhooks, create_app
from costtrace.web.dashboard import Dashboard
from tests.web.parts import BASE, Posted, callback, running, send

TOKEN = "a-token-of-these-tests"  # noqa: S105 - of no dashboard but these


@pytest.fixture
def dashboard(ledger: SqliteLedger) -> Dashboard:
    return Dashboard(ledger, token=TOKEN)


def get(path: str) -> Posted:
    return Posted(url=f"{BASE}{path}", body=b"", headers={"host": "127.0.0.1"}, method="GET")


async def test_webhooks_come_before_the_pages_and_need_no_token(
    recorder: Recorder, webhooks: Callable[..., SmsWebhooks], dashboard: Dashboard
) -> None:
    app = create_app(recorder, webhooks(), dashboard)
    async with running(app):
        assert (await send(app, callback(1, "sent"))).status == 204
        assert (await send(app, get("/healthz"))).status == 200
        assert (await send(app, get("/sms/callback"))).status == 405
        assert (await send(app, get("/"))).status == 401
        assert (await send(app, get("/sms"))).status == 401


async def test_without_webhooks_none_is_taken(recorder: Recorder, dashboard: Dashboard, ledger: SqliteLedger) -> None:
    app = create_app(recorder, None, dashboard)
    async with running(app):
        answer = await send(app, callback(1, "sent"))
    assert answer.status == 405
    assert not ledger.exists


async def test_without_pages_there_are_none(recorder: Recorder, webhooks: Callable[..., SmsWebhooks]) -> None:
    app = create_app(recorder, webhooks())
    async with running(app):
        assert (await send(app, get("/"))).status == 404


async def test_health_is_told_where_the_ledger_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "costs.db").mkdir()
    app: Router = create_app(Recorder(SqliteLedger(tmp_path / "costs.db")))
    answer = await send(app, get("/healthz"))
    assert (answer.status, answer.body) == (503, b'{"ok":false,"problem":"the ledger cannot be used"}')
