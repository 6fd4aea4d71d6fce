"""Deliveries in the background: started on request, ended in good order, felt by nobody."""

from __future__ import annotations

import gc
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from costtrace.errors import ExporterUnavailable
from costtrace.exporters import Fate
from costtrace.ledger import SqliteLedger
from costtrace.outbox import Outbox
from tests.outbox.parts import Clock, Scripted, Slow, filled, ids, make_entries, make_outbox, refused


def until(reached: Callable[[], bool]) -> None:
    """Wait for it, half a minute at most."""
    ends = time.monotonic() + 30
    while not reached():
        assert time.monotonic() < ends
        time.sleep(0.005)


def test_a_started_outbox_delivers_what_comes_until_it_is_stopped(ledger: SqliteLedger) -> None:
    exporter = Scripted()
    outbox = Outbox(ledger, [exporter], poll_s=0.01)
    outbox.start()
    outbox.start()
    until(lambda: len(exporter.delivered) == 10)
    for entry in make_entries([11]):
        ledger.spool(entry)
    until(lambda: len(exporter.delivered) == 11)

    assert [outbox.is_running, outbox.stop(), outbox.is_running] == [True, True, False]
    assert exporter.closed == 1
    ledger.append(make_entries([12]))
    time.sleep(0.05)
    assert exporter.delivered == ids(*range(1, 12))
    outbox.start()
    until(lambda: len(exporter.delivered) == 12)
    outbox.stop()


def test_a_slow_exporter_keeps_nothing_from_the_others(ledger: SqliteLedger) -> None:
    slow, quick = Slow(name="slow"), Scripted(name="quick")
    outbox = Outbox(ledger, [slow, quick], poll_s=0.01)
    outbox.start()
    assert slow.entered.wait(30)

    until(lambda: len(quick.delivered) == 10)

    assert slow.delivered == []
    began = time.monotonic()
    assert not outbox.stop(0.1)
    assert time.monotonic() - began < 5
    slow.go_on.set()
    until(lambda: not outbox.is_running)
    assert outbox.stop()


def test_delivering_for_ever_ends_when_it_is_told_to(ledger: SqliteLedger) -> None:
    exporter, stop = Scripted(), threading.Event()
    outbox = Outbox(ledger, [exporter], poll_s=0.01)
    thread = threading.Thread(target=outbox.deliver_forever, args=(stop,))
    thread.start()
    until(lambda: len(exporter.delivered) == 10)

    stop.set()
    thread.join(30)

    assert not thread.is_alive()


def test_a_pause_in_the_answers_is_waited_out(tmp_path: Path) -> None:
    ledger, clock = filled(tmp_path / "costs.db", 10), Clock(ends_after_s=600)
    exporter = Scripted(*[ExporterUnavailable("503")] * 6)
    outbox = make_outbox(ledger, exporter, clock=clock)

    outbox.deliver_forever(clock)

    assert len(exporter.requests) == 7
    assert outbox.status()[0].sent == 10
    ledger.close()


def test_a_ledger_that_cannot_be_used_for_a_while_ends_no_delivery(
    ledger: SqliteLedger, caplog: pytest.LogCaptureFixture
) -> None:
    exporter = Scripted()
    outbox = Outbox(ledger, [exporter], poll_s=0.01)
    hidden = ledger.path.with_suffix(".away")
    ledger.close()
    ledger.path.rename(hidden)
    ledger.path.mkdir()
    outbox.start()
    until(lambda: "nothing is delivered to scripted meanwhile" in caplog.text)
    ledger.path.rmdir()
    hidden.rename(ledger.path)

    until(lambda: len(exporter.delivered) == 10)

    outbox.stop()
    assert caplog.text.count("nothing is delivered to scripted meanwhile") == 1


@pytest.mark.expects_fault
def test_a_fault_of_the_outbox_itself_ends_no_delivery_either(
    ledger: SqliteLedger, caplog: pytest.LogCaptureFixture
) -> None:
    exporter = Scripted()
    del exporter.batch_size  # breaks where nobody expects it
    outbox = Outbox(ledger, [exporter], poll_s=0.01)
    outbox.start()
    until(lambda: "costtrace failed to deliver to scripted" in caplog.text)

    exporter.batch_size = 5

    until(lambda: len(exporter.delivered) == 10)
    outbox.stop()


def test_storing_entries_touches_nothing_of_the_outbox(ledger: SqliteLedger) -> None:
    make_outbox(ledger, Scripted()).deliver_once()
    statements: list[str] = []
    with ledger._database.reading() as connection:
        connection.set_trace_callback(statements.append)
        triggers = connection.execute("SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'").fetchone()

    ledger.append(make_entries([11]))
    for entry in make_entries([12]):
        ledger.spool(entry)
    ledger.flush()

    assert triggers == (0,)
    assert any("INSERT INTO entries" in statement for statement in statements)
    assert not any("deliveries" in statement or "letters" in statement for statement in statements)


def test_an_outbox_that_nobody_holds_is_collected(ledger: SqliteLedger) -> None:
    outbox = make_outbox(ledger, Scripted(), meter_provider=MeterProvider(metric_readers=[InMemoryMetricReader()]))
    gone = weakref.ref(outbox)
    del outbox
    gc.collect()

    assert gone() is None


def test_metrics_tell_what_is_where_by_exporter(ledger: SqliteLedger, clock: Clock) -> None:
    reader = InMemoryMetricReader()
    answer = {**refused(Fate.PARKED, 1), **refused(Fate.DEAD, 2, 3)}
    outbox = make_outbox(
        ledger,
        Scripted(answer, ExporterUnavailable("503"), batch_size=5),
        clock=clock,
        meter_provider=MeterProvider(metric_readers=[reader]),
    )
    outbox.deliver_once()
    clock.advance(100)

    assert measured(reader) == {
        "costtrace.outbox.sent": {"scripted": 2},
        "costtrace.outbox.pending": {"scripted": 5},
        "costtrace.outbox.oldest_pending": {"scripted": pytest.approx(100 - 6.005)},
        "costtrace.outbox.parked": {"scripted": 1},
        "costtrace.outbox.dead": {"scripted": 2},
    }


def test_metrics_of_a_ledger_that_cannot_be_read_are_left_out(ledger: SqliteLedger) -> None:
    reader = InMemoryMetricReader()
    outbox = make_outbox(ledger, Scripted(), meter_provider=MeterProvider(metric_readers=[reader]))
    ledger.close()
    ledger.path.unlink()
    ledger.path.write_text("this is no database, and quite long enough to be one")

    assert measured(reader) == {}
    assert not outbox.is_running


def measured(reader: InMemoryMetricReader) -> dict[str, dict[str, object]]:
    """The value of each instrument by exporter."""
    data = reader.get_metrics_data()
    if data is None:
        return {}
    return {
        metric.name: {str((point.attributes or {})["exporter"]): point.value for point in metric.data.data_points}  # type: ignore[union-attr]  # neither sums nor gauges have buckets
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.data.data_points
    }


def test_who_starts_after_a_stop_that_did_not_end_in_time_delivers_all_the_same(ledger: SqliteLedger) -> None:
    slow, quick = Slow(name="slow"), Scripted(name="quick")
    outbox = Outbox(ledger, [slow, quick], poll_s=0.01)
    outbox.start()
    assert slow.entered.wait(30)
    assert not outbox.stop(0.1)
    ledger.append(make_entries([11]))

    outbox.start()

    until(lambda: len(quick.delivered) == 11)
    slow.go_on.set()
    until(lambda: set(slow.delivered) == set(ids(*range(1, 12))))
    assert outbox.stop(30)


class Unwilling(Scripted):
    """Cannot even be closed."""

    def close(self) -> None:
        raise OSError("no")


@pytest.mark.expects_fault
def test_an_exporter_that_cannot_be_closed_keeps_no_other_open(
    ledger: SqliteLedger, caplog: pytest.LogCaptureFixture
) -> None:
    other = Scripted(name="other")
    outbox = Outbox(ledger, [Unwilling(name="unwilling"), other], poll_s=0.01)
    outbox.start()

    assert outbox.stop(30)

    assert other.closed == 1
    assert "costtrace failed to close the exporter unwilling" in caplog.text


@pytest.mark.expects_fault
def test_an_exporter_that_asks_the_process_to_end_ends_no_delivery(ledger: SqliteLedger) -> None:
    exporter = Scripted(SystemExit(1))
    outbox = Outbox(ledger, [exporter], poll_s=0.01)
    outbox.start()

    until(lambda: len(exporter.delivered) == 20)

    assert outbox.stop(30)


def test_a_ledger_that_another_took_the_place_of_is_delivered_from_its_beginning(
    ledger: SqliteLedger, tmp_path: Path
) -> None:
    exporter = Scripted()
    outbox = make_outbox(ledger, exporter)
    outbox.deliver_once()
    ledger.close()
    ledger.path.unlink()
    filled(tmp_path / "another.db", 3, first=21).close()
    (tmp_path / "another.db").rename(ledger.path)

    assert outbox.deliver_once()[0].sent == 3
    assert exporter.delivered[10:] == ids(21, 22, 23)


def test_a_spool_that_cannot_be_read_for_long_is_complained_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filled(tmp_path / "costs.db", 3).close()
    ledger = SqliteLedger(tmp_path / "costs.db", busy_timeout_s=0.01)
    exporter = Scripted()
    outbox = make_outbox(ledger, exporter)
    with closing(sqlite3.connect(ledger.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        ledger.spool(make_entries([4])[0])
        for _ in range(5):
            outbox.status()
        other.execute("ROLLBACK")

    assert caplog.text.count("entries that wait in the spool are not shown") == 1
    assert outbox.deliver_once()[0].sent == 4
    ledger.close()
