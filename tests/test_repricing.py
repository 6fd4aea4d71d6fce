"""Re-pricing: corrections are exact differences, made once, whoever runs it and how often; what was recorded stays."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from costtrace.context import Context
from costtrace.entry import Entry, Standing
from costtrace.errors import LedgerUnavailable
from costtrace.ledger import Ledger, Selection, SqliteLedger
from costtrace.messages import Totals, as_of
from costtrace.money import Money
from costtrace.pricing import Catalog
from costtrace.pricing.rate_file import RateFile
from costtrace.quote import Quote, QuoteStatus
from costtrace.recorder import Recorder
from costtrace.repricing import Repricing, reprice
from costtrace.testing import MemoryLedger
from costtrace.usage import Usage
from costtrace.usage_metadata import usage_from_metadata
from tests.factories import MESSAGE, NOW, make_costs, make_entry, make_usage

SINCE = Selection(since=NOW - timedelta(days=1))
LATER = datetime(2026, 2, 1, 12, tzinfo=UTC)
Prices = Callable[..., Catalog]


def mtok(rate: str, tokens: int) -> Decimal:
    """What that many tokens cost at a rate per million."""
    return Decimal(rate) * tokens / 1_000_000


@pytest.fixture(params=["sqlite", "memory"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    made: Ledger = MemoryLedger() if request.param == "memory" else SqliteLedger(tmp_path / "costs.db")
    yield made
    made.close()


@pytest.fixture
def own(tmp_path: Path) -> Prices:
    """Catalogs with a rate of one's own for the model ``own-1``, each from a file of its own."""

    def catalog(**row: Any) -> Catalog:
        file = tmp_path / f"rates{len(list(tmp_path.glob('rates*')))}.toml"
        lines = ["[[rate]]", 'provider = "openai"', 'model = "own-1"', *(f"{key} = {row[key]}" for key in row)]
        file.write_text("\n".join(lines) + "\n")
        return Catalog(RateFile.own(file))

    return catalog


def call(ledger: Ledger, catalog: Catalog, *, number: int = 1, **changes: Any) -> Entry:
    """A recorded call of 450 input and 200 output tokens, a second after the one before."""
    known: dict[str, Any] = {
        "run_id": f"run-{number}",
        "message_uuid": MESSAGE,
        "context": Context(user_id="u1", channel="web"),
        "status": "completed",
        "start_us": int((NOW + timedelta(seconds=number)).timestamp()) * 1_000_000,
        "duration_us": 5_000,
        "provider": "openai",
        "model": "own-1",
        "requested_model": "own-1",
        "service_tier": None,
        "usage": make_usage(),
    }
    recorder = Recorder(ledger, catalog=catalog, clock=lambda: int((NOW + timedelta(minutes=1)).timestamp()) * 10**9)
    return recorder.record_call(**{**known, **changes})


def priced_again(ledger: Ledger, catalog: Catalog, *, selection: Selection = SINCE, **options: Any) -> Repricing:
    return reprice(ledger, catalog, selection=selection, **{"clock": lambda: LATER, **options})


def total(ledger: Ledger) -> Totals:
    """The message's total, which is also that of the sums."""
    of_message = ledger.message(MESSAGE).total
    assert ledger.totals()[()] == of_message
    return of_message


def stored(ledger: Ledger) -> list[Entry]:
    return [entry for _, entry in ledger.entries()]


def test_rates_that_were_added_price_what_was_unpriced(ledger: Ledger, own: Prices) -> None:
    original = call(ledger, Catalog())
    catalog = own(input=2, output=8)
    amount = mtok("2", 450) + mtok("8", 200)
    assert total(ledger).coverage == {"settled": 0, "calculated": 0, "pending": 0, "unpriced": 1}

    found = priced_again(ledger, catalog)

    assert (found.total.looked_at, found.total.changed) == (1, 1)
    assert total(ledger).coverage == {"settled": 0, "calculated": 1, "pending": 0, "unpriced": 0}
    assert total(ledger).actual == {"USD": amount}
    assert total(ledger).complete
    assert (total(ledger).input_tokens, total(ledger).output_tokens) == (450, 200)
    first, correction = stored(ledger)
    quote = catalog.quote(provider="openai", model="own-1", usage=make_usage(), at=original.occurred_at)
    assert quote.basis is not None
    assert quote.basis.source == quote.basis.version
    assert first == original
    assert correction == Entry(
        entry_id=f"reprice/1/{original.entry_id}",
        message_uuid=MESSAGE,
        kind="correction",
        status="completed",
        occurred_at=original.occurred_at,
        recorded_at=LATER,
        provider="openai",
        model="own-1",
        requested_model="own-1",
        source_id="run-1",
        quote=quote,
        cost=Money(amount),
        replaces="unpriced",
        context=original.context,
        details={
            "corrects": original.entry_id,
            "reason": f"rates were added: {quote.basis.source}, sha256 {quote.basis.data_hash}",
        },
    )


def test_a_second_run_finds_nothing_to_do(ledger: Ledger, own: Prices) -> None:
    call(ledger, Catalog())
    catalog = own(input=2, output=8)
    priced_again(ledger, catalog)
    before = stored(ledger)

    again = priced_again(ledger, catalog)

    assert (again.total.looked_at, again.total.changed) == (1, 0)
    assert stored(ledger) == before


def test_rates_that_change_and_change_back_leave_what_they_are_now(ledger: Ledger, own: Prices) -> None:
    """Also where the first rates come back, and the original says already what is true again."""
    call(ledger, own(input=2, output=8))
    for rate in (3, 1, 2, 2, 5):
        priced_again(ledger, own(input=rate, output=8))
        assert total(ledger).actual == {"USD": mtok(str(rate), 450) + mtok("8", 200)}
        assert total(ledger).coverage == {"settled": 0, "calculated": 1, "pending": 0, "unpriced": 0}
    corrections = stored(ledger)[1:]
    differences = [mtok("1", 450), mtok("-2", 450), mtok("1", 450), mtok("3", 450)]
    assert [entry.cost and entry.cost.amount for entry in corrections] == differences
    assert [entry.entry_id.split("/")[1] for entry in corrections] == ["1", "2", "3", "4"]
    assert "the rates changed: " in corrections[0].details["reason"]


def test_what_was_known_on_the_day_can_still_be_seen(ledger: Ledger, own: Prices) -> None:
    call(ledger, Catalog())
    priced_again(ledger, own(input=2, output=8))
    message = ledger.message(MESSAGE)
    assert as_of(message, LATER - timedelta(microseconds=1)).total.unpriced == 1
    assert as_of(message, LATER).total == message.total


def test_the_money_belongs_to_the_day_and_the_user_of_the_call(ledger: Ledger, own: Prices) -> None:
    call(ledger, Catalog())
    priced_again(ledger, own(input=2, output=8))
    for word, key in (("day", "2026-01-20"), ("user", "u1"), ("model", "own-1"), ("message", MESSAGE)):
        assert ledger.totals([word]) == {(key,): total(ledger)}


def test_an_exact_amount_that_was_only_part_of_the_cost_becomes_pending(ledger: Ledger, own: Prices) -> None:
    call(ledger, own(input=2, output=8))
    priced_again(ledger, own(input=2))
    assert total(ledger).coverage == {"settled": 0, "calculated": 0, "pending": 1, "unpriced": 0}
    assert total(ledger).known == {}
    assert total(ledger).pending == {"USD": mtok("2", 450)}

    priced_again(ledger, own(input=2, output=8))

    assert total(ledger).actual == {"USD": mtok("2", 450) + mtok("8", 200)}
    assert total(ledger).pending == {}
    assert total(ledger).complete


def test_a_price_that_is_forgotten_unprices_nothing(ledger: Ledger, own: Prices) -> None:
    call(ledger, own(input=2, output=8))
    before = stored(ledger)

    found = priced_again(ledger, Catalog())

    assert stored(ledger) == before
    assert (found.total.looked_at, found.total.changed, found.total.kept) == (1, 0, 1)


def test_another_currency_takes_the_old_amount_back_first(ledger: Ledger, own: Prices) -> None:
    call(ledger, own(input=2, output=8))
    euros = own(input=3, output=8, currency='"EUR"')

    found = priced_again(ledger, euros)

    taken_back, stated = stored(ledger)[1:]
    assert (str(taken_back.cost), taken_back.standing) == ("-0.0025 USD", Standing.UNPRICED)
    assert (str(stated.cost), stated.standing, stated.replaces) == ("0.00295 EUR", Standing.CALCULATED, "unpriced")
    assert total(ledger).actual == {"USD": Decimal(0), "EUR": mtok("3", 450) + mtok("8", 200)}
    assert total(ledger).coverage == {"settled": 0, "calculated": 1, "pending": 0, "unpriced": 0}
    assert found.total.changed == 1
    assert priced_again(ledger, euros).total.changed == 0


def test_the_tier_and_the_context_of_the_call_choose_the_rate_again(ledger: Ledger, own: Prices) -> None:
    call(ledger, Catalog(), service_tier="flex")
    call(ledger, Catalog(), number=2, price_context={"region": "eu"})
    priced_again(ledger, own(input=2, output=8, service_tier='"flex"'))

    corrections = stored(ledger)[2:]
    assert [entry.details["corrects"].split("/")[1] for entry in corrections] == ["run-1"]
    assert str(corrections[0].cost) == "0.0025 USD"
    assert stored(ledger)[1].details["price_context"] == {"region": "eu"}


def test_a_dry_run_says_the_same_and_writes_nothing(ledger: Ledger, own: Prices) -> None:
    for number in range(3):
        call(ledger, Catalog(), number=number)
    euros = own(input=2, output=8, currency='"EUR"')
    before = stored(ledger)

    looked = priced_again(ledger, euros, write=False)

    assert stored(ledger) == before
    assert not looked.written
    assert priced_again(ledger, euros).models == looked.models
    dollars = own(input=2, output=8)
    assert priced_again(ledger, dollars, write=False).models == priced_again(ledger, dollars).models


@pytest.mark.parametrize(
    ("selection", "options", "corrected"),
    [
        (Selection(since=NOW + timedelta(seconds=2)), {}, ["run-2", "run-3"]),
        (Selection(since=NOW, until=NOW + timedelta(seconds=2)), {}, ["run-1"]),
        (SINCE, {"provider": "openai"}, ["run-1", "run-2"]),
        (SINCE, {"provider": "acme"}, ["run-3"]),
        (SINCE, {"model": "own-2"}, []),
        (SINCE, {"model": "own-1", "provider": "openai"}, ["run-1", "run-2"]),
    ],
)
def test_only_what_is_asked_for_is_priced_again(
    ledger: Ledger, tmp_path: Path, selection: Selection, options: dict[str, str], corrected: list[str]
) -> None:
    rates = tmp_path / "both.toml"
    rates.write_text(
        '[[rate]]\nprovider = "openai"\nmodel = "own-1"\ninput = 2\noutput = 8\n'
        '[[rate]]\nprovider = "acme"\nmodel = "own-1"\ninput = 2\noutput = 8\n'
    )
    for number, provider in ((1, "openai"), (2, "openai"), (3, "acme")):
        call(ledger, Catalog(), number=number, provider=provider)

    found = priced_again(ledger, Catalog(RateFile.own(rates)), selection=selection, **options)

    assert [entry.source_id for entry in stored(ledger)[3:]] == corrected
    assert found.total.changed == len(corrected)


def test_what_the_seller_said_or_nobody_billed_is_left_alone(ledger: Ledger, own: Prices) -> None:
    reported = Quote(status=QuoteStatus.PROVIDER_REPORTED, amount=Decimal("0.5"))
    pending = Quote(status=QuoteStatus.PENDING, amount=Decimal("0.0079"))
    cached = usage_from_metadata({"input_tokens": 450, "output_tokens": 200, "total_tokens": 650, "total_cost": 0})
    call(ledger, Catalog(), usage=cached)
    call(ledger, Catalog(), number=2, usage=None)
    ledger.append(
        [
            make_entry(3, model="own-1", quote=reported, cost=Money("0.5")),
            make_entry(4, model="own-1", quote=pending, cost=None, estimate=Money("0.0079")),
            make_costs("1", number=5),
        ]
    )
    before = stored(ledger)

    found = priced_again(ledger, own(input=2, output=8))

    assert stored(ledger) == before
    assert (found.total.looked_at, found.total.changed) == (3, 0)


def test_an_answer_that_came_late_is_priced_again_in_its_own_place(ledger: Ledger, own: Prices) -> None:
    call(ledger, Catalog(), status="abandoned", usage=None)
    call(ledger, Catalog(), late=True)
    assert total(ledger).coverage == {"settled": 0, "calculated": 0, "pending": 0, "unpriced": 1}

    priced_again(ledger, own(input=2, output=8))

    assert total(ledger).coverage == {"settled": 0, "calculated": 1, "pending": 0, "unpriced": 0}
    assert total(ledger).actual == {"USD": mtok("2", 450) + mtok("8", 200)}


def test_a_refusal_that_came_late_says_that_nothing_was_bought(ledger: Ledger) -> None:
    call(ledger, Catalog(), status="abandoned", usage=None)
    call(ledger, Catalog(), late=True, refused=True, usage=None, status="failed", error="RateLimitError 429")
    assert total(ledger) == Totals()
    assert total(ledger).complete


def test_many_pages_are_corrected_each_once(ledger: Ledger, own: Prices) -> None:
    usages = [Usage(buckets={"input": number, "output": 1}) for number in range(1201)]
    quote = Quote(status=QuoteStatus.UNPRICED, amount=None, reason="no price")
    ledger.append(
        make_entry(number, model="own-1", usage=usage, quote=quote, cost=None, message_uuid=f"m{number % 100}")
        for number, usage in enumerate(usages)
    )
    seen: list[tuple[int, int]] = []
    found = priced_again(ledger, own(input=2, output=8), watch=lambda seq, last: seen.append((seq, last)))

    expected = mtok("2", sum(range(1201))) + mtok("8", 1201)
    assert ledger.totals()[()].actual == found.total.difference.actual == {"USD": expected}
    assert ledger.totals()[()].coverage == {"settled": 0, "calculated": 1201, "pending": 0, "unpriced": 0}
    assert (found.total.looked_at, found.total.changed) == (1201, 1201)
    assert seen[-1] == (1201, 1201)


def test_two_runs_at_the_same_time_correct_each_call_once(tmp_path: Path, own: Prices) -> None:
    path = tmp_path / "shared.db"
    with_calls = SqliteLedger(path)
    for number in range(60):
        call(with_calls, Catalog(), number=number)
    with_calls.flush()
    catalogs = [own(input=2, output=8) for _ in range(4)]
    barrier = threading.Barrier(4)

    def run(catalog: Catalog) -> int:
        barrier.wait(timeout=30)
        return priced_again(SqliteLedger(path), catalog).total.changed

    with ThreadPoolExecutor(4) as pool:
        changed = list(pool.map(run, catalogs))

    assert sum(changed) == 60
    assert with_calls.totals()[()].actual == {"USD": 60 * (mtok("2", 450) + mtok("8", 200))}
    with_calls.close()


class _Failing(MemoryLedger):
    """Takes one batch, then fails."""

    def __init__(self) -> None:
        super().__init__()
        self.batches_left = 1

    def append(self, entries: Iterable[Entry]) -> frozenset[str]:
        batch = list(entries)
        if any(entry.kind == "correction" for entry in batch):
            self.batches_left -= 1
            if self.batches_left < 0:
                raise LedgerUnavailable("database is locked")
        return super().append(batch)


def test_a_run_that_breaks_off_is_finished_by_the_next(own: Prices) -> None:
    ledger = _Failing()
    for number in range(700):
        call(ledger, Catalog(), number=number)
    catalog = own(input=2, output=8)
    with pytest.raises(LedgerUnavailable):
        priced_again(ledger, catalog)
    assert 0 < ledger.totals()[()].calculated < 700
    ledger.batches_left = 100

    priced_again(ledger, catalog)

    assert ledger.totals()[()].coverage == {"settled": 0, "calculated": 700, "pending": 0, "unpriced": 0}
    assert ledger.totals()[()].actual == {"USD": 700 * (mtok("2", 450) + mtok("8", 200))}


def test_the_result_as_json_holds_money_as_text(ledger: Ledger, own: Prices) -> None:
    call(ledger, Catalog())
    record = priced_again(ledger, own(input=2, output=8)).to_dict()
    assert record["dry_run"] is False
    (row,) = record["models"]
    assert (row["provider"], row["model"], row["looked_at"], row["changed"]) == ("openai", "own-1", 1, 1)
    assert row["before"]["coverage"]["unpriced"] == 1
    assert row["after"]["actual"] == {"USD": "0.0025"}
    assert row["difference"] == {"actual": {"USD": "0.0025"}, "pending": {}}
