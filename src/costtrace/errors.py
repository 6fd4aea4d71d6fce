"""Every error costtrace raises, split by who must act.

    CostTraceError
    ├── InvalidValue (ValueError)          the caller: a value is wrong; says field, value and what to do
    │   └── CurrencyMismatch               the caller: two currencies met in one sum
    ├── UnknownMessage (LookupError)       the caller: no entry carries this message_uuid
    ├── ConfigurationError                 the operator: settings, ledger address, rates file
    │   ├── InvalidRates                   the operator: a row of the rates file, by table and key
    │   └── MissingExtra (ImportError)     the operator: an optional dependency, with the pip line
    ├── PricesUnavailable                  newer prices cannot be had, or not be written; those in use stay in use
    ├── LedgerError                        the store
    │   ├── LedgerUnavailable              may pass: locked, disk full; the caller keeps its entries and tries again
    │   └── LedgerUnusable                 will not pass by itself: corrupt, read-only, newer schema
    └── ExporterError                      where entries are delivered to
        ├── ExporterUnavailable            may pass: the outbox keeps the entries and tries again
        └── ExporterStopped                will not pass by itself: a wrong key, a table that is missing

Inside the host application none of these escapes from a callback: the recorder keeps the entry, counts and logs.
"""

from __future__ import annotations

from typing import Any


class CostTraceError(Exception):
    """Base of every error that costtrace raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Python would call the class with the text alone, and a pool whose worker raised this would wait for ever."""
        return _again, (type(self), self.args, self.__dict__)


def _again(kind: type[CostTraceError], args: tuple[Any, ...], fields: dict[str, Any]) -> CostTraceError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(fields)
    return error


class InvalidValue(CostTraceError, ValueError):  # noqa: N818 - names what is wrong, as httpx and h11 do
    """A value that cannot be accepted; nothing was changed."""

    def __init__(self, field: str, value: object, expected: str) -> None:
        self.field = field
        """Where the value stood, such as ``usage.input``."""
        self.value = value
        """The refused value itself."""
        self.expected = expected
        """What would have been accepted."""
        super().__init__(f"{field}: expected {expected}, got {value!r}")


class CurrencyMismatch(InvalidValue):
    """Two currencies met in one sum; costtrace never converts on its own."""


class UnknownMessage(CostTraceError, LookupError):  # noqa: N818 - names what is wrong
    """No entry in this ledger carries the message_uuid."""

    def __init__(self, message_uuid: str, where: str) -> None:
        self.message_uuid = message_uuid
        super().__init__(f"no message {message_uuid!r} in {where}; `costtrace tail` lists the messages there are")


class ConfigurationError(CostTraceError):
    """Settings that cannot work; the text names the setting and the way out."""


class InvalidRates(ConfigurationError, ValueError):  # noqa: N818 - names what is wrong
    """A rates file that cannot be used; the text names file, table and key."""


class MissingExtra(ConfigurationError, ImportError):  # noqa: N818 - names what is wrong
    """An optional dependency is not installed."""

    def __init__(self, *, package: str, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs the package {package!r}: pip install 'langchain-costtrace[{extra}]'")
        self.package = package
        self.extra = extra


class PricesUnavailable(CostTraceError):  # noqa: N818 - names what is wrong
    """Newer prices could not be fetched, or not be written; nothing was changed."""


class LedgerError(CostTraceError):
    """The store did not take or give entries."""


class LedgerUnavailable(LedgerError):  # noqa: N818 - names what is wrong
    """The store cannot be used now but may be later (locked, disk full): keep the entries and try again."""


class LedgerUnusable(LedgerError):  # noqa: N818 - names what is wrong
    """The store needs a person (corrupt file, read-only place, written by a newer version)."""


class ExporterError(CostTraceError):
    """Entries could not be delivered; all of them are kept."""


class ExporterUnavailable(ExporterError):  # noqa: N818 - names what is wrong
    """Nothing is known of the batch, or it was put off: deliver it again later."""

    def __init__(self, reason: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s
        """How long to wait at least, where the other side said so."""


class ExporterStopped(ExporterError):  # noqa: N818 - names what is wrong
    """The destination refuses everything until a person has changed something, such as a key."""
