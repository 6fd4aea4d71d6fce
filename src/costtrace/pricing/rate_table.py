"""One table of a rates file, read key by key. What is wrong is refused with file, line, key and value."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, Final, TypeVar

from costtrace.errors import InvalidRates, InvalidValue
from costtrace.money import ZERO, check_amount
from costtrace.pricing.toml_lines import Path

T = TypeVar("T")

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MINUTES: Final = 24 * 60
_OFFSET: Final = "must be an offset from UTC such as '+08:00'"
_HOURS: Final = "must be times such as ['09:00-12:00', '14:00-18:00']"
_DATES: Final = "must be dates or ranges of dates such as ['2026-10-01..2026-10-07', '2026-12-25']"


class Table:
    """A table of the file: its values, and where they stand."""

    def __init__(self, values: object, path: Path, lines: Mapping[Path, int], file: str) -> None:
        self._path = path
        self._lines = lines
        self._file = file
        self.header = "[[" + ".".join(name for name in path if isinstance(name, str)) + "]]"
        if not isinstance(values, dict):
            raise self.wrong("", f"must be a {self.header} table")
        self._values: dict[str, Any] = values

    def __contains__(self, key: str) -> bool:
        return key in self._values

    @property
    def keys(self) -> Collection[str]:
        """The keys of this table."""
        return self._values.keys()

    @property
    def line(self) -> int:
        """Where the table begins."""
        return self.line_of("")

    def line_of(self, key: str) -> int:
        """Where a key stands, or the table where it has no line of its own."""
        paths = [(*self._path, key), *(self._path[:end] for end in range(len(self._path), -1, -1))]
        return next((self._lines[path] for path in paths if path in self._lines), 1)

    def wrong(self, key: str, what: str) -> InvalidRates:
        """The refusal of a key."""
        subject = f"{key} {what}" if key else what
        return self.at(self.line_of(key), subject)

    def at(self, line: int, what: str) -> InvalidRates:
        """The refusal of what stands on a line."""
        return InvalidRates(f"rates file {self._file!r}, line {line}: {what}")

    def is_table(self, key: str) -> bool:
        """Whether the value of a key is a table."""
        return isinstance(self._values.get(key), dict)

    def only(self, known: Collection[str]) -> None:
        """Refuse every key that is not among the known ones."""
        for key in self._values:
            if key not in known:
                raise self.wrong(key, f"is not a known key of {self.header}; known are {', '.join(sorted(known))}")

    def sub(self, key: str) -> Table | None:
        """A table within this one."""
        if key not in self._values:
            return None
        if not isinstance(self._values[key], dict):
            raise self.wrong(key, f"must be a table, got {self._values[key]!r}")
        return Table(self._values[key], (*self._path, key), self._lines, self._file)

    def array(self, key: str) -> Iterator[Table]:
        """The tables of an array of tables."""
        rows = self._values.get(key, [])
        if not isinstance(rows, list):
            raise self.wrong(key, f"must be [[{key}]] tables, got {rows!r}")
        return (Table(row, (*self._path, key, number), self._lines, self._file) for number, row in enumerate(rows))

    def required(self, key: str) -> str:
        """A text that must be there."""
        text = self.text(key)
        if text is None:
            raise self.wrong(key, f"is missing from this {self.header}")
        return text

    def text(self, key: str) -> str | None:
        """A text that is not empty."""
        return self._read(key, "must be a text", _text)

    def flag(self, key: str) -> bool:
        """True or false; false where it is missing."""
        return self._read(key, "must be true or false", _flag) or False

    def day(self, key: str) -> date | None:
        """A date."""
        return self._read(key, "must be a date such as 2026-03-01", _day)

    def count(self, key: str) -> int | None:
        """A whole number."""
        return self._read(key, "must be a whole number of tokens", _count)

    def price(self, key: str) -> Decimal | None:
        """A price, exactly as it is written."""
        return self._read(key, "must be a price of zero or more", price)

    def factor(self, key: str) -> Decimal | None:
        """A factor, written as a number or as text."""
        return self._read(key, "must be a factor such as 1.1", _factor)

    def bound(self, key: str) -> Fraction | None:
        """A factor or price that need not have an end in decimals: ``"10/11"``."""
        return self._read(key, "must be zero or more, such as 1.1 or '10/11'", _bound)

    def discount(self, key: str) -> Decimal | None:
        """The factor that remains after a discount in per cent."""
        return self._read(key, "must be a discount such as '15%', of at most 100%", _discount)

    def texts(self, key: str) -> tuple[str, ...]:
        """A text or several."""
        return self._read(key, "must be a text or a list of texts", _texts) or ()

    def offset(self, key: str) -> timedelta:
        """How far a clock is ahead of UTC."""
        return self._read(key, _OFFSET, _offset) or timedelta()

    def hours(self, key: str) -> tuple[tuple[int, int], ...]:
        """Times of the day, in minutes."""
        return self._read(key, _HOURS, _hours) or ()

    def weekdays(self, key: str) -> frozenset[int]:
        """Days of the week; Monday is 0."""
        return self._read(key, f"must be among {', '.join(_DAYS)}", _weekdays) or frozenset()

    def dates(self, key: str) -> frozenset[date]:
        """Single dates, ranges of dates spelled out."""
        return self._read(key, _DATES, _dates) or frozenset()

    def _read(self, key: str, expected: str, parse: Callable[[Any], T]) -> T | None:
        if key not in self._values:
            return None
        value = self._values[key]
        try:
            return parse(value)
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError):
            raise self.wrong(key, f"{expected}, got {value!r}") from None


def price(value: object) -> Decimal:
    """A price of zero or more; raises ValueError for anything else."""
    amount = check_amount(Decimal(value) if type(value) is int else value, "price")
    if amount < ZERO:
        raise InvalidValue("price", value, "zero or more")
    return amount


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def _flag(value: object) -> bool:
    if type(value) is not bool:
        raise ValueError
    return value


def _day(value: object) -> date:
    if type(value) is not date:
        raise ValueError
    return value


def _count(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError
    return value


def _factor(value: object) -> Decimal:
    if isinstance(value, str):
        try:
            return price(Decimal(value))
        except InvalidOperation:
            raise ValueError from None
    return price(value)


def _bound(value: object) -> Fraction:
    if isinstance(value, str):
        bound = Fraction(value)
        if bound < 0:
            raise ValueError
        return bound
    return Fraction(price(value))


def _discount(value: str) -> Decimal:
    if not value.endswith("%"):
        raise ValueError
    return price(1 - _factor(value[:-1]).scaleb(-2))


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple(_text(item) for item in value)
    return (_text(value),)


def _offset(value: str) -> timedelta:
    sign, hours, minutes = {"+": 1, "-": -1}[value[0]], int(value[1:3]), int(value[4:6])
    if value != f"{value[0]}{hours:02}:{minutes:02}" or hours * 60 + minutes > 14 * 60:
        raise ValueError
    return sign * timedelta(hours=hours, minutes=minutes)


def _hours(value: list[str]) -> tuple[tuple[int, int], ...]:
    if not value:
        raise ValueError
    return tuple((_minute(start), _minute(end)) for start, end in (window.split("-") for window in value))


def _minute(text: str) -> int:
    hour, minute = (int(part) for part in text.split(":"))
    total = hour * 60 + minute
    if text != f"{hour:02}:{minute:02}" or not 0 <= minute < 60 or not 0 <= total <= _MINUTES:  # noqa: PLR2004 - a clock
        raise ValueError
    return total


def _weekdays(value: list[str]) -> frozenset[int]:
    return frozenset(_DAYS.index(day) for day in value)


def _dates(value: list[str]) -> frozenset[date]:
    days: set[date] = set()
    for text in value:
        first, _, last = text.partition("..")
        start = date.fromisoformat(first)
        length = (date.fromisoformat(last or first) - start).days
        if not 0 <= length < 366:  # noqa: PLR2004 - a year; more is a slip of the pen
            raise ValueError
        days.update(start + timedelta(days=number) for number in range(length + 1))
    return frozenset(days)
