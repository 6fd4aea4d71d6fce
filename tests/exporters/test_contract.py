"""What every exporter promises, whatever it delivers to. A new one adds its place in `places.py`."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from costtrace.entry import Entry, Standing
from costtrace.errors import ConfigurationError, ExporterStopped, ExporterUnavailable, MissingExtra
from costtrace.exporters import Fate, open_exporter
from costtrace.ledger import SqliteLedger
from costtrace.money import Money
from costtrace.outbox import Outbox
from costtrace.settings import Settings
from tests.exporters.places import Place
from tests.factories import make_costs, make_entry
from tests.outbox.parts import Clock

CALL = Decimal("0.003125")


def calls(numbers: range) -> list[Entry]:
    """That many calls of 0.003125 USD, four to a message."""
    return [make_entry(number, message_uuid=f"0199d3a0-0000-7000-8000-{number // 4:012x}") for number in numbers]


def test_entries_arrive(place: Place) -> None:
    exporter = place.exporter()

    assert list(exporter.export(calls(range(1, 9)))) == []

    assert place.total() == 8 * CALL


def test_entries_that_are_delivered_again_count_once(place: Place) -> None:
    exporter, another = place.exporter(), place.exporter()
    exporter.export(calls(range(1, 6)))
    exporter.export(calls(range(1, 6)))
    another.export(calls(range(3, 9)))

    assert place.total() == 8 * CALL


def test_corrections_and_credits_arrive_with_their_sign(place: Place) -> None:
    revised = {"quote": None, "usage": None, "replaces": Standing.CALCULATED, "kind": "correction"}
    place.exporter().export(
        [
            *calls(range(1, 3)),
            make_entry(3, cost=Money("-0.0005"), details={"corrects": "llm/run-1/1"}, **revised),
            make_costs("0.25", number=4, kind="tool", provider="search", model="web", source_id="s-4"),
        ]
    )

    assert place.total() == 2 * CALL - Decimal("0.0005") + Decimal("0.25")


def test_nothing_to_deliver_is_no_problem(place: Place) -> None:
    assert list(place.exporter().export([])) == []


def test_the_name_is_a_cursor_that_stays(place: Place) -> None:
    one, another = place.exporter(), place.exporter()

    assert one.name == another.name
    assert one.name.strip()
    assert one.batch_size >= 1


def test_a_batch_as_large_as_it_may_be_is_taken(place: Place) -> None:
    exporter = place.exporter()

    assert list(exporter.export(calls(range(1, exporter.batch_size + 1)))) == []

    assert place.total() == exporter.batch_size * CALL


def test_an_exporter_that_was_closed_can_be_used_again(place: Place) -> None:
    exporter = place.exporter()
    exporter.export(calls(range(1, 3)))
    exporter.close()
    exporter.close()

    exporter.export(calls(range(3, 5)))

    assert place.total() == 4 * CALL


def test_a_place_that_cannot_be_reached_is_unavailable_and_nothing_is_acknowledged(place: Place) -> None:
    with place.down() as exporter, pytest.raises(ExporterUnavailable) as raised:
        exporter.export(calls(range(1, 4)))

    assert str(raised.value)
    assert place.total() == 0


def test_what_a_person_has_to_change_stops_the_exporter_and_says_what_it_is(place: Place) -> None:
    exporter = place.misled()
    with pytest.raises(ExporterStopped) as raised:
        exporter.export(calls(range(1, 4)))

    assert len(str(raised.value)) > 10
    assert place.total() == 0


def test_refusals_name_entries_of_the_batch(place: Place) -> None:
    """An amount that some stores cannot hold: refused for good, or taken, but never a reason to lose the others."""
    huge = make_costs("0.1234567890123456789012345678901234567890", number=9, source_id="run-9")

    refusals = place.exporter().export([*calls(range(1, 4)), huge])

    assert [(refusal.entry_id, refusal.fate) for refusal in refusals] in ([], [(huge.entry_id, Fate.DEAD)])
    assert place.total() >= 3 * CALL


def test_an_outbox_delivers_a_ledger_there_to_the_last_digit(place: Place, tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "costs.db")
    ledger.append(calls(range(1, 301)))
    exporter, clock = place.exporter(), Clock()
    outbox = Outbox(ledger, [exporter], clock=clock, chance=lambda: 0.5)

    [done] = outbox.deliver_once()

    assert (done.sent, done.problem) == (300, None)
    assert place.total() == 300 * CALL == Decimal("0.9375")
    ledger.deliveries.requeue(
        exporter.name, [f"llm/run-{n}/{n}" for n in range(50, 90)], now_us=clock() // 1000, reason=""
    )
    assert outbox.deliver_once()[0].sent == 40
    assert place.total() == 300 * CALL
    ledger.close()


# Finding one by its address.


@pytest.fixture
def source(tmp_path: Path) -> SqliteLedger:
    return SqliteLedger(tmp_path / "costs.db")


def test_an_address_finds_its_exporter(source: SqliteLedger, tmp_path: Path) -> None:
    lines = open_exporter(f"jsonl://{tmp_path}/entries.jsonl", ledger=source)
    copy = open_exporter(f"sqlite:///{tmp_path}/copy.db", ledger=source)
    posthog = open_exporter("posthog", ledger=source, posthog_api_key="phc_x", posthog_host="http://127.0.0.1:9")

    assert [lines.name, copy.name, posthog.name] == [
        f"jsonl {tmp_path}/entries.jsonl",
        f"{tmp_path}/copy.db",
        "posthog",
    ]


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("kafka://topic", "exporter 'kafka://topic' is not known; use one of posthog, jsonl:///var/lib/entries.jsonl"),
        ("jsonl://", "exporter 'jsonl://' is not known"),
        ("dynamodb://?tabel=x", "'tabel' is none of"),
        ("posthog", "POSTHOG_API_KEY is not set"),
        ("sqlite:///{path}", "is the ledger itself"),
    ],
)
def test_an_address_that_cannot_be_says_why(source: SqliteLedger, address: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        open_exporter(address.format(path=source.path), ledger=source)


def test_settings_make_the_exporters_of_their_addresses(source: SqliteLedger, tmp_path: Path) -> None:
    settings = Settings(exporters=f"jsonl://{tmp_path}/a.jsonl, sqlite:///{tmp_path}/b.db,posthog", posthog_api_key="k")
    try:
        made = settings.make_exporters(source)
    except MissingExtra:
        pytest.skip("the package posthog is not installed")

    assert [exporter.name for exporter in made] == [f"jsonl {tmp_path}/a.jsonl", f"{tmp_path}/b.db", "posthog"]
    assert Settings().make_exporters(source) == ()
