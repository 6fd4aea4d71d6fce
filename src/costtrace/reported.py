"""What a provider says it charged, read from the cost fields of its own answer."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from costtrace.errors import InvalidValue
from costtrace.money import EXACT, ZERO, Money, parse_amount

TICK_DIGITS: Final = 10
"""xAI counts in ticks: 10^10 of them are one US dollar."""


def reported_amount(fields: Mapping[str, Any]) -> Money | None:
    """The amount that the provider's own fields name, in US dollars; None where they name none.

    Knows xAI's ``cost_in_usd_ticks`` (an integer, tools included), OpenRouter's ``cost`` with ``cost_details`` (where
    the account brings its own key to the provider, ``is_byok``, the provider's bill stands in
    ``upstream_inference_cost`` and comes on top), Perplexity's ``cost`` (an object with ``total_cost``) and LiteLLM's
    ``response_cost``. Raises InvalidValue for a field that holds no amount of zero or more.
    """
    ticks = fields.get("cost_in_usd_ticks")
    if ticks is not None:
        if type(ticks) is not int or ticks < 0:
            raise InvalidValue("provider_reported.cost_in_usd_ticks", ticks, "a whole number of zero or more")
        return Money(Decimal(ticks).scaleb(-TICK_DIGITS, EXACT))
    cost = fields.get("cost")
    if isinstance(cost, Mapping):
        return None if cost.get("total_cost") is None else Money(_amount(cost["total_cost"], "cost.total_cost"))
    if cost is not None:
        return Money(EXACT.add(_amount(cost, "cost"), _upstream(fields)))
    response_cost = fields.get("response_cost")
    return None if response_cost is None else Money(_amount(response_cost, "response_cost"))


def _upstream(fields: Mapping[str, Any]) -> Decimal:
    details = fields.get("cost_details")
    upstream = details.get("upstream_inference_cost") if isinstance(details, Mapping) else None
    if not fields.get("is_byok") or upstream is None:
        return ZERO
    return _amount(upstream, "cost_details.upstream_inference_cost")


def _amount(value: object, field: str) -> Decimal:
    """The amount as it was written. JSON came in as floats before we saw it; their shortest text is what was sent."""
    field = f"provider_reported.{field}"
    if type(value) is float or type(value) is int:
        value = repr(value)
    amount = value if type(value) is Decimal else parse_amount(value, field)
    if not amount.is_finite() or amount < ZERO:
        raise InvalidValue(field, value, "an amount of zero or more")
    return amount
