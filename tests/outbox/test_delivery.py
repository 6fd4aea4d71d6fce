"""What an outbox does with each answer an exporter can give."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from costtrace.entry import Entry
from costtrace.errors import ConfigurationError, ExporterStopped, ExporterUnavailable, InvalidValue, LedgerUnavailable
from costtrace.exporters import Fate, Refusal
from costtrace.ledger import SqliteLedger
from costtrace.ledger.letters import Outcome
from costtrace.outbox import Delivered, ExporterStatus
from costtrace.outbox.backoff import pause_s
from costtrace.testing import MemoryLedger
from costtrace.times import from_micros
from tests.outbox.parts import START_NS, Clock, Scripted, breaks_at, filled, ids, make_entries, make_outbox, refused

DAY_S = 86_400


def test_everything_is_delivered_in_order_and_in_batches_and_only_once(ledger: SqliteLedger) -> None:
    exporter = Scripted(batch_size=4)
    outbox = make_outbox(ledger, exporter)

    [done] = outbox.deliver_once()

    assert done == Delivered(exporter="scripted", sent=10)
    assert done.is_complete
    assert exporter.requests == [ids(1, 2, 3, 4), ids(5, 6, 7, 8), ids(9, 10)]
    assert outbox.deliver_once() == (Delivered(exporter="scripted"),)
    assert len(exporter.requests) == 3


def test_what_is_only_spooled_is_delivered_as_well(ledger: SqliteLedger) -> None:
    exporter = Scripted()
    outbox = make_outbox(ledger, exporter)
    for entry in make_entries([11, 12]):
        ledger.spool(entry)

    outbox.deliver_once()

    assert exporter.delivered == ids(*range(1, 13))


def test_numbers_that_known_entries_used_up_stop_no_cursor(ledger: SqliteLedger) -> None:
    exporter = Scripted(batch_size=3)
    outbox = make_outbox(ledger, exporter)
    ledger.append(make_entries(range(1, 11)))  # all known: their numbers are burnt
    ledger.append(make_entries([11]))

    outbox.deliver_once()

    assert exporter.delivered == ids(*range(1, 12))
    assert outbox.status()[0].pending == 0


def test_a_new_exporter_begins_with_the_first_entry_or_from_now(ledger: SqliteLedger) -> None:
    everything, later = Scripted(name="everything"), Scripted(name="later")
    make_outbox(ledger, everything).deliver_once()
    make_outbox(ledger, later, from_now=True)
    ledger.append(make_entries([11]))

    make_outbox(ledger, everything, later, from_now=True).deliver_once()

    assert everything.delivered == ids(*range(1, 12))
    assert later.delivered == ids(11)


def test_every_exporter_has_a_cursor_of_its_own(ledger: SqliteLedger) -> None:
    down, up = Scripted(ExporterUnavailable("503"), name="down"), Scripted(name="up")
    outbox = make_outbox(ledger, down, up)

    assert [done.sent for done in outbox.deliver_once()] == [0, 10]
    assert [(status.pending, status.sent) for status in outbox.status()] == [(10, 0), (0, 10)]


def test_two_exporters_of_one_name_are_refused(ledger: SqliteLedger) -> None:
    with pytest.raises(ConfigurationError, match="two exporters are named 'scripted'"):
        make_outbox(ledger, Scripted(), Scripted())


def test_a_ledger_without_cursors_says_who_delivers_there() -> None:
    with pytest.raises(ConfigurationError, match="has no outbox: from a DynamoDB table its stream delivers"):
        make_outbox(MemoryLedger(), Scripted())  # type: ignore[arg-type]  # the wrong kind is the point


# No answer: everything stays, and the exporter is left alone for a while.


def test_an_exporter_that_does_not_answer_is_left_alone_longer_and_longer(ledger: SqliteLedger, clock: Clock) -> None:
    exporter = Scripted(*[ExporterUnavailable("HTTP 503")] * 12)
    outbox = make_outbox(ledger, exporter, clock=clock)
    pauses = []
    for _ in range(12):
        [done] = outbox.deliver_once()
        assert (done.problem, done.sent) == ("HTTP 503", 0)
        [status] = outbox.status()
        assert status.next_try is not None
        pauses.append((status.next_try - from_micros(clock() // 1000)).total_seconds())
        clock.advance(pauses[-1] - 0.001)
        [early] = outbox.deliver_once()
        assert early.problem == "HTTP 503"
        clock.advance(0.002)

    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    assert len(exporter.requests) == 12  # none of the early ones came through
    assert outbox.deliver_once()[0].sent == 10
    assert (outbox.status()[0].failures, outbox.status()[0].next_try) == (0, None)


def test_pauses_are_jittered_and_no_shorter_than_the_other_side_asked_for() -> None:
    assert [pause_s(failures, 0.5) for failures in (1, 2, 3, 9, 1_000_000)] == [0.5, 1, 2, 128, 150]
    assert pause_s(1, 0.0) == 0
    assert pause_s(1, 0.9, at_least=42.0) == 42
    assert pause_s(9, 0.9, at_least=42.0) == pytest.approx(230.4)


def test_retry_after_is_kept_to(ledger: SqliteLedger, clock: Clock) -> None:
    exporter = Scripted(ExporterUnavailable("HTTP 429", retry_after_s=60))
    outbox = make_outbox(ledger, exporter, clock=clock)
    outbox.deliver_once()
    clock.advance(59)
    outbox.deliver_once()
    assert len(exporter.requests) == 1

    clock.advance(2)

    assert outbox.deliver_once()[0].sent == 10


def test_a_pause_that_was_noted_while_the_clock_was_wrong_is_not_kept(ledger: SqliteLedger, clock: Clock) -> None:
    outbox = make_outbox(ledger, Scripted(ExporterUnavailable("HTTP 503", retry_after_s=10**9)), clock=clock)
    clock.advance(1000 * DAY_S)
    outbox.deliver_once()
    assert outbox.deliver_once()[0].problem == "HTTP 503"

    clock.advance(-900 * DAY_S)

    assert outbox.deliver_once()[0].sent == 10


def test_a_batch_that_is_put_off_as_a_whole_puts_the_exporter_off(ledger: SqliteLedger) -> None:
    exporter = Scripted(refused(Fate.RETRY, *range(1, 11), reason="try later"))
    outbox = make_outbox(ledger, exporter)

    [done] = outbox.deliver_once()

    assert (done.problem, done.put_off) == ("try later", 0)
    assert (outbox.status()[0].pending, outbox.status()[0].retry) == (10, 0)


def test_what_was_acknowledged_before_the_answers_ended_stays_acknowledged(ledger: SqliteLedger, clock: Clock) -> None:
    exporter = Scripted({}, ExporterUnavailable("gone"), batch_size=4)
    outbox = make_outbox(ledger, exporter, clock=clock)
    assert outbox.deliver_once() == (Delivered(exporter="scripted", sent=4, problem="gone"),)
    clock.advance(2)

    outbox.deliver_once()

    assert exporter.requests == [ids(1, 2, 3, 4), ids(5, 6, 7, 8), ids(5, 6, 7, 8), ids(9, 10)]


# Refused entries: letters.


def test_an_entry_refused_for_now_is_tried_again_by_its_own_schedule_and_blocks_nobody(
    ledger: SqliteLedger, clock: Clock
) -> None:
    later = refused(Fate.RETRY, 2)
    exporter = Scripted(later, {}, {}, later, later, batch_size=4)
    outbox = make_outbox(ledger, exporter, clock=clock)

    assert outbox.deliver_once() == (Delivered(exporter="scripted", sent=9, put_off=1),)
    assert exporter.delivered == ids(*range(1, 11))
    for pause in (1, 2, 4):
        before = len(exporter.requests)
        clock.advance(pause - 0.5)
        outbox.deliver_once()
        assert len(exporter.requests) == before
        clock.advance(1)
        outbox.deliver_once()
        assert exporter.requests[before:] == [ids(2)]

    [status] = outbox.status()
    assert (status.sent, status.pending, status.retry) == (10, 0, 0)


def test_parked_and_dead_entries_are_kept_until_they_are_replayed(
    ledger: SqliteLedger, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    answer = {**refused(Fate.PARKED, 3, 4, reason="quota_limited"), **refused(Fate.DEAD, 5, reason="too_big")}
    exporter = Scripted(answer)
    outbox = make_outbox(ledger, exporter, clock=clock)

    [done] = outbox.deliver_once()

    assert done == Delivered(exporter="scripted", sent=7, parked=2, dead=1)
    assert not done.is_complete
    assert "scripted: 2 entries parked, 1 dead (quota_limited)" in caplog.text
    clock.advance(400 * DAY_S)
    outbox.deliver_once()
    assert (outbox.status()[0].parked, outbox.status()[0].dead) == (2, 1)

    assert outbox.replay("scripted", parked=True) == 2
    assert outbox.status()[0].pending == 2
    assert outbox.deliver_once()[0].sent == 2
    assert outbox.replay("scripted", parked=True, dead=True) == 1
    assert outbox.deliver_once()[0].sent == 1
    assert exporter.requests[1:] == [ids(3, 4), ids(5)]
    assert (outbox.status()[0].sent, outbox.status()[0].parked, outbox.status()[0].dead) == (10, 0, 0)


def test_a_refusal_of_an_entry_that_was_not_in_the_batch_changes_nothing(ledger: SqliteLedger) -> None:
    outbox = make_outbox(ledger, Scripted(refused(Fate.DEAD, 99)))

    assert outbox.deliver_once()[0].sent == 10


def test_an_entry_that_is_refused_for_seven_days_is_parked(ledger: SqliteLedger, clock: Clock) -> None:
    exporter = Scripted(refused(Fate.RETRY, 2))
    outbox = make_outbox(ledger, exporter, clock=clock)
    outbox.deliver_once()
    clock.advance(7 * DAY_S + 1)
    exporter.plan = [refused(Fate.RETRY, 2, reason="still not")]

    [done] = outbox.deliver_once()

    assert (done.put_off, done.parked) == (0, 1)
    [letter] = ledger.deliveries.letters("scripted").values()
    assert (letter.state, letter.reason, letter.attempts, letter.next_try_us) == ("parked", "still not", 2, None)


def test_entries_pending_for_seven_days_are_parked_and_newer_ones_are_not(tmp_path: Path, clock: Clock) -> None:
    ledger = filled(tmp_path / "old.db", 3)  # recorded around the time the clock starts
    exporter = Scripted(*[ExporterUnavailable("HTTP 503")] * 3)
    outbox = make_outbox(ledger, exporter, clock=clock)
    outbox.deliver_once()
    clock.advance(6 * DAY_S)
    ledger.append(
        [
            entry.__class__(
                **{
                    **{name: getattr(entry, name) for name in entry.__slots__},
                    "recorded_at": from_micros(clock() // 1000),
                }
            )
            for entry in make_entries([4])
        ]
    )
    outbox.deliver_once()
    clock.advance(DAY_S + 60)

    [done] = outbox.deliver_once()

    assert done.parked == 3
    [status] = outbox.status()
    assert (status.pending, status.parked) == (1, 3)
    reasons = {letter.reason for letter in ledger.deliveries.letters("scripted").values()}
    assert reasons == {"pending for 7 days: HTTP 503"}
    clock.advance(301)
    assert outbox.deliver_once()[0].sent == 1
    assert outbox.replay("scripted", parked=True) == 3
    assert outbox.deliver_once()[0].sent == 3
    ledger.close()


def test_a_year_of_old_entries_is_not_parked_when_a_new_exporter_stumbles(tmp_path: Path, clock: Clock) -> None:
    ledger = filled(tmp_path / "old.db", 5)
    clock.advance(365 * DAY_S)
    outbox = make_outbox(ledger, Scripted(ExporterUnavailable("HTTP 503")), clock=clock)

    assert outbox.deliver_once()[0].parked == 0
    clock.advance(2)
    assert outbox.deliver_once()[0].sent == 5
    ledger.close()


# A person is needed.


def test_a_stopped_exporter_keeps_everything_until_somebody_resumes_it(
    ledger: SqliteLedger, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    exporter = Scripted(ExporterStopped("HTTP 401: the project token is not known"))
    outbox = make_outbox(ledger, exporter, clock=clock)
    stopped = Delivered(exporter="scripted", problem="HTTP 401: the project token is not known", stopped=True)

    assert outbox.deliver_once() == (stopped,)
    assert "costtrace outbox resume" in caplog.text
    clock.advance(30 * DAY_S)
    assert outbox.deliver_once() == (stopped,)
    assert len(exporter.requests) == 1
    [status] = outbox.status()
    assert (status.stopped, status.pending, status.parked) == (True, 10, 0)

    assert outbox.resume("scripted")
    assert outbox.deliver_once()[0].sent == 10
    assert not outbox.status()[0].stopped
    assert not outbox.resume("another")


def test_who_starts_anew_tries_a_stopped_exporter_once(ledger: SqliteLedger, clock: Clock) -> None:
    make_outbox(ledger, Scripted(ExporterStopped("401")), clock=clock).deliver_once()
    still_wrong = Scripted(*[ExporterStopped("401")] * 5)
    outbox = make_outbox(ledger, still_wrong, clock=clock)
    for _ in range(3):
        assert outbox.deliver_once()[0].stopped
    assert len(still_wrong.requests) == 1

    assert make_outbox(ledger, Scripted(), clock=clock).deliver_once()[0].sent == 10


# The exporter itself breaks.


@pytest.mark.expects_fault
def test_an_entry_at_which_the_exporter_breaks_is_found_and_parked_and_the_others_go_on(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "costs.db", 250)
    exporter = Scripted(*[breaks_at(137, 201)] * 1_000)
    outbox = make_outbox(ledger, exporter)

    [done] = outbox.deliver_once()

    assert (done.sent, done.parked, done.problem) == (248, 2, None)
    parked = ledger.deliveries.letters("scripted")
    assert {(letter.seq, letter.reason) for letter in parked.values()} == {(137, "KeyError"), (201, "KeyError")}
    assert len(exporter.requests) < 40
    ledger.close()


@pytest.mark.expects_fault
def test_an_exporter_that_breaks_at_everything_is_put_off_and_parks_nothing(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = filled(tmp_path / "costs.db", 500)
    exporter = Scripted(*[breaks_at(*range(1, 501), error=MemoryError)] * 1_000, batch_size=500)
    outbox = make_outbox(ledger, exporter, clock=clock)

    [done] = outbox.deliver_once()

    assert (done.problem, done.parked) == ("MemoryError in the exporter", 0)
    assert len(exporter.requests) < 100
    [status] = outbox.status()
    assert (status.pending, status.faults, status.failures) == (500, 1, 1)
    clock.advance(2)
    outbox.deliver_once()
    assert caplog.text.count("costtrace failed in the exporter scripted") == 1
    assert "Traceback" in caplog.text
    exporter.plan.clear()
    clock.advance(10)
    assert outbox.deliver_once()[0].sent == 500
    ledger.close()


@pytest.mark.expects_fault
def test_an_exporter_that_is_only_down_in_the_middle_of_a_search_loses_nothing(
    ledger: SqliteLedger, clock: Clock
) -> None:
    exporter = Scripted(KeyError("poison"), {}, ExporterUnavailable("down"))
    outbox = make_outbox(ledger, exporter, clock=clock)
    assert outbox.deliver_once()[0].problem == "down"
    clock.advance(2)

    assert outbox.deliver_once()[0].sent == 10
    assert set(exporter.delivered) == set(ids(*range(1, 11)))


@pytest.mark.expects_fault
@pytest.mark.parametrize("nonsense", [lambda _: None, lambda _: ["no refusal"]])
def test_an_answer_that_is_none_is_a_fault_of_the_exporter(ledger: SqliteLedger, nonsense: object) -> None:
    outbox = make_outbox(ledger, Scripted(*[nonsense] * 100))  # type: ignore[arg-type]  # the wrong answer is the point

    [done] = outbox.deliver_once()

    assert (done.sent, done.parked) == (0, 0)
    assert done.problem is not None
    assert done.problem.endswith("in the exporter")


# Delivering again, and looking.


def test_acknowledged_entries_can_be_delivered_again_by_their_ids(ledger: SqliteLedger) -> None:
    exporter = Scripted()
    outbox = make_outbox(ledger, exporter)
    outbox.deliver_once()

    assert outbox.requeue("scripted", ids(3, 7, 7)) == 2

    [status] = outbox.status()
    assert (status.sent, status.pending, status.retry) == (8, 2, 2)
    assert outbox.deliver_once()[0].sent == 2
    assert exporter.requests[-1] == ids(3, 7)
    assert outbox.status()[0].sent == 10


def test_asking_again_for_what_is_pending_or_unknown_changes_nothing(ledger: SqliteLedger) -> None:
    exporter = Scripted({}, ExporterUnavailable("503"), batch_size=5)
    outbox = make_outbox(ledger, exporter)
    outbox.deliver_once()

    assert outbox.requeue("scripted", ids(8)) == 0
    with pytest.raises(InvalidValue, match="entry_id: expected the id of an entry of this ledger, got 'e/99'"):
        outbox.requeue("scripted", ids(1, 99))
    with pytest.raises(InvalidValue, match="exporter: expected the name"):
        outbox.requeue("another", ids(1))
    with pytest.raises(InvalidValue, match="parked, dead or both"):
        outbox.replay("scripted")

    assert (outbox.status()[0].sent, outbox.status()[0].retry) == (5, 0)


def test_status_says_where_every_entry_is(ledger: SqliteLedger, clock: Clock) -> None:
    answer = {**refused(Fate.RETRY, 1), **refused(Fate.PARKED, 2), **refused(Fate.DEAD, 3, 4)}
    outbox = make_outbox(ledger, Scripted(answer, ExporterUnavailable("HTTP 503"), batch_size=6), clock=clock)
    outbox.deliver_once()
    clock.advance(0.5)

    [status] = outbox.status()

    assert status == ExporterStatus(
        exporter="scripted",
        pending=5,
        oldest_pending_s=0.0,  # the ledger's entries were recorded a second later each, from then on
        sent=2,
        retry=1,
        parked=1,
        dead=2,
        stopped=False,
        failures=1,
        faults=0,
        problem="HTTP 503",
        problem_at=from_micros(START_NS // 1000),
        next_try=from_micros(START_NS // 1000 + 1_000_000),
        delivering=False,
    )
    clock.advance(3600)
    assert outbox.status()[0].oldest_pending_s == pytest.approx(3600.5 - 1.005)
    assert status.to_dict()["next_try"] == "2026-01-20T09:30:01.000000Z"


def test_a_long_reason_is_kept_short(ledger: SqliteLedger) -> None:
    outbox = make_outbox(ledger, Scripted(ExporterUnavailable("x" * 5_000)))

    outbox.deliver_once()

    problem = outbox.status()[0].problem
    assert problem is not None
    assert len(problem) == 200


def test_who_lost_a_lease_cannot_give_up_anothers(ledger: SqliteLedger) -> None:
    store = ledger.deliveries
    store.open("any", from_now=False)
    first = store.take("any", owner="first", now_us=0, until_us=10)
    assert first is not None
    assert store.take("any", owner="second", now_us=9, until_us=20) is None
    assert store.take("any", owner="second", now_us=10, until_us=20) is not None

    store.release(first)

    delivery = store.get("any")
    assert delivery is not None
    assert (delivery.owner, delivery.fence) == ("second", first.fence + 1)


def test_progress_is_told_batch_by_batch(ledger: SqliteLedger) -> None:
    heard: list[tuple[str, int]] = []
    outbox = make_outbox(ledger, Scripted(batch_size=4))

    outbox.deliver_once(tell=lambda name, count: heard.append((name, count)))

    assert heard == [("scripted", 4), ("scripted", 4), ("scripted", 2)]


def test_a_delivery_that_is_to_end_ends_between_two_batches(ledger: SqliteLedger) -> None:
    exporter = Scripted(batch_size=4)
    outbox = make_outbox(ledger, exporter)

    outbox.deliver_once(stopping=lambda: len(exporter.requests) == 2)

    assert exporter.requests == [ids(1, 2, 3, 4), ids(5, 6, 7, 8)]


def test_a_recovered_exporter_is_complained_of_again_only_when_it_fails_again(
    ledger: SqliteLedger, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "costtrace")
    exporter = Scripted(ExporterUnavailable("503"), ExporterUnavailable("503"), {}, ExporterUnavailable("503"))
    outbox = make_outbox(ledger, exporter, clock=clock)
    for number in range(4):
        outbox.deliver_once()
        clock.advance(400)
        ledger.append(make_entries([20 + number]))

    assert caplog.text.count("entries wait and are tried again") == 2


# Nobody waits for ever, and nothing an exporter answers gets out.


def retry_always(*numbers: int) -> Callable[[Sequence[Entry]], Sequence[Refusal]]:
    """An answer that puts off those entries wherever they are in the batch."""
    kept = {f"e/{number}" for number in numbers}
    return lambda entries: [
        Refusal(entry_id=entry.entry_id, fate=Fate.RETRY, reason="not yet")
        for entry in entries
        if entry.entry_id in kept
    ]


def unavailable_for(*numbers: int) -> Callable[[Sequence[Entry]], Sequence[Refusal]]:
    """An answer that is none where one of those entries is in the batch."""

    def answer(entries: Sequence[Entry]) -> Sequence[Refusal]:
        if any(entry.entry_id in ids(*numbers) for entry in entries):
            raise ExporterUnavailable("asks for another try of every event")
        return []

    return answer


@pytest.mark.expects_fault
@pytest.mark.parametrize("again", [retry_always(2, 3), unavailable_for(2, 3), breaks_at(2, 3)])
def test_entries_that_are_refused_again_and_again_keep_no_new_ones_waiting(
    ledger: SqliteLedger, clock: Clock, again: Callable[[Sequence[Entry]], Sequence[Refusal]]
) -> None:
    exporter = Scripted(retry_always(2, 3), *[again] * 10_000)
    outbox = make_outbox(ledger, exporter, clock=clock)
    outbox.deliver_once()
    for number in range(11, 15):
        clock.advance(301)
        outbox.deliver_once()
        ledger.append(make_entries([number]))
        clock.advance(1.1)  # what an exporter is left alone for after one failure
        outbox.deliver_once()
        assert f"e/{number}" in exporter.delivered
    clock.advance(301)
    outbox.deliver_once()
    [status] = outbox.status()
    assert (status.sent, status.retry, status.pending, status.failures) == (12, 2, 2, 0)

    clock.advance(7 * DAY_S)
    assert outbox.deliver_once()[0].parked == 2
    assert (outbox.status()[0].parked, outbox.status()[0].pending) == (2, 0)


def test_letters_wait_as_long_as_the_other_side_asks(ledger: SqliteLedger, clock: Clock) -> None:
    exporter = Scripted(refused(Fate.RETRY, 2), ExporterUnavailable("429", retry_after_s=60))
    outbox = make_outbox(ledger, exporter, clock=clock)
    outbox.deliver_once()
    clock.advance(2)
    assert outbox.deliver_once() == (Delivered(exporter="scripted", put_off=1, problem="429"),)
    clock.advance(59)
    outbox.deliver_once()
    assert len(exporter.requests) == 2

    clock.advance(2)

    assert outbox.deliver_once()[0].sent == 1


@pytest.mark.parametrize("asked_s", [float("inf"), float("nan"), -5.0, 1e300])
def test_no_pause_that_is_asked_for_is_longer_than_a_day(ledger: SqliteLedger, clock: Clock, asked_s: float) -> None:
    outbox = make_outbox(ledger, Scripted(ExporterUnavailable("503", retry_after_s=asked_s)), clock=clock)
    assert outbox.deliver_once()[0].problem == "503"
    clock.advance(DAY_S + 1)

    assert outbox.deliver_once()[0].sent == 10


def test_letters_written_while_the_clock_was_ahead_are_tried_all_the_same(ledger: SqliteLedger, clock: Clock) -> None:
    outbox = make_outbox(ledger, Scripted(refused(Fate.RETRY, 2)), clock=clock)
    clock.advance(1000 * DAY_S)
    outbox.deliver_once()
    clock.advance(-999 * DAY_S)

    assert outbox.deliver_once()[0].sent == 1


def test_a_pause_is_not_kept_where_the_clock_went_back_behind_its_note(ledger: SqliteLedger, clock: Clock) -> None:
    outbox = make_outbox(ledger, Scripted(ExporterUnavailable("503")), clock=clock)
    clock.advance(DAY_S / 2)
    outbox.deliver_once()
    clock.advance(-DAY_S / 2)

    assert outbox.deliver_once()[0].sent == 10


@pytest.mark.expects_fault
def test_a_fate_that_is_none_is_a_fault_of_the_exporter(ledger: SqliteLedger) -> None:
    nonsense = [lambda _: [Refusal(entry_id="e/1", fate="lost", reason="")]] * 100  # type: ignore[arg-type]  # the wrong word is the point
    outbox = make_outbox(ledger, Scripted(*nonsense))

    assert outbox.deliver_once()[0].problem == "ValueError in the exporter"
    assert Refusal(entry_id="e/1", fate="retry", reason="").fate is Fate.RETRY  # type: ignore[arg-type]  # a known word will do


@pytest.mark.parametrize("damage", ["body = 'no json'", "body = '{\"usage\":{}}'", "cost = 'much'"])
def test_a_row_that_cannot_be_read_is_parked_and_the_others_go_on(
    ledger: SqliteLedger, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    with ledger._database.writing() as connection:
        connection.execute(f"UPDATE entries SET {damage} WHERE seq IN (4, 10)")  # noqa: S608 - the test's own words
    exporter = Scripted(batch_size=3)
    outbox = make_outbox(ledger, exporter)

    [done] = outbox.deliver_once()

    assert (done.sent, done.parked, done.problem) == (8, 2, None)
    assert exporter.delivered == ids(1, 2, 3, 5, 6, 7, 8, 9)
    assert "row 4 of the ledger cannot be read as an entry" in caplog.text
    assert {letter.reason for letter in ledger.deliveries.letters("scripted").values()} == {"not readable as an entry"}
    assert outbox.replay("scripted", parked=True) == 2
    assert (outbox.deliver_once()[0].parked, outbox.status()[0].pending) == (2, 0)


def test_a_batch_size_of_nothing_delivers_one_by_one(ledger: SqliteLedger) -> None:
    exporter = Scripted(batch_size=0)

    assert make_outbox(ledger, exporter).deliver_once()[0].sent == 10
    assert len(exporter.requests) == 10


def test_who_could_not_note_what_was_delivered_goes_on_as_soon_as_the_ledger_can_be_written(
    tmp_path: Path, clock: Clock
) -> None:
    filled(tmp_path / "costs.db", 10).close()
    ledger = SqliteLedger(tmp_path / "costs.db", busy_timeout_s=0.01)
    with closing(sqlite3.connect(ledger.path, isolation_level=None)) as other:

        def locks(_: Sequence[Entry]) -> Sequence[Refusal]:
            other.execute("BEGIN IMMEDIATE")
            return []

        outbox = make_outbox(ledger, Scripted(locks), clock=clock)
        with pytest.raises(LedgerUnavailable):
            outbox.deliver_once()
        other.execute("ROLLBACK")

        [done] = outbox.deliver_once()

    assert (done.sent, done.elsewhere) == (10, False)
    ledger.close()


# Exporters that are used no more.


def test_an_exporter_that_was_forgotten_begins_anew(ledger: SqliteLedger, clock: Clock) -> None:
    exporter = Scripted(refused(Fate.DEAD, 2))
    outbox = make_outbox(ledger, exporter, clock=clock)
    outbox.deliver_once()

    assert ledger.deliveries.forget("scripted", now_us=clock() // 1000)

    assert (ledger.deliveries.all(), ledger.deliveries.letters("scripted")) == ([], {})
    assert outbox.deliver_once()[0].sent == 10


def test_nobody_forgets_an_exporter_that_is_delivered_to(ledger: SqliteLedger) -> None:
    store = ledger.deliveries
    store.open("any", from_now=False)
    store.take("any", owner="somebody", now_us=0, until_us=10)

    assert not store.forget("any", now_us=9)
    assert store.get("any") is not None
    assert store.forget("any", now_us=10)


def test_who_delivered_before_an_exporter_was_forgotten_changes_nothing_any_more(ledger: SqliteLedger) -> None:
    store = ledger.deliveries
    store.open("any", from_now=False)
    stalled = store.take("any", owner="stalled", now_us=0, until_us=10)
    assert stalled is not None
    store.forget("any", now_us=10)
    store.open("any", from_now=False)
    assert store.take("any", owner="another", now_us=11, until_us=20) is not None

    assert not store.record(stalled, Outcome(sent=10, cursor=10), until_us=30)

    assert store.get("any").cursor == 0  # type: ignore[union-attr]  # it was opened
