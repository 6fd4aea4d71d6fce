"""Arbitrary values of every kind an entry can hold: odd text, huge and tiny amounts, words nobody has heard of."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from costtrace.context import Context
from costtrace.entry import Entry, SpanRef, Standing
from costtrace.jsontext import encode
from costtrace.money import EXACT, Money
from costtrace.quote import PriceBasis, Quote, QuoteLine, QuoteStatus
from costtrace.usage import DIRECTIONS, Usage

COUNTS = st.integers(0, 2**53)
SMALL_COUNTS = st.integers(0, 10_000_000)
TEXTS = st.text(min_size=1, max_size=12)
OPTIONAL_TEXTS = st.none() | TEXTS
CURRENCIES = st.sampled_from(["USD", "EUR"])
MOMENTS = st.datetimes(
    min_value=datetime(1900, 1, 1),  # noqa: DTZ001 - the strategy adds the zone
    max_value=datetime(9998, 12, 31),  # noqa: DTZ001 - as above
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45)), timezone(timedelta(hours=-8))]),
)
JSON_SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=12)
JSON_OBJECTS = st.dictionaries(
    TEXTS,
    JSON_SCALARS | st.lists(JSON_SCALARS, max_size=3) | st.dictionaries(TEXTS, JSON_SCALARS, max_size=3),
    max_size=4,
)

AMOUNTS: st.SearchStrategy[Decimal] = st.one_of(
    st.builds(
        lambda digits, exponent: Decimal(digits).scaleb(exponent, EXACT),
        st.integers(-(10**18), 10**18),
        st.integers(-40, 22),
    ),
    st.sampled_from(
        [
            Decimal("0.003125"),
            Decimal("-0.0075"),
            Decimal(0),
            Decimal("-0.00"),
            Decimal("1E-12"),
            Decimal("1E-13"),
            Decimal("9223372.036854775807"),  # the last amount whose integer of 1e-12 fits 64 bits
            Decimal("9223372.036854775808"),
            Decimal("1E+40"),
            Decimal("-1E-40"),
        ]
    ),
)
"""Every amount an entry can hold, on both sides of what an integer of 1e-12 in 64 bits can."""

MONEY = st.builds(Money, AMOUNTS, CURRENCIES)

USAGES = st.builds(
    Usage,
    buckets=st.dictionaries(st.sampled_from([*DIRECTIONS, "sms_segments", "web_search"]), COUNTS, max_size=5),
    reasoning_tokens=COUNTS,
    raw_json=JSON_OBJECTS.map(encode),
    flags=st.lists(TEXTS, max_size=2).map(tuple),
    problem=OPTIONAL_TEXTS,
)

BASES = st.builds(
    PriceBasis,
    provider=TEXTS,
    model=TEXTS,
    rule=TEXTS,
    source=TEXTS,
    version=TEXTS,
    data_hash=TEXTS,
    url=OPTIONAL_TEXTS,
    effective_from=st.none() | st.dates(),
    context_used=st.dictionaries(TEXTS, TEXTS, max_size=2),
    context_ignored=st.dictionaries(TEXTS, TEXTS, max_size=2),
)


@st.composite
def _lines(draw: Callable[[st.SearchStrategy[Any]], Any]) -> QuoteLine:
    quantity, per = draw(COUNTS), draw(st.sampled_from([1, 1_000, 1_000_000]))
    rate = draw(st.integers(0, 10**9)) * Decimal("0.000001")
    return QuoteLine(draw(st.sampled_from(sorted(DIRECTIONS))), quantity, rate, per)


@st.composite
def quotes(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Quote:
    status = draw(st.sampled_from(QuoteStatus))
    amount: Decimal | None = draw(AMOUNTS)
    if status is QuoteStatus.NOT_BILLED:
        amount = Decimal(0)
    elif status in {QuoteStatus.UNPRICED, QuoteStatus.USAGE_MISSING, QuoteStatus.INVALID_USAGE}:
        amount = None
    return Quote(
        status=status,
        amount=amount,
        currency=draw(CURRENCIES),
        low=draw(st.none() | AMOUNTS),
        high=draw(st.none() | AMOUNTS),
        computed=draw(st.none() | AMOUNTS),
        lines=tuple(draw(st.lists(_lines(), max_size=3))),
        reason=draw(OPTIONAL_TEXTS),
        assumptions=tuple(draw(st.lists(TEXTS, max_size=2))),
        basis=draw(st.none() | BASES),
    )


CONTEXTS = st.builds(
    Context,
    user_id=OPTIONAL_TEXTS,
    thread_id=OPTIONAL_TEXTS,
    channel=OPTIONAL_TEXTS,
    direction=OPTIONAL_TEXTS,
    role=OPTIONAL_TEXTS,
    environment=OPTIONAL_TEXTS,
    message_type=OPTIONAL_TEXTS,
    reply_to=OPTIONAL_TEXTS,
    tags=st.dictionaries(TEXTS, TEXTS, max_size=2),
)

_SPANS = st.builds(
    SpanRef,
    trace_id=st.integers(1, 2**128 - 1).map(lambda number: f"{number:032x}"),
    span_id=st.integers(1, 2**64 - 1).map(lambda number: f"{number:016x}"),
    sampled=st.booleans(),
)


@st.composite
def entries(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Entry:
    """Any entry at all; its money is that of its quote, if it has one, or the difference to an earlier entry."""
    quote: Quote | None = draw(st.none() | quotes())
    money: Money | None = draw(st.none() | MONEY) if quote is None else quote.money
    is_cost = draw(st.booleans()) if quote is None else quote.is_actual
    cost, estimate = (money, None) if is_cost else (None, money)
    replaces = draw(st.none() | st.sampled_from(Standing))
    if replaces is not None:
        cost, estimate = draw(st.none() | MONEY), draw(st.none() | MONEY)
    return Entry(
        entry_id=draw(TEXTS),
        message_uuid=draw(TEXTS),
        kind=draw(st.sampled_from(["llm", "sms"]) | TEXTS),
        status=draw(st.sampled_from(["completed", "failed"]) | TEXTS),
        occurred_at=draw(MOMENTS),
        recorded_at=draw(MOMENTS),
        duration_us=draw(st.none() | COUNTS),
        provider=draw(OPTIONAL_TEXTS),
        model=draw(OPTIONAL_TEXTS),
        requested_model=draw(OPTIONAL_TEXTS),
        source_id=draw(OPTIONAL_TEXTS),
        usage=draw(st.none() | USAGES),
        quote=quote,
        cost=cost,
        estimate=estimate,
        replaces=replaces,
        context=draw(CONTEXTS),
        span=draw(st.none() | _SPANS),
        error=draw(OPTIONAL_TEXTS),
        details=draw(st.dictionaries(TEXTS, JSON_SCALARS, max_size=3)),
    )
