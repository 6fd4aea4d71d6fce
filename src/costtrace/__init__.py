"""costtrace: what did this message cost us, and why can I trust the number?

Names are loaded when they are first used, so that importing the package loads no vendor.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from costtrace.context import Context, MessageScope, carry, current_message
    from costtrace.entry import Entry, Kind, SpanRef, Status
    from costtrace.errors import (
        ConfigurationError,
        CostTraceError,
        CurrencyMismatch,
        ExporterError,
        ExporterStopped,
        ExporterUnavailable,
        InvalidRates,
        InvalidValue,
        LedgerError,
        LedgerUnavailable,
        LedgerUnusable,
        MissingExtra,
        PricesUnavailable,
        UnknownMessage,
    )
    from costtrace.exporters import Exporter, Fate, Refusal, open_exporter
    from costtrace.langchain import CostCallbackHandler, install, message, uninstall
    from costtrace.langchain.embeddings import CostEmbeddings
    from costtrace.ledger import Ledger, Selection, SqliteLedger, open_ledger
    from costtrace.messages import Amounts, Message, Totals, fold
    from costtrace.money import Money
    from costtrace.outbox import Outbox
    from costtrace.pricing import Catalog
    from costtrace.quote import PriceBasis, Quote, QuoteLine, QuoteStatus
    from costtrace.recorder import Health, Recorder
    from costtrace.telemetry import flush, setup_tracing
    from costtrace.usage import Usage

_HOMES = {
    "context": ("Context", "MessageScope", "carry", "current_message"),
    "entry": ("Entry", "Kind", "SpanRef", "Status"),
    "errors": (
        "ConfigurationError",
        "CostTraceError",
        "CurrencyMismatch",
        "ExporterError",
        "ExporterStopped",
        "ExporterUnavailable",
        "InvalidRates",
        "InvalidValue",
        "LedgerError",
        "LedgerUnavailable",
        "LedgerUnusable",
        "MissingExtra",
        "PricesUnavailable",
        "UnknownMessage",
    ),
    "exporters": ("Exporter", "Fate", "Refusal", "open_exporter"),
    "langchain": ("CostCallbackHandler", "install", "message", "uninstall"),
    "langchain.embeddings": ("CostEmbeddings",),
    "ledger": ("Ledger", "Selection", "SqliteLedger", "open_ledger"),
    "messages": ("Amounts", "Message", "Totals", "fold"),
    "money": ("Money",),
    "outbox": ("Outbox",),
    "pricing": ("Catalog",),
    "quote": ("PriceBasis", "Quote", "QuoteLine", "QuoteStatus"),
    "recorder": ("Health", "Recorder"),
    "telemetry": ("flush", "setup_tracing"),
    "usage": ("Usage",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Amounts",
    "Catalog",
    "ConfigurationError",
    "Context",
    "CostCallbackHandler",
    "CostEmbeddings",
    "CostTraceError",
    "CurrencyMismatch",
    "Entry",
    "Exporter",
    "ExporterError",
    "ExporterStopped",
    "ExporterUnavailable",
    "Fate",
    "Health",
    "InvalidRates",
    "InvalidValue",
    "Kind",
    "Ledger",
    "LedgerError",
    "LedgerUnavailable",
    "LedgerUnusable",
    "Message",
    "MessageScope",
    "MissingExtra",
    "Money",
    "Outbox",
    "PriceBasis",
    "PricesUnavailable",
    "Quote",
    "QuoteLine",
    "QuoteStatus",
    "Recorder",
    "Refusal",
    "Selection",
    "SpanRef",
    "SqliteLedger",
    "Status",
    "Totals",
    "UnknownMessage",
    "Usage",
    "carry",
    "current_message",
    "flush",
    "fold",
    "install",
    "message",
    "open_exporter",
    "open_ledger",
    "setup_tracing",
    "uninstall",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'costtrace' has no attribute {name!r}")
    return getattr(importlib.import_module(f"costtrace.{home}"), name)


def __dir__() -> list[str]:
    return __all__
