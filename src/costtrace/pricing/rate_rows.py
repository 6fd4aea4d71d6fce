"""Rows of a rates file: for which calls each holds and since when, and which of several is chosen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Final, TypeVar

from costtrace.pricing.sheet import Band

LIST: Final = "list"
"""What ``afterwards`` says where the lists beneath are right again once the row has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """What a call may be called in a rates file."""

    providers: frozenset[str]
    names: Mapping[str, str | None]
    """Names of its model, best first, each with what is assumed by pricing the call under it, if anything."""
    context: Mapping[str, str]
    """The options it was made with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The times of a week at which a row holds, by a clock that differs from UTC by a fixed offset."""

    hours: tuple[tuple[int, int], ...] = ()
    """Minutes of the day, the end excluded; a window that ends before it starts goes over midnight."""
    days: frozenset[int] = frozenset()
    """Monday is 0; none means every day."""
    except_on: frozenset[date] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.hours or self.days or self.except_on)

    def contains(self, local: datetime) -> bool:
        """Whether that moment of the row's own clock lies in the window."""
        if (self.days and local.weekday() not in self.days) or local.date() in self.except_on:
            return False
        minute = local.hour * 60 + local.minute
        return not self.hours or any(
            start <= minute < end if start <= end else (minute >= start or minute < end) for start, end in self.hours
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The calls a row is about, and when it holds."""

    line: int
    """Where the row stands in its file."""
    provider: str
    """As price lists call it."""
    written_provider: str
    """As the file calls it."""
    model: str
    """A trailing ``*`` stands for any ending."""
    when: Mapping[str, tuple[str, ...]]
    """For each option of the call the values asked for: ``us``, ``eu-*`` (any ending), ``!global`` (any other)."""
    window: Window
    utc_offset: timedelta
    effective_from: date
    effective_until: date
    """The last day, by the row's own clock."""
    name: str = ""
    source: str | None = None
    checked_on: date | None = None

    def local(self, at: datetime) -> datetime:
        """That moment by the row's own clock; in the calendar's first and last year by UTC, which cannot leave it."""
        return at + self.utc_offset if date.min.year < at.year < date.max.year else at

    def name_of(self, call: Called) -> str | None:
        """The name of the call's model that the row means, or None."""
        if call.providers.isdisjoint((self.provider, self.written_provider)):
            return None
        if self.model.endswith("*"):
            return next((name for name in call.names if name.startswith(self.model[:-1])), None)
        return self.model if self.model in call.names else None

    def selected_by(self, context: Mapping[str, str]) -> bool:
        """Whether the call was made with the options that the row asks for."""
        return all(key in context and _means(values, context[key]) for key, values in self.when.items())

    def holds(self, at: datetime) -> bool:
        """Whether the row's first day has come, and the time of day and week is its own."""
        local = self.local(at)
        return self.effective_from <= local.date() and self.window.contains(local)

    def ended(self, at: datetime) -> bool:
        """Whether the row's last day has passed."""
        return self.local(at).date() > self.effective_until

    @property
    def changes_within_a_day(self) -> bool:
        """Whether one UTC day may see the row both hold and not hold."""
        return bool(self.window.hours or self.utc_offset)

    def rank(self, at: datetime) -> tuple[date, bool, int, int, bool, date]:
        """What is more to the point ranks higher: still in force or ended last, then by model, options, times, date."""
        known_until = self.effective_until if self.ended(at) else date.max
        exact = not self.model.endswith("*")
        return (known_until, exact, len(self.model), len(self.when), bool(self.window), self.effective_from)


def _means(values: tuple[str, ...], value: str) -> bool:
    return any(
        not _matches(pattern[1:], value) if pattern.startswith("!") else _matches(pattern, value) for pattern in values
    )


def _matches(pattern: str, value: str) -> bool:
    return value.startswith(pattern[:-1]) if pattern.endswith("*") else value == pattern


@dataclass(frozen=True, slots=True, kw_only=True)
class RateRow:
    """``[[rate]]``: the rates of a model, all of them."""

    scope: Scope
    bands: tuple[Band, ...]
    currency: str
    assume: str | None
    partial: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What becomes of one rate: a price of its own, or so many times the rate of a bucket."""

    price: Decimal | None = None
    per: int = 1
    of: str | None = None
    """The bucket whose rate is multiplied; None for the bucket itself."""
    times: Decimal = Decimal(1)
    low: Fraction | None = None
    """Bounds, as prices beside a price and as factors beside a factor."""
    high: Fraction | None = None
    assume: str | None = None
    once: bool = False
    """Charged once a call, however many units were counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdjustRow:
    """``[[adjust]]``: what a row changes of the rates that the lists beneath say."""

    scope: Scope
    factor: Change | None
    """For all the rates in `buckets`."""
    buckets: frozenset[str]
    """Empty for all of them."""
    changes: Mapping[str, Change]
    above: int
    """Only the rates for requests with more input tokens than this; -1 for all."""
    afterwards: Mapping[str, Change] | None
    """What the rates may be once the row has ended; None where nothing is known, empty where the lists are right."""
    partial: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasRow:
    """``[[alias]]``: a name whose price is that of another model."""

    scope: Scope
    provider: str
    model: str


def decimal(bound: Fraction) -> Decimal:
    """A bound as a Decimal: exact where decimals can say it, else to 28 digits, since a bound is nobody's bill."""
    return Decimal(bound.numerator) / Decimal(bound.denominator)


Row = TypeVar("Row", RateRow, AdjustRow, AliasRow)


def known(rows: Iterable[Row], call: Called) -> list[tuple[Row, str]]:
    """The rows about that call at whatever time, each with the name by which it knows the model."""
    return [
        (row, name)
        for row in rows
        if (name := row.scope.name_of(call)) is not None and row.scope.selected_by(call.context)
    ]


def best(rows: Iterable[tuple[Row, str]], at: datetime) -> tuple[Row, str] | None:
    """The row to be used at that moment; one that has ended only where no other holds."""
    return max(
        ((row, name) for row, name in rows if row.scope.holds(at)), key=lambda r: r[0].scope.rank(at), default=None
    )
