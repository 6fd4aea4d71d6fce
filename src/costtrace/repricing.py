"""Re-pricing: what recorded calls cost by the price lists of today.

An entry keeps its usage and what chose its rates, so it can be priced again as of the moment it began. Where the answer
differs, a correction is appended: the difference, and why. Nothing recorded changes; a second run finds nothing to do.

Price lists forget: models are retired, rates files mislaid. So a quote without an amount never takes the place of one
with an amount, nor does anything we compute take the place of what the seller said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from costtrace.entry import Entry, Kind, Standing, Status, standing_of
from costtrace.ledger.protocol import Ledger, Selection
from costtrace.messages import Amounts, Totals, totals_of
from costtrace.money import Money
from costtrace.pricing import Catalog
from costtrace.quote import Quote, QuoteStatus, no_quote

_PAGE: Final = 500
_ID: Final = "reprice/"
_SELLERS_WORD: Final = frozenset(
    {QuoteStatus.PROVIDER_REPORTED, QuoteStatus.NOT_BILLED, QuoteStatus.PENDING, QuoteStatus.OTHER}
)
_NAMED_REASONS: Final = 3
_NOTHING: Final = Totals()

Watch = Callable[[int, int], None]
"""Told, from time to time, the sequence number it has come to and the last one."""


@dataclass(slots=True, kw_only=True)
class ModelRepricing:
    """What re-pricing found among the entries of one model."""

    provider: str | None
    model: str | None
    looked_at: int = 0
    """Entries that were priced again."""
    changed: int = 0
    """Entries that were corrected."""
    kept: int = 0
    """Entries whose amount stays though the price lists of today name none."""
    before: Totals = _NOTHING
    """What the changed entries were believed to cost."""
    difference: Totals = _NOTHING
    """What the corrections add to that."""
    reasons: tuple[str, ...] = ()
    """The first few reasons there were."""

    @property
    def after(self) -> Totals:
        """What the changed entries cost now."""
        return self.before.plus(self.difference)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repricing:
    """What a re-pricing found, by model, those with changes first."""

    selection: Selection
    written: bool
    """False for a run that only looked."""
    models: tuple[ModelRepricing, ...]

    @property
    def total(self) -> ModelRepricing:
        """All models together."""
        total = ModelRepricing(provider=None, model=None)
        for row in self.models:
            total.looked_at += row.looked_at
            total.changed += row.changed
            total.kept += row.kept
            total.before = total.before.plus(row.before)
            total.difference = total.difference.plus(row.difference)
        return total

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON objects; money as text."""
        since, until = self.selection.since, self.selection.until
        total = self.total
        return {
            "since": since and since.isoformat(),
            "until": until and until.isoformat(),
            "dry_run": not self.written,
            "models": [{"provider": row.provider, "model": row.model, **_record(row)} for row in self.models],
            "total": _record(total),
        }


def _record(row: ModelRepricing) -> dict[str, Any]:
    return {
        "looked_at": row.looked_at,
        "changed": row.changed,
        "kept": row.kept,
        "before": row.before.to_dict(),
        "after": row.after.to_dict(),
        "difference": {"actual": row.difference.actual.to_dict(), "pending": row.difference.pending.to_dict()},
        "reasons": list(row.reasons),
    }


def reprice(
    ledger: Ledger,
    catalog: Catalog,
    *,
    selection: Selection,
    provider: str | None = None,
    model: str | None = None,
    write: bool = True,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    watch: Watch = lambda _seq, _last: None,
) -> Repricing:
    """Price the selected entries again and append a correction where the answer differs; only look unless `write`.

    `provider` and `model` are as recorded. Safe beside other writers and beside another run like it: a correction is
    named by what it corrects, so two runs write it once. Raises LedgerUnavailable or LedgerUnusable; what was appended
    until then is whole, and the next run goes on from there.
    """
    run = _Run(ledger, catalog, clock=clock, write=write)
    last = ledger.last_seq()
    for page in _pages(ledger.entries(selection=selection), last):
        run.page([entry for _, entry in page if _asked_for(entry, provider, model)])
        watch(page[-1][0], last)
    rows = sorted(
        run.rows.values(), key=lambda row: (-row.changed, -row.looked_at, row.provider or "", row.model or "")
    )
    return Repricing(selection=selection, written=write, models=tuple(rows))


def _pages(entries: Iterable[tuple[int, Entry]], last: int) -> Iterator[list[tuple[int, Entry]]]:
    """What was stored when the run began, a page at a time; its own corrections come behind that."""
    walk = iter(entries)
    while page := [(seq, entry) for seq, entry in islice(walk, _PAGE) if seq <= last]:
        yield page


def _asked_for(entry: Entry, provider: str | None, model: str | None) -> bool:
    return provider in (None, entry.provider) and model in (None, entry.model)


@dataclass(slots=True)
class _Belief:
    """What one call is believed to cost, after the corrections there are."""

    original: Entry
    quote: Quote
    revision: int


class _Run:
    """One walk through a ledger. It holds a page of entries and their messages at a time, whatever the ledger holds."""

    def __init__(self, ledger: Ledger, catalog: Catalog, *, clock: Callable[[], datetime], write: bool) -> None:
        self._ledger = ledger
        self._catalog = catalog
        self._clock = clock
        self._write = write
        self.rows: dict[tuple[str | None, str | None], ModelRepricing] = {}

    def page(self, entries: Sequence[Entry]) -> None:
        """Price a page of entries again and correct what differs."""
        wanted: list[tuple[_Belief, Quote]] = []
        messages: dict[str, tuple[Entry, ...]] = {}
        for entry in entries:
            if entry.message_uuid not in messages and _is_first_correction(entry):
                messages[entry.message_uuid] = self._ledger.message(entry.message_uuid).entries
            original = _original(entry, messages.get(entry.message_uuid, ()))
            if original is None or original.quote is None:
                continue
            quote = self._priced(original)
            differs = not _is_same(original.quote, quote)
            if original is entry:
                self._row(entry).looked_at += 1
            # An original that differs is dealt with where it stands; one that does not, where it was first corrected.
            if differs is (original is entry):
                if original.message_uuid not in messages:
                    messages[original.message_uuid] = self._ledger.message(original.message_uuid).entries
                wanted.append((_belief(original, messages[original.message_uuid]), quote))
        self._correct([(belief, quote) for belief, quote in wanted if self._is_news(belief, quote)])

    def _priced(self, entry: Entry) -> Quote:
        tier, context = entry.details.get("service_tier"), entry.details.get("price_context")
        return self._catalog.quote(
            provider=entry.provider,
            model=entry.model,
            usage=entry.usage,
            service_tier=tier if isinstance(tier, str) else None,
            at=entry.occurred_at,
            context=context if isinstance(context, Mapping) else None,
        )

    def _row(self, entry: Entry) -> ModelRepricing:
        key = (entry.provider, entry.model)
        if key not in self.rows:
            self.rows[key] = ModelRepricing(provider=entry.provider, model=entry.model)
        return self.rows[key]

    def _is_news(self, belief: _Belief, quote: Quote) -> bool:
        before = belief.quote
        if _is_same(before, quote):
            return False
        if before.status in _SELLERS_WORD and quote.status is not before.status:
            return False
        if before.amount is not None and quote.amount is None:
            self._row(belief.original).kept += 1
            return False
        return True

    def _correct(self, open_: list[tuple[_Belief, Quote]]) -> None:
        """Append the corrections, one transaction for each step; most need one step, a change of currency two."""
        changed: set[str] = set()
        while open_:
            now = self._clock()
            steps = [(belief, quote, _correction(belief, quote, now)) for belief, quote in open_]
            new = self._append([correction for _, _, correction in steps])
            open_ = []
            for belief, quote, correction in steps:
                if correction.entry_id not in new or correction.quote is None:
                    continue  # another run was first, and goes on with it
                self._count(belief, correction, first=belief.original.entry_id not in changed)
                changed.add(belief.original.entry_id)
                if correction.quote is not quote:
                    open_.append((_Belief(belief.original, correction.quote, belief.revision + 1), quote))

    def _append(self, corrections: Sequence[Entry]) -> frozenset[str]:
        if not self._write:
            return frozenset(correction.entry_id for correction in corrections)
        return self._ledger.append(corrections)

    def _count(self, belief: _Belief, correction: Entry, *, first: bool) -> None:
        row = self._row(belief.original)
        if first:
            row.changed += 1
            row.before = row.before.plus(_totals(belief.quote))
        row.difference = row.difference.plus(totals_of(correction))
        reason = correction.details["reason"]
        if reason not in row.reasons and len(row.reasons) < _NAMED_REASONS:
            row.reasons = (*row.reasons, reason)


def _is_first_correction(entry: Entry) -> bool:
    return entry.kind == Kind.CORRECTION and entry.entry_id.startswith(f"{_ID}1/")


def _original(entry: Entry, message: Iterable[Entry]) -> Entry | None:
    """The entry itself where it can be priced, or the one it was the first to correct."""
    if entry.kind != Kind.CORRECTION:
        return None if entry.usage is None else entry
    if not _is_first_correction(entry):
        return None
    return next((other for other in message if other.entry_id == entry.details.get("corrects")), None)


def _belief(original: Entry, message: Iterable[Entry]) -> _Belief:
    belief = _Belief(original, original.quote or no_quote(QuoteStatus.UNPRICED, "never priced"), 0)
    for entry in message:
        if entry.kind == Kind.CORRECTION and entry.details.get("corrects") == original.entry_id:
            revision = _revision(entry)
            if revision > belief.revision and entry.quote is not None:
                belief = _Belief(original, entry.quote, revision)
    return belief


def _revision(correction: Entry) -> int:
    number = correction.entry_id.removeprefix(_ID).partition("/")[0]
    return int(number) if correction.entry_id.startswith(_ID) and number.isdecimal() else 0


def _is_same(quote: Quote, other: Quote) -> bool:
    return (quote.status, quote.amount, quote.currency) == (other.status, other.amount, other.currency)


def _correction(belief: _Belief, quote: Quote, now: datetime) -> Entry:
    """The next correction on the way to that quote.

    Money of one currency cannot be the difference to money of another, so where the currency changes the old amount is
    taken back first.
    """
    original, before = belief.original, belief.quote
    reason = _reason(before, quote)
    if before.is_actual is quote.is_actual and before.amount is not None and before.currency != quote.currency:
        reason = f"priced in {quote.currency} instead of {before.currency}"
        quote = no_quote(QuoteStatus.UNPRICED, reason)
    return Entry(
        entry_id=f"{_ID}{belief.revision + 1}/{original.entry_id}",
        message_uuid=original.message_uuid,
        kind=Kind.CORRECTION,
        status=Status.COMPLETED,
        occurred_at=original.occurred_at,
        recorded_at=now,
        provider=original.provider,
        model=original.model,
        requested_model=original.requested_model,
        source_id=original.source_id,
        quote=quote,
        cost=_difference(_cost(before), _cost(quote)),
        estimate=_difference(_estimate(before), _estimate(quote)),
        replaces=standing_of(before),
        context=original.context,
        details={"corrects": original.entry_id, "reason": reason},
    )


def _totals(quote: Quote) -> Totals:
    """What a call of that quote adds to a total, tokens apart."""
    amounts = Amounts() if quote.amount is None else Amounts({quote.currency: quote.amount})
    standing = standing_of(quote)
    return Totals(
        actual=amounts if quote.is_actual else Amounts(),
        pending=Amounts() if quote.is_actual else amounts.without_zeros(),
        settled=int(standing is Standing.SETTLED),
        calculated=int(standing is Standing.CALCULATED),
        estimated=int(standing is Standing.PENDING),
        unpriced=int(standing is Standing.UNPRICED),
    )


def _cost(quote: Quote) -> Money | None:
    return quote.money if quote.is_actual else None


def _estimate(quote: Quote) -> Money | None:
    return None if quote.is_actual else quote.money


def _difference(before: Money | None, after: Money | None) -> Money | None:
    if before is None:
        return after
    if after is None:
        return -before
    return None if after == before else after - before


def _reason(before: Quote, after: Quote) -> str:
    if before.amount is None:
        return f"rates were added: {_list(after)}"
    if _list(before) != _list(after):
        return f"the rates changed: {_list(before)} -> {_list(after)}"
    return f"the same rates apply otherwise: {before.status.value} -> {after.status.value}"


def _list(quote: Quote) -> str:
    basis = quote.basis
    if basis is None:
        return "no price list"
    name = basis.source if basis.version == basis.source else f"{basis.source} {basis.version}"
    return f"{name}, sha256 {basis.data_hash}"
