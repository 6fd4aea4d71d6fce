"""What goes wrong, as an answer: its status, what it is, and what to do."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, NamedTuple

from costtrace.errors import CostTraceError, InvalidValue, LedgerError, LedgerUnavailable, UnknownMessage
from costtrace.view.blocks import shown
from costtrace.web.dashboard.readings import TooSlow

_log: Final = logging.getLogger("costtrace")
_LONGEST: Final = 500
_DOCTOR: Final = "`costtrace doctor` says more."


class NotThere(CostTraceError):  # noqa: N818 - names what is the matter
    """There is no such page."""


class _Answer(NamedTuple):
    kind: type[Exception]
    status: HTTPStatus
    title: Callable[[Exception], str]
    advice: str


def _said(error: Exception) -> str:
    return _cut(str(error))


def _cut(text: str) -> str:
    return shown(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}...")


_ANSWERS: Final = (
    _Answer(
        UnknownMessage,
        HTTPStatus.NOT_FOUND,
        lambda error: f"There is no message {_cut(error.message_uuid)!r} in this ledger",  # type: ignore[attr-defined]  # it is one
        "The messages page lists those there are, the newest first.",
    ),
    _Answer(
        InvalidValue,
        HTTPStatus.BAD_REQUEST,
        lambda error: f"This cannot be shown: {_said(error)}",
        "Change that in the address.",
    ),
    _Answer(NotThere, HTTPStatus.NOT_FOUND, _said, "The links above lead to the pages there are."),
    _Answer(
        TooSlow,
        HTTPStatus.SERVICE_UNAVAILABLE,
        lambda _: "The ledger has not answered in time",
        "It goes on looking: reload to see whether it is done, or choose a shorter time.",
    ),
    _Answer(
        LedgerUnavailable,
        HTTPStatus.SERVICE_UNAVAILABLE,
        lambda error: f"The ledger cannot be read now: {_said(error)}",
        "Reload in a moment.",
    ),
    _Answer(
        LedgerError, HTTPStatus.SERVICE_UNAVAILABLE, lambda error: f"The ledger cannot be read: {_said(error)}", _DOCTOR
    ),
    _Answer(CostTraceError, HTTPStatus.SERVICE_UNAVAILABLE, _said, _DOCTOR),
)
"""The first whose kind an error is of, answers it."""


def explained(error: Exception) -> tuple[HTTPStatus, str, str]:
    """The status, what it is, and what to do. What is none of ours is logged by its place, and not quoted."""
    for answer in _ANSWERS:
        if isinstance(error, answer.kind):
            return answer.status, answer.title(error), answer.advice
    where = traceback.extract_tb(error.__traceback__)[-1]
    _log.error("costtrace failed while making a page: %s at %s:%d", type(error).__name__, where.filename, where.lineno)
    title = "costtrace failed while making this page"
    return HTTPStatus.INTERNAL_SERVER_ERROR, title, "Its log says where; the ledger is not touched."
