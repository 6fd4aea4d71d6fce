"""Tables and checks from what the rounds measured."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from _rounds import Added
from _subject import SUBJECTS, Subject

OF_LEANEST_PEER = 0.33
OF_POSTHOG = 0.08
SPAN_OF_LEANEST_PEER = 0.85
SPAN_OVER_BARE_US = 60.0
SPANS_OFF_US = 2.0
IN_FLIGHT_BYTES = 500.0
LEFT_OVER_BYTES = 5.0  # Per run: what a dict that has grown once keeps.

_HEADINGS = (
    "subject",
    "added CPU µs",
    "lowest to highest",
    "added wall µs",
    "records per call",
    "of leanest peer",
    "of PostHog",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One bar and how the measurement stands to it."""

    bar: str
    measured: float
    limit: float
    unit: str = ""

    @property
    def held(self) -> bool:
        """At or under the limit."""
        return self.measured <= self.limit

    def __str__(self) -> str:
        verdict = "pass" if self.held else "MISS"
        digits = 0 if self.unit else 2
        return f"{verdict}  {self.bar}: {self.measured:.{digits}f}{self.unit} (bar {self.limit:g}{self.unit})"


def leanest_peer(added: Mapping[str, Added]) -> Subject | None:
    """The tracing peer that adds the least CPU."""
    peers = [subject for subject in SUBJECTS if subject.tracing_peer and subject.name in added]
    return min(peers, key=lambda peer: added[peer.name].cpu, default=None)


def overhead_checks(added: Mapping[str, Added]) -> list[Check]:
    """The bars that can be judged with the subjects measured."""
    checks = []
    ours, spans = added.get("costtrace"), added.get("costtrace-span")
    posthog, bare = added.get("posthog"), added.get("bare-span")
    leanest = leanest_peer(added)
    if ours and leanest:
        measured = ours.of(added[leanest.name])
        checks.append(Check(bar=f"ledger only, of {leanest.title}", measured=measured, limit=OF_LEANEST_PEER))
    if ours and posthog:
        checks.append(Check(bar="ledger only, of PostHog", measured=ours.of(posthog), limit=OF_POSTHOG))
    if spans and leanest:
        measured = spans.of(added[leanest.name])
        checks.append(Check(bar=f"with span, of {leanest.title}", measured=measured, limit=SPAN_OF_LEANEST_PEER))
    if spans and bare:
        measured = spans.beyond(bare)
        checks.append(Check(bar="with span, over a bare span", measured=measured, limit=SPAN_OVER_BARE_US, unit=" µs"))
    off = added.get("costtrace-spans-off")
    if off and ours:
        measured = off.beyond(ours)
        checks.append(Check(bar="spans off, over ledger only", measured=measured, limit=SPANS_OFF_US, unit=" µs"))
    for name in ("costtrace", "costtrace-span"):
        if name in added and added[name].records is not None:
            measured = 1 - (added[name].records or 0)
            checks.append(Check(bar=f"part of the calls that left no record, {name}", measured=measured, limit=0))
    return checks


def memory_checks(memory: Mapping[str, float]) -> list[Check]:
    """The bars on what the handler holds."""
    return [
        Check(bar="held per run in flight", measured=memory["in_flight"], limit=IN_FLIGHT_BYTES, unit=" B"),
        Check(bar="left per run after its end", measured=memory["after_end"], limit=LEFT_OVER_BYTES, unit=" B"),
        Check(
            bar="left per run cancelled in a chain", measured=memory["after_sweep"], limit=LEFT_OVER_BYTES, unit=" B"
        ),
        Check(bar="runs open after the sweep", measured=memory["open_after_sweep"], limit=0),
        Check(bar="runs open after the close", measured=memory["open_after_close"], limit=0),
    ]


def memory_text(memory: Mapping[str, float]) -> str:
    """What the handler holds, for people."""
    return (
        f"in memory, bytes per run: {memory['in_flight']:.0f} in flight, {memory['after_end']:.1f} after the end;"
        f"\nan ainvoke cancelled in a chain leaves {memory['after_sweep']:.1f} after the sweep;"
        f" cancelled without one it is held, {memory['cancelled_bare']:.0f}, until such runs are too many or too old,"
        f" and {memory['after_close']:.1f} after the close"
    )


def rows(added: Mapping[str, Added]) -> list[tuple[str, ...]]:
    """The table, cheapest first, headings included."""
    leanest = leanest_peer(added)
    by_cost = sorted(
        (subject for subject in SUBJECTS if subject.name in added and subject.name != "baseline"),
        key=lambda subject: added[subject.name].cpu,
    )
    return [
        _HEADINGS,
        *(
            _row(subject, added[subject.name], added.get(leanest.name) if leanest else None, added.get("posthog"))
            for subject in by_cost
        ),
    ]


def _row(subject: Subject, figures: Added, leanest: Added | None, posthog: Added | None) -> tuple[str, ...]:
    return (
        f"{subject.title} {subject.version}".rstrip(),
        f"{figures.cpu:.0f}",
        f"{min(figures.cpu_rounds):.0f} to {max(figures.cpu_rounds):.0f}",
        f"{figures.wall:.0f}",
        "" if figures.records is None else f"{figures.records:.2f}",
        f"{figures.of(leanest):.2f}" if leanest else "",
        f"{figures.of(posthog):.2f}" if posthog else "",
    )


def as_text(table: Sequence[tuple[str, ...]]) -> str:
    """Aligned columns: the first to the left, numbers to the right."""
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return "\n".join(_aligned(row, widths) for row in table)


def _aligned(row: Iterable[str], widths: Sequence[int]) -> str:
    first, *others = zip(row, widths, strict=True)
    return "  ".join((first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)))


def as_markdown(table: Sequence[tuple[str, ...]]) -> str:
    """The table for a README."""
    headings, *body = table
    rule = ("---", *("---:" for _ in headings[1:]))
    return "\n".join("| " + " | ".join(row) + " |" for row in (headings, rule, *body))
