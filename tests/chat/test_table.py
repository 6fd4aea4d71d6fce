"""The chat table: what is saved stands there once, what is read is what was said, whoever wrote it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from costtrace.chat import ChatMessage, ChatMessages
from costtrace.errors import InvalidValue, LedgerUnavailable, LedgerUnusable
from tests.chat.conftest import TABLE, ticking
from tests.factories import NOW
from tests.peers.fault_proxy import Fault, FaultProxy

FIRST = "2026-01-20T09:30:00.000000Z"


def said(text: str = "Hello", **changes: Any) -> ChatMessage:
    known: dict[str, Any] = {
        "thread_id": "t1",
        "timestamp": FIRST,
        "message_uuid": str(uuid.uuid5(uuid.NAMESPACE_URL, text)),
        "role": "user",
        "content": text,
        "channel": "web",
    }
    return ChatMessage(**{**known, **changes})


def later(micros: int) -> str:
    return f"2026-01-20T09:30:00.{micros:06d}Z"


def all_rows(client: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = client.scan(TableName=TABLE)["Items"]
    return items


def test_a_saved_message_is_a_row_of_the_old_shape(chat: ChatMessages, client: Any) -> None:
    message = chat.new(thread_id="t1", role="user", content="Hello", channel="web", message_uuid="m1")
    assert chat.save(message) == message
    assert all_rows(client) == [
        {
            "threadId": {"S": "t1"},
            "timestamp": {"S": FIRST},
            "messageId": {"S": "m1"},
            "role": {"S": "user"},
            "content": {"S": "Hello"},
            "channel": {"S": "web"},
            "costs": {"M": {}},
        }
    ]


def test_a_message_gets_an_id_of_its_own(chat: ChatMessages) -> None:
    first, second = (chat.new(thread_id="t1", role="user", content="Hi") for _ in range(2))
    assert first.message_uuid != second.message_uuid
    assert first.timestamp < second.timestamp


def test_neither_words_nor_thread_stand_in_texts(chat: ChatMessages) -> None:
    message = chat.new(thread_id="+14155550100", role="user", content="my secret", channel="sms")
    assert "secret" not in repr(message)
    assert "4155550100" not in repr(message)


def test_saving_again_changes_nothing(chat: ChatMessages, client: Any) -> None:
    message = said()
    assert [chat.save(message) for _ in range(3)] == [message] * 3
    assert len(all_rows(client)) == 1


def test_saving_again_leaves_costs_alone(chat: ChatMessages, old_reader: Any) -> None:
    message = said()
    chat.save(message)
    old_reader.update_item(
        Key={"threadId": "t1", "timestamp": FIRST},
        UpdateExpression="SET costs.gpt = :gpt",
        ExpressionAttributeValues={":gpt": {"model": "gpt-4o", "costUsd": Decimal("0.003125")}},
    )
    assert chat.save(message).costs == {"gpt": {"model": "gpt-4o", "costUsd": Decimal("0.003125")}}


def test_messages_of_one_microsecond_stand_side_by_side(chat: ChatMessages) -> None:
    saved = [chat.save(said(f"message {number}")) for number in range(17)]
    assert [message.timestamp for message in saved] == [later(number) for number in range(17)]
    assert [chat.save(said(f"message {number}")) for number in range(17)] == saved
    with pytest.raises(InvalidValue, match="fewer than 17 messages"):
        chat.save(said("one too many"))


def test_a_message_that_was_moved_is_found_again_where_it_stands(chat: ChatMessages, client: Any) -> None:
    """Also when what it was moved behind has gone in the meantime, in part."""
    for number in range(3):
        chat.save(said(f"message {number}"))
    moved = chat.save(said("moved"))
    assert moved.timestamp == later(3)
    client.delete_item(TableName=TABLE, Key={"threadId": {"S": "t1"}, "timestamp": {"S": later(1)}})
    assert chat.save(said("moved")) == moved


def test_threads_that_save_at_once_lose_and_double_nothing(chat: ChatMessages, client: Any) -> None:
    messages = [said(f"message {number % 12}") for number in range(36)]
    with ThreadPoolExecutor(12) as pool:
        saved = list(pool.map(chat.save, messages))
    assert len(all_rows(client)) == 12
    assert len({message.timestamp for message in saved}) == 12


@pytest.mark.parametrize("fault", [Fault.DROP_AFTER, Fault.DROP_BEFORE, Fault.THROTTLE, Fault.ERROR])
def test_a_save_that_is_repeated_by_the_client_is_one_row(
    faulty: ChatMessages, fault_proxy: FaultProxy, client: Any, fault: Fault
) -> None:
    fault_proxy.script(fault)
    assert faulty.save(said()) == said()
    assert len(all_rows(client)) == 1


def test_a_lost_answer_to_a_save_that_was_moved_is_one_row(
    faulty: ChatMessages, fault_proxy: FaultProxy, client: Any
) -> None:
    faulty.save(said("there first"))
    fault_proxy.script(Fault.PASS, Fault.PASS, Fault.DROP_AFTER)
    assert faulty.save(said()).timestamp == later(1)
    assert faulty.save(said()).timestamp == later(1)
    assert len(all_rows(client)) == 2


def test_a_save_that_never_gets_through_says_so(faulty: ChatMessages, fault_proxy: FaultProxy, client: Any) -> None:
    fault_proxy.always(Fault.THROTTLE)
    with pytest.raises(LedgerUnavailable, match=r"table 'chat-messages'.* PutItem was put off"):
        faulty.save(said())
    assert all_rows(client) == []
    fault_proxy.heal()
    assert faulty.save(said()) == said()


def test_a_table_that_is_missing_is_named(client: Any) -> None:
    with pytest.raises(LedgerUnusable, match="DynamoDB table 'no-such' in eu-central-1: there is no such table"):
        ChatMessages(client, table="no-such").save(said())


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"message_uuid": None}, "message_uuid"),
        ({"timestamp": "2026-01-20T09:30:00Z"}, "timestamp"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"costs": {"gpt": {"costUsd": 0.003125}}}, "costs.gpt.costUsd"),
        ({"costs": {"gpt": {"costUsd": Decimal("NaN")}}}, "costs.gpt.costUsd"),
        ({"costs": {"gpt": {"costUsd": Decimal("1." + "1" * 38)}}}, "costs.gpt.costUsd"),
    ],
)
def test_what_cannot_be_saved_is_refused_before_any_request(
    faulty: ChatMessages, fault_proxy: FaultProxy, change: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidValue) as refused:
        faulty.save(said(**change))
    assert refused.value.field == field
    assert fault_proxy.seen == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"content": [{"type": "text", "text": "my secret"}]}, "content"),
        ({"content": "my secret \ud83d"}, "content"),
        ({"content": b"my secret"}, "content"),
        ({"role": 5}, "role"),
    ],
)
def test_what_is_no_text_is_refused_and_not_quoted(
    faulty: ChatMessages, fault_proxy: FaultProxy, change: dict[str, Any], field: str
) -> None:
    """Chat models answer in blocks now and then."""
    with pytest.raises(InvalidValue) as refused:
        faulty.save(said(**change))
    assert refused.value.field == field
    assert "secret" not in str(refused.value)
    assert fault_proxy.seen == []


@pytest.mark.parametrize("changes", [{"thread_id": ""}, {"message_uuid": ""}])
def test_a_message_without_a_place_is_refused(chat: ChatMessages, changes: dict[str, str]) -> None:
    with pytest.raises(InvalidValue):
        chat.new(**{"thread_id": "t1", "role": "user", "content": "Hi", **changes})


def test_history_is_the_newest_messages_oldest_first(chat: ChatMessages) -> None:
    saved = [chat.save(chat.new(thread_id="t1", role="user", content=f"message {n}")) for n in range(25)]
    chat.save(chat.new(thread_id="another", role="user", content="elsewhere"))
    assert chat.history("t1", limit=10) == saved[15:]
    assert chat.history("t1", limit=10, before=saved[15].timestamp) == saved[5:15]
    assert chat.history("t1", limit=10, before=saved[5].timestamp) == saved[:5]
    assert chat.history("t1", limit=100) == saved
    assert chat.history("nobody") == []
    with pytest.raises(InvalidValue):
        chat.history("t1", limit=0)


def test_history_of_long_messages_comes_in_pages(chat: ChatMessages) -> None:
    """DynamoDB answers at most one megabyte at a time."""
    saved = [chat.save(chat.new(thread_id="t1", role="user", content=f"{n:03d}" * 50_000)) for n in range(10)]
    assert chat.history("t1") == saved


def test_rows_of_an_earlier_system_are_read_as_they_are(chat: ChatMessages, client: Any) -> None:
    rows: list[dict[str, Any]] = [
        {"timestamp": {"S": "1768900000"}, "role": {"S": "user"}, "content": {"S": "seconds"}},
        {"timestamp": {"S": "2026-01-20 09:00:00"}, "content": {"S": "no role"}, "costs": {"NULL": True}},
        {
            "timestamp": {"S": "2026-01-20T09:10:00.123456+00:00"},
            "messageId": {"S": "old"},
            "role": {"S": "assistant"},
            "content": {"L": [{"M": {"type": {"S": "text"}, "text": {"S": "blocks"}}}]},
            "channel": {"S": "sms"},
            "costs": {"M": {"gpt": {"M": {"costUsd": {"N": "0.00031249999999999995"}}}}},
        },
    ]
    for row in rows:
        client.put_item(TableName=TABLE, Item={"threadId": {"S": "t1"}, **row})
    assert chat.history("t1") == [
        ChatMessage(thread_id="t1", timestamp="1768900000", role="user", content="seconds"),
        ChatMessage(thread_id="t1", timestamp="2026-01-20 09:00:00", content="no role"),
        ChatMessage(
            thread_id="t1",
            timestamp="2026-01-20T09:10:00.123456+00:00",
            message_uuid="old",
            role="assistant",
            content='[{"type":"text","text":"blocks"}]',
            channel="sms",
            costs={"gpt": {"costUsd": Decimal("0.00031249999999999995")}},
        ),
    ]


def test_a_row_of_costs_without_a_message_is_no_history(chat: ChatMessages, old_reader: Any) -> None:
    """What an unguarded update of the earlier system leaves behind when the message is not there."""
    old_reader.update_item(
        Key={"threadId": "t1", "timestamp": "2026-01-20T09:00:00"},
        UpdateExpression="SET costs = :costs",
        ExpressionAttributeValues={":costs": {"gpt": {"costUsd": Decimal("0.1")}}},
    )
    saved = chat.save(said())
    assert chat.history("t1", limit=1) == [saved]
    assert chat.history("t1") == [saved]


def test_a_message_is_found_by_its_uuid(chat: ChatMessages) -> None:
    saved = chat.save(said())
    assert chat.by_uuid(str(saved.message_uuid)) == saved


def test_of_two_rows_of_one_message_the_older_one_is_the_message(chat: ChatMessages, client: Any) -> None:
    for timestamp in ("2026-01-20T09:30:02Z", "2026-01-20T09:30:01Z"):
        client.put_item(
            TableName=TABLE,
            Item={"threadId": {"S": "t1"}, "timestamp": {"S": timestamp}, "messageId": {"S": "twice"}},
        )
    found = chat.by_uuid("twice")
    assert found is not None
    assert found.timestamp == "2026-01-20T09:30:01Z"


class Slept:
    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


@pytest.fixture
def impatient(faulty: ChatMessages) -> Callable[[Slept], ChatMessages]:
    return lambda slept: ChatMessages(faulty._rows._client, clock=ticking(NOW), sleep=slept)


def test_an_index_that_lags_is_asked_again(
    impatient: Callable[[Slept], ChatMessages], fault_proxy: FaultProxy, chat: ChatMessages
) -> None:
    saved, slept = chat.save(said()), Slept()
    fault_proxy.script(Fault.EMPTY, Fault.EMPTY)
    assert impatient(slept).by_uuid(str(saved.message_uuid)) == saved
    assert slept.seconds == [0.05, 0.15]


def test_an_index_that_never_knows_is_not_waited_for_long(
    impatient: Callable[[Slept], ChatMessages], fault_proxy: FaultProxy, chat: ChatMessages
) -> None:
    saved, slept = chat.save(said()), Slept()
    fault_proxy.plan = lambda request: Fault.EMPTY if b"IndexName" in request.body else Fault.PASS
    assert impatient(slept).by_uuid(str(saved.message_uuid)) is None
    assert sum(slept.seconds) == pytest.approx(0.6)


def test_with_the_conversation_known_no_index_is_waited_for(
    impatient: Callable[[Slept], ChatMessages], fault_proxy: FaultProxy, chat: ChatMessages
) -> None:
    for number in range(5):
        chat.save(said(f"message {number}"))
    saved, slept = chat.save(said("the one")), Slept()
    fault_proxy.plan = lambda request: Fault.EMPTY if b"IndexName" in request.body else Fault.PASS
    found = impatient(slept).by_uuid(str(saved.message_uuid), thread_id="t1")
    assert (found, slept.seconds) == (saved, [])
    assert impatient(slept).by_uuid("nobody", thread_id="t1") is None
    assert slept.seconds == []


def test_what_the_index_still_has_and_the_table_has_not_is_not_there(
    impatient: Callable[[Slept], ChatMessages], fault_proxy: FaultProxy, chat: ChatMessages, client: Any
) -> None:
    saved = chat.save(replace(said(), message_uuid="gone"))
    key = {"threadId": {"S": saved.thread_id}, "timestamp": {"S": saved.timestamp}}

    def plan(request: Any) -> Fault:
        """The row goes away when the index has named it."""
        if request.headers["x-amz-target"].endswith("GetItem"):
            client.delete_item(TableName=TABLE, Key=key)
        return Fault.PASS

    fault_proxy.plan = plan
    assert impatient(Slept()).by_uuid("gone") is None
    assert "GetItem" in fault_proxy.seen
