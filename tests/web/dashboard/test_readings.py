"""Questions to a ledger: each is asked once at a time, and an answer holds while nothing was stored."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from costtrace.web.dashboard.readings import Readings, TooSlow


class Question:
    """One that can be held back."""

    def __init__(self, *, at_once: bool = True) -> None:
        self.may_answer = threading.Event()
        self.times = 0
        if at_once:
            self.may_answer.set()

    def __call__(self) -> int:
        self.times += 1
        self.may_answer.wait(10)
        return self.times


@pytest.fixture
def readings() -> Iterator[Readings]:
    made = Readings(limit_s=5, threads=2)
    yield made
    made.close()


async def test_the_same_question_is_asked_once_at_a_time(readings: Readings) -> None:
    question = Question(at_once=False)
    asked = [asyncio.create_task(readings.ask("k", 1, question)) for _ in range(5)]
    await asyncio.sleep(0.05)
    question.may_answer.set()
    assert await asyncio.gather(*asked) == [(1, 1)] * 5


async def test_an_answer_holds_while_nothing_was_stored(readings: Readings) -> None:
    question = Question()
    assert await readings.ask("k", 1, question) == (1, 1)
    assert await readings.ask("k", 1, question) == (1, 1)
    assert await readings.ask("other", 1, question) == (2, 1)
    await asyncio.sleep(0.1)  # many times as long as the answer took
    assert await readings.ask("k", 2, question) == (3, 2)


async def test_an_answer_that_took_long_holds_for_a_while(readings: Readings) -> None:
    question = Question(at_once=False)
    threading.Timer(0.2, question.may_answer.set).start()
    assert await readings.ask("k", 1, question) == (1, 1)
    assert await readings.ask("k", 2, question) == (1, 1)
    await asyncio.sleep(1.2)
    assert await readings.ask("k", 2, question) == (2, 2)


async def test_a_question_goes_on_when_its_page_has_given_up(readings: Readings) -> None:
    question = Question(at_once=False)
    with pytest.raises(TooSlow):
        await readings.ask("k", 1, question, wait_s=0.05)
    question.may_answer.set()
    assert await readings.ask("k", 1, question) == (1, 1)


async def test_a_failure_is_not_kept(readings: Readings) -> None:
    def fail() -> int:
        raise ValueError("once")

    with pytest.raises(ValueError, match="once"):
        await readings.ask("k", 1, fail)
    assert await readings.ask("k", 1, Question()) == (1, 1)


async def test_a_failure_that_nobody_waited_for_is_silent(readings: Readings) -> None:
    may_fail = threading.Event()

    def fail() -> int:
        may_fail.wait(10)
        raise ValueError("late")

    with pytest.raises(TooSlow):
        await readings.ask("k", 1, fail, wait_s=0.01)
    may_fail.set()
    await asyncio.sleep(0.1)


async def test_a_time_out_of_the_question_itself_is_its_own(readings: Readings) -> None:
    def fail() -> int:
        raise TimeoutError("of the store")

    with pytest.raises(TimeoutError, match="of the store"):
        await readings.run(fail)


async def test_only_the_last_answers_are_kept(readings: Readings) -> None:
    for number in range(200):
        await readings.ask(number, 1, Question())
    assert len(readings._asked) <= 65
