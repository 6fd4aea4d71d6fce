"""An inbound message opens a message of its own, once; the application replies in the background, inside the reply."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any
from uuid import UUID

import pytest
from starlette.routing import Router

from costtrace.context import MessageScope, current_message
from costtrace.ledger import SqliteLedger
from costtrace.money import Money
from costtrace.recorder import Recorder
from costtrace.twilio.webhooks import InboundMessage
from costtrace.web import SmsWebhooks, create_app
from tests.web.conftest import KEY
from tests.web.parts import PHONE, inbound, running, send, send_all, sid

TWIML = b'<?xml version="1.0" encoding="UTF-8"?><Response/>'
Make = Callable[..., SmsWebhooks]


def only_message(ledger: SqliteLedger) -> str:
    [uuid] = {entry.message_uuid for _, entry in ledger.entries()}
    return uuid


async def test_the_answer_is_empty_twiml_that_sends_nothing(app: Router) -> None:
    answer = await send(app, inbound(1))
    assert (answer.status, answer.body) == (200, TWIML)
    assert answer.headers["content-type"] == "text/xml; charset=utf-8"


async def test_it_opens_a_message_that_is_expected_to_cost(app: Router, ledger: SqliteLedger) -> None:
    await send(app, inbound(1, "Where is my parcel?"))

    message = ledger.message(only_message(ledger))
    [entry] = message.entries
    assert (entry.entry_id, entry.kind, entry.source_id) == (f"sms/{sid(1)}", "sms", sid(1))
    assert (message.context.channel, message.context.direction, message.context.role) == ("sms", "inbound", "user")
    assert entry.estimate == Money("0.0083")  # one segment to a number of the US
    assert entry.cost is None
    assert UUID(message.uuid).version == 5


async def test_a_repetition_lands_on_the_same_message_and_is_stored_once(app: Router, ledger: SqliteLedger) -> None:
    answers = [await send(app, inbound(1)) for _ in range(3)]
    assert {(answer.status, answer.body) for answer in answers} == {(200, TWIML)}
    assert len(ledger.message(only_message(ledger)).entries) == 1


async def test_with_a_key_user_and_thread_are_hashes_of_the_numbers(app: Router, ledger: SqliteLedger) -> None:
    await send_all(app, [inbound(1), inbound(2), inbound(3, From="+14155550177"), inbound(4, To="+14155550188")])

    contexts = {entry.source_id: entry.context for _, entry in ledger.entries()}
    first, again, other_user, other_number = (contexts[sid(number)] for number in (1, 2, 3, 4))
    assert first == again
    assert (first.user_id == other_user.user_id, first.thread_id == other_user.thread_id) == (False, False)
    assert (first.user_id == other_number.user_id, first.thread_id == other_number.thread_id) == (True, False)
    assert PHONE not in f"{first}"


async def test_without_a_key_user_and_thread_are_unknown(
    recorder: Recorder, ledger: SqliteLedger, webhooks: Make
) -> None:
    await send(create_app(recorder, webhooks(hasher=None)), inbound(1))
    context = ledger.message(only_message(ledger)).context
    assert (context.user_id, context.thread_id) == (None, None)


async def known(message: InboundMessage) -> Mapping[str, Any]:
    return {"user_id": 4711, "thread_id": f"thread of {len(message.body)}"}


def known_by_a_blocking_call(message: InboundMessage) -> Mapping[str, Any]:
    assert threading.current_thread() is not threading.main_thread()
    return {"user_id": "4711", "thread_id": f"thread of {len(message.body)}"}


@pytest.mark.parametrize("identify", [known, known_by_a_blocking_call])
async def test_the_application_says_whose_it_is(
    recorder: Recorder, ledger: SqliteLedger, webhooks: Make, identify: Any
) -> None:
    await send(create_app(recorder, webhooks(identify=identify)), inbound(1, "12345"))
    context = ledger.message(only_message(ledger)).context
    assert (context.user_id, context.thread_id, context.role) == ("4711", "thread of 5", "user")


async def raising(message: InboundMessage) -> Mapping[str, Any]:
    raise LookupError(message.from_)


async def wrong(_: InboundMessage) -> Any:
    return {"colour": "red"}


async def not_about_the_person(_: InboundMessage) -> Any:
    return {"message_uuid": "another"}


async def nothing(_: InboundMessage) -> Any:
    return None


@pytest.mark.parametrize("identify", [raising, wrong, not_about_the_person, nothing])
async def test_an_application_that_cannot_say_does_not_cost_the_message(
    recorder: Recorder, ledger: SqliteLedger, webhooks: Make, identify: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert (await send(create_app(recorder, webhooks(identify=identify)), inbound(1))).status == 200
    assert ledger.message(only_message(ledger)).context.user_id is not None  # the hash
    assert [line for line in caplog.messages if line.startswith(f"identify failed for {sid(1)}: ")]
    assert PHONE not in caplog.text


async def test_an_application_that_takes_too_long_to_say_does_not_cost_the_message(
    recorder: Recorder, ledger: SqliteLedger, webhooks: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("costtrace.web.sms._IDENTIFY_S", 0.05)
    going_on = threading.Event()

    def hangs(_: InboundMessage) -> dict[str, str]:
        going_on.wait(30)
        return {"user_id": "too late"}

    assert (await send(create_app(recorder, webhooks(identify=hangs)), inbound(1))).status == 200
    going_on.set()
    assert ledger.message(only_message(ledger)).context.user_id != "too late"


async def test_the_application_replies_inside_a_message_that_answers_this_one(
    recorder: Recorder, ledger: SqliteLedger, webhooks: Make
) -> None:
    seen: list[tuple[str, MessageScope]] = []

    async def reply(message: InboundMessage, scope: MessageScope) -> None:
        await asyncio.sleep(0)
        assert current_message() is scope
        recorder.record_cost(name="search", cost=Money("0.008"))
        seen.append((message.body, scope))

    app = create_app(recorder, webhooks(on_inbound=reply))
    async with running(app):
        await send(app, inbound(1, "Where is it?"))

    [(body, scope)] = seen
    [question] = [entry for _, entry in ledger.entries() if entry.kind == "sms"]
    assert body == "Where is it?"
    assert scope.uuid != question.message_uuid
    assert scope.context.reply_to == question.message_uuid
    assert (scope.context.direction, scope.context.role) == ("outbound", "assistant")
    assert (scope.context.user_id, scope.context.thread_id) == (question.context.user_id, question.context.thread_id)
    [cost] = ledger.message(scope.uuid).entries
    assert cost.cost == Money("0.008")


async def test_twilio_has_its_answer_before_the_reply_is_done(recorder: Recorder, webhooks: Make) -> None:
    done = asyncio.Event()

    async def slow(*_: object) -> None:
        await done.wait()

    app = create_app(recorder, webhooks(on_inbound=slow))
    async with running(app):
        assert (await send(app, inbound(1))).status == 200
        assert not done.is_set()
        done.set()


async def test_a_reply_may_block_its_thread(recorder: Recorder, webhooks: Make) -> None:
    seen: list[str] = []

    def reply(message: InboundMessage, scope: MessageScope) -> None:
        time.sleep(0.05)
        assert current_message() is scope
        assert threading.current_thread() is not threading.main_thread()
        seen.append(message.message_sid)

    app = create_app(recorder, webhooks(on_inbound=reply))
    async with running(app):
        await send_all(app, [inbound(number) for number in range(8)])
    assert sorted(seen) == [sid(number) for number in range(8)]


async def test_repetitions_at_the_same_moment_are_replied_to_once(recorder: Recorder, webhooks: Make) -> None:
    seen: list[str] = []

    async def reply(message: InboundMessage, _: MessageScope) -> None:
        seen.append(message.message_sid)

    app = create_app(recorder, webhooks(on_inbound=reply))
    async with running(app):
        answers = await send_all(app, [inbound(1)] * 20)
    assert seen == [sid(1)]
    assert {answer.status for answer in answers} == {200}


async def test_a_reply_that_fails_is_logged_without_what_it_says(
    recorder: Recorder, webhooks: Make, caplog: pytest.LogCaptureFixture
) -> None:
    async def reply(message: InboundMessage, _: MessageScope) -> None:
        raise ValueError(message.body + message.from_)

    app = create_app(recorder, webhooks(on_inbound=reply))
    async with running(app):
        assert (await send(app, inbound(1, "a secret question"))).status == 200
    [line] = caplog.messages
    assert "on_inbound failed for message " in line
    assert "ValueError at " in line
    assert "secret" not in caplog.text
    assert PHONE not in caplog.text


async def test_a_message_the_store_did_not_take_is_not_replied_to_until_it_does(
    recorder: Recorder, ledger: SqliteLedger, webhooks: Make
) -> None:
    seen: list[str] = []

    async def reply(message: InboundMessage, _: MessageScope) -> None:
        seen.append(message.message_sid)

    app = create_app(recorder, webhooks(on_inbound=reply))
    ledger.last_seq()
    async with running(app):
        with closing(sqlite3.connect(ledger.path)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert (await send(app, inbound(1))).status == 503
            other.rollback()
        assert seen == []
        assert (await send(app, inbound(1))).status == 200
    assert seen == [sid(1)]


async def test_a_reply_still_running_at_the_end_is_given_up_in_time(
    recorder: Recorder, webhooks: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("costtrace.web.sms._DRAIN_S", 0.05)

    async def endless(*_: object) -> None:
        await asyncio.sleep(3600)

    app = create_app(recorder, webhooks(on_inbound=endless))
    async with running(app):
        await send(app, inbound(1))
    assert caplog.messages == ["1 replies were given up: they were not done 0.05 s after the end began"]


async def test_media_and_whatsapp_messages_have_their_own_kind(app: Router, ledger: SqliteLedger) -> None:
    picture = {"NumMedia": "1", "MediaUrl0": "https://api.twilio.com/media/ME1", "MediaContentType0": "image/jpeg"}
    await send(app, inbound(1, "", **picture))
    await send(app, inbound(2, From=f"whatsapp:{PHONE}", To="whatsapp:+14155550199"))
    entries = {entry.source_id: entry for _, entry in ledger.entries()}
    assert entries[sid(1)].details["address_kind"] == "mms"
    assert entries[sid(2)].details["address_kind"] == "whatsapp"


__all__ = ["KEY"]
