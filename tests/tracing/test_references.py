"""W3C traceparents: what is one is read, and whatever else comes is none."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from costtrace.entry import SpanRef
from costtrace.tracing import link, parse_traceparent, remote_context, traceparent_of

REF = SpanRef(trace_id="0af7651916cd43dd8448eb211c80319c", span_id="b7ad6b7169203331", sampled=True)
TEXT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_traceparent_names_a_span_and_whether_it_was_sampled() -> None:
    assert parse_traceparent(TEXT) == REF
    assert traceparent_of(REF) == TEXT
    assert parse_traceparent(f"{TEXT[:-2]}00") == SpanRef(trace_id=REF.trace_id, span_id=REF.span_id, sampled=False)
    assert parse_traceparent(f"{TEXT[:-2]}03") == REF  # the second flag says that the trace id is random
    assert parse_traceparent(f"01{TEXT[2:]}-what-a-later-version-adds") == REF


@pytest.mark.parametrize(
    "text",
    [
        None,
        7,
        b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "",
        TEXT.upper(),
        f"{TEXT}\n",
        f" {TEXT}",
        f"{TEXT}-more",
        f"ff{TEXT[2:]}",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01",
        TEXT[:-1],
        TEXT.replace("-", "_"),
        "00-" + "٣" * 32 + "-b7ad6b7169203331-01",
    ],
)
def test_what_is_none_is_none(text: Any) -> None:
    assert parse_traceparent(text) is None


@given(st.one_of(st.text(), st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{30,34}-[0-9a-f]{14,18}-[0-9a-f]{2}.?")))
def test_no_text_raises_and_what_is_read_the_api_reads_the_same(text: str) -> None:
    ref = parse_traceparent(text)
    read = TraceContextTextMapPropagator().extract({"traceparent": text})
    context = trace.get_current_span(read).get_span_context()
    if ref is not None and context.is_valid:
        assert (context.trace_id, context.span_id) == (int(ref.trace_id, 16), int(ref.span_id, 16))
        assert context.trace_flags.sampled == ref.sampled


def test_a_link_says_what_it_is() -> None:
    made = link(REF, "status_of", order=2)
    assert (f"{made.context.trace_id:032x}", f"{made.context.span_id:016x}") == (REF.trace_id, REF.span_id)
    assert dict(made.attributes or {}) == {"costtrace.link.type": "status_of", "order": 2}
    assert made.context.trace_flags.sampled


def test_in_a_remote_context_the_span_is_the_parent_and_nothing_is_current() -> None:
    parent = trace.get_current_span(remote_context(REF)).get_span_context()
    assert (parent.is_remote, traceparent_of(trace.NonRecordingSpan(parent))) == (True, TEXT)
    assert not trace.get_current_span().get_span_context().is_valid
