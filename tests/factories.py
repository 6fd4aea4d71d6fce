"""Entries and their parts, with everything a test does not care about filled in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from costtrace.context import Context
from costtrace.entry import Entry
from costtrace.money import Money
from costtrace.quote import PriceBasis, Quote, QuoteLine, QuoteStatus
from costtrace.usage import Usage

NOW = datetime(2026, 1, 20, 9, 30, tzinfo=UTC)
MESSAGE = "0199d3a0-0000-7000-8000-000000000001"


def make_usage(input_tokens: int = 450, output_tokens: int = 200) -> Usage:
    return Usage(
        buckets={"input": input_tokens, "output": output_tokens},
        raw_json=f'{{"usage_metadata":{{"input_tokens":{input_tokens},"output_tokens":{output_tokens}}}}}',
    )


def make_basis(**changes: Any) -> PriceBasis:
    known: dict[str, Any] = {
        "provider": "openai",
        "model": "gpt-4o",
        "rule": "exact name",
        "source": "genai-prices",
        "version": "0.2.3",
        "data_hash": "0123456789abcdef",
    }
    return PriceBasis(**{**known, **changes})


def make_quote() -> Quote:
    """450 input and 200 output tokens of gpt-4o."""
    return Quote(
        status=QuoteStatus.EXACT,
        amount=Decimal("0.003125"),
        lines=(
            QuoteLine("input", 450, Decimal("2.5"), 1_000_000),
            QuoteLine("output", 200, Decimal(10), 1_000_000),
        ),
        basis=make_basis(),
    )


def make_entry(number: int = 1, **changes: Any) -> Entry:
    """One completed call of gpt-4o for 0.003125 USD; `number` makes it another one, a second later."""
    moment = NOW + timedelta(seconds=number)
    known: dict[str, Any] = {
        "entry_id": f"llm/run-{number}/{number}",
        "message_uuid": MESSAGE,
        "kind": "llm",
        "status": "completed",
        "occurred_at": moment,
        "recorded_at": moment + timedelta(milliseconds=5),
        "duration_us": 5_000,
        "provider": "openai",
        "model": "gpt-4o",
        "requested_model": "gpt-4o",
        "source_id": f"run-{number}",
        "usage": make_usage(),
        "quote": make_quote(),
        "cost": Money("0.003125"),
        "context": Context(user_id="u1", channel="web", thread_id="t1"),
    }
    return Entry(**{**known, **changes})


def make_costs(amount: str | None = None, *, number: int = 1, estimate: str | None = None, **changes: Any) -> Entry:
    """An entry without quote and usage that costs that amount, or is expected to, in a currency of choice."""
    currency = changes.pop("currency", "USD")
    return make_entry(
        number,
        quote=None,
        usage=None,
        cost=None if amount is None else Money(amount, currency),
        estimate=None if estimate is None else Money(estimate, currency),
        **changes,
    )
