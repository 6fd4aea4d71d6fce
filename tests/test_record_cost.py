"""What something beside the model calls cost, told by the application itself."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import costtrace
from costtrace import Catalog, Entry, InvalidValue, Money, Recorder, Usage
from costtrace.context import Context
from costtrace.entry import Standing
from costtrace.errors import LedgerUnavailable
from costtrace.ledger import SqliteLedger
from costtrace.testing import MemoryLedger

RATES = """
[[rate]]
provider = "tavily"
model = "search-advanced"
currency = "USD"
request = 0.016
"""


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
def recorder(ledger: MemoryLedger) -> Recorder:
    return Recorder(ledger)


def test_a_known_cost_is_settled_and_lands_on_the_open_message(recorder: Recorder, ledger: MemoryLedger) -> None:
    with costtrace.message(user_id="u1") as msg:
        entry = recorder.record_cost(
            name="tavily-search", cost=Money("0.008"), source_id="req-1", details={"depth": "basic"}
        )

    assert ledger.message(msg.uuid).entries == (entry,)
    assert (entry.entry_id, entry.kind, entry.model, entry.source_id) == (
        "tool/req-1",
        "tool",
        "tavily-search",
        "req-1",
    )
    assert (entry.cost, entry.estimate, entry.standing) == (Money("0.008"), None, Standing.SETTLED)
    assert entry.context.user_id == "u1"
    assert dict(entry.details) == {"depth": "basic"}
    assert ledger.message(msg.uuid).total.actual.usd == Decimal("0.008")


def test_an_estimate_is_pending(recorder: Recorder, ledger: MemoryLedger) -> None:
    with costtrace.message() as msg:
        entry = recorder.record_cost(name="scraper", estimate=Money("0.02"))

    assert (entry.cost, entry.estimate, entry.standing) == (None, Money("0.02"), Standing.PENDING)
    total = ledger.message(msg.uuid).total
    assert total.actual.usd == 0
    assert not total.complete


def test_another_currency_stays_what_it_is(recorder: Recorder) -> None:
    entry = recorder.record_cost(name="post", cost=Money("0.05", "EUR"), message_uuid="m1")

    assert entry.cost == Money("0.05", "EUR")


def test_a_usage_is_priced_by_the_rates_file(tmp_path: Path, ledger: MemoryLedger) -> None:
    (tmp_path / "own.toml").write_text(RATES)
    recorder = Recorder(ledger, catalog=Catalog.default(tmp_path / "own.toml"))

    entry = recorder.record_cost(
        name="search-advanced", provider="tavily", usage={"request": 3}, message_uuid="m1", source_id="s"
    )

    assert entry.cost == Money(3 * Decimal("0.016"))
    assert entry.standing is Standing.CALCULATED
    assert entry.quote is not None
    assert [str(line) for line in entry.quote.lines] == ["3 request x 0.016 / 1 = 0.048"]
    assert entry.usage is not None
    assert entry.usage.raw == {"request": 3}


def test_a_usage_that_nobody_has_a_price_for_is_unpriced(recorder: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    entry = recorder.record_cost(
        name="search", provider="nobody", usage=Usage(buckets={"request": 1}), message_uuid="m"
    )

    assert (entry.cost, entry.estimate, entry.standing) == (None, None, Standing.UNPRICED)
    assert recorder.health().unpriced == {"nobody/search": 1}
    assert "no price for model 'search'" in caplog.text


def test_a_usage_beside_a_cost_is_kept_and_not_priced(recorder: Recorder) -> None:
    entry = recorder.record_cost(name="ocr", cost=Money("0.3"), usage={"page": 20}, message_uuid="m1")

    assert (entry.cost, entry.quote) == (Money("0.3"), None)
    assert entry.usage is not None
    assert dict(entry.usage.buckets) == {"page": 20}


def test_the_same_source_id_counts_once_also_in_another_process(tmp_path: Path) -> None:
    for _ in range(2):
        recorder = Recorder(SqliteLedger(tmp_path / "costs.db"))
        for _ in range(2):
            recorder.record_cost(name="tavily", cost=Money("0.008"), source_id="req-1", message_uuid="m1")
        recorder.close()

    total = SqliteLedger(tmp_path / "costs.db").message("m1").total
    assert (total.entries, total.actual.usd) == (1, Decimal("0.008"))


def test_without_a_source_id_each_time_is_another(recorder: Recorder, ledger: MemoryLedger) -> None:
    for _ in range(3):
        recorder.record_cost(name="tavily", cost=Money("0.008"), message_uuid="m1")

    assert ledger.message("m1").total.actual.usd == 3 * Decimal("0.008")


def test_one_source_id_may_be_used_by_two_kinds(recorder: Recorder, ledger: MemoryLedger) -> None:
    recorder.record_cost(name="a", cost=Money(1), source_id="1", message_uuid="m1")
    recorder.record_cost(name="b", cost=Money(2), source_id="1", message_uuid="m1", kind="gpu")

    assert ledger.message("m1").total.actual.usd == 3


def test_it_may_have_happened_before(recorder: Recorder) -> None:
    moment = datetime(2026, 3, 1, 8, tzinfo=UTC)

    entry = recorder.record_cost(name="tavily", cost=Money("0.008"), occurred_at=moment, message_uuid="m1")

    assert entry.occurred_at == moment
    assert entry.recorded_at > moment


def test_a_message_that_is_named_wins_over_the_open_one(recorder: Recorder) -> None:
    with costtrace.message("m-open", user_id="u1"):
        other = recorder.record_cost(name="x", cost=Money(1), message_uuid="m-other")
        same = recorder.record_cost(name="x", cost=Money(1), message_uuid="m-open")
        told = recorder.record_cost(name="x", cost=Money(1), message_uuid="m-3", context=Context(user_id="u3"))

    assert (other.message_uuid, other.context.user_id) == ("m-other", None)
    assert same.context.user_id == "u1"
    assert told.context.user_id == "u3"


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a float": ({"cost": 0.008}, 'cost: expected Money, such as Money("0.008"), got 0.008'),
    "a bare Decimal": ({"cost": Decimal("0.008")}, "cost: expected Money"),
    "an estimate that is text": ({"estimate": "0.1"}, "estimate: expected Money"),
    "both": ({"cost": Money(1), "estimate": Money(1)}, "estimate: expected no estimate beside an actual cost"),
    "neither": ({}, "cost: expected a cost, an estimate or a usage that the catalog can price, got None"),
    "no name": ({"name": "", "cost": Money(1)}, "name: expected a text of 1 to 512 characters, got ''"),
    "a name that is none": ({"name": 7, "cost": Money(1)}, "name: expected a text"),
    "a kind with a slash": ({"kind": "a/b", "cost": Money(1)}, "kind: expected a word"),
    "a kind that is none": ({"kind": 7, "cost": Money(1)}, "kind: expected a word"),
    "an empty usage": ({"usage": {}}, "usage: expected counts by bucket"),
    "a usage that is none": ({"usage": [3]}, "usage: expected counts by bucket"),
    "a bucket that is none": ({"usage": {3: 3}}, "usage: expected counts by bucket"),
    "a bucket of two words": ({"usage": {"web search": 3}}, "usage.buckets: expected names"),
    "a count that is a float": ({"usage": {"request": 1.5}}, "usage.request: expected a whole number"),
    "a negative count": ({"usage": {"request": -1}}, "usage.request: expected a whole number"),
    "a moment without zone": (
        {"cost": Money(1), "occurred_at": datetime(2026, 1, 1)},  # noqa: DTZ001 - that is the mistake
        "occurred_at: expected a datetime with a time zone",
    ),
    "an empty source id": ({"cost": Money(1), "source_id": ""}, "source_id: expected a text"),
    "details that JSON cannot hold": ({"cost": Money(1), "details": {1: 2}}, "details: expected a mapping"),
    "an empty message": ({"cost": Money(1), "message_uuid": ""}, "message_uuid: expected a text"),
    "an empty provider": ({"cost": Money(1), "provider": ""}, "provider: expected a text"),
}


@pytest.mark.parametrize(("arguments", "problem"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_right_is_refused_and_nothing_recorded(
    arguments: dict[str, Any], problem: str, recorder: Recorder, ledger: MemoryLedger
) -> None:
    with pytest.raises(InvalidValue) as refused:
        recorder.record_cost(**{"name": "tavily", "message_uuid": "m1", **arguments})

    assert problem in str(refused.value)
    assert ledger.last_seq() == 0
    assert recorder.health().unpriced == {}


def test_without_any_message_it_is_refused(recorder: Recorder) -> None:
    with pytest.raises(InvalidValue, match=r"message_uuid: expected .* since no costtrace\.message is open here"):
        recorder.record_cost(name="tavily", cost=Money("0.008"))


class DownLedger(MemoryLedger):
    down = True

    def spool(self, entry: Entry) -> None:
        if self.down:
            raise LedgerUnavailable("the disk is full")
        super().spool(entry)


def test_a_store_that_is_down_is_not_the_callers_trouble() -> None:
    ledger = DownLedger()
    recorder = Recorder(ledger)

    entry = recorder.record_cost(name="tavily", cost=Money("0.008"), message_uuid="m1")
    ledger.down = False
    recorder.flush()

    assert ledger.message("m1").entries == (entry,)


def test_the_types_of_a_cost_are_in_the_ledger_file(tmp_path: Path) -> None:
    recorder = Recorder(SqliteLedger(tmp_path / "costs.db"))
    entry = recorder.record_cost(
        name="tavily", cost=Money("0.0080000000001"), provider="tavily", message_uuid="m1", usage={"request": 1}
    )
    recorder.close()

    assert SqliteLedger(tmp_path / "costs.db").message("m1").entries == (entry,)
