"""Many requests share one transaction: each learns what was new, a failure reaches all of it, nobody waits for ever."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from costtrace.entry import Entry
from costtrace.errors import InvalidValue, LedgerUnavailable, LedgerUnusable
from costtrace.ledger import SqliteLedger
from costtrace.web.commits import GroupCommit
from tests.factories import make_entry


class Held(SqliteLedger):
    """A real ledger whose appends wait until they are let through, and are counted."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.sizes: list[int] = []
        self.begun = threading.Event()
        self.gate = threading.Event()
        self.gate.set()
        self.failing: Exception | None = None
        self.poison: str | None = None

    def append(self, entries: Iterable[Entry]) -> frozenset[str]:
        taken = list(entries)
        self.sizes.append(len(taken))
        self.begun.set()
        self.gate.wait()
        if self.failing is not None:
            raise self.failing
        if any(entry.entry_id == self.poison for entry in taken):
            raise InvalidValue("entry", self.poison, "another")
        return super().append(taken)


@pytest.fixture
def ledger(tmp_path: Path) -> Any:
    held = Held(tmp_path / "costs.db")
    yield held
    held.gate.set()
    held.close()


async def test_what_comes_while_the_ledger_commits_is_committed_together(ledger: Held) -> None:
    commits = GroupCommit(ledger)
    ledger.gate.clear()
    first = asyncio.create_task(commits.append([make_entry(0)]))
    await asyncio.to_thread(ledger.begun.wait)
    others = [asyncio.create_task(commits.append([make_entry(number)])) for number in range(1, 101)]
    await asyncio.sleep(0)
    ledger.gate.set()

    answers = await asyncio.gather(first, *others)

    assert ledger.sizes == [1, 100]
    assert answers == [frozenset({f"llm/run-{number}/{number}"}) for number in range(101)]


async def test_of_two_requests_with_one_entry_only_the_first_is_told_that_it_was_new(ledger: Held) -> None:
    commits = GroupCommit(ledger)
    ledger.gate.clear()
    same = [asyncio.create_task(commits.append([make_entry(1), make_entry(2)])) for _ in range(3)]
    await asyncio.sleep(0.01)
    ledger.gate.set()

    assert await asyncio.gather(*same) == [{"llm/run-1/1", "llm/run-2/2"}, frozenset(), frozenset()]
    assert await commits.append([make_entry(2)]) == frozenset()


async def test_a_store_that_is_down_is_told_to_everybody_and_taken_up_again(ledger: Held) -> None:
    commits = GroupCommit(ledger)
    ledger.failing = LedgerUnusable("disk gone")
    answers = await asyncio.gather(*(commits.append([make_entry(n)]) for n in range(9)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [LedgerUnusable] * 9

    ledger.failing = None
    assert await commits.append([make_entry(1)]) == {"llm/run-1/1"}


async def test_an_entry_that_the_ledger_refuses_fails_its_own_request_only(ledger: Held) -> None:
    commits = GroupCommit(ledger)
    ledger.poison = "llm/run-2/2"
    ledger.gate.clear()
    tasks = [asyncio.create_task(commits.append([make_entry(number)])) for number in range(5)]
    await asyncio.sleep(0.01)
    ledger.gate.set()

    answers = await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(answer) for answer in answers] == [frozenset, frozenset, InvalidValue, frozenset, frozenset]


async def test_a_store_that_hangs_is_given_up(ledger: Held) -> None:
    commits = GroupCommit(ledger, timeout_s=0.5)
    ledger.gate.clear()
    with pytest.raises(LedgerUnavailable, match=r"no answer in 0\.5 s"):
        await commits.append([make_entry(1)])

    ledger.gate.set()
    assert await commits.append([make_entry(1)]) == frozenset()  # stored all the same, after the answer


async def test_no_more_wait_than_the_limit(ledger: Held) -> None:
    commits = GroupCommit(ledger, limit=2)
    ledger.gate.clear()
    tasks = [asyncio.create_task(commits.append([make_entry(0)]))]
    await asyncio.to_thread(ledger.begun.wait)
    tasks += [asyncio.create_task(commits.append([make_entry(number)])) for number in range(1, 5)]
    await asyncio.sleep(0.01)
    ledger.gate.set()

    answers = await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(answer) for answer in answers] == [frozenset, frozenset, frozenset, *[LedgerUnavailable] * 2]


async def test_a_caller_that_has_gone_holds_nobody_up(ledger: Held) -> None:
    commits = GroupCommit(ledger)
    ledger.gate.clear()
    gone = asyncio.create_task(commits.append([make_entry(1)]))
    other = asyncio.create_task(commits.append([make_entry(2)]))
    await asyncio.sleep(0.01)
    gone.cancel()
    ledger.gate.set()

    assert await other == {"llm/run-2/2"}
    assert await commits.append([make_entry(1)]) == frozenset()


def test_it_serves_several_event_loops(ledger: Held) -> None:
    commits = GroupCommit(ledger)
    for number in range(3):
        assert asyncio.run(commits.append([make_entry(number)])) == {f"llm/run-{number}/{number}"}


def test_a_loop_that_has_ended_holds_nobody_up(ledger: Held) -> None:
    commits = GroupCommit(ledger)
    ledger.gate.clear()

    async def leave() -> None:
        task = asyncio.create_task(commits.append([make_entry(1)]))
        await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(leave())
    ledger.gate.set()
    assert asyncio.run(commits.append([make_entry(2)])) == {"llm/run-2/2"}


async def test_a_repetition_of_what_was_stored_costs_no_transaction(
    ledger: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("costtrace.web.commits._RECENT", 2)
    commits = GroupCommit(ledger)
    assert await commits.append([make_entry(1)]) == {"llm/run-1/1"}
    assert await commits.append([make_entry(1)]) == frozenset()
    assert await commits.append([make_entry(1), make_entry(2)]) == {"llm/run-2/2"}
    assert ledger.sizes == [1, 1]

    await commits.append([make_entry(3)])
    assert await commits.append([make_entry(1)]) == frozenset()  # no longer remembered, and yet known
    assert ledger.sizes == [1, 1, 1, 1]


async def test_what_was_not_stored_is_not_remembered(ledger: Held) -> None:
    commits = GroupCommit(ledger)
    ledger.failing = LedgerUnavailable("locked")
    with pytest.raises(LedgerUnavailable):
        await commits.append([make_entry(1)])
    ledger.failing = None
    assert await commits.append([make_entry(1)]) == {"llm/run-1/1"}


async def test_what_follows_from_a_new_entry_follows_once_and_even_where_the_answer_was_too_late(ledger: Held) -> None:
    followed: list[str] = []
    commits = GroupCommit(ledger, timeout_s=0.2)
    ledger.gate.clear()
    with pytest.raises(LedgerUnavailable):
        await commits.append([make_entry(1)], then=lambda: followed.append("first"))
    ledger.gate.set()

    assert await GroupCommit(ledger).append([make_entry(2)], then=lambda: followed.append("second"))
    await commits.append([make_entry(1)], then=lambda: followed.append("repetition"))

    assert sorted(followed) == ["first", "second"]
