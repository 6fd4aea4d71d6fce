"""`setup_tracing` and `flush`, in processes of their own: OpenTelemetry takes one provider for a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from typing import Any

import pytest

from costtrace.errors import InvalidValue
from costtrace.telemetry import flush, setup_tracing
from tests.bars import within
from tests.otlp.capture import CaptureServer
from tests.otlp.fixtures import otlp

__all__ = ["otlp"]

PREAMBLE = """
import json, os, time
import costtrace
from opentelemetry import metrics, trace
from costtrace.context import Context, current_message
from costtrace.errors import ConfigurationError
from costtrace.entry import SpanRef
from costtrace.recorder import Recorder
from costtrace.telemetry import flush, setup_tracing
from costtrace.testing import MemoryLedger
from costtrace.tracing import link, span_ref
from costtrace.tracing.spans import Tracing
from tests.factories import make_entry
def say(**found):
    print(json.dumps(found))
def spans(count=1, **more):
    for _ in range(count):
        tracing = Tracing()
        tracing.end(tracing.start("send sms", trace.SpanKind.PRODUCER, message_uuid="m1", **more))
"""


def run(program: str, **variables: str) -> dict[str, Any]:
    """What the program says last; nothing of OpenTelemetry is set but those variables."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PREAMBLE + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**kept, "OTEL_BSP_SCHEDULE_DELAY": "60000", **variables},
    )
    assert done.returncode == 0, done.stderr
    return {"log": done.stderr, "out": done.stdout, **json.loads(done.stdout.splitlines()[-1])}


def test_spans_go_to_the_address_and_name_the_service(otlp: CaptureServer) -> None:
    said = run(f"""
        recorder = Recorder(MemoryLedger())  # before the provider is there
        provider = setup_tracing(service_name="parcels", endpoint="{otlp.endpoint}/")
        assert trace.get_tracer_provider() is provider
        spans()
        say(sent=flush(5), metrics=type(metrics.get_meter_provider()).__module__)
        """)

    (span,) = otlp.spans()
    assert said["sent"] is True
    assert (span.name, span.kind, span.attributes) == ("send sms", "PRODUCER", {"costtrace.message_uuid": "m1"})
    assert span.resource["service.name"] == "parcels"
    assert said["metrics"].startswith("opentelemetry.metrics")
    assert otlp.metrics() == []


def test_the_variables_of_opentelemetry_hold(otlp: CaptureServer) -> None:
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": otlp.endpoint, "OTEL_SERVICE_NAME": "shop"}
    said = run(
        """
        first = setup_tracing()
        spans()
        say(same=setup_tracing() is first, sampler=first.sampler.get_description())
        """,
        **variables,
        OTEL_TRACES_SAMPLER="parentbased_traceidratio",
        OTEL_TRACES_SAMPLER_ARG="1",
    )

    (span,) = otlp.wait_for(lambda spans: len(spans) > 0)  # sent at the end of the process
    assert span.resource["service.name"] == "shop"
    assert said["same"] is True
    assert said["sampler"].startswith("LinkedSampler{ParentBased{root:TraceIdRatioBased{1.0}")


@pytest.mark.parametrize(
    ("sampler", "names"),
    [("traceidratio", {"followed"}), ("parentbased_always_off", {"followed"}), ("always_off", set())],
)
def test_links_are_followed_over_the_sampler_of_the_environment(
    otlp: CaptureServer, sampler: str, names: set[str]
) -> None:
    run(
        """
        setup_tracing()
        tracing = Tracing()
        for name, sampled in (("followed", True), ("left out", False)):
            ref = SpanRef(trace_id="1" * 32, span_id="2" * 16, sampled=sampled)
            links = [link(ref, "status_of")]
            tracing.end(tracing.start(name, trace.SpanKind.CONSUMER, message_uuid="m1", links=links))
        spans(20)
        say(sent=flush(5))
        """,
        OTEL_EXPORTER_OTLP_ENDPOINT=otlp.endpoint,
        OTEL_TRACES_SAMPLER=sampler,
        OTEL_TRACES_SAMPLER_ARG="0",
    )

    assert {span.name for span in otlp.spans()} == names


def test_metrics_are_sent_where_a_variable_asks_for_them(otlp: CaptureServer) -> None:
    said = run(
        """
        recorder = Recorder(MemoryLedger())
        setup_tracing()
        from costtrace.measures import Measures
        Measures().entry(make_entry())
        say(sent=flush(5))
        """,
        OTEL_EXPORTER_OTLP_ENDPOINT=otlp.endpoint,
        OTEL_METRICS_EXPORTER="otlp",
    )

    assert said["sent"] is True
    points = {point.metric: point for point in otlp.metrics()}
    assert (points["operation.cost"].value, points["operation.cost"].unit) == (0.003125, "{USD}")
    assert points["gen_ai.client.operation.duration"].attributes["gen_ai.request.model"] == "gpt-4o"


def test_it_can_print_instead() -> None:
    said = run("setup_tracing(); spans(); sent = flush(5); say(sent=sent)", OTEL_TRACES_EXPORTER="console")

    assert said["sent"] is True
    assert '"name": "send sms"' in said["out"]


@pytest.mark.parametrize("variables", [{"OTEL_TRACES_EXPORTER": "none"}, {"OTEL_SDK_DISABLED": "true"}])
def test_it_sends_nothing_where_a_variable_says_so(otlp: CaptureServer, variables: dict[str, str]) -> None:
    said = run(f'setup_tracing(endpoint="{otlp.endpoint}"); spans(); say(sent=flush(5))', **variables)

    assert said["sent"] is True
    assert otlp.bodies() == []


def test_a_provider_that_is_there_already_is_left_alone() -> None:
    said = run("""
        from opentelemetry.sdk.trace import TracerProvider
        theirs = TracerProvider()
        trace.set_tracer_provider(theirs)
        try:
            setup_tracing()
        except ConfigurationError as error:
            say(error=str(error), kept=trace.get_tracer_provider() is theirs)
        """)

    assert "has an OpenTelemetry provider already (opentelemetry.sdk.trace.TracerProvider)" in said["error"]
    assert "leave out setup_tracing()" in said["error"]
    assert said["kept"] is True


def test_a_meter_provider_that_is_there_already_is_used() -> None:
    said = run(
        """
        from opentelemetry.sdk.metrics import MeterProvider
        theirs = MeterProvider()
        metrics.set_meter_provider(theirs)
        setup_tracing()
        say(kept=metrics.get_meter_provider() is theirs)
        """,
        OTEL_METRICS_EXPORTER="otlp",
        OTEL_TRACES_EXPORTER="none",
    )

    assert said["kept"] is True
    assert said["log"] == ""


def test_called_again_it_returns_the_same_and_refuses_something_else(otlp: CaptureServer) -> None:
    said = run(f"""
        first = setup_tracing(service_name="a", endpoint="{otlp.endpoint}")
        assert setup_tracing() is first
        assert setup_tracing(service_name="a", endpoint="{otlp.endpoint}") is first
        try:
            setup_tracing(service_name="b")
        except ConfigurationError as error:
            say(error=str(error))
        """)

    assert "was set up before, with service_name='a'" in said["error"]


REFUSED = {
    "OTEL_TRACES_EXPORTER=zipkin": "OTEL_TRACES_EXPORTER: expected one of otlp, console, none, got 'zipkin'",
    "OTEL_METRICS_EXPORTER=prometheus": "OTEL_METRICS_EXPORTER: expected one of otlp, console, none, got 'prometheus'",
    "OTEL_EXPORTER_OTLP_PROTOCOL=grpc": "setup_tracing() speaks http/protobuf only, got 'grpc'",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/json": "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: ",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=99999": "OpenTelemetry's SDK refuses what its variables say: max_export_batch_size",
    "OTEL_METRIC_EXPORT_INTERVAL=-5": "OpenTelemetry's SDK refuses what its variables say: interval value -5",
}


def test_what_cannot_be_had_is_refused_and_nothing_is_set() -> None:
    said = run(f"""
        errors = []
        for name, _, value in (setting.partition("=") for setting in {list(REFUSED)}):
            os.environ.update({{"OTEL_METRICS_EXPORTER": "otlp", name: value}})
            try:
                setup_tracing()
            except ConfigurationError as error:
                errors.append(str(error))
            del os.environ[name]
        say(errors=errors, untouched=isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider))
        """)

    assert len(said["errors"]) == len(REFUSED)
    assert all(text in error for text, error in zip(REFUSED.values(), said["errors"], strict=True))
    assert said["untouched"] is True


@pytest.mark.parametrize(
    "endpoint", ["127.0.0.1:4318", "ftp://host", "http://", "http://host/v1/traces", "http://host:no", 4318, ""]
)
def test_an_address_that_is_none_is_refused(endpoint: Any) -> None:
    with pytest.raises(InvalidValue, match=r"endpoint: expected an address such as 'http://127\.0\.0\.1:4318'"):
        setup_tracing(endpoint=endpoint)


@pytest.mark.parametrize("service_name", ["", 5])
def test_a_name_that_is_none_is_refused(service_name: Any) -> None:
    with pytest.raises(InvalidValue, match="service_name: expected a name such as 'parcels'"):
        setup_tracing(service_name=service_name)


@pytest.mark.parametrize("missing", ["opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"])
def test_without_the_extra_it_says_how_to_get_it_and_flush_works(missing: str) -> None:
    said = run(f"""
        import sys
        sys.modules["{missing}"] = None
        try:
            setup_tracing()
        except ConfigurationError as error:
            say(error=str(error), flushed=flush(1))
        """)

    assert "pip install 'langchain-costtrace[otel]'" in said["error"]
    assert said["flushed"] is True


def test_where_nothing_is_set_up_nothing_waits() -> None:
    assert flush(0.5) is True


def test_a_flush_says_whether_the_collector_took_everything(otlp: CaptureServer) -> None:
    otlp.respond(status=400)
    said = run(f"""
        setup_tracing(endpoint="{otlp.endpoint}")
        spans()
        refused = flush(5)
        import urllib.request
        say(refused=refused, nothing_left=flush(5))
        """)

    assert (said["refused"], said["nothing_left"]) == (False, True)


def test_a_flush_that_hangs_is_left_behind_in_time(otlp: CaptureServer) -> None:
    """The next one waits for it, and starts no thread of its own; the first is over when the server answers."""
    otlp.respond(delay_s=2)
    said = run(f"""
        import threading
        setup_tracing(endpoint="{otlp.endpoint}")
        spans()
        began = time.monotonic()
        flushed = [flush(0.2), flush(0.2), flush(0.0), flush(-1)]
        took = time.monotonic() - began
        threads = [thread.name for thread in threading.enumerate()].count("costtrace flush")
        say(flushed=flushed, took=took, threads=threads, later=flush(20))
        """)

    assert said["flushed"] == [False] * 4
    assert said["took"] < within(0.6)
    assert (said["threads"], said["later"]) == (1, True)


def test_a_provider_that_raises_is_no_problem_of_the_caller() -> None:
    said = run("""
        class Raising(trace.NoOpTracerProvider):
            def force_flush(self):
                raise RuntimeError("no")
        trace.set_tracer_provider(Raising())
        say(sent=flush(1))
        """)

    assert said["sent"] is False
    assert "Raising could not be flushed" in said["log"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_flushes_its_own_spans_while_a_flush_of_its_parent_hangs(otlp: CaptureServer) -> None:
    otlp.respond(delay_s=1)
    said = run(f"""
        import warnings
        warnings.simplefilter("ignore")  # fork beside threads, on purpose
        setup_tracing(endpoint="{otlp.endpoint}")
        spans()
        flush(0.1)
        child = os.fork()
        if child == 0:
            tracing = Tracing()
            tracing.end(tracing.start("of the child", trace.SpanKind.CLIENT, message_uuid="m2"))
            os._exit(0 if flush(20) else 1)
        say(child=os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), later=flush(20))
        """)

    assert (said["child"], said["later"]) == (0, True)
    assert sorted(span.name for span in otlp.spans()) == ["of the child", "send sms"]


def test_an_end_without_ceremony_loses_no_span_that_was_flushed(otlp: CaptureServer) -> None:
    run(f"""
        setup_tracing(endpoint="{otlp.endpoint}")
        spans()
        say(sent=flush(5))
        import sys; sys.stdout.flush()
        os._exit(0)
        """)

    assert [span.name for span in otlp.spans()] == ["send sms"]


def test_flushing_takes_no_time_where_there_is_nothing() -> None:
    began = time.monotonic()
    for _ in range(20):
        assert flush()
    assert time.monotonic() - began < within(0.5)


WHERE_ASKED = """
from costtrace.telemetry import set_up_where_asked
import logging
logging.basicConfig(format="%(message)s")
"""


def test_a_command_sends_its_spans_where_a_collector_is_named(otlp: CaptureServer) -> None:
    program = WHERE_ASKED + "set_up_where_asked(); spans(); say(sent=flush(5))"
    for more in ({}, {"OTEL_SERVICE_NAME": "webhooks"}, {"OTEL_RESOURCE_ATTRIBUTES": "service.name=billing"}):
        assert run(program, OTEL_EXPORTER_OTLP_ENDPOINT=otlp.endpoint, **more)["sent"] is True

    assert [span.resource["service.name"] for span in otlp.spans()] == ["costtrace", "webhooks", "billing"]


def test_a_command_sets_up_nothing_where_no_collector_is_named() -> None:
    program = "set_up_where_asked(); say(none=isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider))"
    for more in ({}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"}):
        assert run(WHERE_ASKED + program, **more)["none"] is True


def test_a_command_goes_on_without_spans_where_they_cannot_be_sent(otlp: CaptureServer) -> None:
    without_sdk = WHERE_ASKED + "import sys; sys.modules['opentelemetry.sdk'] = None; set_up_where_asked(); say()"
    said = run(without_sdk, OTEL_EXPORTER_OTLP_ENDPOINT=otlp.endpoint)
    assert said["log"].startswith("no spans are sent: ")
    assert "pip install 'langchain-costtrace[otel]'" in said["log"]

    theirs = """
        from opentelemetry.sdk.trace import TracerProvider
        trace.set_tracer_provider(TracerProvider())
        set_up_where_asked()
        say()
        """
    assert run(WHERE_ASKED + textwrap.dedent(theirs), OTEL_EXPORTER_OTLP_ENDPOINT=otlp.endpoint)["log"] == ""
