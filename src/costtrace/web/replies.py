"""The application's part in an inbound message, for which Twilio does not wait: usually an agent, and an SMS sent."""

from __future__ import annotations

import asyncio
import inspect
import logging
import traceback
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from anyio import to_thread

from costtrace.context import Context, MessageScope, message_scope
from costtrace.twilio.webhooks import InboundMessage

OnInbound = Callable[[InboundMessage, MessageScope], Awaitable[object] | object]
"""What the application does with a message that came in; the scope is the open message of its reply."""

_log: Final = logging.getLogger("costtrace")


class Replies:
    """Runs `on_inbound` in the background, each time inside the message that answers the inbound one.

    An ``async def`` runs on the event loop; anything else in a thread, so that it may block. What it returns is ignored
    and what it raises is logged, without its text, and goes no further.
    """

    def __init__(self, on_inbound: OnInbound) -> None:
        self._on_inbound = on_inbound
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, inbound: InboundMessage, message_uuid: str, context: Context) -> None:
        """Begin one reply to the message of that uuid."""
        task = asyncio.get_running_loop().create_task(self._reply(inbound, message_uuid, context))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self, timeout_s: float) -> int:
        """Wait for the replies under way; how many were given up after `timeout_s` seconds."""
        if not self._tasks:
            return 0
        _, late = await asyncio.wait(self._tasks, timeout=timeout_s)
        for task in late:
            task.cancel()
        return len(late)

    async def _reply(self, inbound: InboundMessage, message_uuid: str, context: Context) -> None:
        with message_scope(
            user_id=context.user_id,
            thread_id=context.thread_id,
            channel=context.channel,
            environment=context.environment,
            tags=context.tags,
            direction="outbound",
            role="assistant",
            reply_to=message_uuid,
        ) as reply:
            try:
                await called(self._on_inbound, inbound, reply)
            except Exception as error:  # noqa: BLE001 - the application's own fault; Twilio has its answer
                _log.error("on_inbound failed for message %s: %s", message_uuid, failure(error))


async def called(function: Callable[..., object], *arguments: object) -> object:
    """What the application's function answers; one that is no ``async def`` is called in a thread."""
    if inspect.iscoroutinefunction(function):
        return await function(*arguments)
    # Abandoned where it is given up: nobody can end a thread, but nobody has to wait for it.
    answer = await to_thread.run_sync(partial(function, *arguments), abandon_on_cancel=True)
    return await answer if inspect.isawaitable(answer) else answer


def failure(error: BaseException) -> str:
    """The class of the error and where it was raised; its text may hold a number, or what a person wrote."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} at {frames[-1].filename}:{frames[-1].lineno}" if frames else type(error).__name__
