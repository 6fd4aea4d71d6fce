"""Questions to a ledger, asked in threads, so that no page waits for another and a webhook for none.

Whoever asks what is being asked already waits for the same answer. A question that takes long goes on when its page has
given up, and the next one that asks finds it further on, or done. An answer holds while nothing was stored since, and
one that took long for some time after that: a dashboard must not keep a large ledger busy.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

_KEPT: Final = 64
"""Answers that are kept: a few dashboards with all of their parts."""
_REST: Final = 5
"""An answer holds this many times as long as it took."""

T = TypeVar("T")


class TooSlow(Exception):  # noqa: N818 - names what is the matter
    """The ledger has not answered in the time a page can wait; it goes on looking."""


@dataclass(slots=True)
class _Asked:
    answer: asyncio.Future[Any]
    version: int
    began: float
    took: float | None = None


class Readings:
    """Asks, and remembers the last answers. For one event loop."""

    def __init__(self, *, limit_s: float, threads: int) -> None:
        self.limit_s = limit_s
        """How long a page may take."""
        self._threads = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="costtrace-dashboard")
        self._asked: OrderedDict[Hashable, _Asked] = OrderedDict()

    async def ask(
        self, key: Hashable, version: int, question: Callable[[], T], *, wait_s: float | None = None
    ) -> tuple[T, int]:
        """The answer to the question of that key, and the version of the ledger that it holds for.

        Raises TooSlow where it takes longer than `wait_s` seconds, the limit of a page unless given, and whatever the
        question raises, which is not kept.
        """
        asked = self._asked.get(key)
        if asked is None or not _holds(asked, version):
            asked = _Asked(self._start(question), version, time.monotonic())
            self._asked[key] = asked
            asked.answer.add_done_callback(lambda _: self._note(key, asked))
        self._asked.move_to_end(key)
        return await self._waited(asked.answer, wait_s), asked.version

    async def run(self, question: Callable[[], T]) -> T:
        """The answer to a question that is quick and never the same. Raises TooSlow, and what the question raises."""
        found: T = await self._waited(self._start(question), None)
        return found

    def forget(self) -> None:
        """Keep no answer: they were another ledger's."""
        self._asked.clear()

    def close(self) -> None:
        """Wait for nobody: what is being read is of no more use."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _start(self, question: Callable[[], Any]) -> asyncio.Future[Any]:
        return asyncio.get_running_loop().run_in_executor(self._threads, question)

    async def _waited(self, answer: asyncio.Future[Any], wait_s: float | None) -> Any:
        # Not cancelled with its reader: others may wait for the same answer. What it raises is asked for below.
        done, _ = await asyncio.wait([answer], timeout=self.limit_s if wait_s is None else wait_s)
        if not done:
            raise TooSlow
        return answer.result()

    def _note(self, key: Hashable, asked: _Asked) -> None:
        """Note how long it took; forget a failure, and the answers that nobody asked for the longest."""
        asked.took = time.monotonic() - asked.began
        failed = asked.answer.cancelled() or asked.answer.exception() is not None
        if failed and self._asked.get(key) is asked:
            del self._asked[key]
        done = [old for old, kept in self._asked.items() if kept.answer.done()]
        for old in done[: max(0, len(self._asked) - _KEPT)]:
            del self._asked[old]


def _holds(asked: _Asked, version: int) -> bool:
    if asked.version == version or asked.took is None:
        return True
    return time.monotonic() - asked.began < (1 + _REST) * asked.took
