"""Whether this thread is amid the work of OpenTelemetry's SDK, and so may hold its locks.

A stream that nobody reads any more is ended by a garbage collection, on whichever thread that happens to run: also on
the one that exports, between two lines of the SDK. Its locks are not re-entrant, so what is to be told of such a stream
there would wait for itself for ever, and everybody else for it.
"""

from __future__ import annotations

import inspect
from typing import Final

_SDK: Final = "opentelemetry.sdk"


def amid_sdk() -> bool:
    """Whether any caller of this is a function of the SDK. Takes a microsecond or two: not for every call."""
    frame = inspect.currentframe()
    while frame is not None and not str(frame.f_globals.get("__name__")).startswith(_SDK):
        frame = frame.f_back
    return frame is not None
