"""Exporters: somewhere else that accepts entries. `open_exporter` finds one by its address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from costtrace.errors import ConfigurationError
from costtrace.exporters.protocol import Exporter, Fate, Refusal
from costtrace.ledger import Ledger, open_ledger

if TYPE_CHECKING:
    from costtrace.twilio.addresses import NumberHasher

__all__ = ["Exporter", "Fate", "Refusal", "open_exporter"]

_JSONL: Final = "jsonl://"
_LEDGERS: Final = ("dynamodb://", "sqlite:///")
_KNOWN: Final = (
    "posthog, jsonl:///var/lib/entries.jsonl (or jsonl://entries.jsonl in the working directory),"
    " dynamodb://?ledger=costtrace-ledger, sqlite:///copy.db"
)


def open_exporter(
    address: str,
    *,
    ledger: Ledger,
    posthog_api_key: str | None = None,
    posthog_host: str | None = None,
    environment: str | None = None,
    hasher: NumberHasher | None = None,
) -> Exporter:
    """The exporter of that address, for the entries of that ledger.

    ``posthog`` needs `posthog_api_key`, and takes the host, the environment it is told of, and the hasher that stands
    for phone numbers. ``jsonl://`` and a path is a file of JSON lines; the address of a ledger is a copy there. Raises
    ConfigurationError for an address it does not know, MissingExtra where a package is missing.
    """
    if address == "posthog":
        return _posthog(ledger, posthog_api_key, posthog_host, environment, hasher)
    if address.startswith(_JSONL) and len(address) > len(_JSONL):
        from costtrace.exporters.jsonl import JsonlExporter  # noqa: PLC0415 - each exporter is loaded by who wants it

        return JsonlExporter(address.removeprefix(_JSONL))
    if address.startswith(_LEDGERS):
        return _copy(address, ledger)
    raise ConfigurationError(f"exporter {address!r} is not known; use one of {_KNOWN}")


def _posthog(
    ledger: Ledger, key: str | None, host: str | None, environment: str | None, hasher: NumberHasher | None
) -> Exporter:
    if not key:
        raise ConfigurationError(
            "POSTHOG_API_KEY is not set; the exporter 'posthog' needs the project's token, phc_..., from PostHog's"
            " project settings"
        )
    from costtrace.exporters.posthog import US, PostHogExporter  # noqa: PLC0415 - the SDK, which only this needs

    return PostHogExporter(key, host=host or US, messages=ledger.message, environment=environment, hasher=hasher)


def _copy(address: str, ledger: Ledger) -> Exporter:
    from costtrace.exporters.ledgers import LedgerExporter  # noqa: PLC0415 - boto3 perhaps, which only this needs

    copy = open_ledger(address)
    if copy.name == ledger.name:
        raise ConfigurationError(f"exporter {address!r} is the ledger itself; name another place for the copy")
    return LedgerExporter(copy)
