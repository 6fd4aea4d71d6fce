"""A status callback is stored once under its message and answered with 204; the rest is refused without a word."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount, Router

from costtrace.context import Context
from costtrace.entry import Standing, encode_entry
from costtrace.ledger import SqliteLedger
from costtrace.recorder import Recorder
from costtrace.times import from_micros
from costtrace.twilio.entries import bound_entry
from costtrace.twilio.legs import legs
from costtrace.twilio.requests import MAX_BODY
from costtrace.twilio.signature import Verifier
from costtrace.web import SmsWebhooks, create_app, sms_routes
from tests.web.parts import BASE, NOW_NS, PHONE, TOKEN, Answer, callback, inbound, send, send_all, sid

_WELL = Answer(200, {"content-length": "11", "content-type": "application/json"}, b'{"ok":true}')
NOON = from_micros(NOW_NS // 1000)
UUID = "0199d3a0-0000-7000-8000-000000000001"


async def test_a_status_is_stored_under_the_message_its_address_names(app: Router, ledger: SqliteLedger) -> None:
    answer = await send(app, callback(1, "sent", message_uuid=UUID, send="s-1"))

    assert answer == Answer(204)
    stored = {entry.entry_id: entry for entry in ledger.message(UUID).entries}
    assert set(stored) == {f"sms/{sid(1)}", f"sms-status/{sid(1)}/sent"}
    assert stored[f"sms/{sid(1)}"].details["send_id"] == "s-1"
    assert all(entry.source_id == sid(1) for entry in stored.values())
    assert all(entry.cost is None and entry.estimate is None for entry in stored.values())


async def test_a_repeated_status_is_answered_the_same_and_stored_once(app: Router, ledger: SqliteLedger) -> None:
    request = callback(1, "delivered", message_uuid=UUID, send="s-1")
    assert [await send(app, request) for _ in range(3)] == [Answer(204)] * 3
    assert len(ledger.message(UUID).entries) == 2


async def test_two_statuses_of_one_message_are_two_entries(app: Router, ledger: SqliteLedger) -> None:
    for status in ("delivered", "sent"):
        await send(app, callback(1, status, message_uuid=UUID, send="s-1"))
    kinds = sorted(entry.entry_id for entry in ledger.message(UUID).entries)
    assert kinds == [f"sms-status/{sid(1)}/delivered", f"sms-status/{sid(1)}/sent", f"sms/{sid(1)}"]


async def test_a_status_we_have_not_heard_of_is_stored(app: Router, ledger: SqliteLedger) -> None:
    assert (await send(app, callback(1, "invented_next_year", message_uuid=UUID))).status == 204
    assert any(entry.status == "invented_next_year" for entry in ledger.message(UUID).entries)


async def test_a_message_that_costtrace_did_not_send_gets_one_uuid_for_all_its_statuses(
    app: Router, ledger: SqliteLedger
) -> None:
    for status in ("queued", "sent"):
        assert (await send(app, callback(1, status))).status == 204
    entries = [entry for _, entry in ledger.entries()]
    assert len({entry.message_uuid for entry in entries}) == 1
    assert {entry.source_id for entry in entries} == {sid(1)}


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"method": "GET"}, 405),
        ({"method": "PUT"}, 405),
        ({"body": b"x" * (MAX_BODY + 1)}, 413),
        ({"headers": {**callback(1, "sent").headers, "content-type": "text/plain"}}, 415),
        ({"headers": {"content-type": "application/x-www-form-urlencoded"}}, 403),
        ({"headers": {**callback(1, "sent").headers, "x-twilio-signature": "A" * 28}}, 403),
        ({"body": callback(1, "delivered").body}, 403),
        ({"body": b"\xff%ff=&&"}, 403),
        ({"url": f"{BASE}/sms/callback?message_uuid={UUID}"}, 403),
        ({"url": f"{BASE}/sms/inbound"}, 403),
    ],
)
async def test_what_is_not_twilios_is_refused_without_a_word(
    app: Router, ledger: SqliteLedger, changes: dict[str, object], status: int
) -> None:
    answer = await send(app, replace(callback(1, "sent"), **changes))  # type: ignore[arg-type]  # what the test changes
    assert (answer.status, answer.body) == (status, b"")
    assert answer.headers.get("allow") == ("POST" if status == 405 else None)
    assert ledger.last_seq() == 0


async def test_a_body_without_length_is_read_no_further_than_its_limit(app: Router) -> None:
    pieces = iter([b"x" * 4096] * 10_000)
    answer = await send(app, callback(1, "sent"), pieces=pieces)
    assert (answer.status, answer.body) == (413, b"")
    assert len(list(pieces)) > 9_900


async def test_a_body_in_pieces_is_one_body(app: Router) -> None:
    request = callback(1, "sent", message_uuid=UUID)
    pieces = [request.body[:7], request.body[7:100], b"", request.body[100:]]
    assert (await send(app, request, pieces=pieces)).status == 204


async def test_a_store_that_is_down_is_answered_with_503_and_takes_the_repetition(
    app: Router, ledger: SqliteLedger, caplog: pytest.LogCaptureFixture
) -> None:
    request = callback(1, "sent", message_uuid=UUID, send="s-1")
    ledger.last_seq()
    with closing(sqlite3.connect(ledger.path)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert [(await send(app, request)).status for _ in range(2)] == [503, 503]
        other.rollback()

    assert (await send(app, request)).status == 204
    assert len(ledger.message(UUID).entries) == 2
    assert len([line for line in caplog.messages if "503" in line]) == 1


async def test_a_store_that_is_broken_is_answered_with_503(app: Router, ledger: SqliteLedger) -> None:
    ledger.path.write_bytes(b"this is no database" * 100)
    assert (await send(app, callback(1, "sent"))).status == 503
    assert (await send(app, callback(1, "sent", token="f" * 32))).status == 403


async def test_the_refused_are_counted_by_reason_and_logged_ever_less_often(
    webhooks: Callable[..., SmsWebhooks], caplog: pytest.LogCaptureFixture
) -> None:
    hooks = webhooks()
    app = Starlette(routes=hooks.routes())
    for _ in range(100):
        await send(app, callback(1, "sent", token="f" * 32))
    await send(app, replace(callback(1, "sent"), method="GET"))

    assert hooks.refused == {"signature": 100, "method": 1}
    assert len(caplog.messages) == 8  # 1, 2, 4 ... 64, and the method
    assert caplog.messages[0].endswith("if Twilio sent it, check the Auth Token and the public address")


async def test_the_routes_can_be_mounted_under_a_path_of_the_application(
    recorder: Recorder, ledger: SqliteLedger
) -> None:
    verifier = Verifier(tokens=TOKEN, public_base=BASE)
    app = Starlette(routes=[Mount("/hooks/twilio", routes=sms_routes(recorder, verifier))])
    request = callback(1, "sent", message_uuid=UUID, send="s-1", base=f"{BASE}/hooks/twilio")

    assert (await send(app, request)).status == 204
    assert len(ledger.message(UUID).entries) == 2


async def test_a_public_path_that_the_proxy_takes_away_is_part_of_the_signed_address(recorder: Recorder) -> None:
    app = Starlette(routes=sms_routes(recorder, Verifier(tokens=TOKEN, public_base=f"{BASE}/prod")))
    signed_for = callback(1, "sent", base=f"{BASE}/prod")
    assert (await send(app, replace(signed_for, url="http://10.0.0.7:8000/sms/callback"))).status == 204


async def test_health_says_whether_the_ledger_can_be_used(app: Router, ledger: SqliteLedger) -> None:
    request = replace(callback(1, "sent"), url=f"{BASE}/healthz", method="GET", body=b"")
    assert await send(app, request) == Answer(
        200, {"content-length": "11", "content-type": "application/json"}, b'{"ok":true}'
    )
    ledger.path.write_bytes(b"this is no database" * 100)
    ledger.close()
    assert (await send(app, request)).status == 503


async def test_a_body_that_does_not_come_is_given_up(app: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("costtrace.web.sms._BODY_S", 0.02)
    sent: list[Any] = []

    async def silent() -> Any:
        await asyncio.Event().wait()

    async def take(event: Any) -> None:
        sent.append(event)

    scope = {"type": "http", "method": "POST", "path": "/sms/callback", "headers": [], "scheme": "https"}
    await app({**scope, "query_string": b"", "root_path": ""}, silent, take)
    assert sent[0]["status"] == 408


@pytest.mark.expects_fault
async def test_a_fault_of_our_own_is_answered_with_503_and_told_without_its_text(
    recorder: Recorder, webhooks: Callable[..., SmsWebhooks], caplog: pytest.LogCaptureFixture
) -> None:
    def broken(address: str) -> str:
        raise ZeroDivisionError(address)

    answer = await send(create_app(recorder, webhooks(hasher=broken)), inbound(1))
    assert (answer.status, answer.body) == (503, b"")
    [line] = caplog.messages
    assert line.startswith("costtrace failed while answering a webhook: ZeroDivisionError at ")
    assert PHONE not in caplog.text


@pytest.mark.parametrize(
    ("package", "words"),
    [("starlette", "import costtrace.web"), ("uvicorn", "from costtrace.cli.serve import serve; serve(port=0)")],
)
def test_what_is_not_installed_is_named_with_the_pip_line(package: str, words: str, tmp_path: Path) -> None:
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from costtrace.errors import MissingExtra\n"
        f"try:\n    {words}\nexcept MissingExtra as error:\n    print(error)"
    )
    command = [sys.executable, "-c", code]
    environment = {**os.environ, "TWILIO_AUTH_TOKEN": TOKEN}
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.startswith(
        f"{'the web app' if package == 'starlette' else 'costtrace serve'} needs the package "
    )
    assert done.stdout.endswith("pip install 'langchain-costtrace[web]'\n")


class TestAddressesOfOtherSenders:
    """The status callback of an SMS that names no attempt of ours."""

    async def test_a_status_lands_on_the_message_that_its_sid_is_known_by(
        self, app: Router, ledger: SqliteLedger
    ) -> None:
        ledger.append([bound_entry(sid(1), send_id="s-1", message_uuid=UUID, now=NOON)])
        for named in (None, "another-message"):
            status = "sent" if named is None else "delivered"
            assert (await send(app, callback(1, status, message_uuid=named))).status == 204
        assert {entry.message_uuid for _, entry in ledger.entries()} == {UUID}
        (leg,) = legs(ledger.message(UUID))
        assert leg.delivery is not None
        assert (leg.delivery.status, leg.send_id) == ("delivered", "s-1")

    async def test_an_sms_that_names_our_message_waits_there_for_its_price(
        self, app: Router, ledger: SqliteLedger
    ) -> None:
        known = Context(user_id="u1", channel="sms", direction="inbound", message_type="welcome")
        ledger.append([bound_entry(sid(7), send_id="s-7", message_uuid=UUID, now=NOON, context=known)])
        for status in ("sent", "delivered"):
            assert (await send(app, callback(1, status, message_uuid=UUID))).status == 204
        entry = ledger.find(f"sms/{sid(1)}")
        assert entry is not None
        assert (entry.message_uuid, entry.standing, entry.estimate, entry.cost) == (UUID, Standing.PENDING, None, None)
        assert (entry.context.user_id, entry.context.direction) == ("u1", "outbound")
        assert PHONE not in repr(encode_entry(entry))
        (leg,) = (leg for leg in legs(ledger.message(UUID)) if leg.sid == sid(1))
        assert leg.delivery is not None
        assert (leg.delivery.status, leg.needs_price, leg.direction) == ("delivered", True, "outbound")

    async def test_no_event_loop_waits_for_a_store_that_does_not_answer(
        self, app: Router, ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answer = threading.Event()

        def silent(_: str) -> None:
            answer.wait(10)

        monkeypatch.setattr("costtrace.web.sms._LOOKUP_S", 0.05)
        monkeypatch.setattr(ledger, "find", silent)
        try:
            assert [a.status for a in await send_all(app, [callback(n, "sent") for n in range(3)])] == [503] * 3
        finally:
            answer.set()
        assert ledger.last_seq() == 0
