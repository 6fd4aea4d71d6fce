"""One line of the table: a call as LangChain reports it, and what its provider's price page says it costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

NOVEMBER: Final = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
"""A Monday noon on which every rate here that needs no other date was in force."""

EXACT: Final = "exact"
REPORTED: Final = "provider_reported"
NOT_BILLED: Final = "not_billed"
ESTIMATED: Final = "estimated"
PARTIAL: Final = "partial"
UNPRICED: Final = "unpriced"
USAGE_MISSING: Final = "usage_missing"
INVALID_USAGE: Final = "invalid_usage"


def utc(moment: str) -> datetime:
    """The moment that an ISO date, or date and time, means in UTC."""
    return datetime.fromisoformat(moment).replace(tzinfo=UTC)


def mtok(rate: str, tokens: int) -> Decimal:
    """What that many tokens cost at a rate in USD per million."""
    return Decimal(rate) * tokens / 1_000_000


def thousand(rate: str, count: int) -> Decimal:
    """What that many calls of a tool cost at a rate in USD per thousand."""
    return Decimal(rate) * count / 1_000


def tokens(
    total_input: int,
    total_output: int,
    *,
    of_input: Mapping[str, int] | None = None,
    of_output: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """LangChain's ``usage_metadata``: inclusive totals, and details that are parts of them."""
    usage: dict[str, Any] = {
        "input_tokens": total_input,
        "output_tokens": total_output,
        "total_tokens": total_input + total_output,
    }
    if of_input is not None:
        usage["input_token_details"] = dict(of_input)
    if of_output is not None:
        usage["output_token_details"] = dict(of_output)
    return usage


@dataclass(frozen=True, slots=True)
class Case:
    """A call, its source and its price."""

    name: str
    model: str | None
    usage: dict[str, Any] | None
    amount: Decimal | None
    """What the call costs. None where nothing can be priced, and for partial and estimated quotes that may differ in
    how much they price."""
    _: KW_ONLY
    provider: str | None
    """LangChain's ``ls_provider``."""
    source: str
    """The provider's own page for the rates in `amount`, or for the rule that `status` follows."""
    status: str | tuple[str, ...] = EXACT
    """The status of the quote. More than one where knowing a published rate and refusing are both honest; the amount
    is then compared unless the quote is partial."""
    at: datetime = NOVEMBER
    service_tier: str | None = None
    response_metadata: Mapping[str, Any] | None = None
    """None where the caller has kept the usage only."""
    context: Mapping[str, Any] = field(default_factory=dict)
    low: Decimal | None = None
    high: Decimal | None = None

    @property
    def statuses(self) -> tuple[str, ...]:
        return (self.status,) if isinstance(self.status, str) else self.status

    @property
    def id(self) -> str:
        return f"{self.provider}: {self.name}"

    def amount_is_stated(self, status: str) -> bool:
        """Whether a quote of that status must have exactly `amount`."""
        return self.amount is not None and (status != PARTIAL or self.statuses == (PARTIAL,))
