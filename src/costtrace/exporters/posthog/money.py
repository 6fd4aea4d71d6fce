"""Money as properties: an exact integer to add up, a text with every digit, and a number for people and charts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

from costtrace.entry import Entry, Standing
from costtrace.money import EXACT, PICO_DIGITS, Money, amount_text
from costtrace.quote import Quote, QuoteLine, QuoteStatus
from costtrace.usage import DIRECTIONS

USD: Final = "USD"
MAX_PICO: Final = 2**53 - 1
"""The largest integer that every reader of JSON keeps exactly: 9,007 US dollars and a little."""

_WHOLE: Final = Decimal(1)
_PENDING: Final = Standing.PENDING
_UNPRICED: Final = Standing.UNPRICED
_PARTLY: Final = frozenset({QuoteStatus.PARTIAL, QuoteStatus.ESTIMATED})
_REQUEST: Final = "$ai_request_cost_usd"
_SEARCH: Final = "$ai_web_search_cost_usd"
_PARTS: Final[Mapping[str, str]] = {
    **{bucket: f"$ai_{direction}_cost_usd" for bucket, direction in DIRECTIONS.items()},
    **dict.fromkeys(("web_search", "x_search", "search_sources"), _SEARCH),
}
"""The property that a bucket's cost is part of; the cost of any other bucket is a fee of the request."""
_NOTHING_SPENT: Final = dict.fromkeys(("$ai_input_cost_usd", "$ai_output_cost_usd", _REQUEST, _SEARCH), 0.0)


def pico(amount: Decimal) -> int | None:
    """The amount as an integer of 1e-12, rounded half to even where it is finer; None beyond `MAX_PICO`."""
    scaled = amount.scaleb(PICO_DIGITS, EXACT)
    integer = int(scaled)
    if integer != scaled:
        integer = int(scaled.quantize(_WHOLE, rounding=ROUND_HALF_EVEN, context=_ROUNDING))
    return integer if -MAX_PICO <= integer <= MAX_PICO else None


_ROUNDING: Final = EXACT.copy()
_ROUNDING.clear_traps()


def put_cost(properties: dict[str, Any], cost: Money | None, *, added: bool = True) -> None:
    """What was paid: nothing is put where that is not known, and no dollars where it is another currency.

    `added` says that it is also what the event adds to the sum of all events.
    """
    if cost is None:
        return
    amount, whole = cost.amount, pico(cost.amount)
    if cost.currency == USD:
        properties["cost_usd"] = float(amount)
        properties["cost_usd_exact"] = amount_text(amount)
        name, change = "cost_picousd", "cost_change_picousd"
    else:
        properties["price_unit"] = cost.currency
        properties["cost_native_exact"] = amount_text(amount)
        name, change = "cost_native_pico", "cost_change_native_pico"
    if whole is not None:
        properties[name] = whole
        if added:
            properties[change] = whole


def put_change(properties: dict[str, Any], change: Money | None) -> None:
    """What the event adds to the sum of all events of that currency, where that is not its cost."""
    whole = None if change is None else pico(change.amount)
    if change is not None and whole is not None:
        properties["cost_change_picousd" if change.currency == USD else "cost_change_native_pico"] = whole


def put_estimate(properties: dict[str, Any], estimate: Money | None) -> None:
    """What is expected, under names that no sum of costs reads; below zero where an expectation is taken back."""
    if estimate is None:
        return
    if estimate.currency == USD:
        properties["estimate_usd"] = float(estimate.amount)
        whole = pico(estimate.amount)
        if whole is not None:
            properties["estimate_picousd"] = whole
    else:
        properties["estimate_unit"] = estimate.currency
        properties["estimate_native_exact"] = amount_text(estimate.amount)


def put_standing(properties: dict[str, Any], entry: Entry) -> None:
    """How well the cost is known, and what the event adds to the counts of calls, pending and unpriced ones.

    An entry that takes the place of another takes that one's standing away, as in the ledger's own totals.
    """
    standing, replaced = entry.standing, entry.replaces
    properties["cost_status"] = cost_status(standing, entry.quote)
    if standing is _UNPRICED and entry.quote is not None:
        properties["cost_reason"] = entry.quote.status.value
    properties["calls"] = int(replaced is None)
    properties["pending"] = (standing is _PENDING) - (replaced == _PENDING)
    properties["unpriced"] = (standing is _UNPRICED) - (replaced == _UNPRICED)


def cost_status(standing: Standing | None, quote: Quote | None) -> str:
    """One word: ``priced``, ``partial``, ``estimated``, ``pending``, ``unpriced`` or ``not_billed``."""
    if standing is None:
        return "not_billed"
    if standing is _PENDING:
        return quote.status.value if quote is not None and quote.status in _PARTLY else "pending"
    return "unpriced" if standing is _UNPRICED else "priced"


def put_ai_cost(properties: dict[str, Any], cost: Money, lines: Iterable[QuoteLine]) -> None:
    """The five numbers and the flag with which PostHog shows our cost and makes none of its own.

    All five, because some versions of its server take a missing one from a price list. What no line accounts for (the
    difference to what the provider itself charged, or a correction) is a fee of the request, so that the parts are
    exactly the whole.
    """
    spent: dict[str, Decimal] = {}
    for line in lines:
        name = _PARTS.get(line.bucket)
        if name is not None:
            before, more = spent.get(name), line.subtotal
            spent[name] = more if before is None else EXACT.add(before, more)
    rest = cost.amount
    for amount in spent.values():
        rest = EXACT.subtract(rest, amount)
    spent[_REQUEST] = rest
    properties.update(_NOTHING_SPENT)
    for name, amount in spent.items():
        properties[name] = float(amount)
    properties["$ai_total_cost_usd"] = float(cost.amount)
    properties["$ai_cost_passthrough"] = True
