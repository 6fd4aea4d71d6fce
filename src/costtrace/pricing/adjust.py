"""What an ``[[adjust]]`` row of a rates file makes of the rates that the lists beneath it say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType

from costtrace.money import EXACT, amount_text
from costtrace.pricing.rate_rows import AdjustRow, Change, Scope, decimal
from costtrace.pricing.route import Route
from costtrace.pricing.sheet import Band, Rate, RateSheet

Rates = Mapping[str, Rate]


def adjusted(sheet: RateSheet, row: AdjustRow, route: Route, at: datetime, file: str) -> RateSheet:
    """The sheet as the row changes it; past the row's last day with the assumption that it still holds."""
    scope = row.scope
    if scope.ended(at) and row.afterwards is not None and not row.afterwards:
        return sheet
    source = f"{file} {scope.name}".rstrip()
    held = held_until(scope, file) if scope.ended(at) else None
    bands = tuple(_band(band, row, source, held) for band in sheet.bands)
    return replace(
        sheet,
        basis=replace(
            sheet.basis,
            adjustments=(*sheet.basis.adjustments, _sentence(row, file)),
            context_used=MappingProxyType({**sheet.basis.context_used, **_options_settled(row, route)}),
            effective_until=_earlier(sheet.basis.effective_until, scope.effective_until),
        ),
        bands=bands,
        assumptions=(*sheet.assumptions, *((held,) if held and not row.afterwards else ())),
        missing=(*sheet.missing, *((row.partial,) if row.partial else ())),
    )


def options_used(scope: Scope, route: Route) -> dict[str, str]:
    """The options of the call that the row asked for."""
    return {key: route.context[key] for key in scope.when if key in route.context}


def _options_settled(row: AdjustRow, route: Route) -> dict[str, str]:
    """The options that the row says the whole price of: one that changes a rate beside plain input leaves them open."""
    settles = row.factor is not None or "input" in row.changes or not row.changes
    return options_used(row.scope, route) if settles else {}


def held_until(scope: Scope, file: str) -> str:
    """The assumption under which a row is used after its last day."""
    return f"rates of {scope.source or scope.name or file} held until {scope.effective_until}"


def _band(band: Band, row: AdjustRow, source: str, held: str | None) -> Band:
    if band.above < row.above:
        return band
    rates = dict(band.rates)
    if row.factor is not None:
        for bucket, rate in band.rates.items():
            if not row.buckets or bucket in row.buckets:
                rates[bucket] = _multiplied(rate, row.factor, source)
    for bucket, change in row.changes.items():
        changed = _changed(bucket, change, rates, source)
        if changed is not None:
            rates[bucket] = changed
    if held is not None:
        for bucket, change in (row.afterwards or {}).items():
            if bucket in rates:
                rates[bucket] = _doubtful(bucket, change, rates, held)
    return Band(above=band.above, rates=MappingProxyType(rates))


def _changed(bucket: str, change: Change, rates: Rates, source: str) -> Rate | None:
    if change.price is not None:
        return Rate(
            price=change.price,
            per=change.per,
            source=source,
            assumption=change.assume,
            low=None if change.low is None else decimal(change.low),
            high=None if change.high is None else decimal(change.high),
            once=change.once,
        )
    base = rates.get(change.of or bucket)
    # What a row says of one bucket was published for it: what was assumed of its rate before is no longer open.
    return None if base is None else _multiplied(replace(base, assumption=None, low=None, high=None), change, source)


def _multiplied(rate: Rate, change: Change, source: str) -> Rate:
    times = "" if change.times == 1 else f" x {amount_text(change.times)}"
    return replace(
        rate,
        price=EXACT.multiply(rate.price, change.times),
        source=f"{rate.source}, {source}{times}" if times or change.assume else rate.source,
        assumption=_joined(rate.assumption, change.assume),
        low=_bound(rate.low, rate, change.low, change),
        high=_bound(rate.high, rate, change.high, change),
        once=rate.once or change.once,
    )


def _bound(end: Decimal | None, rate: Rate, bound: Fraction | None, change: Change) -> Decimal | None:
    """One end of what the rate may be; None where that is not known, or where nothing is open."""
    base = rate.price if rate.assumption is None else end
    if base is None or (change.assume is not None and bound is None):
        return None
    if bound is not None:
        return decimal(Fraction(base) * bound)
    return None if rate.assumption is None else EXACT.multiply(base, change.times)


def _doubtful(bucket: str, change: Change, rates: Rates, assumption: str) -> Rate:
    rate = rates[bucket]
    later = change.price
    if later is None:
        later = EXACT.multiply(rates[change.of or bucket].price, change.times)
    ends = (rate.price, rate.price) if rate.assumption is None else (rate.low, rate.high)
    return replace(
        rate,
        assumption=_joined(rate.assumption, assumption),
        low=None if ends[0] is None else min(ends[0], later),
        high=None if ends[1] is None else max(ends[1], later),
    )


def _joined(first: str | None, second: str | None) -> str | None:
    return f"{first}; {second}" if first and second and first != second else first or second


def _earlier(first: date | None, second: date) -> date | None:
    if second == date.max:
        return first
    return second if first is None else min(first, second)


def _sentence(row: AdjustRow, file: str) -> str:
    scope = row.scope
    factor = row.factor
    parts = [f"x {amount_text(factor.times)}"] if factor is not None and factor.times != 1 else []
    parts += [f"{bucket} {_change_text(change)}" for bucket, change in row.changes.items()]
    checked = f", checked {scope.checked_on}" if scope.checked_on else ""
    page = f" ({scope.source}{checked})" if scope.source else ""
    return f"{scope.name or file}: {', '.join(parts) or 'rates unchanged'}{page}"


def _change_text(change: Change) -> str:
    if change.price is not None:
        return amount_text(change.price)
    return f"{amount_text(change.times)} x {change.of or 'its own rate'}"
