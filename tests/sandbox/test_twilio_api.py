"""The Twilio stand-in's REST side, seen through the real SDK: create, fetch, list, usage, refusals and faults."""

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import requests
from twilio.base.exceptions import TwilioRestException
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.rest import Client

from costtrace.errors import InvalidValue
from costtrace.sandbox.twilio import Fate, Fault, Tariff, TwilioServer
from tests.sandbox.twilio_app import OURS, PHONE, SERVICE, sdk

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class Clock:
    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(clock: Clock) -> Iterator[TwilioServer]:
    with TwilioServer(clock=clock) as running:
        yield running


@pytest.fixture
def client(server: TwilioServer) -> Iterator[Client]:
    with sdk(server) as connected:
        yield connected


def send(client: Client, **fields: Any) -> Any:
    return client.messages.create(**{"to": PHONE, "from_": OURS, "body": "On its way.", **fields})


def refused(client: Client, **fields: Any) -> tuple[int, int | None]:
    with pytest.raises(TwilioRestException) as caught:
        send(client, **fields)
    return caught.value.status, caught.value.code


def test_a_message_is_created_without_a_price_and_gets_one_when_it_was_sent(
    server: TwilioServer, client: Client
) -> None:
    sent = send(client)
    server.wait()
    settled = client.messages(sent.sid).fetch()

    assert (sent.status, sent.price, sent.price_unit, sent.date_sent, sent.num_segments) == (
        "queued",
        None,
        None,
        None,
        "1",
    )
    assert (settled.status, settled.price, settled.price_unit) == ("delivered", "-0.00830", "USD")
    assert (settled.date_created, settled.date_sent) == (NOON, NOON)
    assert (settled.direction, settled.from_, settled.to, settled.body) == (
        "outbound-api",
        OURS,
        PHONE,
        "On its way.",
    )


# The SDK's own use of aiohttp.
@pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The 'auth' parameter is deprecated:DeprecationWarning")
async def test_the_async_client_is_answered_alike(server: TwilioServer) -> None:
    http = AsyncTwilioHttpClient(timeout=10)
    async with http:
        client = Client(server.account_sid, server.auth_token, http_client=http)
        client.api.base_url = server.base_url
        sent = await client.messages.create_async(to=PHONE, from_=OURS, body="On its way.")
        server.wait()
        settled = await client.messages(sent.sid).fetch_async()
        with pytest.raises(TwilioRestException) as caught:
            await client.messages("SM" + "0" * 32).fetch_async()
        listed = await client.messages.list_async(limit=5)

    assert (settled.sid, settled.price) == (sent.sid, "-0.00830")
    assert (caught.value.status, caught.value.code) == (404, 20404)
    assert [message.sid for message in listed] == [sent.sid]


def test_the_same_seed_gives_the_same_sids(client: Client) -> None:
    first = send(client).sid
    with TwilioServer() as again, sdk(again) as other, TwilioServer(seed=2) as third, sdk(third) as different:
        assert send(other).sid == first
        assert send(different).sid != first


def test_an_sms_costs_its_segments_and_an_mms_one_message(server: TwilioServer, client: Client) -> None:
    long = send(client, body="é" * 161)
    emoji = send(client, body="x" * 69 + "😀")
    picture = send(client, body="x" * 500, media_url=["https://pictures.example/1.jpg"])
    whatsapp = send(client, to=f"whatsapp:{PHONE}", from_=f"whatsapp:{OURS}")
    server.wait()

    assert [client.messages(m.sid).fetch().price for m in (long, emoji, picture, whatsapp)] == [
        "-0.01660",  # two of 153 GSM-7 characters at 0.0083
        "-0.01660",  # 71 UTF-16 units, two of 67
        "-0.02200",
        "-0.00500",
    ]
    assert picture.sid.startswith("MM")
    assert (long.num_segments, picture.num_media) == ("2", "1")


def test_a_messaging_service_chooses_the_sender_and_counts_segments_later(server: TwilioServer, client: Client) -> None:
    sent = send(client, from_=None, messaging_service_sid=SERVICE)
    server.wait()

    assert (sent.status, sent.from_, sent.num_segments, sent.messaging_service_sid) == (
        "accepted",
        None,
        "0",
        SERVICE,
    )
    assert client.messages(sent.sid).fetch().num_segments == "1"


def test_the_price_is_null_for_as_many_reads_as_its_fate_says(server: TwilioServer, client: Client) -> None:
    server.script(Fate(price="-0.00750", null_reads=2))
    sid = send(client).sid
    server.wait()

    assert [client.messages(sid).fetch().price for _ in range(4)] == [None, None, "-0.00750", "-0.00750"]


def test_a_list_is_a_read_too(server: TwilioServer, client: Client) -> None:
    server.script(Fate(null_reads=1))
    send(client)
    server.wait()

    assert [client.messages.list(limit=5)[0].price for _ in range(2)] == [None, "-0.00830"]


def test_the_price_is_withheld_until_its_time_or_for_good(server: TwilioServer, client: Client, clock: Clock) -> None:
    server.script(Fate(price_after=timedelta(hours=24)), Fate(null_reads=None))
    late, never = send(client).sid, send(client).sid
    server.wait()

    clock.now = NOON + timedelta(hours=23, minutes=59)
    assert client.messages(late).fetch().price is None
    clock.now = NOON + timedelta(hours=24)
    assert client.messages(late).fetch().price == "-0.00830"
    assert client.messages(never).fetch().price is None


def test_a_price_can_change_later_and_in_another_currency(server: TwilioServer, client: Client) -> None:
    sid = send(client).sid
    server.wait()
    server.reprice(sid, "0.00100", unit="EUR")
    read = client.messages(sid).fetch()

    assert (read.price, read.price_unit) == ("0.00100", "EUR")


def test_nothing_is_charged_before_it_is_sent_for_a_failure_or_for_an_undelivered_whatsapp(
    server: TwilioServer, client: Client
) -> None:
    server.script(
        Fate(statuses=()),
        Fate(statuses=("failed",), error_code=30003),
        Fate(statuses=("sent", "undelivered"), error_code=63016),
        Fate(statuses=("sent", "undelivered"), error_code=30005),
        Fate(statuses=("failed",), price="-0.00100"),
    )
    whatsapp = {"to": f"whatsapp:{PHONE}", "from_": f"whatsapp:{OURS}"}
    sids = [send(client, **fields).sid for fields in ({}, {}, whatsapp, {}, {})]
    server.wait()
    read = [client.messages(sid).fetch() for sid in sids]

    assert [(m.status, m.error_code, m.price) for m in read] == [
        ("queued", None, None),
        ("failed", 30003, None),
        ("undelivered", 63016, None),
        ("undelivered", 30005, "-0.00830"),
        ("failed", None, "-0.00100"),
    ]


def test_the_account_may_pay_in_another_currency(clock: Clock) -> None:
    tariff = Tariff(unit="EUR", sms_outbound="0.0765")
    with TwilioServer(tariff=tariff, clock=clock) as server, sdk(server) as client:
        sid = send(client).sid
        server.wait()
        read = client.messages(sid).fetch()
        (usage,) = client.usage.records.list(category="sms-outbound")

    assert (read.price, read.price_unit) == ("-0.07650", "EUR")
    assert (usage.price, usage.price_unit) == (Decimal("0.0765"), "eur")


def test_a_list_has_pages_newest_first_that_new_messages_do_not_shift(server: TwilioServer, client: Client) -> None:
    sids = [send(client).sid for _ in range(5)]
    page = client.messages.page(page_size=2)
    first = [message.sid for message in page]
    newest = send(client).sid
    following = page.next_page()
    assert following is not None
    whole = [message.sid for message in client.messages.list(page_size=2)]

    assert first == [sids[4], sids[3]]
    assert [message.sid for message in following] == [sids[2], sids[1]]
    assert whole == [newest, *reversed(sids)]
    assert server.calls[-1].status == 200


def test_a_list_filters_by_ends_and_by_the_day_or_the_second_it_was_sent(
    server: TwilioServer, client: Client, clock: Clock
) -> None:
    server.script(Fate(), Fate(), Fate(), Fate(statuses=()))
    sids = []
    for hours in (0, 24, 36, 37):
        clock.now = NOON + timedelta(hours=hours)
        sids.append(send(client, to=f"+1415555010{hours % 10}").sid)
        server.wait()

    def listed(**filters: Any) -> list[str]:
        return [message.sid for message in client.messages.list(limit=50, **filters)]

    assert listed(to="+14155550104") == [sids[1]]
    assert listed(from_=OURS) == sids[::-1]
    assert listed(date_sent=date(2026, 11, 23)) == [sids[1]]
    assert listed(date_sent_before=date(2026, 11, 23)) == [sids[0]]
    assert listed(date_sent_after=date(2026, 11, 23)) == [sids[2], sids[1]]
    assert listed(date_sent_after=NOON + timedelta(hours=24), date_sent_before=NOON + timedelta(hours=30)) == [sids[1]]


def test_usage_records_are_positive_by_day_and_list_the_carriers_fees_apart(clock: Clock) -> None:
    tariff = Tariff(carrier_fee="0.003", fees_in_price=False)
    with TwilioServer(tariff=tariff, clock=clock) as server, sdk(server) as client:
        sms = send(client, body="x" * 161).sid
        server.receive(from_=PHONE, to=OURS, body="Thanks", lost=True)
        server.wait()
        clock.now = NOON + timedelta(days=1)
        send(client, media_url=["https://pictures.example/1.jpg"])
        server.wait()
        price = client.messages(sms).fetch().price
        usage = {
            (str(record.start_date), record.category): (record.price, record.count)
            for record in client.usage.records.daily.list(limit=100)
        }

    day, next_day = "2026-11-22", "2026-11-23"
    assert price == "-0.01660"
    assert usage[day, "sms-outbound"] == (Decimal("0.0166"), "2")
    assert usage[day, "sms-inbound"] == (Decimal("0.0083"), "1")
    assert usage[day, "sms"] == (Decimal("0.0249"), "3")
    assert usage[day, "sms-messages-carrierfees"] == (Decimal("0.006"), "2")
    assert usage[day, "totalprice"] == (Decimal("0.0309"), "0")
    assert usage[day, "mms"] == (Decimal(0), "0")
    assert usage[next_day, "mms-outbound"] == (Decimal("0.022"), "1")
    assert usage[next_day, "mms-messages-carrierfees"] == (Decimal("0.003"), "1")
    assert usage[next_day, "totalprice"] == (Decimal("0.025"), "0")


def test_a_price_may_hold_the_carriers_fee_while_usage_lists_it_apart(clock: Clock) -> None:
    tariff = Tariff(carrier_fee="0.003", fees_in_price=True)
    with TwilioServer(tariff=tariff, clock=clock) as server, sdk(server) as client:
        server.script(Fate(), Fate(price="-0.01200"))
        sids = [send(client).sid for _ in range(2)]
        server.wait()
        prices = [client.messages(sid).fetch().price for sid in sids]
        usage = {record.category: record.price for record in client.usage.records.list(limit=50)}

    assert prices == ["-0.01130", "-0.01200"]
    assert usage["sms-outbound"] == Decimal("0.0173")  # 0.0083, and 0.012 less the fee
    assert usage["sms-messages-carrierfees"] == Decimal("0.006")


def test_usage_records_have_pages_days_and_categories(server: TwilioServer, client: Client, clock: Clock) -> None:
    send(client)
    server.wait()
    clock.now = NOON + timedelta(days=9)
    records = client.usage.records.daily.list(
        category="sms-outbound", start_date=date(2026, 11, 20), end_date=date(2026, 11, 24), page_size=2
    )

    assert [(str(record.start_date), record.price) for record in records] == [
        ("2026-11-24", Decimal(0)),
        ("2026-11-23", Decimal(0)),
        ("2026-11-22", Decimal("0.0083")),
        ("2026-11-21", Decimal(0)),
        ("2026-11-20", Decimal(0)),
    ]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"to": ""}, 21604),
        ({"to": "tomorrow"}, 21211),
        ({"to": "+15005550001"}, 21211),
        ({"to": "+15005550002"}, 21612),
        ({"to": "+15005550003"}, 21408),
        ({"to": "+15005550004"}, 21610),
        ({"to": "+15005550009"}, 21614),
        ({"from_": None}, 21603),
        ({"from_": "+15005550001"}, 21212),
        ({"from_": "+15005550007"}, 21606),
        ({"from_": "+15005550008"}, 21611),
        ({"from_": "?"}, 21212),
        ({"to": OURS}, 21266),
        ({"body": None}, 21602),
        ({"body": "x" * 1601}, 21617),
        ({"media_url": ["ftp://pictures.example/1.jpg"]}, 21620),
        ({"media_url": ["https://pictures.example/1.jpg"] * 11}, 21623),
        ({"status_callback": "/sms/callback"}, 21609),
        ({"status_callback": "http://under_score.example/"}, 21609),
        ({"status_callback": "http://127.0.0.1:http/"}, 21609),
        ({"status_callback": "http://127.0.0.1/sms callback"}, 21609),
        ({"status_callback": "http://127.0.0.1/sms/über"}, 21609),
        ({"messaging_service_sid": "MGshort"}, 21701),
        ({"messaging_service_sid": SERVICE, "schedule_type": "fixed"}, 35114),
        ({"messaging_service_sid": SERVICE, "schedule_type": "fixed", "send_at": NOON + timedelta(minutes=14)}, 35114),
        ({"messaging_service_sid": SERVICE, "schedule_type": "fixed", "send_at": NOON + timedelta(days=36)}, 35114),
    ],
)
def test_a_bad_request_is_refused_with_twilios_own_code_and_sends_nothing(
    server: TwilioServer, client: Client, fields: dict[str, Any], code: int
) -> None:
    assert refused(client, **fields) == (400, code)
    assert server.messages == []


@pytest.mark.parametrize("sender", ["+15005550006", "24680", "Harbor"])
def test_the_magic_sender_short_codes_and_names_may_send(client: Client, sender: str) -> None:
    assert send(client, from_=sender).from_ == sender


def test_a_scheduled_message_goes_out_when_its_time_has_come_unless_it_was_canceled(
    server: TwilioServer, client: Client, clock: Clock
) -> None:
    schedule = {"messaging_service_sid": SERVICE, "schedule_type": "fixed", "send_at": NOON + timedelta(hours=1)}
    kept, canceled = send(client, **schedule), send(client, **schedule)
    client.messages(canceled.sid).update(status="canceled")
    assert server.send_due() == []
    clock.now = NOON + timedelta(hours=1)
    assert server.send_due() == [kept.sid]
    server.wait()

    read = [client.messages(m.sid).fetch() for m in (kept, canceled)]
    assert kept.status == "scheduled"
    assert [(m.status, m.price) for m in read] == [("delivered", "-0.00830"), ("canceled", None)]
    with pytest.raises(TwilioRestException, match="not in a cancelable state"):
        client.messages(kept.sid).update(status="canceled")


def test_a_schedule_without_a_messaging_service_is_dropped_as_twilio_does(client: Client) -> None:
    assert send(client, schedule_type="fixed", send_at=NOON + timedelta(hours=1)).status == "queued"


def test_a_body_can_be_emptied_and_a_message_deleted(server: TwilioServer, client: Client) -> None:
    sid = send(client).sid
    server.wait()
    assert client.messages(sid).update(body="").body == ""
    assert client.messages(sid).delete()
    with pytest.raises(TwilioRestException) as caught:
        client.messages(sid).fetch()
    assert (caught.value.status, caught.value.code) == (404, 20404)


def test_a_wrong_key_gets_401_with_20003_before_anything_else(server: TwilioServer) -> None:
    for credentials in ({"password": "wrong"}, {"username": "AC" + "f" * 32}):
        with sdk(server, **credentials) as client, pytest.raises(TwilioRestException) as caught:
            client.messages("SM" + "0" * 32).fetch()
        assert (caught.value.status, caught.value.code) == (401, 20003)


def test_an_api_key_and_a_sub_account_sign_in_too(clock: Clock) -> None:
    sub, key = "AC" + "b" * 32, ("SK" + "c" * 32, "key-secret")
    with TwilioServer(subaccounts={sub: "sub-token"}, api_key=key, clock=clock) as server:
        with sdk(server, username=key[0], password=key[1], account_sid=server.account_sid) as client:
            main = send(client)
        with sdk(server, username=sub, password="sub-token") as client:  # noqa: S106 - a secret of the stand-in
            own = send(client)
            assert [m.sid for m in client.messages.list(limit=9)] == [own.sid]
        with sdk(server, username=sub, password="sub-token", account_sid=server.account_sid) as client:  # noqa: S106 - as above
            assert refused(client) == (401, 20003)
        with sdk(server, account_sid=sub) as client:
            assert client.messages(own.sid).fetch().account_sid == sub

    assert (main.account_sid, own.account_sid) == (server.account_sid, sub)


def test_an_unknown_address_is_404(server: TwilioServer) -> None:
    answer = requests.get(
        f"{server.base_url}/2010-04-01/Accounts/{server.account_sid}/Calls.json",
        auth=(server.account_sid, server.auth_token),
        timeout=10,
    )
    assert (answer.status_code, answer.json()["code"]) == (404, 20404)


def test_too_many_requests_say_when_to_come_back(server: TwilioServer) -> None:
    server.fail(Fault(status=429, retry_after_s=7), Fault(status=429, retry_after_s=None))
    url = f"{server.base_url}/2010-04-01/Accounts/{server.account_sid}/Messages.json"
    answers = [requests.get(url, auth=(server.account_sid, server.auth_token), timeout=10) for _ in range(3)]

    assert [(a.status_code, a.headers.get("retry-after")) for a in answers] == [(429, "7"), (429, None), (200, None)]
    assert answers[0].json()["code"] == 20429


def test_a_fault_meets_only_the_operation_it_is_for(server: TwilioServer, client: Client) -> None:
    server.fail(Fault(on="fetch", status=503))
    sid = send(client).sid
    with pytest.raises(TwilioRestException) as caught:
        client.messages(sid).fetch()

    assert (caught.value.status, caught.value.code) == (503, 20503)
    assert client.messages(sid).fetch().sid == sid


@pytest.mark.parametrize(("applied", "made"), [(False, 0), (True, 1)])
def test_a_create_may_end_without_an_answer_before_or_after_it_was_carried_out(
    server: TwilioServer, client: Client, made: int, *, applied: bool
) -> None:
    server.fail(Fault(on="create", dropped=True, applied=applied))
    with pytest.raises(requests.ConnectionError):
        send(client)

    assert len(server.messages) == made
    assert [(call.method, call.status) for call in server.calls] == [("POST", None)]


def test_a_create_may_fail_with_500_though_the_message_goes_out(server: TwilioServer, client: Client) -> None:
    server.fail(Fault(on="create", status=500, applied=True))
    with pytest.raises(TwilioRestException) as caught:
        send(client)
    server.wait()

    assert (caught.value.status, caught.value.code) == (500, 20500)
    assert [message.status for message in server.messages] == ["delivered"]


def test_an_answer_may_come_too_late_for_the_client(server: TwilioServer, client: Client) -> None:
    server.fail(Fault(on="create", delay_s=0.5))
    client.http_client.timeout = 0.1
    with pytest.raises(requests.Timeout):
        send(client)

    assert len(server.messages) == 1


def test_a_slow_answer_still_comes(server: TwilioServer, client: Client) -> None:
    server.fail(Fault(on="create", delay_s=0.1))
    began = time.monotonic()

    assert send(client).sid == server.messages[0].sid
    assert time.monotonic() - began >= 0.1


def test_a_test_that_asks_for_the_impossible_is_told(server: TwilioServer) -> None:
    for broken in (
        lambda: Fate(statuses=("flying",)),
        lambda: Fate(price="free"),
        lambda: Tariff(sms_outbound="0.000001"),
        lambda: Tariff(carrier_fee="-1"),
        lambda: server.advance("SM" + "0" * 32, "sent"),
        lambda: server.reprice("SM" + "0" * 32, "-1"),
        lambda: server.callback("SM" + "0" * 32),
        lambda: server.receive(from_=PHONE, to=OURS),
    ):
        with pytest.raises(InvalidValue):
            broken()


@pytest.mark.parametrize(
    "resource", ["Messages.json?PageSize=many", "Messages.json?DateSent=soon", "Usage/Records/Daily.json?StartDate=x"]
)
def test_bad_paging_and_dates_are_refused(server: TwilioServer, client: Client, resource: str) -> None:
    send(client)
    server.wait()
    url = f"{server.base_url}/2010-04-01/Accounts/{server.account_sid}/{resource}"

    assert requests.get(url, auth=(server.account_sid, server.auth_token), timeout=10).status_code == 400
