"""An entry as the charges of a bill.

A call whose cost is the sum of its quote's lines is one charge for each meter. What the seller named as a whole (an
SMS, a cost that came with the answer) is one charge of one request or message. What was learned later of a charge is an
``Adjustment`` with the signed difference, in the month it was learned; FOCUS 1.2 calls it a ``Correction`` only where
that is a later month than the one it was for. What the seller paid back is a ``Credit``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import reduce
from typing import Final

from costtrace.entry import Entry, Kind, Standing
from costtrace.exporters.focus.columns import Row
from costtrace.exporters.focus.periods import month_of, seconds_of
from costtrace.exporters.focus.services import UNKNOWN, category_of, is_sms, seller_of
from costtrace.jsontext import encode
from costtrace.money import EXACT, ZERO, Money
from costtrace.quote import PriceBasis, QuoteLine, QuoteStatus, unit_price
from costtrace.times import moment_text
from costtrace.usage import DIRECTIONS

_ONE: Final = Decimal(1)
_CHARGED: Final = (Standing.SETTLED, Standing.CALCULATED)
_UNITS: Final[Mapping[str, str]] = {**dict.fromkeys(DIRECTIONS, "Tokens"), "sms_segments": "Segments"}
"""Units as FOCUS writes them; what is counted otherwise is ``Units``, and the meter says of what."""


def charges(entry: Entry, accounts: Mapping[str, str]) -> Iterator[Row]:
    """The charges of one entry: none where no cost is known, or where it is known that nothing was bought.

    Their ``BilledCost`` adds up to the entry's cost exactly. `accounts` holds the billing account of each provider; one
    that it does not name goes by the provider's own name.
    """
    cost = entry.cost
    if cost is None or was_free(entry):
        return
    if _is_difference(entry):
        yield {**_common(entry, cost, accounts, billed_at=_learned_at(entry)), **_adjustment(entry)}
        return
    common = _common(entry, cost, accounts, billed_at=entry.occurred_at)
    if cost.amount < 0:
        yield {**common, **_apart("Credit", f"{_sku(entry)}: credit")}
    elif lines := _meters(entry, cost):
        for line in lines:
            yield {**common, **_metered(entry, line, cost.currency)}
    else:
        yield {**common, **_whole(entry, cost)}


def was_free(entry: Entry) -> bool:
    """Whether it is known that nothing was bought: an answer from a cache, an SMS that was refused."""
    quote, cost = entry.quote, entry.cost
    return quote is not None and quote.status is QuoteStatus.NOT_BILLED and (cost is None or cost.amount == 0)


def _is_difference(entry: Entry) -> bool:
    """Whether something was charged before; what had only an estimate, or no price, is charged now."""
    return entry.replaces in _CHARGED or (entry.replaces is None and entry.kind == Kind.CORRECTION)


def _learned_at(entry: Entry) -> datetime:
    return max(entry.occurred_at, entry.recorded_at)


def _meters(entry: Entry, cost: Money) -> Sequence[QuoteLine]:
    """The lines of the quote, where they are what the cost consists of."""
    quote = entry.quote
    if quote is None or quote.status is not QuoteStatus.EXACT or quote.currency != cost.currency:
        return ()
    lines = [line for line in quote.lines if line.quantity]
    if any(line.rate < 0 for line in lines):
        return ()
    return lines if reduce(EXACT.add, (line.subtotal for line in lines), ZERO) == cost.amount else ()


def _common(entry: Entry, cost: Money, accounts: Mapping[str, str], *, billed_at: datetime) -> Row:
    seller, category = seller_of(entry.provider), category_of(entry)
    billing_start, billing_end = month_of(billed_at)
    start, end = seconds_of(entry.occurred_at, entry.duration_us)
    provider = entry.provider or UNKNOWN
    return {
        **_costs(cost.amount),
        "BillingAccountId": accounts.get(provider, provider),
        "BillingCurrency": cost.currency,
        "BillingPeriodStart": billing_start,
        "BillingPeriodEnd": billing_end,
        "ChargePeriodStart": start,
        "ChargePeriodEnd": end,
        "InvoiceIssuerName": seller.provider,
        "ProviderName": seller.provider,
        "PublisherName": seller.provider,
        "ServiceCategory": category.category,
        "ServiceSubcategory": category.subcategory,
        "ServiceName": seller.service,
        **_ours(entry),
    }


def _costs(amount: Decimal) -> Row:
    """All four are the same: what is known is what was billed, and nothing was paid in advance."""
    return dict.fromkeys(("BilledCost", "ContractedCost", "EffectiveCost", "ListCost"), amount)


def _ours(entry: Entry) -> Row:
    """Whose charge it is, and where it stands in the ledger."""
    context, corrects = entry.context, entry.details.get("corrects")
    return {
        "Tags": encode(dict(context.tags)) if context.tags else None,
        "x_Channel": context.channel,
        "x_Corrects": corrects if isinstance(corrects, str) else None,
        "x_CostStatus": entry.cost_status,
        "x_Direction": context.direction,
        "x_EntryId": entry.entry_id,
        "x_Environment": context.environment,
        "x_Kind": str(entry.kind),
        "x_MessageUuid": entry.message_uuid,
        "x_MessageType": context.message_type,
        "x_Model": entry.model,
        "x_OccurredAt": moment_text(entry.occurred_at),
        "x_Provider": entry.provider,
        "x_RecordedAt": moment_text(entry.recorded_at),
        "x_ReplyTo": context.reply_to,
        "x_Role": context.role,
        "x_SourceId": entry.source_id,
        "x_ThreadId": context.thread_id,
        "x_UserId": context.user_id,
        **_price_list(entry),
    }


def _price_list(entry: Entry) -> Row:
    basis = None if entry.quote is None else entry.quote.basis
    if basis is None:
        return {}
    return {
        "x_PriceDataHash": basis.data_hash,
        "x_PriceSource": basis.source,
        "x_PriceVersion": basis.version,
    }


def _adjustment(entry: Entry) -> Row:
    corrects, reason = entry.details.get("corrects"), entry.details.get("reason")
    words = [f"correction of {corrects}" if corrects else "correction", reason if isinstance(reason, str) else ""]
    later = month_of(_learned_at(entry)) != month_of(entry.occurred_at)
    return {
        **_apart("Adjustment", ": ".join(filter(None, words))),
        "ChargeClass": "Correction" if later else None,
    }


def _apart(category: str, description: str) -> Row:
    """A charge that nothing was consumed for: quantities and unit prices stay empty."""
    return {"ChargeCategory": category, "ChargeDescription": description, "ChargeFrequency": "One-Time"}


def _metered(entry: Entry, line: QuoteLine, currency: str) -> Row:
    basis = None if entry.quote is None else entry.quote.basis
    unit = _UNITS.get(line.bucket, "Units")
    sku = _sku(entry) if basis is None else f"{basis.provider}/{basis.model}"
    return {
        **_costs(line.subtotal),
        **_used(f"{sku}: {line} {currency}", quantity=unit_price(Decimal(line.quantity), line.per), price=line.rate),
        "ConsumedQuantity": Decimal(line.quantity),
        "ConsumedUnit": unit,
        "PricingUnit": unit if line.per == 1 else f"{line.per} {unit}",
        "SkuId": sku,
        "SkuMeter": line.bucket,
        "SkuPriceId": f"{sku}/{line.bucket}{_selected(basis)}",
        "SkuPriceDetails": _price_details(basis),
    }


def _whole(entry: Entry, cost: Money) -> Row:
    sku, sms = _sku(entry), is_sms(entry.kind)
    unit, meter = ("Messages", entry.context.direction or "message") if sms else ("Requests", "request")
    segments = entry.details.get("num_segments")
    consumed = (Decimal(segments), "Segments") if type(segments) is int and segments > 0 else (_ONE, unit)
    return {
        **_used(f"{sku}: {meter}, cost named as a whole", quantity=_ONE, price=cost.amount),
        "ConsumedQuantity": consumed[0],
        "ConsumedUnit": consumed[1],
        "PricingUnit": unit,
        "SkuId": sku,
        "SkuMeter": meter,
        "SkuPriceId": f"{sku}/{meter}",
    }


def _used(description: str, *, quantity: Decimal, price: Decimal) -> Row:
    return {
        "ChargeCategory": "Usage",
        "ChargeDescription": description,
        "ChargeFrequency": "Usage-Based",
        "PricingCategory": "Standard",
        "PricingQuantity": quantity,
        "ListUnitPrice": price,
        "ContractedUnitPrice": price,
    }


def _sku(entry: Entry) -> str:
    return f"{entry.provider or UNKNOWN}/{entry.model or entry.kind}"


def _selected(basis: PriceBasis | None) -> str:
    """The request options that chose the price: one SKU has a price for each."""
    options = {} if basis is None else basis.context_used
    return "".join(f";{name}={options[name]}" for name in sorted(options))


def _price_details(basis: PriceBasis | None) -> str | None:
    """The same as JSON; FOCUS wants names of our own to begin with ``x_``."""
    options = {} if basis is None else basis.context_used
    details = {f"x_{''.join(word.capitalize() for word in name.split('_'))}": options[name] for name in sorted(options)}
    return encode(details) if details else None
