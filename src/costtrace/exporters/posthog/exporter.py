"""The exporter: entries in, events out, and of each entry what PostHog said."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Final

from costtrace.entry import Entry
from costtrace.errors import ExporterStopped, ExporterUnavailable, LedgerError
from costtrace.exporters.posthog.answers import RequestRefused, Verdict
from costtrace.exporters.posthog.contract import Event
from costtrace.exporters.posthog.doubling import warn_of_doubles
from costtrace.exporters.posthog.events import EventMapper, Messages
from costtrace.exporters.posthog.personal import Hasher
from costtrace.exporters.posthog.transport import Transport
from costtrace.exporters.posthog.wire import Packed, packed, requests_of
from costtrace.exporters.protocol import Fate, Refusal

US: Final = "https://us.i.posthog.com"
EU: Final = "https://eu.i.posthog.com"

MAX_EVENTS: Final = 100
_WALL: Final = 10
"""So many events, and each refused by itself: that is no poison among them."""
_WORST_FIRST: Final = (Fate.DEAD, Fate.PARKED, Fate.RETRY)


class PostHogExporter:
    """Delivers entries to PostHog as events: at least once on the wire, and once in every report that groups by uuid.

        exporter = PostHogExporter("phc_...", host=EU, messages=ledger.message)

    `project_token` is the project's own (``phc_``), `host` the address of PostHog's cloud, of an installation of one's
    own, or of a proxy with its path. `messages`, `environment`, `hasher` and `tags` are as `EventMapper` has them.
    `person_profiles` lets PostHog keep a profile of each user, which makes events dearer there. `batch_size` is how
    many entries are taken at a time, and how many events go into one request. Not for several threads at once.

    Raises ConfigurationError for a host that is no address, InvalidValue for an environment that is no word, and
    MissingExtra without the package ``posthog``.
    """

    def __init__(
        self,
        project_token: str,
        *,
        host: str = US,
        messages: Messages | None = None,
        environment: str | None = None,
        hasher: Hasher | None = None,
        tags: Collection[str] = (),
        person_profiles: bool = False,
        batch_size: int = MAX_EVENTS,
        compress: bool = False,
        timeout_s: float = 15.0,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._mapper = EventMapper(environment=environment, hasher=hasher, tags=tags, messages=messages)
        self._transport = Transport(
            project_token,
            host=host,
            timeout_s=timeout_s,
            compress=compress,
            person_profiles=person_profiles,
            clock=clock,
        )
        self._person_profiles = person_profiles
        self._batch_size = batch_size

    @property
    def name(self) -> str:
        """``posthog``."""
        return "posthog"

    @property
    def batch_size(self) -> int:
        """How many entries it takes at a time."""
        return self._batch_size

    @property
    def host(self) -> str:
        """The address that events are sent to."""
        return self._transport.host

    def export(self, entries: Sequence[Entry]) -> Sequence[Refusal]:
        """Hand over the entries; see `Exporter.export`. One that makes no event is acknowledged."""
        warn_of_doubles()  # not before: by now the application has imported what it uses
        try:
            events = self._mapper.events(entries)
        except LedgerError as error:
            raise ExporterUnavailable(f"the ledger that knows the messages cannot be read: {error}") from error
        verdicts = self._deliver(packed(events, person_profiles=self._person_profiles))
        return _refusals(events, verdicts) if verdicts else ()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def _deliver(self, events: Sequence[Packed]) -> dict[str, Verdict]:
        """What was not taken. What is not known of some events, after others were taken, is told of each of them."""
        waiting = deque(requests_of(events, limit=self._batch_size))
        refused: dict[str, Verdict] = {}
        taken = alone = 0
        while waiting:
            request = waiting.popleft()
            try:
                verdicts = self._transport.send(request)
            except RequestRefused as refusal:
                if len(request) > 1:
                    half = len(request) // 2
                    waiting.extendleft((request[half:], request[:half]))
                    continue
                verdicts = {request[0].event.uuid: refusal.verdict}
                alone += 1
                if alone == len(events) >= _WALL:
                    raise ExporterStopped(f"{refusal} to every event: compare POSTHOG_HOST and the project") from None
            except ExporterUnavailable as error:
                if not taken:
                    raise
                left = [event for part in (request, *waiting) for event in part]
                return refused | {event.event.uuid: Verdict(Fate.RETRY, str(error)) for event in left}
            refused |= verdicts
            taken += len(request) - len(verdicts)
        if refused and not taken and all(verdict.fate is Fate.RETRY for verdict in refused.values()):
            raise ExporterUnavailable("PostHog asks for another try of every event")
        return refused


def _refusals(events: Sequence[Event], verdicts: dict[str, Verdict]) -> list[Refusal]:
    """One for each entry of which an event was not taken; of several, the worst."""
    found: dict[str, Verdict] = {}
    for event in events:
        verdict = verdicts.get(event.uuid)
        before = found.get(event.entry_id)
        if verdict is None or (
            before is not None and _WORST_FIRST.index(before.fate) <= _WORST_FIRST.index(verdict.fate)
        ):
            continue
        found[event.entry_id] = verdict
    return [Refusal(entry_id=entry_id, fate=v.fate, reason=v.reason) for entry_id, v in found.items()]
