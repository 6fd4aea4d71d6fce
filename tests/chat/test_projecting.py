"""The cost of a message in its row of the chat table: up to date in the end, whatever came first, and nothing else."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from costtrace.chat import ChatMessage, ChatMessages
from costtrace.context import Context
from costtrace.entry import Entry
from costtrace.errors import InvalidValue, LedgerUnavailable
from costtrace.ledger.dynamodb.tables import create_tables
from costtrace.messages import fold
from costtrace.money import Money
from costtrace.twilio.legs import legs
from tests.chat.conftest import TABLE
from tests.factories import MESSAGE, make_entry
from tests.peers.emulator import Account
from tests.peers.fault_proxy import Fault, FaultProxy
from tests.twilio.sms_entries import bound, later, leg, price, sent, status

GPT = {
    "model": "gpt-4o",
    "inputTokens": Decimal(450),
    "outputTokens": Decimal(200),
    "totalTokens": Decimal(650),
    "costUsd": Decimal("0.003125"),
    "timestamp": "2026-01-20T09:30:01.005000Z",
    "projectionVersion": Decimal(1),
}
"""One call of gpt-4o: 450 x 2.5 + 200 x 10 per million."""
KEY = {"threadId": "t1", "timestamp": "2026-01-20T09:00:00"}


def sms(*words: str) -> list[Entry]:
    return [sent(), bound(), *(status(word, 5 + place) for place, word in enumerate(words))]


def with_price(entries: Sequence[Entry], raw: str = "-0.00750") -> list[Entry]:
    own = [entry for entry in entries if entry.kind.startswith("sms")]
    return [*entries, *price(leg(own), raw)]


@pytest.fixture
def row(chat: ChatMessages) -> ChatMessage:
    """The assistant's answer, saved."""
    return chat.save(chat.new(thread_id="t1", role="assistant", content="Hi", channel="sms", message_uuid=MESSAGE))


def costs(chat: ChatMessages) -> dict[str, Any]:
    found = chat.by_uuid(MESSAGE)
    assert found is not None
    return dict(found.costs)


def test_both_costs_stand_beside_the_message(chat: ChatMessages, row: ChatMessage) -> None:
    assert chat.project(fold([make_entry(1), *with_price(sms("delivered"))]))
    assert chat.by_uuid(MESSAGE) == replace(
        row,
        costs={
            "gpt": GPT,
            "twilio": {
                "messageSid": "SM" + "1" * 32,
                "price": "-0.00750",
                "priceUnit": "USD",
                "status": "delivered",
                "timestamp": "2026-11-22T12:01:00.000000Z",
                "projectionVersion": Decimal(4),
            },
        },
    )


def test_an_index_of_keys_alone_is_enough(aws: Account) -> None:
    """As new tables have it: an index with everything in it is written with every change."""
    client = aws.client()
    create_tables(client, ledger=None, messages=TABLE)
    chat = ChatMessages(client)
    saved = chat.save(chat.new(thread_id="t1", role="assistant", content="Hi", message_uuid=MESSAGE))
    assert chat.by_uuid(MESSAGE) == saved
    assert chat.project(fold([make_entry(1)]))
    assert costs(chat) == {"gpt": GPT}
    client.close()


def test_a_message_that_the_table_does_not_have_changes_nothing(chat: ChatMessages, client: Any) -> None:
    assert not chat.project(fold([make_entry(1)]))
    assert not chat.project(fold([make_entry(1, context=Context())]))
    assert client.scan(TableName=TABLE)["Items"] == []


def test_who_projects_again_anyway_does_not_wait_for_the_index(client: Any) -> None:
    slept: list[float] = []
    chat = ChatMessages(client, sleep=slept.append)
    message = fold([make_entry(1, context=Context())])
    assert not chat.project(message, wait=False)
    assert slept == []
    assert not chat.project(message)
    assert sum(slept) == pytest.approx(0.6)


def test_a_row_that_goes_away_meanwhile_is_not_made_again(
    faulty: ChatMessages, fault_proxy: FaultProxy, row: ChatMessage, client: Any
) -> None:
    """Nor does the row of another message that took its place get the cost."""
    key = {"threadId": {"S": row.thread_id}, "timestamp": {"S": row.timestamp}}

    def plan(request: Any) -> Fault:
        if request.headers["x-amz-target"].endswith("UpdateItem"):
            client.put_item(TableName=TABLE, Item={**key, "messageId": {"S": "another"}}) if taken else (
                client.delete_item(TableName=TABLE, Key=key)
            )
        return Fault.PASS

    fault_proxy.plan = plan
    taken = True
    assert not faulty.project(fold([make_entry(1)]), row=row)
    taken = False
    client.put_item(TableName=TABLE, Item={**key, "messageId": {"S": MESSAGE}})
    assert not faulty.project(fold([make_entry(1)]), row=row)
    assert client.scan(TableName=TABLE)["Items"] == []


def test_a_row_that_others_change_all_the_time_is_given_up_for_now(
    faulty: ChatMessages, fault_proxy: FaultProxy, row: ChatMessage, client: Any
) -> None:
    key = {"threadId": {"S": row.thread_id}, "timestamp": {"S": row.timestamp}}
    turns = itertools.count()

    def plan(request: Any) -> Fault:
        if request.headers["x-amz-target"].endswith("UpdateItem"):
            standing: dict[str, Any] = {} if next(turns) % 2 else {"gpt": {"M": {}}}
            client.put_item(TableName=TABLE, Item={**key, "messageId": {"S": MESSAGE}, "costs": {"M": standing}})
        return Fault.PASS

    fault_proxy.plan = plan
    with pytest.raises(LedgerUnavailable, match="are being changed by others"):
        faulty.project(fold([make_entry(1)]), row=row)
    fault_proxy.heal()
    assert faulty.project(fold([make_entry(1)]), row=row)


def test_a_late_status_does_not_erase_the_price(chat: ChatMessages, row: ChatMessage) -> None:
    late, full = fold(sms("sent")), fold(with_price(sms("sent", "delivered")))
    assert chat.project(full, row=row)
    before = costs(chat)
    assert chat.project(late, row=row)
    assert costs(chat) == before
    assert before["twilio"]["price"] == "-0.00750"


@pytest.mark.parametrize("version", ["1", None, True, [Decimal(9)]])
def test_a_version_that_is_no_number_stands_in_nobodys_way(
    chat: ChatMessages, row: ChatMessage, old_reader: Any, version: Any
) -> None:
    old_reader.update_item(
        Key={"threadId": row.thread_id, "timestamp": row.timestamp},
        UpdateExpression="SET costs.gpt = :gpt",
        ExpressionAttributeValues={":gpt": {"projectionVersion": version, "note": "kept"}},
    )
    assert chat.project(fold([make_entry(1)]), row=row)
    assert costs(chat)["gpt"] == {**GPT, "note": "kept"}


def test_a_sum_that_is_no_longer_whole_is_taken_back(chat: ChatMessages, row: ChatMessage) -> None:
    unpriced = make_entry(2, quote=None, cost=None, estimate=Money("0.001"))
    assert chat.project(fold([make_entry(1)]), row=row)
    assert chat.project(fold([make_entry(1), unpriced]), row=row)
    assert "costUsd" not in costs(chat)["gpt"]
    assert costs(chat)["gpt"]["inputTokens"] == 900


def test_the_same_again_writes_nothing(faulty: ChatMessages, fault_proxy: FaultProxy, row: ChatMessage) -> None:
    message = fold([make_entry(1), *sms("sent")])
    assert faulty.project(message, row=row)
    assert faulty.project(message, row=row)
    assert fault_proxy.seen == ["GetItem", "UpdateItem", "UpdateItem", "GetItem"]
    assert faulty.write_units > 0


@pytest.mark.parametrize("standing", [None, {"NULL": True}, {"M": {"gpt": {"NULL": True}}}])
def test_rows_without_costs_get_them(chat: ChatMessages, client: Any, standing: dict[str, Any] | None) -> None:
    item = {"threadId": {"S": "t1"}, "timestamp": {"S": KEY["timestamp"]}, "messageId": {"S": MESSAGE}}
    client.put_item(TableName=TABLE, Item=item if standing is None else {**item, "costs": standing})
    assert chat.project(fold([make_entry(1), *sms("sent")]))
    assert costs(chat)["gpt"] == GPT
    assert costs(chat)["twilio"]["status"] == "sent"


@pytest.mark.parametrize(("standing", "field"), [({"S": "{}"}, "costs"), ({"M": {"gpt": {"N": "0.1"}}}, "costs.gpt")])
def test_what_is_no_map_is_not_overwritten(
    chat: ChatMessages, client: Any, standing: dict[str, Any], field: str
) -> None:
    item = {"threadId": {"S": "t1"}, "timestamp": {"S": KEY["timestamp"]}, "messageId": {"S": MESSAGE}}
    client.put_item(TableName=TABLE, Item={**item, "costs": standing})
    with pytest.raises(InvalidValue) as refused:
        chat.project(fold([make_entry(1)]))
    assert refused.value.field == field
    assert client.scan(TableName=TABLE)["Items"] == [{**item, "costs": standing}]


def test_a_sum_that_dynamodb_would_round_is_refused_before_it_is_written(chat: ChatMessages, row: ChatMessage) -> None:
    long = make_entry(1, quote=None, cost=Money("1.00000000000000000000000000000000000001"))
    with pytest.raises(InvalidValue, match=r"costs.gpt.costUsd: .* at most 38 digits"):
        chat.project(fold([long]))
    assert chat.by_uuid(MESSAGE) == row


def test_beside_a_system_that_replaces_the_whole_map(chat: ChatMessages, row: ChatMessage, old_reader: Any) -> None:
    """The earlier system goes on for a while. Where both wrote, the next projection is right again."""
    chat.project(fold([make_entry(1)]), row=row)
    theirs = {"model": "gpt-4o", "costUsd": Decimal("0.0031"), "timestamp": "2026-01-20T09:30:02"}
    old_reader.update_item(
        Key={"threadId": row.thread_id, "timestamp": row.timestamp},
        UpdateExpression="SET costs.gpt = :gpt",
        ExpressionAttributeValues={":gpt": theirs},
    )
    assert costs(chat)["gpt"] == theirs
    assert chat.project(fold([make_entry(1)]), row=row)
    assert costs(chat)["gpt"] == GPT


def test_a_price_that_only_the_earlier_system_knows_stays(chat: ChatMessages, client: Any) -> None:
    item = {"threadId": {"S": "t1"}, "timestamp": {"S": KEY["timestamp"]}, "messageId": {"S": MESSAGE}}
    theirs = {"price": {"S": "-0.00750"}, "priceUnit": {"S": "USD"}, "status": {"S": "sent"}}
    client.put_item(TableName=TABLE, Item={**item, "costs": {"M": {"twilio": {"M": theirs}}}})
    for known in (sms("sent"), sms("sent", "delivered")):
        assert chat.project(fold(known))
    shown = costs(chat)["twilio"]
    assert (shown["price"], shown["status"]) == ("-0.00750", "delivered")


def test_an_old_reader_sees_messages_with_costs_and_nothing_else(
    chat: ChatMessages, row: ChatMessage, old_reader: Any
) -> None:
    from boto3.dynamodb.conditions import Key  # noqa: PLC0415 - the hand-written system's way to ask

    question = chat.save(chat.new(thread_id="t1", role="user", content="Hello?", channel="sms"))
    chat.project(fold([make_entry(1), *with_price(sms("delivered"))]), row=row)
    items = old_reader.query(KeyConditionExpression=Key("threadId").eq("t1"))["Items"]
    assert [(item["messageId"], item["role"], item["content"]) for item in items] == [
        (MESSAGE, "assistant", "Hi"),
        (question.message_uuid, "user", "Hello?"),
    ]
    assert json.loads(json.dumps(items[0]["costs"], default=str))["gpt"]["costUsd"] == "0.003125"
    assert sum(Decimal(item["costs"].get("gpt", {}).get("costUsd", 0)) for item in items) == Decimal("0.003125")
    assert [{**item, "costs": {}} for item in items] == [
        {
            "threadId": "t1",
            "timestamp": message.timestamp,
            "messageId": message.message_uuid,
            "role": message.role,
            "content": message.content,
            "channel": "sms",
            "costs": {},
        }
        for message in (row, question)
    ]


def second_sms_and_another_currency() -> list[Entry]:
    """The only SMS has its price, then there is a second one, then the first one's price is changed to euros."""
    first = with_price(sms("delivered"))
    other = [replace(sent(send_id="b" * 32), occurred_at=later(90)), bound("SM" + "2" * 32, send_id="b" * 32)]
    both = [*first, *other]
    one, two = legs(fold(both))
    return [*both, *price(two, "-0.0075", seconds=100), *price(one, "-0.0071", "EUR", seconds=120)]


LIVES: dict[str, list[Entry]] = {
    "a call that cannot be priced": with_price(
        [
            make_entry(1),
            make_entry(2, quote=None, cost=None, estimate=Money("0.001")),
            *sms("queued", "sent", "delivered"),
        ]
    ),
    "two SMS": second_sms_and_another_currency(),
}
BEFORE: dict[str, Any] = {
    "new": {"costs": {"M": {}}},
    "old": {},
    "written by the earlier system": {
        "costs": {
            "M": {
                "gpt": {"M": {"model": {"S": "gpt-4"}, "costUsd": {"N": "7"}}},
                "twilio": {"M": {"price": {"S": "-0.5"}, "status": {"S": "sent"}}},
            }
        }
    },
}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("life", LIVES)
def test_any_order_and_repetition_of_projections_ends_the_same(
    chat: ChatMessages, client: Any, life: str, before: str, seed: int
) -> None:
    """By four at once, each message up to three times, the whole one at least once."""
    entries = LIVES[life]
    growing = [fold(entries[:count]) for count in range(1, len(entries) + 1)]

    def made(timestamp: str) -> ChatMessage:
        item = {"threadId": {"S": "t1"}, "timestamp": {"S": timestamp}, "messageId": {"S": MESSAGE}}
        client.put_item(TableName=TABLE, Item={**item, **BEFORE[before]})
        return ChatMessage(thread_id="t1", timestamp=timestamp, message_uuid=MESSAGE)

    plain, shuffled = made("2026-01-20T09:00:00"), made("2026-01-20T09:00:01")
    assert chat.project(growing[-1], row=plain)
    random = Random(seed)  # noqa: S311 - an order, not a secret
    work = [message for message in growing for _ in range(random.randint(1, 3))]
    random.shuffle(work)
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda message: chat.project(message, row=shuffled), work))
    first, second = (chat.history("t1")[place].costs for place in (0, 1))
    assert first == second
    assert second["twilio"]["projectionVersion"] == sum(entry.kind.startswith("sms") for entry in entries)


@pytest.mark.parametrize("fault", [Fault.DROP_AFTER, Fault.DROP_BEFORE, Fault.THROTTLE, Fault.ERROR])
def test_a_write_without_an_answer_is_repeated_to_the_same_end(
    faulty: ChatMessages, fault_proxy: FaultProxy, row: ChatMessage, fault: Fault
) -> None:
    fault_proxy.script(Fault.PASS, fault, Fault.PASS, fault)
    assert faulty.project(fold([make_entry(1), *sms("sent")]), row=row)
    assert faulty.project(fold([make_entry(1), *sms("sent", "delivered")]), row=row)
    shown = costs(faulty)
    assert (shown["gpt"], shown["twilio"]["status"]) == (GPT, "delivered")


def test_what_never_gets_through_is_said(faulty: ChatMessages, fault_proxy: FaultProxy, row: ChatMessage) -> None:
    fault_proxy.always(Fault.THROTTLE, {"UpdateItem"})
    with pytest.raises(LedgerUnavailable, match="UpdateItem was put off"):
        faulty.project(fold([make_entry(1)]), row=row)
    fault_proxy.heal()
    assert faulty.project(fold([make_entry(1)]), row=row)


def test_a_row_that_the_index_does_not_have_yet_is_found_in_its_conversation(
    faulty: ChatMessages, fault_proxy: FaultProxy, row: ChatMessage
) -> None:
    fault_proxy.plan = lambda request: Fault.EMPTY if b"IndexName" in request.body else Fault.PASS
    assert row.thread_id == "t1"
    assert faulty.project(fold([make_entry(1, context=Context(thread_id="t1"))]))
    assert [message.costs["gpt"] for message in faulty.history("t1")] == [GPT]
