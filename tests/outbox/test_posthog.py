"""The outbox with PostHog's exporter against its stand-in: whatever goes wrong, the reports are exact afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from costtrace.exporters.posthog import PostHogExporter
from costtrace.ledger import SqliteLedger
from costtrace.money import pico_amount
from costtrace.outbox import Outbox
from costtrace.sandbox.posthog import PostHogServer
from costtrace.sandbox.posthog_capture import Fault, Limits
from tests.factories import make_entry
from tests.outbox.parts import Clock

ROOT = Path(__file__).parents[2]
CALL = Decimal("0.003125")
COUNT = 250


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    """250 calls of 0.003125 USD."""
    made = SqliteLedger(tmp_path / "costs.db")
    made.append([make_entry(number) for number in range(1, COUNT + 1)])
    yield made
    made.close()


@pytest.fixture
def server() -> Iterator[PostHogServer]:
    with PostHogServer() as running:
        yield running


class Delivery:
    """An outbox to the stand-in, whose time passes as a test says."""

    def __init__(self, ledger: SqliteLedger, server: PostHogServer, **options: Any) -> None:
        self.clock = Clock()
        self.server = server
        known: dict[str, Any] = {"host": server.host, "timeout_s": 0.5}
        self.exporter = PostHogExporter(server.project_token, **{**known, **options})
        self.outbox = Outbox(ledger, [self.exporter], clock=self.clock, chance=lambda: 1.0)

    def until_nothing_is_pending(self, *, tries: int = 40) -> int:
        """Deliver as often as it takes, with five minutes in between; how often it took."""
        for attempt in range(1, tries + 1):
            self.outbox.deliver_once()
            if not self.outbox.status()[0].pending:
                self.exporter.close()
                return attempt
            self.clock.advance(301)
        raise AssertionError(self.outbox.status())


def calls_of(server: PostHogServer) -> list[Mapping[str, Any]]:
    """The model calls as a report counts them: one for each uuid."""
    return [event.properties for event in server.distinct if event.event == "$ai_generation"]


def spent(server: PostHogServer) -> Decimal:
    return pico_amount(sum(call["cost_picousd"] for call in calls_of(server)))


def of_runs(*numbers: int) -> Any:
    """Picks the events of those calls."""
    runs = {f"run-{number}" for number in numbers}
    return lambda event: event["properties"].get("$ai_span_id") in runs


FAULTS: dict[str, list[Fault]] = {
    "503 for minutes": [Fault(status=503)] * 8,
    "500 for ever, or nearly": [Fault(status=500)] * 30,
    "stored, then a timeout": [Fault(delay_s=1.2, applied=True)],
    "stored, then the connection is gone": [Fault(dropped=True, applied=True)] * 2,
    "the connection is gone": [Fault(dropped=True)] * 3,
    "too many requests": [Fault(status=429, retry_after_s=3)],
    "an answer that cannot be read": [Fault(body=b"<html>it works", applied=True)],
    "another try of some": [Fault(result="retry", which=of_runs(3, 77))] * 2,
    "another try of some that were stored": [Fault(result="retry", which=of_runs(3, 77), applied=True)] * 2,
    "some are not named in the answer": [Fault(result="missing", which=of_runs(5, 6))] * 2,
    "warnings": [Fault(result="warning")] * 3,
    "everything at once": [
        Fault(status=503),
        Fault(dropped=True, applied=True),
        Fault(result="retry", which=of_runs(*range(1, 90))),
        Fault(status=429, retry_after_s=1),
        Fault(result="missing"),
        Fault(status=502),
    ],
}


NEED_AN_ANSWER_FOR_EACH = [name for name, faults in FAULTS.items() if any(fault.result for fault in faults)]
"""The older endpoint has but one answer for a whole batch."""


@pytest.mark.parametrize(
    ("name", "v1"),
    [*((name, True) for name in FAULTS), *((name, False) for name in FAULTS if name not in NEED_AN_ANSWER_FOR_EACH)],
)
def test_nothing_is_lost_and_reports_are_exact(
    ledger: SqliteLedger, server: PostHogServer, name: str, *, v1: bool
) -> None:
    server.v1 = v1
    server.fail(*FAULTS[name])
    delivery = Delivery(ledger, server)

    delivery.until_nothing_is_pending()

    [status] = delivery.outbox.status()
    assert (status.sent, status.parked, status.dead) == (COUNT, 0, 0)
    assert len(calls_of(server)) == COUNT
    assert spent(server) == COUNT * CALL == Decimal("0.78125")


def test_what_is_over_its_quota_waits_until_it_is_replayed(ledger: SqliteLedger, server: PostHogServer) -> None:
    server.v1 = False
    server.fail(*[Fault(quota=("events", "llm_events"))] * 3)
    delivery = Delivery(ledger, server)
    delivery.until_nothing_is_pending()
    [status] = delivery.outbox.status()
    assert (status.sent, status.parked) == (0, COUNT)
    assert len(calls_of(server)) == 0

    assert delivery.outbox.replay("posthog", parked=True) == COUNT
    delivery.until_nothing_is_pending()

    assert spent(server) == COUNT * CALL


@pytest.mark.parametrize(
    ("details", "fate"), [("billing_limit_exceeded", "parked"), ("invalid_options", "dead"), (None, "dead")]
)
def test_dropped_events_are_kept_with_the_reason_and_the_others_arrive(
    ledger: SqliteLedger, server: PostHogServer, details: str | None, fate: str
) -> None:
    server.fail(Fault(result="drop", details=details, which=of_runs(7, 8)))
    delivery = Delivery(ledger, server)

    delivery.until_nothing_is_pending()

    letters = ledger.deliveries.letters("posthog")
    assert {(letter.seq, letter.state) for letter in letters.values()} == {(7, fate), (8, fate)}
    assert spent(server) == (COUNT - 2) * CALL
    assert delivery.outbox.replay("posthog", parked=True, dead=True) == 2
    delivery.until_nothing_is_pending()
    assert spent(server) == COUNT * CALL


def test_one_event_of_a_hundred_for_which_the_request_is_refused_keeps_no_other_back(ledger: SqliteLedger) -> None:
    with PostHogServer(poison=of_runs(42)) as server:
        delivery = Delivery(ledger, server)
        delivery.until_nothing_is_pending()

        [letter] = ledger.deliveries.letters("posthog").values()
        assert (letter.seq, letter.state) == (42, "dead")
        assert spent(server) == (COUNT - 1) * CALL


def test_requests_that_are_too_large_are_made_smaller(ledger: SqliteLedger) -> None:
    with PostHogServer(limits=Limits(request=20_000)) as server:
        delivery = Delivery(ledger, server)
        delivery.until_nothing_is_pending()

        assert any(call.status == 413 for call in server.calls)
        assert spent(server) == COUNT * CALL


def test_a_wrong_token_stops_everything_and_loses_nothing(ledger: SqliteLedger, server: PostHogServer) -> None:
    wrong = PostHogExporter("phc_wrong", host=server.host)
    clock = Clock()
    outbox = Outbox(ledger, [wrong], clock=clock)
    [done] = outbox.deliver_once()
    clock.advance(30 * 86_400)
    outbox.deliver_once()
    wrong.close()

    assert done.stopped
    assert (outbox.status()[0].pending, outbox.status()[0].parked) == (COUNT, 0)
    Delivery(ledger, server).until_nothing_is_pending()
    assert spent(server) == COUNT * CALL


CHILD = """
import sys
from pathlib import Path
from costtrace.exporters.posthog import PostHogExporter
from costtrace.ledger import SqliteLedger
from costtrace.outbox import Outbox
path, token, host = sys.argv[1:]
exporter = PostHogExporter(token, host=host, batch_size=10)
outbox = Outbox(SqliteLedger(Path(path)), [exporter], lease_s=0.3)
print("go", flush=True)
outbox.deliver_once()
"""


def test_killed_in_flight_again_and_again_nothing_is_lost(ledger: SqliteLedger, server: PostHogServer) -> None:
    ledger.close()
    server.outage = Fault(delay_s=0.03, applied=True)
    command = [sys.executable, "-c", CHILD, str(ledger.path), server.project_token, server.host]
    for pause in (0.05, 0.1, 0.2, 0.25):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(pause)
            process.kill()
        time.sleep(0.35)
    server.outage = None

    exporter = PostHogExporter(server.project_token, host=server.host)
    ends = time.monotonic() + 60
    while True:  # the last one's lease is longer where its requests took longer
        [done] = Outbox(ledger, [exporter]).deliver_once()
        if not done.elsewhere or time.monotonic() > ends:
            break
        time.sleep(0.1)
    exporter.close()

    assert done.is_complete
    assert not done.elsewhere
    assert ledger.deliveries.get("posthog").sent == COUNT  # type: ignore[union-attr]  # it was delivered to
    assert len(calls_of(server)) == COUNT
    assert spent(server) == COUNT * CALL


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this platform")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_and_its_parent_share_no_connection(ledger: SqliteLedger, server: PostHogServer) -> None:
    delivery = Delivery(ledger, server)
    delivery.outbox.deliver_once()
    ledger.append([make_entry(number) for number in range(COUNT + 1, COUNT + 21)])
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if delivery.outbox.deliver_once()[0].problem is None else 1)
        except BaseException:  # noqa: BLE001 - a child must not run the rest of the tests
            os._exit(2)
    mine = delivery.outbox.deliver_once()[0]

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert mine.problem is None
    delivery.until_nothing_is_pending()
    assert spent(server) == (COUNT + 20) * CALL
