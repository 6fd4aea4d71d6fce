"""Who else makes spans of LangChain's runs in this process: each model call would then be in the trace twice.

Instrumentations of LangChain wrap the constructor of its callback managers, through which each adds a handler of its
own. So a wrapper shows itself, whoever made it, and nothing has to be imported for that.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from typing import Any, Final

from langchain_core.callbacks import BaseCallbackManager

_log: Final = logging.getLogger("costtrace")

_LANGCHAIN: Final = "langchain_core."
_IN_USE: Final = {"langsmith._internal.otel._otel_exporter": "langsmith (tracing mode otel or hybrid)"}
"""Modules that are imported by nobody who does not export spans with them."""

_warned: Final[dict[str, object]] = {}


def others() -> tuple[str, ...]:
    """The modules of other instrumentations that are active now, the one attached last first."""
    found = [*_wrappers(BaseCallbackManager.__init__), *(what for name, what in _IN_USE.items() if name in sys.modules)]
    return tuple(dict.fromkeys(found))


def warn_of_others() -> None:
    """Log each of them once in a process. Never raises."""
    for found in _found():
        mine = object()
        if _warned.setdefault(found, mine) is mine:  # no lock: a collection, or a fork, may come at any moment
            _log.warning(
                "%s makes spans of LangChain calls beside costtrace: each call is in the trace twice. Switch it off, or"
                ' have Recorder(..., spans="off") or COSTTRACE_SPANS=off; the ledger counts each call once in any case',
                found,
            )


def _found() -> tuple[str, ...]:
    try:
        return others()
    except Exception:  # noqa: BLE001 - what others put there may be anything
        _log.exception("costtrace failed while looking for other instrumentations; the application is not affected")
        return ()


def _wrappers(function: Any) -> Iterator[str]:
    """The modules of what was put around that function or in its place."""
    while function is not None:
        inner = getattr(function, "__wrapped__", None)
        module = _module_of(function, is_wrapper=inner is not None)
        if not module.startswith(_LANGCHAIN):
            yield module
        function = inner


def _module_of(function: Any, *, is_wrapper: bool) -> str:
    """Wrapt's wrappers pass for what they wrap, and keep what they call instead, a function or an object."""
    called = getattr(function, "_self_wrapper", function) if is_wrapper else function
    return str(getattr(called, "__module__", None) or type(called).__module__)
