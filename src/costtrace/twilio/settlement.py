"""Settlement: asks Twilio for the prices that are due and writes down what it says.

What there is to do stands in the ledger: which SMS wait for a price, when they went out, when they were last asked for.
So a settlement that died, or two at once, leave no trace: whatever both learn has one name, and the first of a name is
kept.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice
from typing import Any, Final

from costtrace.errors import InvalidValue, LedgerUnavailable
from costtrace.ledger import Ledger
from costtrace.measures import Measures
from costtrace.messages import Amounts
from costtrace.times import moment_text
from costtrace.tracing import Tracing
from costtrace.twilio.agenda import Agenda, Place
from costtrace.twilio.cost_states import CostState
from costtrace.twilio.delivery import rank
from costtrace.twilio.legs import Leg
from costtrace.twilio.observations import observe, observe_not_found
from costtrace.twilio.price_plan import PricePlan
from costtrace.twilio.price_spans import PriceSpans
from costtrace.twilio.reading import (
    MessageNotFound,
    RateLimited,
    RequestRefused,
    TwilioReader,
    TwilioUnavailable,
)
from costtrace.twilio.revisions import MESSAGE_FETCH

_log: Final = logging.getLogger("costtrace")
_PLAN: Final = PricePlan()
_SENT: Final = rank("sent") or 0
_BATCH: Final = 200
_HOLD: Final = timedelta(seconds=30)
"""How long a message is left alone whose question was not answered at all."""
_NIGHT: Final = timedelta(days=1)
_POLL_S: Final = 5.0
"""How long a watch takes at most to learn of a message that is due at once."""
_BRIEFLY_S: Final = 0.5
_NAMED: Final = 3


class Outcome(StrEnum):
    """What became of one question."""

    PRICED = "priced"
    WAITING = "waiting"
    """Twilio knows no price yet; asked again when the plan says."""
    NOT_BILLABLE = "not_billable"
    UNAVAILABLE = "unavailable"
    FAILED = "failed"
    """There was no answer that could be used; asked again soon, and the plan does not move."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What one run did."""

    looked_at: int = 0
    """SMS that wait for a price."""
    asked: int = 0
    """Of those, how many were due."""
    priced: int = 0
    not_billable: int = 0
    waiting: int = 0
    """Asked for, and not there yet."""
    unavailable: int = 0
    """Given up: the deadline is over, or Twilio does not know them."""
    failed: int = 0
    """Asked for without an answer."""
    unidentified: int = 0
    """Sent with unknown outcome: their SID has to be found by a reconciliation."""
    amount: Amounts = field(default_factory=Amounts)
    """What the prices that came add up to."""
    next_due: datetime | None = None
    """When the next question is due; None where nothing waits."""
    problems: tuple[str, ...] = ()
    """The first few reasons for failures."""

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON objects; money as text."""
        counts = ("looked_at", "asked", "priced", "not_billable", "waiting", "unavailable", "failed", "unidentified")
        return {
            **{name: getattr(self, name) for name in counts},
            "amount": self.amount.to_dict(),
            "next_due": None if self.next_due is None else moment_text(self.next_due),
            "problems": list(self.problems),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """One question and what came of it."""

    leg: Leg
    outcome: Outcome
    next_due: datetime | None = None
    problem: str | None = None
    limited: bool = False
    """Twilio wants no more questions for a while."""


class Settlement:
    """Settles the SMS of one Twilio account and its sub-accounts in one ledger. Any number of them may run at once.

    `client` is a `twilio.rest.Client`, `clock` tells the time in UTC, `plan` when prices are asked for, `concurrency`
    how many questions are open at a time. `tracing` and `measures` are a recorder's, or else go
    to the process's own providers.
    """

    def __init__(
        self,
        client: Any,
        ledger: Ledger,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        plan: PricePlan = _PLAN,
        concurrency: int = 8,
        reader: TwilioReader | None = None,
        tracing: Tracing | None = None,
        measures: Measures | None = None,
    ) -> None:
        if type(concurrency) is not int or concurrency < 1:
            raise InvalidValue("concurrency", concurrency, "how many questions may be open at a time, 1 or more")
        self._reader = reader or TwilioReader(client)
        self._ledger = ledger
        self._clock = clock
        self._plan = plan
        self._concurrency = concurrency
        self._tell = PriceSpans(tracing, measures).revised
        self._held: dict[str, datetime] = {}
        self._agenda = Agenda(ledger, self.due)

    def run_once(self, *, limit: int | None = None, tell: Callable[[int], None] = lambda _asked: None) -> Settled:
        """Ask for what is due now, at most `limit` of it; `tell` hears from time to time how many were asked.

        Raises CredentialsRefused when Twilio turns the account down, LedgerUnavailable or LedgerUnusable; what was
        learned until then is kept.
        """
        tally = _Tally(self._clock())
        due = islice(self._agenda.due(tally.now), limit)
        pool = ThreadPoolExecutor(self._concurrency, thread_name_prefix="costtrace settlement")
        try:
            while not tally.limited and (batch := list(islice(due, _BATCH))):
                for answer in pool.map(self._ask, batch):
                    tally.add(answer)
                    self._hold(answer)
                tell(tally.settled.asked)
        finally:
            pool.shutdown(cancel_futures=True)
        tally.end(self._agenda.places, limit)
        return tally.settled

    def watch(
        self, *, wait: Callable[[float], bool], tell: Callable[[Settled], None], limit: int | None = None
    ) -> None:
        """Run again and again, whenever something is due, until `wait` answers True.

        `wait` is given how many seconds to wait at most, as `threading.Event.wait` is. A ledger that cannot be used for
        the moment is tried again; all else is raised as in `run_once`.
        """
        while True:
            pause_s = _POLL_S
            try:
                settled = self.run_once(limit=limit)
            except LedgerUnavailable as error:
                _log.warning("%s; prices are asked for again in %g s", error, pause_s)
            else:
                tell(settled)
                if settled.next_due is not None:
                    pause_s = min(max((settled.next_due - self._clock()).total_seconds(), _BRIEFLY_S), pause_s)
            if wait(pause_s):
                return

    def due(self, leg: Leg) -> datetime:
        """When the price of that leg is to be asked for next."""
        asked = max((check.recorded_at for check in leg.checks), default=None)
        moment = self._plan.due(leg.name, self._trigger(leg), asked)
        if moment is None:  # still scheduled after the last moment: it goes on nightly
            moment = (asked or leg.started_at) + _NIGHT
        return max(moment, self._held.get(leg.name, moment))

    def _trigger(self, leg: Leg) -> datetime:
        """When it went out or came in, as far as anybody said so; without a word, some time after it was to go."""
        reports = () if leg.delivery is None else leg.delivery.history
        moved = [report.reported_at for report in reports if (rank(report.status) or 0) >= _SENT]
        if moved:
            return min(moved)
        return leg.planned_for + self._plan.unreported

    def _ask(self, leg: Leg) -> _Answer:
        """Ask for one price and write down the answer. Raises CredentialsRefused, and what the ledger raises."""
        try:
            leg = self._answered(leg)
        except (TwilioUnavailable, RequestRefused, InvalidValue) as error:
            asked_for = timedelta(seconds=error.retry_after_s) if isinstance(error, RateLimited) else _HOLD
            return _Answer(
                leg=leg,
                outcome=Outcome.FAILED,
                next_due=self._clock() + max(_HOLD, asked_for),
                problem=f"{leg.name}: {error}",
                limited=isinstance(error, RateLimited),
            )
        due = self.due(leg) if leg.needs_price else None
        return _Answer(leg=leg, outcome=_OUTCOMES[leg.cost_state], next_due=due)

    def _answered(self, leg: Leg) -> Leg:
        try:
            message = self._reader.message(leg.name, account_sid=leg.details.get("account_sid"))
        except MessageNotFound:
            return observe_not_found(self._ledger, leg, now=self._clock(), tell=self._tell)
        now = self._clock()
        over = now >= self._plan.deadline(self._trigger(leg))
        return observe(self._ledger, leg, message, source=MESSAGE_FETCH, now=now, give_up=over, tell=self._tell)

    def _hold(self, answer: _Answer) -> None:
        """Leave alone for a while what failed; the plan itself does not move."""
        if answer.outcome is Outcome.FAILED and answer.next_due is not None:
            self._held[answer.leg.name] = answer.next_due
        else:
            self._held.pop(answer.leg.name, None)


class _Tally:
    """Counts what one run does."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.settled = Settled()
        self.limited = False
        self._given_up: list[str] = []

    def add(self, answer: _Answer) -> None:
        """A question was asked."""
        before, name = self.settled, answer.outcome.value
        counts = {"asked": before.asked + 1, name: getattr(before, name) + 1}
        self.settled = replace(before, **counts)
        price = answer.leg.price
        if answer.outcome is Outcome.PRICED and price is not None:
            self.settled = replace(self.settled, amount=before.amount.plus({price.currency: price.amount}))
        if answer.outcome is Outcome.UNAVAILABLE:
            self._given_up.append(answer.leg.name)
        if answer.problem is not None and len(before.problems) < _NAMED:
            self.settled = replace(self.settled, problems=(*before.problems, answer.problem))
        if answer.next_due is not None:
            self._comes(answer.next_due)
        self.limited = self.limited or answer.limited

    def end(self, places: Sequence[Place], limit: int | None) -> None:
        """Count what waited, and say once what nobody will look at again."""
        self.settled = replace(
            self.settled,
            looked_at=sum(place.waiting for place in places),
            unidentified=sum(place.unidentified for place in places),
        )
        for place in places:
            if place.due is not None and place.due > self.now:
                self._comes(place.due)
        if self.settled.asked == limit:  # the rest is due at once
            self._comes(self.now)
        if self._given_up:
            names = ", ".join(self._given_up[:_NAMED])
            _log.error(
                "costtrace: Twilio named no price for %d messages, which stay unpriced: %s%s",
                len(self._given_up),
                names,
                " and others" if len(self._given_up) > _NAMED else "",
            )

    def _comes(self, due: datetime) -> None:
        if self.settled.next_due is None or due < self.settled.next_due:
            self.settled = replace(self.settled, next_due=due)


_OUTCOMES: Final[Mapping[CostState, Outcome]] = {
    CostState.ESTIMATED: Outcome.WAITING,
    CostState.PENDING: Outcome.WAITING,
    CostState.FINAL: Outcome.PRICED,
    CostState.NOT_BILLABLE: Outcome.NOT_BILLABLE,
    CostState.UNAVAILABLE: Outcome.UNAVAILABLE,
}
