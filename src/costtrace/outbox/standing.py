"""What an outbox says about itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from costtrace.errors import ConfigurationError
from costtrace.ledger import Ledger, SqliteLedger
from costtrace.ledger.deliveries import Deliveries
from costtrace.ledger.letters import Delivery
from costtrace.times import from_micros, moment_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """What one delivery to one exporter came to."""

    exporter: str
    sent: int = 0
    """Entries that were acknowledged."""
    put_off: int = 0
    """Refused for now; they are tried again."""
    parked: int = 0
    """Refused until somebody replays them, or pending for too long."""
    dead: int = 0
    """Refused for good."""
    problem: str | None = None
    """Why it ended before everything was delivered; None where it did not."""
    stopped: bool = False
    """A person has to change something first."""
    elsewhere: bool = False
    """Another process delivers to this exporter at the moment."""

    @property
    def is_complete(self) -> bool:
        """Whether nothing was left that should have been delivered."""
        return self.problem is None and not (self.put_off or self.parked or self.dead)

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON objects."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExporterStatus:
    """How one exporter stands."""

    exporter: str
    pending: int
    """Entries that are still to be delivered, those that are tried again among them."""
    oldest_pending_s: float
    """Age of the oldest of them; 0 where none is pending."""
    sent: int
    """Entries that were acknowledged, ever."""
    retry: int
    """Pending ones that were refused before."""
    parked: int
    dead: int
    stopped: bool
    """Nothing is tried until a person resumes it, or the outbox is started anew."""
    failures: int
    """Attempts in a row that came to nothing."""
    faults: int
    """Attempts, ever, at which the exporter itself broke."""
    problem: str | None
    """The last one; it stays when all is well again."""
    problem_at: datetime | None
    next_try: datetime | None
    """Nothing is tried before then; None where nothing is put off."""
    delivering: bool
    """Somebody delivers at the moment."""

    def to_dict(self) -> dict[str, Any]:
        """The status as JSON objects."""
        values = {name: getattr(self, name) for name in self.__slots__}
        moments = {name: None if values[name] is None else moment_text(values[name]) for name in _MOMENTS}
        return {**values, **moments}


_MOMENTS = ("problem_at", "next_try")


def deliveries_of(ledger: Ledger) -> Deliveries:
    """Where the ledger keeps how far its exporters are; raises ConfigurationError for one that keeps no such thing."""
    if isinstance(ledger, SqliteLedger):
        return ledger.deliveries
    raise ConfigurationError(
        f"ledger {ledger.name!r} has no outbox: from a DynamoDB table its stream delivers (see integrations/aws), and"
        " only a SQLite ledger keeps how far each exporter is"
    )


def status_of(deliveries: Deliveries, delivery: Delivery, *, now_us: int) -> ExporterStatus:
    """How that exporter stands. Raises LedgerUnavailable or LedgerUnusable."""
    count = deliveries.count(delivery.exporter)
    oldest = now_us if count.oldest_pending_us is None else count.oldest_pending_us
    waits = delivery.next_try_us is not None and delivery.next_try_us > now_us
    return ExporterStatus(
        exporter=delivery.exporter,
        pending=count.pending,
        oldest_pending_s=max(now_us - oldest, 0) / 1e6,
        sent=delivery.sent,
        retry=count.retry,
        parked=count.parked,
        dead=count.dead,
        stopped=delivery.stopped,
        failures=delivery.failures,
        faults=delivery.faults,
        problem=delivery.problem,
        problem_at=_moment(delivery.problem_us),
        next_try=_moment(delivery.next_try_us) if waits else None,
        delivering=delivery.owner is not None and (delivery.lease_until_us or 0) > now_us,
    )


def _moment(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)
