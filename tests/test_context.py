"""Whose message this is: checked text, merged without loss, carried to where the work runs."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given

from costtrace.context import (
    NOTHING,
    TEXT_FIELDS,
    Context,
    carry,
    current_message,
    message_scope,
    new_message_uuid,
)
from costtrace.errors import InvalidValue
from tests.strategies import CONTEXTS


@pytest.mark.parametrize("value", ["", "x" * 513, 7, b"u1", ["u1"]])
@pytest.mark.parametrize("field", TEXT_FIELDS)
def test_a_value_that_is_no_text_of_sane_length_is_refused_by_field(field: str, value: Any) -> None:
    with pytest.raises(InvalidValue, match=rf"context\.{field}: expected a text of 1 to 512 characters"):
        Context(**{field: value})


@pytest.mark.parametrize("field", TEXT_FIELDS)
def test_a_lone_surrogate_is_refused_because_no_store_can_hold_it(field: str) -> None:
    said: dict[str, Any] = {field: "user \ud83d"}
    with pytest.raises(InvalidValue, match=rf"context\.{field}: expected a text without lone surrogates"):
        Context(**said)


@pytest.mark.parametrize(
    ("tags", "field"),
    [
        ({"team": 1}, r"context\.tags\['team'\]"),
        ({"team": "\udc00"}, r"context\.tags\['team'\]"),
        ({1: "blue"}, r"context\.tags"),
        ({"": "blue"}, r"context\.tags"),
        (None, r"context\.tags"),
        (["blue"], r"context\.tags"),
    ],
)
def test_a_tag_that_is_no_text_is_refused_by_key(tags: Any, field: str) -> None:
    with pytest.raises(InvalidValue, match=f"^{field}: expected"):
        Context(tags=tags)


def test_a_context_is_not_changed_through_the_tags_it_was_made_from() -> None:
    tags = {"team": "blue"}
    context = Context(tags=tags)
    tags["team"] = "red"
    assert context.tags == {"team": "blue"}


@given(CONTEXTS, CONTEXTS)
def test_a_context_over_another_keeps_its_own_words_and_takes_the_rest(upper: Context, lower: Context) -> None:
    merged = upper.over(lower)
    for name in TEXT_FIELDS:
        own = getattr(upper, name)
        assert getattr(merged, name) == (getattr(lower, name) if own is None else own)
    assert merged.tags == {**lower.tags, **upper.tags}
    assert merged.over(lower) == merged


@given(CONTEXTS)
def test_a_context_survives_its_json_objects(context: Context) -> None:
    assert Context(**context.to_dict()) == context
    assert context.over(NOTHING) == NOTHING.over(context) == context


def test_the_scope_is_open_inside_and_closed_outside() -> None:
    assert current_message() is None
    with message_scope(user_id="u1") as outer:
        assert current_message() is outer
        with message_scope("m2") as inner:
            assert current_message() is inner
            assert inner.uuid == "m2"
        assert current_message() is outer
    assert current_message() is None


def test_the_scope_writes_itself_as_metadata() -> None:
    with message_scope("m1", user_id="u1", channel="sms", tags={"team": "blue"}) as scope:
        assert scope.metadata == {"message_uuid": "m1", "user_id": "u1", "channel": "sms"}


def test_a_word_the_scope_does_not_know_is_refused() -> None:
    with (
        pytest.raises(InvalidValue, match=r"message: expected only user_id, .* and tags, got \['usr_id'\]"),
        message_scope(usr_id="u1"),
    ):
        pass


@pytest.mark.parametrize("uuid", ["", "\ud800", "x" * 513, 7])
def test_a_message_uuid_that_no_store_can_hold_is_refused(uuid: Any) -> None:
    with pytest.raises(InvalidValue, match="message_uuid: expected a text"), message_scope(uuid):
        pass
    assert current_message() is None


def test_a_failed_block_closes_its_scope() -> None:
    with pytest.raises(ZeroDivisionError), message_scope():
        1 / 0  # noqa: B018 - fails on purpose
    assert current_message() is None


async def test_tasks_and_to_thread_see_the_scope_they_were_started_in() -> None:
    async def look() -> str | None:
        await asyncio.sleep(0)
        scope = current_message()
        return None if scope is None else scope.uuid

    with message_scope("m1"):
        task = asyncio.create_task(look())
        in_thread = await asyncio.to_thread(current_message)
    with message_scope("m2"):
        assert await task == "m1"
    assert in_thread is not None
    assert in_thread.uuid == "m1"


def test_carry_takes_the_scope_to_other_threads_many_times_at_once() -> None:
    barrier = threading.Barrier(4)

    def look(number: int) -> tuple[int, str]:
        barrier.wait(timeout=10)
        scope = current_message()
        assert scope is not None
        return number, scope.uuid

    with message_scope("m1"):
        carried = carry(look)
    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(carried, range(4))) == [(number, "m1") for number in range(4)]
        assert pool.submit(current_message).result() is None


async def test_a_scope_closed_in_another_context_than_it_was_opened_in_does_not_raise() -> None:
    scope = message_scope("m1")
    await asyncio.create_task(_enter(scope))
    scope.__exit__(None, None, None)
    assert current_message() is None


async def _enter(scope: Any) -> None:
    scope.__enter__()


def test_message_uuids_are_version_7_and_all_different() -> None:
    uuids = [new_message_uuid() for _ in range(2000)]
    assert len(set(uuids)) == len(uuids)
    assert {UUID(uuid).version for uuid in uuids} == {7}
    assert {UUID(uuid).variant for uuid in uuids} == {UUID(int=0x8 << 60 | 7 << 76).variant}


def test_message_uuids_begin_with_their_time_so_that_they_sort_by_it() -> None:
    before = time.time_ns() // 1_000_000
    uuids = [new_message_uuid() for _ in range(2000)]
    after = time.time_ns() // 1_000_000
    millis = [UUID(uuid).int >> 80 for uuid in uuids]
    assert before <= min(millis) <= max(millis) <= after
    assert [UUID(uuid).int >> 80 for uuid in sorted(uuids)] == sorted(millis)
