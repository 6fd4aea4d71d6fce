"""What is written in a rates file: TOML with your own rates, or what the published price lists lack.

    [[rate]]                            # what a model costs; a bucket without a price has none
    provider = "openai"                 # LangChain's ls_provider or the price list's id
    model = "my-finetune"               # as served or as asked for; or several: ["a", "b-*"], * being any ending
    source = "contract of March"        # shown in the working
    effective_from = 2026-03-01         # first day
    effective_until = 2026-12-31        # last day; later the rates are used as an estimate
    when = { service_tier = "flex", region = ["us", "eu-*"] }    # only for calls with these options; "!us": any other
    input = 2.50                        # per million tokens, for each usage bucket
    output = { price = 10, low = 8, high = 10, assume = "…" }    # an estimate and its bounds
    web_search = 10                     # provider's tools, per 1,000 calls
    file_search = { price = 3, once = true }     # once a call of the model, however often the tool ran
    request = 0.001                     # a fee per call
    per_call = { my_tool = 0.02 }       # a fee per call of any other tool
    currency = "EUR"
    assume = "power=0.30 a kWh"         # what all of it rests on: an estimate
    partial = "seats are billed too"    # what else is billed, and stands in no rate
    [[rate.band]]                       # requests with a longer input: what changes
    above = 272_000
    input = 5

    [[rate]]                            # at some hours and days only; a rate with such times wins over one without
    hours = ["09:00-12:00", "14:00-18:00"]
    days = ["mon", "tue", "wed", "thu", "fri"]
    except_on = ["2026-10-01..2026-10-07"]
    utc_offset = "+08:00"               # the clock of hours, days and dates; UTC where it is missing

    [[adjust]]                          # changes what the lists beneath say
    provider = "anthropic"
    model = "*"
    discount = "15%"                    # or factor = 0.85; of all buckets, or of `buckets = ["tokens", "web_search"]`
    cache_read = 0.2                    # replaces or adds a rate
    cache_write_12h = { of = "cache_write", times = 2 }
    name = "framework contract"         # of adjustments with one name only the most fitting is applied
    low = "10/11"                       # bounds, as factors, of what `assume` leaves open
    afterwards = { input = { times = 1.25 } }    # bounds after the last day; "list": the lists are right again
    when = { list_rule = "dated snapshot" }      # beside options of the call: how the list beneath found the model

    [[alias]]                           # a name of your own
    provider = "azure"
    model = "my-deployment"
    priced_as = { provider = "azure", model = "gpt-4o" }

Of several rates that hold, the one for the exact model wins over one with a star, more options over fewer, times over
none, and a later first day over an earlier. Numbers are the exact decimals they are written as.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from costtrace.errors import InvalidRates, InvalidValue
from costtrace.money import check_currency
from costtrace.pricing.rate_rows import LIST, AdjustRow, AliasRow, Change, RateRow, Scope, Window, decimal
from costtrace.pricing.rate_table import Table
from costtrace.pricing.sheet import PER_MILLION, PER_THOUSAND, REQUEST, Band, Rate
from costtrace.pricing.toml_lines import locate
from costtrace.usage import DIRECTIONS

TOKENS: Final = frozenset(DIRECTIONS)
_TOOLS: Final = ("code_execution", "file_search", "web_search")
_PER: Final[Mapping[str, int]] = {
    **dict.fromkeys(DIRECTIONS, PER_MILLION),
    **dict.fromkeys(_TOOLS, PER_THOUSAND),
    REQUEST: 1,
}
_TIMES: Final = ("days", "effective_from", "effective_until", "except_on", "hours", "utc_offset")
_SCOPE: Final = frozenset({*_TIMES, "checked_on", "model", "name", "provider", "service_tier", "source", "when"})
_PRICES: Final = frozenset({*_PER, "per_call"})
_RATE: Final = _SCOPE | _PRICES | {"assume", "band", "currency", "partial"}
_FACTOR: Final = frozenset({"assume", "buckets", "discount", "factor", "high", "low"})
_ADJUST: Final = _SCOPE | _PRICES | _FACTOR | {"above", "afterwards", "partial"}
_ALIAS: Final = _SCOPE | {"priced_as"}
_FILE: Final = frozenset({"adjust", "alias", "rate", "version"})
_SOURCED: Final = ("source", "checked_on", "effective_from")


@dataclass(frozen=True, slots=True, kw_only=True)
class RateRows:
    """What a rates file says."""

    version: str | None
    data_hash: str
    """SHA-256 of its content, first 16 hex digits."""
    rates: tuple[RateRow, ...]
    adjusts: tuple[AdjustRow, ...]
    aliases: tuple[AliasRow, ...]


def parse_rates(content: bytes, file: str, *, provider_id: Callable[[str], str], sourced: bool) -> RateRows:
    """What that content says; `file` names it in errors, `provider_id` is a provider's id in price lists.

    With `sourced` every row must name its source, when it was checked, and its first day. Raises InvalidRates with
    file, line and key for content that cannot be used.
    """
    try:
        text = content.decode()
        document = tomllib.loads(text, parse_float=Decimal)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidRates(f"rates file {file!r} is not TOML: {error}") from None
    root = Table(document, (), locate(text), file)
    root.only(_FILE)
    if document.keys() <= {"version"}:
        raise InvalidRates(f"rates file {file!r} has no [[rate]], [[adjust]] or [[alias]] table")
    reader = _Reader(provider_id, (*_SOURCED,) if sourced else ())
    parsed = RateRows(
        version=root.text("version"),
        data_hash=hashlib.sha256(content).hexdigest()[:16],
        rates=tuple(each for row in root.array("rate") for each in reader.rate(row)),
        adjusts=tuple(each for row in root.array("adjust") for each in reader.adjust(row)),
        aliases=tuple(each for row in root.array("alias") for each in reader.alias(row)),
    )
    _refuse_twins(root, parsed)
    return parsed


@dataclass(frozen=True, slots=True)
class _Reader:
    provider_id: Callable[[str], str]
    mandatory: tuple[str, ...]

    def rate(self, row: Table) -> Iterable[RateRow]:
        row.only(_RATE)
        source = row.text("source") or row.header
        rates = dict(_rates(row, source))
        if not rates:
            raise row.wrong("input", "is missing: name a price for at least one usage bucket")
        bands = [Band(above=-1, rates=MappingProxyType(rates))]
        for band in row.array("band"):
            rates = {**rates, **dict(_band(band, bands[-1].above, source))}
            bands.append(Band(above=band.count("above") or 0, rates=MappingProxyType(rates)))
        currency, assume, partial = _currency(row), row.text("assume"), row.text("partial")
        return [
            RateRow(scope=scope, bands=tuple(bands), currency=currency, assume=assume, partial=partial)
            for scope in self._scopes(row)
        ]

    def adjust(self, row: Table) -> Iterable[AdjustRow]:
        row.only(_ADJUST)
        factor = _factor(row)
        changes = dict(_changes(row))
        if not (factor or changes or {"afterwards", "partial"} & set(row.keys)):
            raise row.wrong("factor", "is missing: name a factor, a discount or a price")
        above = row.count("above")
        buckets, afterwards, partial = _buckets(row), _afterwards(row), row.text("partial")
        return [
            AdjustRow(
                scope=scope,
                factor=factor,
                buckets=buckets,
                changes=MappingProxyType(changes),
                above=-1 if above is None else above,
                afterwards=afterwards,
                partial=partial,
            )
            for scope in self._scopes(row)
        ]

    def alias(self, row: Table) -> Iterable[AliasRow]:
        row.only(_ALIAS)
        target = row.sub("priced_as")
        if target is None:
            raise row.wrong("priced_as", f"is missing from this {row.header}")
        target.only(("model", "provider"))
        provider = target.text("provider") or row.required("provider")
        model = target.required("model")
        return [AliasRow(scope=scope, provider=provider, model=model) for scope in self._scopes(row)]

    def _scopes(self, row: Table) -> list[Scope]:
        for key in ("provider", "model", *self.mandatory):
            if key not in row:
                raise row.wrong(key, f"is missing from this {row.header}")
        models = row.texts("model")
        for model in models:
            if "*" in model[:-1]:
                raise row.wrong("model", f"may have a * at its end only, got {model!r}")
        return [self._scope(row, model) for model in models]

    def _scope(self, row: Table, model: str) -> Scope:
        provider = row.required("provider")
        first, last = row.day("effective_from") or date.min, row.day("effective_until") or date.max
        if last < first:
            raise row.wrong("effective_until", f"must not be before effective_from, got {last}")
        return Scope(
            line=row.line,
            provider=self.provider_id(provider),
            written_provider=provider,
            model=model,
            when=_when(row),
            window=Window(hours=row.hours("hours"), days=row.weekdays("days"), except_on=row.dates("except_on")),
            utc_offset=row.offset("utc_offset"),
            effective_from=first,
            effective_until=last,
            name=row.text("name") or "",
            source=row.text("source"),
            checked_on=row.day("checked_on"),
        )


def _when(row: Table) -> Mapping[str, tuple[str, ...]]:
    options = row.sub("when")
    when = {} if options is None else {key: options.texts(key) for key in options.keys}
    if "service_tier" in row:
        when["service_tier"] = (row.required("service_tier"),)
    return MappingProxyType(when)


def _currency(row: Table) -> str:
    currency = row.text("currency") or "USD"
    try:
        return check_currency(currency)
    except InvalidValue:
        raise row.wrong("currency", f"must be an ISO 4217 code such as 'USD', got {currency!r}") from None


def _band(band: Table, above: int, source: str) -> Iterable[tuple[str, Rate]]:
    band.only(_PRICES | {"above"})
    start = band.count("above")
    if start is None or start <= above:
        raise band.wrong("above", "must be there, and higher than in the band before")
    return _rates(band, source)


def _rates(table: Table, source: str) -> Iterable[tuple[str, Rate]]:
    for bucket, (change, per) in _prices(table).items():
        if change.price is None:
            raise table.wrong(bucket, "must name a price")
        yield (
            bucket,
            Rate(
                price=change.price,
                per=per,
                source=source,
                assumption=change.assume,
                low=None if change.low is None else decimal(change.low),
                high=None if change.high is None else decimal(change.high),
                once=change.once,
            ),
        )


def _changes(table: Table) -> Iterable[tuple[str, Change]]:
    return ((bucket, change) for bucket, (change, _) in _prices(table).items())


def _prices(table: Table) -> dict[str, tuple[Change, int]]:
    prices = {key: (_change(table, key, per), per) for key, per in _PER.items() if key in table}
    tools = table.sub("per_call")
    if tools is not None:
        for name in tools.keys:
            if not name.isidentifier() or name in _PER:
                raise tools.wrong(name, "must be the name of a tool, made of letters, digits and underscores")
            prices[name] = (_change(tools, name, 1), 1)
    return prices


def _change(table: Table, key: str, per: int) -> Change:
    if not table.is_table(key):
        return Change(price=table.price(key), per=per)
    spec = table.sub(key)
    if spec is None:  # pragma: no cover - is_table has just said that it is one
        raise table.wrong(key, "must be a table")
    spec.only(("assume", "high", "low", "of", "once", "price", "times"))
    price, times, of = spec.price("price"), spec.factor("times"), spec.text("of")
    if price is not None and (times is not None or of is not None):
        raise spec.wrong("price", "cannot stand beside times or of")
    if of is not None and of not in _PER:
        raise spec.wrong("of", f"must be a bucket: {', '.join(sorted(_PER))}")
    return Change(
        price=price,
        per=per,
        of=of,
        times=Decimal(1) if times is None else times,
        low=spec.bound("low"),
        high=spec.bound("high"),
        assume=spec.text("assume"),
        once=spec.flag("once"),
    )


def _factor(row: Table) -> Change | None:
    if "factor" in row and "discount" in row:
        raise row.wrong("discount", "cannot stand beside factor")
    factor = row.discount("discount") if "discount" in row else row.factor("factor")
    assume, low, high = row.text("assume"), row.bound("low"), row.bound("high")
    if factor is None and assume is None and low is None and high is None:
        return None
    if (low is not None or high is not None) and assume is None:
        raise row.wrong("assume", "is missing: say what the bounds leave open")
    return Change(times=Decimal(1) if factor is None else factor, low=low, high=high, assume=assume)


def _buckets(row: Table) -> frozenset[str]:
    names = row.texts("buckets")
    for name in names:
        if name != "tokens" and name not in _PER:
            raise row.wrong("buckets", f"must be among tokens, {', '.join(sorted(_PER))}, got {name!r}")
    return frozenset(names) - {"tokens"} | (TOKENS if "tokens" in names else frozenset())


def _afterwards(row: Table) -> Mapping[str, Change] | None:
    if "afterwards" not in row:
        return None
    if row.is_table("afterwards"):
        table = row.sub("afterwards")
        if table is not None:
            table.only(_PRICES)
            return MappingProxyType(dict(_changes(table)))
    if row.text("afterwards") != LIST:
        raise row.wrong("afterwards", f"must be {LIST!r} or a table of prices")
    return MappingProxyType({})


def _refuse_twins(root: Table, parsed: RateRows) -> None:
    seen: dict[object, int] = {}
    rows: tuple[RateRow | AdjustRow | AliasRow, ...] = (*parsed.rates, *parsed.adjusts, *parsed.aliases)
    for row in rows:
        scope = row.scope
        identity = (
            type(row),
            scope.provider,
            scope.model,
            tuple(sorted(scope.when.items())),
            scope.window,
            scope.utc_offset,
            scope.effective_from,
            scope.name,
            row.above if isinstance(row, AdjustRow) else -1,
        )
        if identity in seen:
            raise root.at(scope.line, f"says the same calls as line {seen[identity]}: one of the two must go")
        seen[identity] = scope.line
