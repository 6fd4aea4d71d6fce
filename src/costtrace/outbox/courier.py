"""Courier: carries entries to one exporter, a batch at a time, and notes what became of each."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import uuid4

from costtrace.entry import Entry
from costtrace.errors import ExporterError, ExporterStopped, ExporterUnavailable, LedgerError
from costtrace.exporters.protocol import Exporter, Fate
from costtrace.ledger.deliveries import Deliveries
from costtrace.ledger.letters import PARKED, Delivery, Failure, Letter, Outcome
from costtrace.outbox.backoff import pause_s
from costtrace.outbox.search import Answers, export
from costtrace.outbox.standing import Delivered

_log: Final = logging.getLogger("costtrace")
_SECOND_US: Final = 1_000_000
_TOO_LONG_US: Final = 7 * 86_400 * _SECOND_US
_LEASE_OF_SLOWEST: Final = 4
_LONGEST_LEASE_US: Final = 900 * _SECOND_US
"""Nobody waits longer for one who died, though an attempt once seemed to take hours: the machine slept meanwhile."""
_REASON_LENGTH: Final = 200
_UNREADABLE: Final = "not readable as an entry"

Tell = Callable[[str, int], None]
"""Hears the exporter's name, and of how many more entries something became."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    entries: Sequence[tuple[int, Entry]]
    """With their sequence numbers."""
    letters: Mapping[int, Letter] = field(default_factory=dict)
    """By sequence number; none where the entries come from behind the cursor."""
    unreadable: Sequence[int] = ()
    """What stands there and is no entry: another program's change, or a later version's row."""

    @property
    def last(self) -> int:
        """The largest sequence number."""
        return max([seq for seq, _ in self.entries[-1:]] + [*self.unreadable])


class Courier:
    """Delivers to one exporter from one ledger. Any number of them may try at once; one does, the others wait.

    `clock` tells nanoseconds since 1970, `chance` a number in [0, 1), `lease_s` after how long another may take over
    from one that is heard of no more; `count` hears how many entries were acknowledged.
    """

    def __init__(
        self,
        deliveries: Deliveries,
        exporter: Exporter,
        *,
        clock: Callable[[], int],
        chance: Callable[[], float],
        count: Tell,
        lease_s: float,
        from_now: bool,
    ) -> None:
        self.exporter = exporter
        self.name = exporter.name
        self._deliveries = deliveries
        self._clock = clock
        self._chance = chance
        self._count = count
        self._lease_us = int(lease_s * _SECOND_US)
        self._from_now = from_now
        self._token = uuid4().hex[:8]
        self._tried = False
        self._complained = False

    def deliver(self, *, stopping: Callable[[], bool], tell: Tell) -> Delivered:
        """Deliver what is there now and due, until `stopping`. Raises LedgerUnavailable or LedgerUnusable."""
        now_us = self._now_us()
        # Opened anew where somebody forgot the exporter, or put another file in the ledger's place.
        known = self._deliveries.get(self.name) or self._deliveries.open(self.name, from_now=self._from_now)
        if (hindrance := self._hindrance(known, now_us)) is not None:
            return hindrance
        last = self._deliveries.last_due(self.name, now_us)
        if last is None or stopping():
            return Delivered(exporter=self.name)
        taken = self._deliveries.take(self.name, owner=self._owner(), now_us=now_us, until_us=now_us + self._lease_us)
        if taken is None:
            return Delivered(exporter=self.name, elsewhere=True)
        try:
            return self._deliver(taken, last, stopping, tell)
        finally:
            self._release(taken)

    def close(self) -> None:
        """Let the exporter go of its connections; never raises."""
        try:
            self.exporter.close()
        except Exception:  # noqa: BLE001 - the others have to be closed as well
            _log.exception("costtrace failed to close the exporter %s", self.name)

    def _hindrance(self, known: Delivery, now_us: int) -> Delivered | None:
        if known.stopped and self._tried:
            return Delivered(exporter=self.name, problem=known.problem, stopped=True)
        waits = (known.problem_us or 0) <= now_us < (known.next_try_us or 0)  # not if noted by a clock that was ahead
        return Delivered(exporter=self.name, problem=known.problem) if waits and not known.stopped else None

    def _deliver(self, taken: Delivery, last: int, stopping: Callable[[], bool], tell: Tell) -> Delivered:
        done = Delivered(exporter=self.name)
        while done.problem is None and not stopping() and (batch := self._next(last)) is not None:
            self._tried = True
            step = self._attempt(taken, batch)
            done = _sum(done, step)
            tell(self.name, len(batch.entries) + len(batch.unreadable) if step.problem is None else step.parked)
            if step.elsewhere:
                break
        return done

    def _next(self, last: int) -> _Batch | None:
        """New entries first: what was refused before may be refused for ever, and must keep nobody waiting."""
        limit = max(self.exporter.batch_size, 1)
        entries, unreadable = self._deliveries.fresh(self.name, upto=last, limit=limit)
        letters: Mapping[int, Letter] = {}
        if not (entries or unreadable):
            (entries, unreadable), letters = self._deliveries.due(self.name, now_us=self._now_us(), limit=limit)
        batch = _Batch(entries=entries, letters=letters, unreadable=unreadable)
        return batch if entries or unreadable else None

    def _attempt(self, taken: Delivery, batch: _Batch) -> Delivered:
        entries = [entry for _, entry in batch.entries]
        began_us = self._now_us()
        try:
            answers = export(self.exporter, entries) if entries else Answers()
        except ExporterStopped as error:
            return self._stop(taken, error)
        except ExporterUnavailable as error:
            return self._put_off(taken, batch, str(error), at_least_s=error.retry_after_s or 0.0)
        except ExporterError as error:
            return self._put_off(taken, batch, str(error))
        slow_us = min(_LEASE_OF_SLOWEST * (self._now_us() - began_us), _LONGEST_LEASE_US)
        self._lease_us = max(self._lease_us, slow_us)
        if answers.broke is not None:
            self._complain_of(answers.broke)
        if answers.missing(entries):
            return self._put_off(taken, batch, f"{type(answers.broke).__name__} in the exporter", fault=True)
        if len(entries) > 1 and _all_put_off(entries, answers):  # that says more of the other side than of them
            return self._put_off(taken, batch, next(iter(answers.refusals.values())).reason)
        return self._record(taken, batch, answers)

    def _record(self, taken: Delivery, batch: _Batch, answers: Answers) -> Delivered:
        now_us = self._now_us()
        refused = {
            seq: answers.refusals[entry.entry_id] for seq, entry in batch.entries if entry.entry_id in answers.refusals
        }
        letters = [self._letter(batch, seq, why.fate, why.reason, now_us) for seq, why in refused.items()]
        letters += [self._letter(batch, seq, Fate.PARKED, _UNREADABLE, now_us) for seq in batch.unreadable]
        outcome = Outcome(
            sent=len(batch.entries) - len(refused),
            cursor=None if batch.letters else batch.last,
            delivered=[seq for seq, _ in batch.entries if seq in batch.letters and seq not in refused],
            letters=letters,
        )
        if not self._deliveries.record(taken, outcome, until_us=now_us + self._lease_us):
            return self._lost()
        states = [letter.state for letter in letters]
        step = Delivered(
            exporter=self.name,
            sent=outcome.sent,
            put_off=states.count(Fate.RETRY),
            parked=states.count(Fate.PARKED),
            dead=states.count(Fate.DEAD),
        )
        self._count(self.name, outcome.sent)
        self._say(step, letters)
        return step

    def _letter(self, batch: _Batch, seq: int, fate: Fate, reason: str, now_us: int) -> Letter:
        before = batch.letters.get(seq)
        attempts = 1 if before is None else before.attempts + 1
        since_us = now_us if before is None else before.since_us
        state, next_try_us = str(fate), None
        if fate is Fate.RETRY and now_us - since_us > _TOO_LONG_US:
            state = PARKED
        elif fate is Fate.RETRY:
            next_try_us = now_us + int(pause_s(attempts, self._chance(), at_least=1.0) * _SECOND_US)
        return Letter(
            seq=seq,
            state=state,
            reason=_shortened(reason),
            attempts=attempts,
            since_us=since_us,
            next_try_us=next_try_us,
        )

    def _put_off(
        self, taken: Delivery, batch: _Batch, reason: str, *, at_least_s: float = 0.0, fault: bool = False
    ) -> Delivered:
        """Leave the exporter alone for a while; where only letters were tried, those rather than the exporter."""
        now_us, reason = self._now_us(), _shortened(reason)
        known = self._deliveries.get(self.name) or taken
        next_try_us = now_us + int(pause_s(known.failures + 1, self._chance(), at_least=at_least_s) * _SECOND_US)
        letters = [self._letter(batch, seq, Fate.RETRY, reason, now_us) for seq in batch.letters]
        failure = Failure(reason=reason, at_us=now_us, next_try_us=next_try_us, fault=fault, letters=letters)
        if not self._deliveries.fail(taken, failure):
            return self._lost()
        parked = sum(letter.state == PARKED for letter in letters) + self._deliveries.park_overdue(
            taken, before_us=now_us - _TOO_LONG_US, now_us=now_us, reason=f"pending for 7 days: {reason}"
        )
        if not self._complained:
            _log.warning("%s: %s; entries wait and are tried again", self.name, reason)
        self._complained = True
        return Delivered(
            exporter=self.name, problem=reason, put_off=len(letters) - parked if letters else 0, parked=parked
        )

    def _stop(self, taken: Delivery, error: ExporterStopped) -> Delivered:
        reason = _shortened(str(error))
        failure = Failure(reason=reason, at_us=self._now_us(), next_try_us=None, stopped=True)
        if not self._deliveries.fail(taken, failure):
            return self._lost()
        _log.error("%s: %s; change that, then `costtrace outbox resume`; entries wait until then", self.name, reason)
        return Delivered(exporter=self.name, problem=reason, stopped=True)

    def _lost(self) -> Delivered:
        """Another took over: what it decides counts, and what was delivered here is delivered again."""
        _log.info("%s: another process delivers by now", self.name)
        return Delivered(exporter=self.name, elsewhere=True)

    def _complain_of(self, broke: Exception) -> None:
        if not self._complained:
            _log.error("costtrace failed in the exporter %s", self.name, exc_info=broke)

    def _say(self, step: Delivered, letters: Sequence[Letter]) -> None:
        if step.sent:
            self._complained = False
        if step.parked or step.dead:
            _log.error(
                "%s: %d entries parked, %d dead (%s); `costtrace outbox` shows them",
                self.name,
                step.parked,
                step.dead,
                next(letter.reason for letter in letters if letter.next_try_us is None),
            )

    def _release(self, taken: Delivery) -> None:
        try:
            self._deliveries.release(taken)
        except LedgerError as error:
            _log.warning("%s; others deliver to %s when the lease has run out", error, self.name)

    def _owner(self) -> str:
        """Another one in a forked child, and in another thread, because one may hang in the exporter."""
        return f"{socket.gethostname()}/{os.getpid()}/{threading.get_ident()}/{self._token}"

    def _now_us(self) -> int:
        return self._clock() // 1000


def _all_put_off(entries: Sequence[Entry], answers: Answers) -> bool:
    refusals = answers.refusals
    return all(e.entry_id in refusals and refusals[e.entry_id].fate is Fate.RETRY for e in entries)


def _sum(done: Delivered, step: Delivered) -> Delivered:
    return replace(
        step,
        sent=done.sent + step.sent,
        put_off=done.put_off + step.put_off,
        parked=done.parked + step.parked,
        dead=done.dead + step.dead,
    )


def _shortened(reason: str) -> str:
    return reason if len(reason) <= _REASON_LENGTH else reason[: _REASON_LENGTH - 3] + "..."
