"""The spans of webhooks that a function takes: made before its answer, because it may be frozen right after that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from costtrace.aws.invocation import together
from costtrace.faults import Faults
from costtrace.ledger import Ledger
from costtrace.measures import Measures
from costtrace.tracing import Tracing
from costtrace.twilio.webhook_spans import WebhookSpans

_LOOKUP_S: Final = 0.3
"""How long an answer waits for the span of its webhook at most: mostly it is one question to the ledger."""


def webhook_spans(ledger: Ledger, tracing: Tracing | None) -> WebhookSpans:
    """The spans of webhooks, through `tracing` or else the process's own provider; a late one is left behind.

    Metrics go to the process's own provider.
    """
    faults = Faults()
    shown_by = Tracing(faults=faults) if tracing is None else tracing
    return WebhookSpans(ledger, shown_by, Measures(faults=faults), fault=faults.note, later=_briefly)


def _briefly(job: Callable[[], None]) -> None:
    together([job], _LOOKUP_S)
