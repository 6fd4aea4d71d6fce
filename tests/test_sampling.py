"""Sampling: a callback is kept exactly when its sending was, and everything else is as the user's sampler has it."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    DEFAULT_OFF,
    DEFAULT_ON,
    Decision,
    ParentBased,
    ParentBasedTraceIdRatio,
    Sampler,
    TraceIdRatioBased,
)
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, TraceFlags

from costtrace.entry import SpanRef
from costtrace.sampling import LinkedSampler, link_aware
from costtrace.tracing import link, remote_context, span_ref

NOWHERE = Context()
TRACE_ID = 0x0AF7651916CD43DD8448EB211C80319C


def context(*, sampled: bool, remote: bool = True, valid: bool = True) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
    return SpanContext(TRACE_ID if valid else 0, 7, is_remote=remote, trace_flags=flags)


def link_to(*, sampled: bool, valid: bool = True) -> Link:
    return Link(context(sampled=sampled, valid=valid))


def below(*, sampled: bool, remote: bool = False) -> Context:
    return trace.set_span_in_context(NonRecordingSpan(context(sampled=sampled, remote=remote)), NOWHERE)


def decided(sampler: Sampler, links: Sequence[Link], parent: Context = NOWHERE, attributes: Any = None) -> Decision:
    return sampler.should_sample(parent, TRACE_ID, "span", SpanKind.CONSUMER, attributes, links).decision


@pytest.mark.parametrize("delegate", [ALWAYS_ON, DEFAULT_ON, ALWAYS_OFF, DEFAULT_OFF, TraceIdRatioBased(0.1)])
def test_a_root_goes_with_what_it_links_to(delegate: Sampler) -> None:
    sampler = LinkedSampler(delegate)

    assert decided(sampler, [link_to(sampled=True)]) is Decision.RECORD_AND_SAMPLE
    assert decided(sampler, [link_to(sampled=False)]) is Decision.DROP
    assert decided(sampler, [link_to(sampled=False), link_to(sampled=True)]) is Decision.RECORD_AND_SAMPLE


@pytest.mark.parametrize("delegate", [ALWAYS_ON, ALWAYS_OFF])
@pytest.mark.parametrize("links", [[], [link_to(sampled=True, valid=False)], [link_to(sampled=False, valid=False)]])
def test_a_root_without_a_link_is_the_delegates_matter(delegate: Sampler, links: list[Link]) -> None:
    assert decided(LinkedSampler(delegate), links) is decided(delegate, [])


@pytest.mark.parametrize("sampled", [True, False])
@pytest.mark.parametrize("remote", [True, False])
def test_a_child_goes_with_its_parent_whatever_it_links_to(*, sampled: bool, remote: bool) -> None:
    """The send links to the model calls of its own trace: that must not bring it into a trace that is not kept."""
    parent = below(sampled=sampled, remote=remote)
    for sampler in (link_aware(DEFAULT_ON), ParentBased(LinkedSampler(ALWAYS_ON)), link_aware(DEFAULT_OFF)):
        found = decided(sampler, [link_to(sampled=not sampled)], parent)
        assert found is (Decision.RECORD_AND_SAMPLE if sampled else Decision.DROP)


def test_attributes_and_trace_state_stay_as_they_are() -> None:
    attributes = {"messaging.system": "twilio"}
    kept = LinkedSampler(ALWAYS_OFF).should_sample(NOWHERE, 1, "span", None, attributes, [link_to(sampled=True)])
    dropped = LinkedSampler(ALWAYS_ON).should_sample(NOWHERE, 1, "span", None, attributes, [link_to(sampled=False)])

    assert (dict(kept.attributes), kept.trace_state) == (attributes, None)
    assert dict(dropped.attributes) == {}


def test_the_description_names_the_delegate() -> None:
    assert LinkedSampler(TraceIdRatioBased(0.1)).get_description() == "LinkedSampler{TraceIdRatioBased{0.1}}"
    assert link_aware(ALWAYS_ON).get_description().startswith("ParentBased{root:LinkedSampler{AlwaysOnSampler}")


def test_what_samples_nothing_goes_on_sampling_nothing() -> None:
    assert decided(link_aware(ALWAYS_OFF), [link_to(sampled=True)]) is Decision.DROP


@given(
    sampled=st.booleans(),
    remote=st.booleans(),
    rate=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    parent_based=st.booleans(),
    has_parent=st.booleans(),
)
def test_spans_without_links_are_sampled_as_without_us(
    *, sampled: bool, remote: bool, rate: float, parent_based: bool, has_parent: bool
) -> None:
    """But for children in the same process, which share the decision of their parent anyway."""
    sampler = ParentBasedTraceIdRatio(rate) if parent_based else TraceIdRatioBased(rate)
    if has_parent and not remote:
        sampled = decided(sampler, []) is Decision.RECORD_AND_SAMPLE
    parent = below(sampled=sampled, remote=remote) if has_parent else NOWHERE

    assert decided(link_aware(sampler), [], parent) is decided(sampler, [], parent)


class Seeded(RandomIdGenerator):
    """The same ids in every run."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - no secret

    def generate_trace_id(self) -> int:
        return self._random.getrandbits(128)

    def generate_span_id(self) -> int:
        return self._random.getrandbits(64)


def tracer_of(sampler: Sampler, seed: int) -> tuple[trace.Tracer, InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler, id_generator=Seeded(seed), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider.get_tracer("test"), exporter


@pytest.mark.parametrize(
    "sampler", [TraceIdRatioBased(0.1), ParentBasedTraceIdRatio(0.1), TraceIdRatioBased(0), ALWAYS_ON]
)
def test_a_callback_in_another_process_is_kept_exactly_when_its_send_was(sampler: Sampler) -> None:
    """2,000 sends, each with a span below its callback, as the two processes of an application make them."""
    sending, sends = tracer_of(link_aware(sampler), 1)
    receiving, callbacks = tracer_of(link_aware(sampler), 2)
    for number in range(2_000):
        send = sending.start_span("send sms", NOWHERE, attributes={"number": number})
        send.end()
        callback = receiving.start_span(
            "process sms.status", NOWHERE, SpanKind.CONSUMER, {"number": number}, [link(span_ref(send), "status_of")]
        )
        receiving.start_span("below", trace.set_span_in_context(callback, NOWHERE), attributes={"number": number}).end()
        callback.end()

    def kept(exporter: InMemorySpanExporter, name: str) -> set[object]:
        return {(s.attributes or {})["number"] for s in exporter.get_finished_spans() if s.name == name}

    expected = kept(sends, "send sms")
    assert kept(callbacks, "process sms.status") == expected
    assert kept(callbacks, "below") == expected
    rates = {"TraceIdRatioBased{0.1}": (150, 250), "TraceIdRatioBased{0}": (0, 0), "AlwaysOnSampler": (2_000, 2_000)}
    low, high = rates.get(sampler.get_description(), (150, 250))
    assert low <= len(expected) <= high


def test_a_remote_child_of_the_send_goes_with_it_too() -> None:
    """With `callback_span="child"` the send is parent and link at once."""
    for sampled in (True, False):
        ref = SpanRef(trace_id="0" * 31 + "1", span_id="0" * 15 + "1", sampled=sampled)
        found = decided(link_aware(ParentBasedTraceIdRatio(0.5)), [link(ref, "status_of")], remote_context(ref))
        assert found is (Decision.RECORD_AND_SAMPLE if sampled else Decision.DROP)


def test_without_the_sdk_the_extra_is_named() -> None:
    program = "import sys; sys.modules['opentelemetry.sdk'] = None\nimport costtrace.sampling"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert "sampling needs the package 'opentelemetry-sdk': pip install 'langchain-costtrace[otel]'" in done.stderr
