"""The client that costtrace makes and wraps: time limits, the caller's address and credentials, no POST twice."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from requests.adapters import HTTPAdapter
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client
from urllib3.util import Retry

from costtrace.errors import InvalidValue
from costtrace.ledger import SqliteLedger
from costtrace.sandbox.twilio import TwilioServer
from costtrace.twilio.client import TIMEOUT_S, fault_of, make_client, never_left, refused, sending_client, watched
from costtrace.twilio.cost_states import CostState
from costtrace.twilio.legs import legs
from tests.sandbox.twilio_app import OURS, PHONE

ACCOUNT, KEY = "AC" + "0" * 32, "SK" + "0" * 32


@pytest.fixture
def http() -> Iterator[TwilioHttpClient]:
    client = TwilioHttpClient()
    yield client
    assert client.session is not None
    client.session.close()


def test_a_client_has_a_time_limit() -> None:
    assert make_client(ACCOUNT, "token").http_client.timeout == TIMEOUT_S == 10
    assert make_client(ACCOUNT, "token", timeout_s=3).http_client.timeout == 3


def test_another_address_is_asked_whatever_edge_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_EDGE", "dublin")
    client = make_client(ACCOUNT, "token", base_url="http://127.0.0.1:8080")
    assert client.api.base_url == "http://127.0.0.1:8080"
    assert client.get_hostname("http://127.0.0.1:8080/x") == "http://127.0.0.1:8080/x"
    assert make_client(ACCOUNT, "token").edge == "dublin"


def test_a_wrapped_client_is_the_callers_in_everything_else(http: TwilioHttpClient) -> None:
    client = Client(KEY, "secret", ACCOUNT, "ie1", http, edge="dublin", user_agent_extensions=["shop/1"])
    client.api.base_url = "http://127.0.0.1:8080"
    wrapped = sending_client(client)
    assert (wrapped.username, wrapped.password, wrapped.account_sid) == (KEY, "secret", ACCOUNT)
    assert (wrapped.region, wrapped.edge, wrapped.user_agent_extensions) == ("ie1", "dublin", ["shop/1"])
    assert wrapped.api.base_url == "http://127.0.0.1:8080"
    assert client.http_client is http
    assert (http.timeout, wrapped.http_client.timeout) == (None, TIMEOUT_S)


def test_a_time_limit_of_the_callers_stands(http: TwilioHttpClient) -> None:
    http.timeout = 3
    assert sending_client(Client(ACCOUNT, "token", http_client=http)).http_client.timeout == 3


def test_a_request_is_watched_from_its_begin() -> None:
    with TwilioServer() as server:
        client = make_client(server.account_sid, server.auth_token, base_url=server.base_url)
        wrapped = sending_client(client)
        with watched() as before:
            pass
        with watched() as attempt:
            wrapped.messages.create(to=PHONE, from_=OURS, body="Hello.")
        client.http_client.session.close()
    assert (before.begun, attempt.begun) == (False, True)


@pytest.mark.parametrize("retries", [Retry(3, allowed_methods=None), Retry(3, allowed_methods={"GET", "POST"})])
def test_a_client_that_repeats_posts_is_refused(http: TwilioHttpClient, retries: Retry) -> None:
    assert http.session is not None
    http.session.mount("https://", HTTPAdapter(max_retries=retries))
    with pytest.raises(InvalidValue, match="TwilioHttpClient"):
        sending_client(Client(ACCOUNT, "token", http_client=http))


def test_the_sdks_own_synchronous_retries_leave_posts_alone() -> None:
    http = TwilioHttpClient(max_retries=3)
    assert sending_client(Client(ACCOUNT, "token", http_client=http)) is not None
    assert http.session is not None
    http.session.close()


def test_a_client_without_a_session_of_its_own_is_taken() -> None:
    http = TwilioHttpClient(pool_connections=False)
    assert sending_client(Client(ACCOUNT, "token", http_client=http)).http_client.timeout == TIMEOUT_S


@pytest.mark.parametrize(
    ("status", "expected"),
    [(400, True), (401, True), (404, True), (429, True), (408, False), (500, False), (302, False)],
)
def test_only_a_clear_no_is_a_refusal(status: int, *, expected: bool) -> None:
    assert refused(TwilioRestException(status, "/Messages.json", code=21211)) is expected


def test_other_errors_are_neither_refusals_nor_unsent() -> None:
    assert not refused(ValueError("no"))
    assert not never_left(ConnectionResetError())


def test_a_fault_is_named_without_its_text() -> None:
    error = TwilioRestException(400, "/Messages.json", msg=f"The number {PHONE} is invalid.", code=21211)
    assert fault_of(error) == "TwilioRestException 21211"
    assert fault_of(TimeoutError(PHONE)) == "TimeoutError"


KILLED = """
import os, sys
from costtrace.ledger import SqliteLedger
from costtrace.recorder import Recorder
from costtrace.twilio import SmsSender, make_client
from pathlib import Path

where, when, account, token, base_url = sys.argv[1:]
client = make_client(account, token, base_url=base_url)
ask = client.http_client.request

def killed(*args, **options):
    if when == "after":
        ask(*args, **options)
    os._exit(9)

client.http_client.request = killed
SmsSender(client, Recorder(SqliteLedger(Path(where)))).send(to="+14155550123", from_="+14155550199", body="Hello.")
"""


@pytest.mark.parametrize(("when", "made"), [("before", 0), ("after", 1)])
def test_a_process_that_dies_around_the_request_leaves_an_sms_that_waits(tmp_path: Path, when: str, made: int) -> None:
    path = tmp_path / "costs.db"
    with TwilioServer(manual=True) as server:
        arguments = [str(path), when, server.account_sid, server.auth_token, server.base_url]
        ended = subprocess.run(
            [sys.executable, "-c", KILLED, *arguments], check=False, capture_output=True, text=True, env=os.environ
        )
        assert (ended.returncode, len(server.messages)) == (9, made), ended.stderr
    ledger = SqliteLedger(path)
    ((_, entry),) = ledger.entries()
    (leg,) = legs(ledger.message(entry.message_uuid))
    assert (entry.kind, leg.sid, leg.cost_state, leg.needs_price) == ("sms-send", None, CostState.ESTIMATED, True)
    assert [waiting.entry_id for waiting in ledger.waiting(["sms-send", "sms"])] == [entry.entry_id]
    ledger.close()
