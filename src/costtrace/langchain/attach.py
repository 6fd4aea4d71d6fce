"""Ways to attach a handler without naming it in every call.

LangChain asks a process-wide list of context variables for handlers whenever it configures a run. Exactly two of ours
are ever on it, however many scopes are opened: one that an open `message` fills, one that `install` fills for every
context at once, raw threads included, because it is the variable's default.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.tracers.context import register_configure_hook

from costtrace.context import MessageScope, current_message, message_scope
from costtrace.langchain.handler import CostCallbackHandler
from costtrace.langchain.recording import Recording
from costtrace.recorder import Recorder

_scoped: Final[ContextVar[BaseCallbackHandler | None]] = ContextVar("costtrace_scoped_handler", default=None)
register_configure_hook(_scoped, inheritable=True)

_install_lock: Final = threading.Lock()
_installed: _Installed | None = None


class _Installed(CostCallbackHandler):
    """The handler that `install` puts everywhere. Switched off, it begins nothing, and still ends what it began."""

    enabled = True

    def __init__(self, recorder: Recorder | None) -> None:
        super().__init__(recorder)
        self._earlier: list[Recording] = []

    def point_at(self, recorder: Recorder | None) -> None:
        """Record into another recorder from now on; runs that are under way end in the one they began in."""
        earlier = [*self._earlier, self.recording]
        super().__init__(recorder)
        self._earlier = [each for each in earlier if each.runs is not self.recording.runs and len(each.runs)]

    def _beginning(self) -> Recording | None:
        return self.recording if self.enabled else None

    def _ending(self, run_id: UUID) -> Recording | None:
        recording = next((each for each in self._earlier if each.runs.awaits(run_id)), self.recording)
        return recording if self.enabled or recording.runs.awaits(run_id) else None


def install(recorder: Recorder | None = None) -> CostCallbackHandler:
    """Record every LangChain call of this process, in every thread, without touching the code that makes them.

    Called again, it records into the recorder given last. Without one, the environment decides. Harmless beside
    handlers attached in other ways, as long as they share the recorder.
    """
    global _installed  # noqa: PLW0603 - one per process is the point
    with _install_lock:
        if _installed is None:
            _installed = _Installed(recorder)
            everywhere: ContextVar[BaseCallbackHandler | None] = ContextVar("costtrace_installed", default=_installed)
            register_configure_hook(everywhere, inheritable=True)
        else:
            _installed.point_at(recorder)
        _installed.enabled = True
        return _installed


def uninstall() -> None:
    """Stop what `install` started."""
    with _install_lock:
        if _installed is not None:
            _installed.enabled = False


@contextmanager
def message(
    message_uuid: str | None = None, *, handler: CostCallbackHandler | None = None, **context: Any
) -> Iterator[MessageScope]:
    """Open a message: every model call inside belongs to it.

        with costtrace.message(user_id="u1", channel="sms", thread_id="t1", reply_to=inbound) as msg:
            agent.invoke(question, config={"callbacks": [handler]})
        ledger.message(msg.uuid).total

    `context` takes user_id, thread_id, channel, direction, role, environment, message_type, reply_to and tags; a fresh,
    time-ordered uuid is made unless one is given. With `handler`, it is attached to everything inside, and nothing
    needs to be passed to ``invoke``. Reaches tasks, ``asyncio.to_thread``, ``batch`` and graph nodes by itself; for
    threads of your own use `costtrace.carry`, and for callbacks that are replaced on the way pass ``msg.metadata``.
    Raises InvalidValue for a word it does not know.
    """
    with message_scope(message_uuid, **context) as scope:
        if handler is None:
            yield scope
            return
        token = _scoped.set(handler)
        try:
            yield scope
        finally:
            try:
                _scoped.reset(token)
            except ValueError:  # closed in another context than it was opened in, see `message_scope`
                if current_message() is scope:
                    _scoped.set(None)
