"""The Twilio stand-in against Twilio's own OpenAPI description: Prism stands between it and the real SDK.

`prism proxy --errors` refuses a request or an answer that breaks the description. The description is not part of this
project: TWILIO_OPENAPI names `twilio_api_v2010.json`. It is used as published but for two things its own examples
contradict: the addresses of pages are relative there, and a usage record's price is text. And Prism wants the default
encoding of arrays in a form spelled out.
"""

import json
import os
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from costtrace.sandbox.loopback import LoopbackServer, Request, Response
from costtrace.sandbox.twilio import Fate, Tariff, TwilioServer
from tests.integrations.twilio.node import free_port, installed, running
from tests.sandbox.twilio_app import OURS, PHONE, SERVICE, sdk

PRISM = "5.16.0"
PROJECT = Path(__file__).parents[3]
ACCOUNT = "/2010-04-01/Accounts/{AccountSid}"
PATHS = ("Messages.json", "Messages/{Sid}.json", "Usage/Records.json", "Usage/Records/Daily.json")
PAGE_ADDRESSES = ("first_page_uri", "next_page_uri", "previous_page_uri", "uri")


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Path:
    published = Path(os.environ.get("TWILIO_OPENAPI", PROJECT / "../shared/data/twilio_api_v2010.json"))
    if not published.is_file():
        pytest.skip(f"there is no description of Twilio's API: TWILIO_OPENAPI is {published}")
    description = json.loads(published.read_text(encoding="utf-8"))
    description["paths"] = {f"{ACCOUNT}/{path}": description["paths"][f"{ACCOUNT}/{path}"] for path in PATHS}
    corrected(description)
    copy = tmp_path_factory.mktemp("prism") / "twilio.json"
    copy.write_text(json.dumps(description), encoding="utf-8")
    return copy


def corrected(description: dict[str, Any]) -> None:
    form = description["paths"][f"{ACCOUNT}/Messages.json"]["post"]["requestBody"]["content"]
    form["application/x-www-form-urlencoded"]["encoding"] = {"MediaUrl": {"style": "form", "explode": True}}
    for path in description["paths"].values():
        whole = path["get"]["responses"]["200"]["content"]["application/json"]["schema"].get("properties", {})
        for name in PAGE_ADDRESSES:
            if name in whole:
                whole[name]["format"] = "uri-reference"
    for name, schema in description["components"]["schemas"].items():
        if name.startswith("api.v2010.account.usage.usage_record"):
            schema["properties"]["price"]["type"] = "string"


@pytest.fixture(scope="module")
def prism(described: Path) -> Iterator[tuple[TwilioServer, str]]:
    """The stand-in, and the address of the proxy before it."""
    script = installed("@stoplight/prism-cli", PRISM) / "dist" / "index.js"
    port = free_port()
    with TwilioServer(tariff=Tariff(carrier_fee="0.003")) as server:
        arguments = ["proxy", "--errors", "--host", "127.0.0.1", "--port", str(port), str(described), server.base_url]
        with running(script, arguments, port=port) as address:
            yield server, address


@pytest.fixture
def server(prism: tuple[TwilioServer, str]) -> TwilioServer:
    return prism[0]


@pytest.fixture
def client(prism: tuple[TwilioServer, str]) -> Iterator[Client]:
    with sdk(prism[0], base_url=prism[1]) as connected:
        yield connected


def send(client: Client, **fields: Any) -> Any:
    return client.messages.create(**{"to": PHONE, "from_": OURS, "body": "On its way.", **fields})


def test_created_and_fetched_messages_are_as_described(server: TwilioServer, client: Client) -> None:
    server.script(Fate(null_reads=1), Fate(statuses=("sent", "undelivered"), error_code=30005), Fate())
    sids = [
        send(client).sid,
        send(client, from_=None, messaging_service_sid=SERVICE).sid,
        send(client, media_url=["https://media.example/1.jpg"]).sid,
    ]
    server.wait()

    assert client.messages(sids[0]).fetch().price is None
    assert [client.messages(sid).fetch().price for sid in sids] == ["-0.00830", "-0.00830", "-0.02200"]
    assert client.messages(sids[1]).fetch().error_code == 30005


def test_lists_are_as_described_over_all_pages_and_filters(server: TwilioServer, client: Client) -> None:
    inbound = server.receive(from_=PHONE, to=OURS, body="Where is my parcel?", lost=True).sid
    for _ in range(4):
        send(client)
    server.wait()

    found = client.messages.list(date_sent_after=datetime(2020, 1, 1, tzinfo=UTC), to=OURS, page_size=2)
    assert [message.sid for message in found] == [inbound]
    assert len(client.messages.list(page_size=2)) == len(server.messages)


def test_usage_records_are_as_described(server: TwilioServer, client: Client) -> None:
    send(client)
    server.wait()
    today = datetime.now(UTC).date()
    records = client.usage.records.daily.list(category="sms-outbound", start_date=date(today.year, today.month, 1))
    whole = client.usage.records.list(category="sms-messages-carrierfees", limit=5)

    owed = sum((m.charge or 0 for m in server.messages if m.kind == "sms" and m.direction != "inbound"), Decimal(0))
    assert sum(record.price for record in records) == owed > 0
    assert whole[0].price > 0


def test_a_canceled_and_a_deleted_message_are_as_described(server: TwilioServer, client: Client) -> None:
    sid = send(client).sid
    server.wait()
    assert client.messages(sid).update(body="").body == ""
    assert client.messages(sid).delete()


def test_the_proxy_does_refuse_what_is_not_described(client: Client, described: Path) -> None:
    """The other tests of this file prove something only because of this."""
    with pytest.raises(TwilioRestException) as caught:
        client.messages("SM-none").fetch()
    assert caught.value.status == 422

    async def broken(_: Request) -> Response:
        return Response(status=200, body=b'{"price": -0.0075}', headers={"content-type": "application/json"})

    upstream = LoopbackServer(broken, name="broken stand-in")
    upstream.start()
    port = free_port()
    arguments = ["proxy", "--errors", "--host", "127.0.0.1", "--port", str(port), str(described), upstream.address]
    script = installed("@stoplight/prism-cli", PRISM) / "dist" / "index.js"
    try:
        with running(script, arguments, port=port) as address:
            answer = requests.get(
                f"{address}{ACCOUNT.format(AccountSid='AC' + '0' * 32)}/Messages/SM{'0' * 32}.json",
                auth=("AC", "token"),
                timeout=30,
            )
    finally:
        upstream.stop()
    assert answer.status_code == 500
    assert "price" in answer.text
