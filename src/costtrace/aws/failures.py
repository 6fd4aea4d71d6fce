"""Faults as an operator may read them: in our own words, or else by their place; never in words they quote."""

from __future__ import annotations

import traceback
from typing import Final

from costtrace.errors import ConfigurationError, CostTraceError, ExporterError, InvalidValue, LedgerError


class QueueUnavailable(CostTraceError):  # noqa: N818 - names what is wrong, as the other errors do
    """A queue did not take a message; nothing is known to be in it."""


class ModelFailed(CostTraceError):  # noqa: N818 - names what happened
    """The model, or the agent around it, gave no answer. What it cost until then is recorded."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        """The class of the error: its text may quote the prompt."""
        super().__init__(f"the model gave no answer ({fault})")


class WorkFailed(CostTraceError):  # noqa: N818 - names what happened
    """What Lambda is told of a call that did not do its work. It is tried again, or goes to the dead letters."""


_OWN: Final = (ConfigurationError, ExporterError, LedgerError, ModelFailed, QueueUnavailable, WorkFailed)
"""Errors whose text names settings, tables and queues, and nothing that a person wrote."""


def shown(error: BaseException) -> str:
    """The error's own text where that is ours; else its class and where it was raised."""
    if isinstance(error, _OWN):
        return f"{type(error).__name__}: {error}"
    if isinstance(error, InvalidValue):  # its value may be a number or a text that a person wrote
        return f"{type(error).__name__}: {error.field}: expected {error.expected}"
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"
