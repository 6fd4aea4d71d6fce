"""The Twilio stand-in's webhooks: signed, in any order, with retries; and the phones that write to the application."""

import dataclasses
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.base.exceptions import TwilioRestException
from twilio.request_validator import RequestValidator
from twilio.rest import Client

from costtrace.sandbox.loopback import Response
from costtrace.sandbox.twilio import Delivery, Fate, SharedKey, TwilioServer
from costtrace.sandbox.twilio_webhooks import Overrides, signature
from tests.sandbox.twilio_app import EMPTY_TWIML, OURS, PHONE, SERVICE, App, sdk

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def app() -> Iterator[App]:
    with App() as running:
        yield running


@pytest.fixture
def server(app: App) -> Iterator[TwilioServer]:
    with TwilioServer(inbound_url=f"{app.address}/sms/inbound", clock=lambda: NOON) as running:
        yield running


@pytest.fixture
def client(server: TwilioServer) -> Iterator[Client]:
    with sdk(server) as connected:
        yield connected


def send(client: Client, url: str, **fields: Any) -> Any:
    return client.messages.create(
        **{"to": PHONE, "from_": OURS, "body": "On its way.", "status_callback": url, **fields}
    )


def attempts(server: TwilioServer) -> list[tuple[int | str, ...]]:
    return [delivery.attempts for delivery in server.deliveries]


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_each_status_is_told_once_in_a_form_that_twilios_validator_accepts(
    app: App, server: TwilioServer, client: Client
) -> None:
    sid = send(client, app.url).sid
    server.wait()

    assert app.statuses == ["sent", "delivered"]
    assert all(webhook.signed_with(server.auth_token) for webhook in app.received)
    assert not any(webhook.signed_with("another token") for webhook in app.received)
    assert app.received[1].url == app.url
    assert app.received[1].form == {
        "SmsSid": sid,
        "SmsStatus": "delivered",
        "MessageStatus": "delivered",
        "To": PHONE,
        "MessageSid": sid,
        "AccountSid": server.account_sid,
        "From": OURS,
        "ApiVersion": "2010-04-01",
        "RawDlrDoneDate": "2611221200",
    }


def test_a_messaging_service_tells_queued_first_and_its_own_sid(app: App, server: TwilioServer, client: Client) -> None:
    send(client, app.url, from_=None, messaging_service_sid=SERVICE)
    server.wait()

    assert app.statuses == ["queued", "sent", "delivered"]
    assert {webhook.form["MessagingServiceSid"] for webhook in app.received} == {SERVICE}


def test_callbacks_come_in_any_order_and_twice(app: App, server: TwilioServer, client: Client) -> None:
    server.script(Fate(callbacks=("delivered", "sent", "delivered", "teleported")))
    send(client, app.url)
    server.wait()

    assert app.statuses == ["delivered", "sent", "delivered", "teleported"]
    tokens = [webhook.headers["i-twilio-idempotency-token"] for webhook in app.received]
    assert len(set(tokens)) == 4


def test_callbacks_may_be_lost(app: App, server: TwilioServer, client: Client) -> None:
    server.script(Fate(callbacks=()))
    sid = send(client, app.url).sid
    server.wait()

    assert app.received == []
    assert client.messages(sid).fetch().status == "delivered"


@pytest.mark.parametrize("callbacks", [None, ("delivered", "sent")])
def test_callbacks_may_come_before_the_create_call_returns(
    app: App, server: TwilioServer, client: Client, callbacks: tuple[str, ...] | None
) -> None:
    server.script(Fate(early=2, callbacks=callbacks))
    sid = send(client, app.url).sid

    assert [webhook.form["MessageSid"] for webhook in app.received] == [sid, sid]
    assert app.statuses == list(callbacks or ("sent", "delivered"))


def test_a_failure_carries_its_error_code_and_later_statuses_do_not(
    app: App, server: TwilioServer, client: Client
) -> None:
    server.script(Fate(statuses=("sent", "undelivered"), error_code=30005))
    send(client, app.url)
    server.wait()

    assert [webhook.form.get("ErrorCode") for webhook in app.received] == [None, "30005"]


def test_whatsapp_names_its_channel_and_tells_when_it_was_read(app: App, server: TwilioServer, client: Client) -> None:
    server.script(Fate(statuses=("sent", "delivered", "read")))
    send(client, app.url, to=f"whatsapp:{PHONE}", from_=f"whatsapp:{OURS}")
    server.wait()

    assert [webhook.form.get("EventType") for webhook in app.received] == [None, None, "READ"]
    assert {webhook.form["ChannelPrefix"] for webhook in app.received} == {"whatsapp"}


def test_in_manual_mode_the_test_says_what_happens_and_what_is_told(app: App) -> None:
    with TwilioServer(manual=True) as server, sdk(server) as client:
        sid = send(client, app.url).sid
        assert (client.messages(sid).fetch().status, app.received) == ("queued", [])
        server.advance(sid, "sent", "delivered")
        assert client.messages(sid).fetch().status == "delivered"
        late = server.callback(sid, "sent")
        now = server.callback(sid)
        server.play(sid, Fate(statuses=("read",), error_code=None))

    assert (late.status, now.status) == (204, 204)
    assert app.statuses == ["sent", "delivered", "read"]


def test_a_forged_callback_can_be_posted(app: App, server: TwilioServer, client: Client) -> None:
    sid = send(client, app.url).sid
    server.wait()
    genuine = server.webhook(sid)
    server.post(dataclasses.replace(genuine, body=genuine.body.replace(b"delivered", b"failed")))
    server.post(genuine)

    assert [webhook.signed_with(server.auth_token) for webhook in app.received[2:]] == [False, True]


@given(
    params=st.dictionaries(st.text(max_size=8), st.text(max_size=20), max_size=5),
    fragment=st.sampled_from(["", "#rc=3"]),
)
def test_signatures_are_those_of_twilios_validator(params: dict[str, str], fragment: str) -> None:
    url = "https://sms.example/callback?message_uuid=u%2D1&a=b"
    validator = RequestValidator("secret")

    assert signature(url + fragment, params, "secret") == validator.compute_signature(url, params)
    sha256 = validator.compute_signature(url, params, "HMAC_SHA256")
    assert signature(url + fragment, params, "secret", algorithm="sha256") == sha256


@pytest.mark.parametrize(
    ("fragment", "expected"),
    [
        ("", Overrides()),
        ("#rc=3&rp=ct,rt,5xx", Overrides(retries=3, retry_on=frozenset({"ct", "rt", "5xx"}))),
        ("#ct=1&rt=60000&tt=60000&rc=9&rp=all", Overrides(connect_s=0.1, retries=5, retry_on=frozenset({"all"}))),
        ("#ct=60000&rc=many&rp=", Overrides(connect_s=10.0)),
        ("#section-2", Overrides()),
    ],
)
def test_a_fragment_is_kept_within_twilios_bounds(fragment: str, expected: Overrides) -> None:
    assert Overrides.of(f"https://sms.example/callback{fragment}") == expected


def test_any_form_can_be_signed(app: App, server: TwilioServer) -> None:
    server.post(server.sign(app.url, {"MessageStatus": "sent", "NewField": "1 & 2"}))

    assert app.received[0].signed_with(server.auth_token)
    assert app.received[0].form["NewField"] == "1 & 2"


def test_a_shared_key_signs_with_sha_256_and_is_named(app: App) -> None:
    key = SharedKey(key="webhooks_sharedkey_1", secret="shared secret")  # noqa: S106 - a secret of the stand-in
    with TwilioServer(shared_key=key) as server, sdk(server) as client:
        send(client, app.url)
        server.wait()

    (webhook, _) = app.received
    assert webhook.headers["x-twilio-webhooks-signature-settings"] == "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256"
    assert webhook.signed_with("shared secret")
    assert not webhook.signed_with(server.auth_token)


def test_a_sub_accounts_webhooks_are_signed_with_its_own_token(app: App) -> None:
    sub = "AC" + "b" * 32
    with (
        TwilioServer(subaccounts={sub: "sub-token"}) as server,
        sdk(server, account_sid=sub) as client,
    ):
        send(client, app.url)
        server.wait()

    assert app.received[0].form["AccountSid"] == sub
    assert app.received[0].signed_with("sub-token")
    assert not app.received[0].signed_with(server.auth_token)


def test_a_public_address_is_signed_and_its_webhooks_go_to_loopback(app: App) -> None:
    public = "https://sms.example:8443/callback?message_uuid=u%2D1&send=s"
    with TwilioServer(forward={"https://sms.example:8443": app.address}) as server, sdk(server) as client:
        send(client, f"{public}#rc=2")
        server.wait()

    assert app.received[0].headers["host"] == "sms.example:8443"
    assert app.received[0].url == public.replace("https", "http")
    assert app.received[0].signed_with(server.auth_token, at=public)


def test_no_address_but_loopback_is_ever_asked(server: TwilioServer, client: Client) -> None:
    send(client, "http://192.0.2.1/sms/callback")
    send(client, "https://127.0.0.1/sms/callback")
    server.wait()

    assert attempts(server) == [("ct", "ct")] * 4


def test_without_a_fragment_only_a_refused_connection_is_tried_again(
    app: App, server: TwilioServer, client: Client
) -> None:
    server.script(Fate(statuses=("sent",)), Fate(statuses=("sent",)), Fate(statuses=("sent",)))
    app.answer_next(503)
    app.answers.append(None)
    send(client, app.url)
    send(client, app.url)
    with socket.socket() as bound:  # bound but not listening: connections are refused
        bound.bind(("127.0.0.1", 0))
        send(client, f"http://127.0.0.1:{bound.getsockname()[1]}/sms/callback")
        server.wait()

    assert attempts(server) == [(503,), ("rt",), ("ct", "ct")]


def test_the_fragment_asks_for_more_retries_and_is_neither_sent_nor_signed(
    app: App, server: TwilioServer, client: Client
) -> None:
    server.script(Fate(statuses=("sent",)))
    app.answer_next(503)
    app.answers.append(None)
    app.answer_next(500)
    send(client, f"{app.url}#rc=3&rp=ct,rt,5xx")
    server.wait()

    assert attempts(server) == [(503, "rt", 500, 204)]
    assert {webhook.url for webhook in app.received} == {app.url}
    assert len({webhook.headers["i-twilio-idempotency-token"] for webhook in app.received}) == 1
    assert all(webhook.signed_with(server.auth_token) for webhook in app.received)


def test_retries_end_with_their_number_and_leave_out_what_the_fragment_does_not_name(
    app: App, server: TwilioServer, client: Client
) -> None:
    server.script(Fate(statuses=("sent",)), Fate(statuses=("sent",)), Fate(statuses=("sent",)))
    for _ in range(2):
        app.answer_next(503)
    send(client, f"{app.url}#rc=1&rp=5xx")
    server.wait()
    app.answer_next(404)
    send(client, f"{app.url}#rc=3&rp=ct,rt,5xx")
    server.wait()
    app.answer_next(404)
    send(client, f"{app.url}#rp=all")
    server.wait()

    assert attempts(server) == [(503, 503), (404,), (404, 204)]


def test_a_slow_application_is_given_up_within_the_time_of_the_fragment(server: TwilioServer, client: Client) -> None:
    server.script(Fate(statuses=("sent",)))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        send(client, f"http://127.0.0.1:{silent.getsockname()[1]}/slow#rt=100&rc=5&rp=rt&tt=250")
        server.wait(5)

    ((*failures,),) = attempts(server)
    assert set(failures) == {"rt"}
    assert 2 <= len(failures) <= 4


def test_too_many_waiting_messages_are_refused_as_twilio_does() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, TwilioServer(queue_limit=1) as server, sdk(server) as client:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/slow#rt=500&tt=500"
        send(client, url)
        until(lambda: not server._carrier.worker._jobs)  # the first is under way, the second waits
        send(client, url)
        with pytest.raises(TwilioRestException) as caught:
            send(client, url)
        with pytest.raises(TimeoutError):
            server.wait(0.01)

    assert (caught.value.status, caught.value.code) == (400, 21611)


def test_a_message_deleted_on_its_way_ends_there(app: App) -> None:
    with TwilioServer(manual=True) as server, sdk(server) as client:
        sid = send(client, app.url).sid
        client.messages(sid).delete()
    with TwilioServer() as server, sdk(server) as client:
        server.script(Fate(statuses=("sent",) * 50 + ("delivered",)))
        client.messages(send(client, app.url).sid).delete()
        server.wait()
        assert send(client, app.url).sid
        server.wait()

    assert app.statuses[-2:] == ["sent", "delivered"]


def test_stopping_ends_its_threads() -> None:
    before = threading.active_count()
    with TwilioServer() as server, sdk(server) as client:
        client.messages.create(to=PHONE, from_=OURS, body="On its way.")

    assert not [t for t in threading.enumerate() if t.name.startswith("twilio stand-in")]
    assert threading.active_count() <= before + 1  # asyncio's own pool of one thread ends by itself


def test_a_phone_writes_and_empty_twiml_sends_nothing(app: App, server: TwilioServer, client: Client) -> None:
    app.answer_next(200, EMPTY_TWIML)
    arrived = server.receive(from_=PHONE, to=OURS, body=" Where is my parcel? ")
    stored = client.messages(arrived.sid).fetch()

    (webhook,) = app.received
    assert webhook.url == f"{app.address}/sms/inbound"
    assert webhook.signed_with(server.auth_token)
    assert webhook.form == {
        "MessageSid": arrived.sid,
        "SmsSid": arrived.sid,
        "SmsMessageSid": arrived.sid,
        "AccountSid": server.account_sid,
        "From": PHONE,
        "To": OURS,
        "Body": " Where is my parcel? ",
        "NumMedia": "0",
        "NumSegments": "1",
        "SmsStatus": "received",
        "ApiVersion": "2010-04-01",
        "ToCountry": "US",
        "ToState": "",
        "ToCity": "",
        "ToZip": "",
        "FromCountry": "",
        "FromState": "",
        "FromCity": "",
        "FromZip": "",
    }
    assert (arrived.replies, arrived.error_code) == ((), None)
    assert (stored.direction, stored.status, stored.price) == ("inbound", "received", "-0.00830")


def test_a_picture_arrives_as_mms_with_its_media(app: App, server: TwilioServer, client: Client) -> None:
    arrived = server.receive(
        from_=PHONE,
        to=OURS,
        media=["https://media.example/1"],
        messaging_service_sid=SERVICE,
        opt_out="STOP",
        fate=Fate(price="-0.02000", null_reads=1),
    )
    form = app.received[0].form

    assert arrived.sid.startswith("MM")
    assert (form["NumMedia"], form["MediaUrl0"], form["MediaContentType0"]) == (
        "1",
        "https://media.example/1",
        "image/jpeg",
    )
    assert (form["MessagingServiceSid"], form["OptOutType"]) == (SERVICE, "STOP")
    assert [client.messages(arrived.sid).fetch().price for _ in range(2)] == [None, "-0.02000"]


def test_twiml_replies_become_outbound_reply_messages_with_callbacks(
    app: App, server: TwilioServer, client: Client
) -> None:
    other = "+14155550188"
    app.answer_next(
        200,
        f"""<?xml version="1.0" encoding="UTF-8"?>
        <Response>
          <Message statusCallback="{app.url}">On its way &amp; warm.</Message>
          <Message to="{other}"><Body>Copy</Body><Media>https://media.example/2</Media></Message>
        </Response>""".encode(),
    )
    arrived = server.receive(from_=PHONE, to=OURS, body="Where?")
    server.wait()
    replies = [client.messages(sid).fetch() for sid in arrived.replies]

    assert [(m.direction, m.to, m.from_, m.body, m.num_media, m.status, m.price) for m in replies] == [
        ("outbound-reply", PHONE, OURS, "On its way & warm.", "0", "delivered", "-0.00830"),
        ("outbound-reply", other, OURS, "Copy", "1", "delivered", "-0.02200"),
    ]
    assert [webhook.form["MessageStatus"] for webhook in app.received[1:]] == ["sent", "delivered"]


def test_a_plain_text_answer_goes_out_as_an_sms(app: App, server: TwilioServer, client: Client) -> None:
    app.answer_next(200, b"OK", "text/plain; charset=utf-8")
    (sid,) = server.receive(from_=PHONE, to=OURS, body="Where?").replies
    server.wait()
    reply = client.messages(sid).fetch()

    assert (reply.direction, reply.body, reply.price) == ("outbound-reply", "OK", "-0.00830")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Response(status=503, body=b""), 11200),
        (None, 11200),
        (Response(status=200, body=b"{}", headers={"content-type": "application/json"}), 12300),
        (Response(status=200, body=b"<Response>", headers={"content-type": "text/xml"}), 12100),
        (Response(status=200, body=b"<Answer/>", headers={"content-type": "text/xml"}), 12100),
    ],
)
def test_an_unusable_answer_sends_nothing_and_is_an_error_of_twilios_debugger(
    app: App, server: TwilioServer, answer: Response | None, code: int
) -> None:
    app.answers.append(answer)
    arrived = server.receive(from_=PHONE, to=OURS, body="Where?")

    assert (arrived.replies, arrived.error_code) == ((), code)
    assert len(server.messages) == 1


def test_a_lost_inbound_message_is_only_in_the_list(app: App, server: TwilioServer, client: Client) -> None:
    arrived = server.receive(from_=PHONE, to=OURS, body="Where?", lost=True)

    assert app.received == []
    assert arrived.delivery is None
    assert [(m.sid, m.direction) for m in client.messages.list(limit=5)] == [(arrived.sid, "inbound")]


def test_the_same_inbound_message_can_be_delivered_twice(app: App, server: TwilioServer) -> None:
    first = server.receive(from_=PHONE, to=OURS, body="Where?").delivery
    assert isinstance(first, Delivery)
    server.post(first.webhook)

    assert app.received[0] == app.received[1]
    assert len(server.messages) == 1
