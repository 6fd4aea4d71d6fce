"""Metrics: what charts and alarms are made from. Their sums follow the ledger, and their attributes stay few."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, ClassVar, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import metrics
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider, SimpleFixedSizeExemplarReservoir
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, Metric
from opentelemetry.sdk.metrics.view import View
from opentelemetry.sdk.trace import TracerProvider

from costtrace.context import Context
from costtrace.entry import Entry, Kind, Standing, Status
from costtrace.errors import LedgerUnavailable
from costtrace.faults import Faults
from costtrace.instruments import METRICS, is_real
from costtrace.measures import OTHER, Measures
from costtrace.messages import fold
from costtrace.money import Money
from costtrace.quote import QuoteStatus, no_quote
from costtrace.recorder import Recorder
from costtrace.testing import MemoryLedger
from costtrace.twilio.entries import refused_entry
from costtrace.twilio.revisions import not_billable_entries, unavailable_entries
from tests.factories import MESSAGE, make_costs, make_entry
from tests.strategies import entries as any_entries
from tests.twilio import sms_entries as sms

MODEL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o",
}
PRICED = {**MODEL, "costtrace.kind": "llm", "costtrace.cost.status": "exact"}
TWILIO = {"messaging.system": "twilio"}


class Meters:
    """A meter provider and what it has collected."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self.provider = MeterProvider([self._reader], shutdown_on_exit=False)

    def collected(self) -> dict[str, Metric]:
        data = self._reader.get_metrics_data()
        groups = [] if data is None else data.resource_metrics
        return {m.name: m for group in groups for scope in group.scope_metrics for m in scope.metrics}

    def points(self, name: str) -> list[Any]:
        found = self.collected()
        return list(found[name].data.data_points) if name in found else []

    def only(self, name: str) -> Any:
        (point,) = self.points(name)
        return point

    def total(self, name: str) -> float:
        return sum(point.sum if isinstance(point, HistogramDataPoint) else point.value for point in self.points(name))


@pytest.fixture
def meters() -> Iterator[Meters]:
    meters = Meters()
    yield meters
    meters.provider.shutdown()


@pytest.fixture
def measures(meters: Meters) -> Measures:
    return Measures(meters.provider)


def attributes(point: Any) -> Mapping[str, Any]:
    return dict(point.attributes)


def test_a_model_call_is_measured_by_duration_tokens_and_cost(measures: Measures, meters: Meters) -> None:
    measures.entry(make_entry(duration_us=1_250_000))

    found = meters.collected()
    assert {name: metric.unit for name, metric in found.items()} == {
        "gen_ai.client.operation.duration": "s",
        "gen_ai.client.token.usage": "{token}",
        "operation.cost": "{USD}",
    }
    duration = meters.only("gen_ai.client.operation.duration")
    assert (duration.sum, duration.count, attributes(duration)) == (1.25, 1, MODEL)
    assert duration.explicit_bounds == (
        *(0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92),
    )
    tokens = {point.attributes["gen_ai.token.type"]: point for point in meters.points("gen_ai.client.token.usage")}
    assert {type_: point.sum for type_, point in tokens.items()} == {"input": 450, "output": 200}
    assert attributes(tokens["input"]) == {**MODEL, "gen_ai.token.type": "input"}
    assert tokens["input"].explicit_bounds == (
        *(1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864),
    )
    cost = meters.only("operation.cost")
    assert (cost.sum, attributes(cost)) == (0.003125, PRICED)


def test_a_failed_call_has_a_duration_and_the_class_of_its_error(measures: Measures, meters: Meters) -> None:
    failed = make_entry(status=Status.FAILED, error="RateLimitError", usage=None, quote=None, cost=None)
    measures.entry(failed)

    point = meters.only("gen_ai.client.operation.duration")
    assert attributes(point) == {**MODEL, "error.type": "RateLimitError"}
    assert meters.collected().keys() == {"gen_ai.client.operation.duration"}


@pytest.mark.parametrize(
    ("kind", "details", "operation"),
    [("llm", {"operation": "text_completion"}, "text_completion"), ("embedding", {}, "embeddings")],
)
def test_the_operation_is_named_as_on_the_span(
    measures: Measures, meters: Meters, kind: str, details: dict[str, str], operation: str
) -> None:
    measures.entry(make_entry(kind=kind, details=details, provider="bedrock"))

    found = attributes(meters.only("gen_ai.client.operation.duration"))
    assert (found["gen_ai.operation.name"], found["gen_ai.provider.name"]) == (operation, "aws.bedrock")


def test_no_attribute_names_a_message_a_run_a_user_or_a_thread(measures: Measures, meters: Meters) -> None:
    context = Context(user_id="user-7", thread_id="thread-7", channel="web")
    measures.entry(make_entry(context=context, source_id="run-7", details={"parcel": "4711"}))
    measures.entry(sms.sent())
    measures.entry(sms.bound())
    measures.entry(sms.status("delivered"))
    for revision in sms.price(sms.leg([sms.sent(), sms.bound()]), "-0.0075"):
        measures.entry(revision)

    text = repr([attributes(point) for name in meters.collected() for point in meters.points(name)])
    for secret in ("user-7", "thread-7", "run-7", "4711", MESSAGE, sms.SID, sms.SEND_ID, sms.UUID):
        assert secret not in text


def test_a_call_without_a_price_is_counted_and_says_why(measures: Measures, meters: Meters) -> None:
    quote = no_quote(QuoteStatus.UNPRICED, "no rates for it")
    measures.entry(make_entry(1, model="harbor-tone-1", requested_model=None, quote=quote, cost=None))
    measures.entry(make_entry(2, quote=no_quote(QuoteStatus.USAGE_MISSING, "none"), usage=None, cost=None))

    counted = {point.attributes["costtrace.cost.status"]: point for point in meters.points("costtrace.unpriced")}
    assert {status: point.value for status, point in counted.items()} == {"unpriced": 1, "usage_missing": 1}
    assert attributes(counted["unpriced"])["gen_ai.response.model"] == "harbor-tone-1"
    assert meters.points("operation.cost") == []


def test_an_estimate_is_no_cost(measures: Measures, meters: Meters) -> None:
    measures.entry(sms.sent("0.0083"))
    measures.entry(make_costs(estimate="0.5"))

    assert meters.points("operation.cost") == []
    assert meters.points("costtrace.unpriced") == []
    segments = meters.only("costtrace.sms.segments")
    assert (segments.sum, attributes(segments)) == (1, TWILIO)


def test_a_call_that_answers_late_adds_its_tokens_and_its_whole_cost_and_no_second_duration(
    measures: Measures, meters: Meters
) -> None:
    given_up = make_entry(1, status=Status.ABANDONED, usage=None, quote=None, cost=None, duration_us=None)
    late = make_entry(2, replaces=Standing.UNPRICED, details={"late": True, "corrects": given_up.entry_id})
    measures.entry(given_up)
    measures.entry(late)

    assert meters.points("gen_ai.client.operation.duration") == []
    assert meters.total("gen_ai.client.token.usage") == 650
    assert meters.total("operation.cost") == 0.003125


def test_the_price_of_an_sms_is_its_cost_once_and_later_changes_are_corrections(
    measures: Measures, meters: Meters
) -> None:
    entries = [sms.sent(), sms.bound()]
    for raw in ("-0.0075", "-0.0079", "-0.0070"):
        entries += sms.price(sms.leg(entries), raw)
    for entry in entries:
        measures.entry(entry)

    cost = meters.only("operation.cost")
    said = {"costtrace.kind": "sms", "costtrace.cost.status": "provider_reported", **TWILIO}
    assert (cost.count, cost.sum, attributes(cost)) == (1, 0.0075, said)
    corrections = meters.only("costtrace.corrections.usd")
    assert corrections.value == pytest.approx(0.0004 - 0.0009)
    assert attributes(corrections) == said
    assert fold(entries).total.actual.usd == Decimal("0.0070")


def test_an_sms_that_was_not_sent_cost_nothing_and_one_nobody_prices_is_unpriced(
    measures: Measures, meters: Meters
) -> None:
    send = sms.sent()
    measures.entry(refused_entry(send, error="21610", now=sms.later(1)))
    for entry in not_billable_entries(sms.leg([send, sms.bound()]), reason="canceled", source="fetch", now=sms.NOON):
        measures.entry(entry)
    assert meters.collected() == {}

    measures = Measures(meters.provider)  # for another SMS of the same name
    entries = [send, sms.bound()]
    entries += unavailable_entries(sms.leg(entries), reason="deadline", now=sms.later(60))
    measures.entry(entries[-1])
    assert attributes(meters.only("costtrace.unpriced")) == {
        "costtrace.kind": "sms",
        "costtrace.cost.status": "unpriced",
        **TWILIO,
    }
    entries += sms.price(sms.leg(entries), "-0.0075", seconds=90)
    measures.entry(entries[-1])
    assert meters.total("operation.cost") == 0.0075
    assert meters.total("costtrace.unpriced") == 1


def test_each_currency_has_a_metric_of_its_own(measures: Measures, meters: Meters) -> None:
    entries = [sms.sent(None), sms.bound()]
    for raw, unit in (("-0.0075", "USD"), ("-0.0069", "EUR")):
        entries += sms.price(sms.leg(entries), raw, unit)
    for entry in entries:
        measures.entry(entry)

    assert meters.total("operation.cost") + meters.total("costtrace.corrections.usd") == 0
    assert meters.total("costtrace.cost.eur") == 0.0069
    assert meters.collected()["costtrace.cost.eur"].unit == "{EUR}"


AMOUNTS = st.decimals("-0.05", "0.05", places=5)
PRICES = st.lists(st.tuples(AMOUNTS, st.sampled_from(["USD", "EUR"])) | st.none(), min_size=1, max_size=6)


@given(prices=PRICES, calls=st.lists(AMOUNTS, max_size=5))
def test_costs_and_corrections_together_are_what_the_ledger_says(
    prices: list[tuple[Decimal, str] | None], calls: list[Decimal]
) -> None:
    meters = Meters()
    measures = Measures(meters.provider)
    entries: list[Entry] = [sms.sent(), sms.bound()]
    for price in prices:
        leg = sms.leg(entries)
        if price is None:
            entries += unavailable_entries(leg, reason="deadline", now=sms.later(60))
        else:
            entries += sms.price(leg, f"{-price[0]:f}", price[1])
    entries += [make_costs(str(amount), number=number, message_uuid=sms.UUID) for number, amount in enumerate(calls)]
    entries += [
        make_costs(
            str(amount), number=number, message_uuid=sms.UUID, kind=Kind.CORRECTION, entry_id=f"correction/{number}"
        )
        for number, amount in enumerate(calls)
    ]
    for entry in entries:
        measures.entry(entry)

    actual = fold(entries).total.actual
    assert meters.total("operation.cost") + meters.total("costtrace.corrections.usd") == pytest.approx(
        float(actual.get("USD", 0)), abs=1e-12
    )
    assert meters.total("costtrace.cost.eur") + meters.total("costtrace.corrections.eur") == pytest.approx(
        float(actual.get("EUR", 0)), abs=1e-12
    )
    meters.provider.shutdown()


def test_what_a_tool_costs_is_named_by_the_tool(measures: Measures, meters: Meters) -> None:
    measures.entry(make_costs("0.008", kind="tool", model="tavily-search", provider="tavily"))

    said = {"costtrace.kind": "tool", "costtrace.cost.status": "unknown", "gen_ai.tool.name": "tavily-search"}
    assert attributes(meters.only("operation.cost")) == said


def test_delivery_is_measured_from_the_sending_to_the_final_status(measures: Measures, meters: Meters) -> None:
    measures.delivered(4.5, "delivered", "twilio")
    measures.delivered(-0.2, "delivered", "twilio")  # the clocks of two machines

    point = meters.only("costtrace.sms.delivery.duration")
    assert (point.sum, point.count) == (4.5, 2)
    assert attributes(point) == {**TWILIO, "costtrace.sms.status": "delivered"}


def test_failures_of_the_ledger_are_counted(measures: Measures, meters: Meters) -> None:
    measures.ledger_failed()
    measures.ledger_failed()

    assert meters.only("costtrace.ledger.failures").value == 2


def test_names_beyond_the_first_hundred_share_one(measures: Measures, meters: Meters) -> None:
    for number in range(150):
        measures.entry(make_entry(number, model=f"ft:{number}", requested_model=None))

    told = {point.attributes["gen_ai.response.model"] for point in meters.points("operation.cost")}
    assert OTHER in told
    assert len(told) == 101
    assert meters.total("operation.cost") == pytest.approx(150 * 0.003125)
    measures.entry(sms.sent())  # names of another kind are not crowded out
    assert attributes(meters.only("costtrace.sms.segments")) == TWILIO


def test_an_exemplar_shows_the_span_of_the_call(measures: Measures, meters: Meters) -> None:
    span = TracerProvider(shutdown_on_exit=False).get_tracer("test").start_span("chat gpt-4o")
    measures.entry(make_entry(), span)

    (exemplar,) = meters.only("operation.cost").exemplars
    assert (exemplar.span_id, exemplar.value) == (span.get_span_context().span_id, 0.003125)


def test_without_a_provider_nothing_is_made() -> None:
    assert not is_real(metrics.get_meter_provider())
    assert not is_real(NoOpMeterProvider())
    measures = Measures()
    measures.entry(make_entry())
    measures.delivered(1, "delivered", "twilio")
    measures.ledger_failed()
    assert not measures.active


def test_what_a_recorder_records_is_measured_once(meters: Meters) -> None:
    recorder = Recorder(MemoryLedger(), meter_provider=meters.provider)
    for _ in range(2):
        recorder.record_cost(name="tavily-search", cost=Money("0.008"), message_uuid="m1", source_id="request-1")
    recorder.record_cost(name="tavily-search", cost=Money("0.008"), message_uuid="m1", source_id="request-2")

    assert meters.only("operation.cost").count == 2
    assert meters.total("operation.cost") == 0.016 == float(recorder.ledger.message("m1").total.actual.usd)


def test_memory_for_what_was_measured_is_bounded(measures: Measures) -> None:
    for number in range(3_000):
        measures.entry(make_entry(number, usage=None, quote=None, cost=None, duration_us=None))

    assert len(measures._recent) == 1_000


class Collecting(SimpleFixedSizeExemplarReservoir):
    """Does something amid the SDK's collection of metrics, as a garbage collection may."""

    amid: ClassVar[Callable[[], None]]

    def collect(self, point_attributes: Any) -> list[Any]:
        type(self).amid()
        return super().collect(point_attributes)


def reservoir(options: Any = None, /, **_: Any) -> Collecting:
    del options
    return Collecting()


def test_a_stream_that_is_ended_amid_a_collection_of_metrics_is_measured_after_it() -> None:
    """The SDK holds a lock of each metric meanwhile, and would wait for itself for ever."""
    view = View(instrument_name="*", exemplar_reservoir_factory=lambda _: reservoir)
    reader = InMemoryMetricReader()
    measures = Measures(MeterProvider([reader], views=[view], shutdown_on_exit=False))
    ended = iter(range(2, 1_000))

    def amid() -> None:
        number = next(ended)
        measures.entry(make_entry(number, status=Status.ABANDONED if number % 2 else Status.CANCELLED))
        measures.ledger_failed()  # which could not take it

    Collecting.amid = amid
    measures.ledger_failed()

    measures.entry(make_entry(1))
    reading = threading.Thread(target=reader.collect, daemon=True)
    reading.start()
    reading.join(timeout=10)

    assert not reading.is_alive()
    assert len(measures._later) == 2 * 5  # at each point
    measures.entry(make_entry(1_000))
    assert len(measures._later) == 0


def test_a_forked_child_waits_for_no_thread_of_its_parent(measures: Measures, meters: Meters) -> None:
    held, over = threading.Event(), threading.Event()

    def hold() -> None:
        with measures._lock:
            held.set()
            over.wait(10)

    holding = threading.Thread(target=hold)
    holding.start()
    held.wait(10)
    measures.after_fork()  # which a fork calls
    measures.entry(make_entry())
    over.set()
    holding.join()

    assert meters.total("operation.cost") == 0.003125


class Refusing(MemoryLedger):
    full = True

    def spool(self, entry: Entry) -> None:
        if self.full:
            raise LedgerUnavailable(f"no room for {entry.entry_id}")
        super().spool(entry)


def test_each_refusal_of_the_ledger_is_counted_and_the_call_is_measured_all_the_same(meters: Meters) -> None:
    ledger = Refusing()
    recorder = Recorder(ledger, meter_provider=meters.provider)
    recorder.record(make_entry())

    assert recorder.buffered == 1
    ledger.full = False
    assert recorder.drain() == 0
    assert meters.only("costtrace.ledger.failures").value == 1
    assert meters.total("operation.cost") == 0.003125


@pytest.mark.expects_fault
def test_a_recorder_with_a_meter_that_raises_goes_on_recording() -> None:
    recorder = Recorder(MemoryLedger(), meter_provider=cast("MeterProvider", Broken(shutdown_on_exit=False)))
    recorder.record(make_entry())

    assert recorder.ledger.message(MESSAGE).total.actual.usd == Decimal("0.003125")
    assert recorder.health().faults == 1


class Broken(MeterProvider):
    """A provider whose instruments raise, as those of an application may."""

    def get_meter(self, *arguments: Any, **named: Any) -> Any:
        del arguments, named
        if self.at_once:
            raise RuntimeError("no meter")
        return self

    at_once = False

    def __getattr__(self, name: str) -> Any:
        if name.startswith("create_"):
            return lambda *_, **__: self
        if name in {"record", "add"}:
            raise RuntimeError("no measurement")
        raise AttributeError(name)


@pytest.mark.expects_fault
@pytest.mark.parametrize("at_once", [True, False])
def test_a_meter_that_raises_breaks_nothing(at_once: bool) -> None:  # noqa: FBT001 - a parameter of pytest
    faults = Faults()
    provider = Broken(shutdown_on_exit=False)
    provider.at_once = at_once
    measures = Measures(cast("MeterProvider", provider), faults=faults)

    measures.entry(make_entry())
    measures.delivered(1, "delivered", "twilio")
    measures.ledger_failed()

    assert faults.count == (1 if at_once else 3)


@given(entry=any_entries())
def test_every_entry_can_be_measured(entry: Entry) -> None:
    meters, faults = Meters(), Faults()
    Measures(meters.provider, faults=faults).entry(entry)

    names = meters.collected().keys() - METRICS.keys()
    assert all(name.startswith(("costtrace.cost.", "costtrace.corrections.")) for name in names)
    assert faults.count == 0
    for name in meters.collected():
        assert not any(math.isnan(point.sum) for point in meters.points(name) if isinstance(point, HistogramDataPoint))
    meters.provider.shutdown()
