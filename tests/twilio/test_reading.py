"""What is read from Twilio, through the real SDK client, and who is told what when that fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from twilio.rest import Client

from costtrace.errors import InvalidValue
from costtrace.money import Money
from costtrace.sandbox.twilio import Fault, Tariff, TwilioServer
from costtrace.twilio.reading import (
    CredentialsRefused,
    MessageNotFound,
    RateLimited,
    RequestRefused,
    TwilioMessage,
    TwilioReader,
    TwilioUnavailable,
    UsageRecord,
)
from tests.sandbox.twilio_app import OURS, PHONE, sdk
from tests.twilio.clocks import Clock

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


@pytest.fixture
def server(clock: Clock) -> Iterator[TwilioServer]:
    with TwilioServer(clock=clock, tariff=Tariff(carrier_fee="0.003")) as running:
        yield running


@pytest.fixture
def client(server: TwilioServer) -> Iterator[Client]:
    with sdk(server) as connected:
        yield connected


@pytest.fixture
def reader(client: Client, clock: Clock) -> TwilioReader:
    return TwilioReader(client, sleep=clock.sleep, monotonic=clock.monotonic)


def send(server: TwilioServer, client: Client, **fields: Any) -> str:
    sid: str = client.messages.create(**{"to": PHONE, "from_": OURS, "body": "On its way.", **fields}).sid
    server.wait()
    return sid


def test_a_message_is_read_with_twilios_own_price(server: TwilioServer, client: Client, reader: TwilioReader) -> None:
    sid = send(server, client)
    assert reader.message(sid) == TwilioMessage(
        sid=sid,
        account_sid=server.account_sid,
        status="delivered",
        direction="outbound-api",
        price="-0.00830",
        price_unit="USD",
        num_segments=1,
        num_media=0,
        error_code=None,
        created=NOON,
        sent=NOON,
        from_=OURS,
        to=PHONE,
        body="On its way.",
    )


def test_what_twilio_does_not_say_yet_is_none_and_never_zero(client: Client) -> None:
    sid = client.messages.create(to=PHONE, messaging_service_sid="MG" + "0" * 32, body="On its way.").sid
    record = json.loads(client.api.request("GET", f"2010-04-01/Accounts/{client.account_sid}/Messages/{sid}.json").text)
    read = TwilioMessage.of({**record, "num_segments": "0", "price": None, "price_unit": None, "date_sent": None})
    assert (read.price, read.price_unit, read.num_segments, read.sent) == (None, None, None, None)


def test_a_value_shows_neither_number_nor_body(server: TwilioServer, client: Client, reader: TwilioReader) -> None:
    shown = repr(reader.message(send(server, client)))
    assert not [secret for secret in (PHONE, OURS, "On its way.") if secret in shown]


def test_a_list_is_read_page_by_page_newest_first_up_to_its_limit(
    server: TwilioServer, client: Client, reader: TwilioReader, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("costtrace.twilio.reading._PAGE_SIZE", 2)
    old = send(server, client)
    clock.now += timedelta(days=2)
    sids = [send(server, client) for _ in range(5)]
    since = NOON + timedelta(days=1)

    assert [m.sid for m in reader.messages(sent_since=since, limit=99)] == sids[::-1]
    assert [m.sid for m in reader.messages(sent_since=since, limit=3)] == sids[:1:-1]
    assert [m.sid for m in reader.messages(sent_since=NOON, limit=99)] == [*sids[::-1], old]


def test_the_bill_of_a_day_is_positive_and_of_one_category(
    server: TwilioServer, client: Client, reader: TwilioReader
) -> None:
    send(server, client)
    send(server, client)
    days = {"first": date(2026, 11, 21), "last": date(2026, 11, 22), "limit": 10}
    assert list(reader.usage("sms-outbound", **days)) == [  # type: ignore[arg-type]  # three keywords of two types
        UsageRecord(category="sms-outbound", day=date(2026, 11, 22), price=Money("0.0166")),
        UsageRecord(category="sms-outbound", day=date(2026, 11, 21), price=Money("0")),
    ]
    fees = list(reader.usage("sms-messages-carrierfees", **days))  # type: ignore[arg-type]  # as above
    assert fees[0].price == Money("0.006")


def test_a_pause_that_twilio_asks_for_is_kept_and_the_question_asked_again(
    server: TwilioServer, client: Client, reader: TwilioReader, clock: Clock
) -> None:
    sid = send(server, client)
    server.fail(Fault(on="fetch", status=429, retry_after_s=7), Fault(on="fetch", status=429, retry_after_s=None))
    assert reader.message(sid).status == "delivered"
    assert clock.slept == [7.0, 1.0]


def test_a_long_pause_is_kept_by_everybody_without_a_word_to_twilio(
    server: TwilioServer, client: Client, reader: TwilioReader, clock: Clock
) -> None:
    sid = send(server, client)
    server.fail(Fault(on="fetch", status=429, retry_after_s=3_600))
    with pytest.raises(RateLimited, match="again in 3600 s"):
        reader.message(sid)
    asked = len(server.calls)
    clock.now += timedelta(minutes=50)
    with pytest.raises(RateLimited, match="again in 600 s"):
        reader.message(sid)
    assert len(server.calls) == asked
    clock.now += timedelta(minutes=9, seconds=30)
    assert reader.message(sid).status == "delivered"
    assert clock.slept == [30.0]


def test_a_client_that_has_to_be_awaited_is_refused(server: TwilioServer) -> None:
    http = SimpleNamespace(is_async=True)
    with pytest.raises(InvalidValue, match="synchronous"):
        TwilioReader(Client(server.account_sid, "token", http_client=http))


def test_what_stays_limited_is_given_up_for_now(
    server: TwilioServer, client: Client, reader: TwilioReader, clock: Clock
) -> None:
    sid = send(server, client)
    server.fail(*[Fault(on="fetch", status=429, retry_after_s=2)] * 4)
    with pytest.raises(RateLimited):
        reader.message(sid)
    assert clock.slept == [2.0, 2.0, 2.0]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, CredentialsRefused),
        (403, CredentialsRefused),
        (404, MessageNotFound),
        (400, RequestRefused),
        (500, TwilioUnavailable),
        (503, TwilioUnavailable),
    ],
)
def test_each_failure_is_told_by_who_must_act(
    server: TwilioServer, client: Client, reader: TwilioReader, status: int, error: type[Exception]
) -> None:
    sid = send(server, client)
    server.fail(Fault(on="fetch", status=status))
    with pytest.raises(error) as caught:
        reader.message(sid)
    assert type(caught.value) is error
    assert str(status) in str(caught.value)
    assert server.auth_token not in str(caught.value)


def test_a_lost_connection_is_a_service_that_cannot_be_reached(
    server: TwilioServer, client: Client, reader: TwilioReader
) -> None:
    sid = send(server, client)
    server.fail(Fault(on="fetch", dropped=True))
    with pytest.raises(TwilioUnavailable, match="cannot be reached"):
        reader.message(sid)


def test_a_list_outlasts_a_short_failure_and_says_so_when_it_is_long(
    server: TwilioServer, client: Client, reader: TwilioReader, clock: Clock
) -> None:
    sid = send(server, client)
    server.fail(Fault(on="list", status=503), Fault(on="list", dropped=True))
    assert [m.sid for m in reader.messages(sent_since=NOON, limit=9)] == [sid]
    assert clock.slept == [1.0, 2.0]
    server.fail(*[Fault(on="list", status=503)] * 4)
    with pytest.raises(TwilioUnavailable, match="503"):
        list(reader.messages(sent_since=NOON, limit=9))


@pytest.mark.parametrize("text", ["<html>", "[]", '{"sid": "SM1"}', '{"sid": 7}', "{}"])
def test_an_answer_that_is_no_message_is_no_answer(text: str) -> None:
    answer = SimpleNamespace(status_code=200, text=text, headers={})
    client = SimpleNamespace(
        account_sid="AC1",
        http_client=SimpleNamespace(is_async=False),
        api=SimpleNamespace(request=lambda *_, **__: answer),
    )
    with pytest.raises(TwilioUnavailable, match="what is no"):
        TwilioReader(client).message("SM" + "0" * 32)


def test_a_pause_beyond_reason_is_a_day(server: TwilioServer, client: Client, reader: TwilioReader) -> None:
    sid = send(server, client)
    server.fail(Fault(on="fetch", status=429, retry_after_s=10**30))
    with pytest.raises(RateLimited) as limited:
        reader.message(sid)
    assert limited.value.retry_after_s == 86_400


def test_a_list_of_empty_pages_ends() -> None:
    asked: list[str] = []

    def request(_: str, path: str, **__: Any) -> SimpleNamespace:
        asked.append(path)
        return SimpleNamespace(status_code=200, text=json.dumps({"messages": [], "next_page_uri": path}), headers={})

    client = SimpleNamespace(
        account_sid="AC1", http_client=SimpleNamespace(is_async=False), api=SimpleNamespace(request=request)
    )
    assert list(TwilioReader(client).messages(sent_since=NOON, limit=9)) == []
    assert len(asked) == 1


def test_an_unreachable_service_is_named_with_its_address(server: TwilioServer, reader: TwilioReader) -> None:
    server.fail(Fault(on="fetch", dropped=True))
    with pytest.raises(TwilioUnavailable, match=f"cannot be reached at {server.base_url}"):
        reader.message("SM" + "0" * 32)
