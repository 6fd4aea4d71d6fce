"""The spans of a turn, made from the ledger, as a receiver of OTLP reads them."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from functools import reduce
from urllib.request import Request, urlopen

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costtrace.entry import Entry
from costtrace.messages import fold
from costtrace.money import EXACT, ZERO
from costtrace.reports import Turn
from costtrace.tracing import names, sms
from costtrace.view.otlp import otlp_json
from costtrace.view.spans import MESSAGE
from tests.otlp.capture import CaptureServer
from tests.otlp.captured import CapturedSpan
from tests.view.turns import (
    ENTRIES,
    OUT_SID,
    QUESTION,
    REPLY,
    SEND_ID,
    SEND_SPAN,
    TRACE,
    at,
    bought,
    call,
    corrected,
    said,
    sent,
    thought,
    tool_run,
    troubled_turn,
    turn_of,
    whole_turn,
)

KNOWN = {*names.ATTRIBUTES, *sms.ATTRIBUTES}


def received(server: CaptureServer, turn: Turn) -> list[CapturedSpan]:
    """What reaches a viewer that is sent the document."""
    request = Request(server.traces_url, otlp_json(turn).encode(), {"content-type": "application/json"})  # noqa: S310
    with urlopen(request, timeout=20) as answer:  # noqa: S310 - the receiver of this test, on loopback
        assert answer.status == 200
    return server.spans()


def named(spans: list[CapturedSpan], name: str) -> list[CapturedSpan]:
    return [span for span in spans if span.name == name]


def test_a_receiver_gets_one_tree_for_each_message(otlp: CaptureServer) -> None:
    spans = received(otlp, whole_turn())
    roots = {span.span_id: span for span in spans if not span.parent_span_id}
    by_id = {span.span_id: span for span in spans}

    assert [root.attributes[names.MESSAGE_UUID] for root in roots.values()] == [QUESTION, REPLY]
    assert {root.name for root in roots.values()} == {MESSAGE}
    assert len(by_id) == len(spans) == 15
    assert {link.attributes[names.LINK_TYPE] for span in spans for link in span.links} <= names.LINK_TYPES
    for span in spans:
        assert span.parent_span_id == "" or by_id[span.parent_span_id].trace_id == span.trace_id
        assert span.end_ns >= span.start_ns
        assert span.attributes.keys() <= KNOWN
    assert Counter(span.name for span in spans) == {
        "message": 2,
        "process sms.inbound": 1,
        "chat gpt-4o-mini": 2,
        "chat gpt-4o-2024-08-06": 2,
        "execute_tool parcel_status": 1,
        "send sms": 1,
        "process sms.status": 2,
        "reconcile sms.price": 4,  # one for the question; for the reply two that found none, and one that did
    }


def test_ids_are_those_of_recorded_spans_where_there_are_any(otlp: CaptureServer) -> None:
    spans = received(otlp, whole_turn())

    assert {span.trace_id for span in spans} == {TRACE}
    (send,) = named(spans, "send sms")
    assert (send.span_id, send.kind) == (SEND_SPAN, "PRODUCER")
    first = next(span for span in spans if span.attributes.get(names.INPUT_TOKENS) == 2_318)
    assert (first.span_id, first.kind) == (b"first-ca".hex(), "CLIENT")


def test_links_lead_from_the_sms_to_its_calls_and_from_what_was_said_to_the_sms(otlp: CaptureServer) -> None:
    spans = received(otlp, whole_turn())
    (send,) = named(spans, "send sms")
    calls = {span.span_id for span in named(spans, "chat gpt-4o-2024-08-06")}

    assert {(link.span_id, link.attributes[names.LINK_TYPE]) for link in send.links} == {
        (call, names.GENERATED_BY) for call in calls
    }
    for span in named(spans, "process sms.status"):
        assert [(link.trace_id, link.span_id) for link in span.links] == [(send.trace_id, send.span_id)]
        assert span.links[0].attributes == {names.LINK_TYPE: names.STATUS_OF}
        assert span.kind == "CONSUMER"
    answered, reply = named(spans, MESSAGE)
    assert [(link.span_id, link.attributes) for link in reply.links] == [
        (answered.span_id, {names.LINK_TYPE: names.REPLY_TO})
    ]


@pytest.mark.parametrize("made", [whole_turn, troubled_turn])
def test_the_exact_costs_of_all_spans_are_the_total(made: object, otlp: CaptureServer) -> None:
    turn: Turn = made()  # type: ignore[operator]  # one of the turns above
    spans = received(otlp, turn)
    costs = [Decimal(span.attributes[names.COST_USD]) for span in spans if names.COST_USD in span.attributes]

    assert sum(costs) == turn.total.actual.usd
    roots = [Decimal(span.attributes[names.TOTAL_USD]) for span in named(spans, MESSAGE)]
    assert sum(roots) == turn.total.actual.usd
    assert all(names.USAGE_COST not in span.attributes for span in spans if not span.name.startswith("chat"))


def test_values_keep_their_types(otlp: CaptureServer) -> None:
    spans = received(otlp, whole_turn())
    first = next(span for span in spans if span.attributes.get(names.INPUT_TOKENS) == 2_318)

    assert first.attributes[names.COST_USD] == "0.006005"
    assert first.attributes[names.USAGE_COST] == 0.006005  # a double, because viewers read one
    assert type(first.attributes[names.OUTPUT_TOKENS]) is int
    assert (first.start_ns, first.end_ns) == (at(0.9).timestamp() * 10**9, at(2.14).timestamp() * 10**9)
    (tool,) = named(spans, "execute_tool parcel_status")
    assert next(span for span in spans if span.attributes.get(names.INPUT_TOKENS) == 310).parent_span_id == tool.span_id


def test_what_went_wrong_is_an_error_and_an_estimate_is_no_cost(otlp: CaptureServer) -> None:
    spans = received(otlp, troubled_turn())

    (failed,) = [span for span in spans if span.attributes.get(names.ERROR_TYPE) == "RateLimitError 429"]
    assert failed.status.code == "ERROR"
    (left,) = [span for span in spans if span.attributes.get(names.CANCELLED)]
    assert (left.status.code, left.attributes[names.ESTIMATE_USD]) == ("UNSET", "0.001125")
    assert names.COST_USD not in left.attributes
    (lost,) = named(spans, "process sms.status")
    assert (lost.status.code, lost.attributes[names.ERROR_TYPE]) == ("ERROR", "30003")
    rejected = [span for span in named(spans, "send sms") if span.status.code == "ERROR"]
    assert [span.attributes[sms.SMS_STATUS] for span in rejected] == ["rejected"]
    (root,) = [span for span in named(spans, MESSAGE) if names.TOTAL_INCOMPLETE in span.attributes]
    assert root.attributes[names.TOTAL_INCOMPLETE] == 2  # one pending, one unpriced


def test_the_document_is_the_same_each_time_and_has_hexadecimal_ids() -> None:
    text = otlp_json(whole_turn())
    (scope,) = json.loads(text)["resourceSpans"][0]["scopeSpans"]

    assert text == otlp_json(whole_turn())
    for span in scope["spans"]:
        assert re.fullmatch("[0-9a-f]{32}", span["traceId"])
        assert re.fullmatch("[0-9a-f]{16}", span["spanId"])
        assert type(span["startTimeUnixNano"]) is str


def test_without_any_recorded_span_the_ids_follow_from_the_entries(otlp: CaptureServer) -> None:
    entries = [replace(entry, span=None) for entry in [*thought(), *sent()]]
    entries = [replace(e, details={k: v for k, v in e.details.items() if k != "traceparent"}) for e in entries]
    spans = received(otlp, turn_of(*entries, said("delivered", 9)))

    assert len({span.trace_id for span in spans}) == 1
    assert spans[0].trace_id != TRACE
    (send,) = named(spans, "send sms")
    assert send.attributes[sms.MESSAGE_ID] == OUT_SID
    assert [link.span_id for span in named(spans, "process sms.status") for link in span.links] == [send.span_id]


def test_two_sms_sent_while_only_the_request_around_them_was_traced_are_two_spans(otlp: CaptureServer) -> None:
    first = [replace(entry, span=None) for entry in sent()]  # its traceparent is the request's
    names_of_second = {SEND_ID: "feed" * 8, OUT_SID: "SM" + "d" * 32}

    def second(text: str) -> str:
        return reduce(lambda known, name: known.replace(name, names_of_second[name]), names_of_second, text)

    again = [
        replace(
            entry,
            entry_id=second(entry.entry_id),
            source_id=entry.source_id and second(entry.source_id),
            details={**entry.details, "send_id": second(SEND_ID)},
        )
        for entry in first
    ]
    sends = named(received(otlp, turn_of(*first, *again)), "send sms")

    assert len({span.span_id for span in sends}) == 2
    assert SEND_SPAN not in {span.span_id for span in sends}


def test_runs_that_claim_to_be_inside_each_other_hang_below_the_root(otlp: CaptureServer) -> None:
    runs = [
        tool_run(own, 0, 1, own, details={"tool": own, "parent_run_id": other}) for own, other in ("ab", "ba", "cc")
    ]
    spans = received(otlp, turn_of(*runs))
    (root,) = named(spans, MESSAGE)

    assert {span.parent_span_id for span in spans if span is not root} == {root.span_id}


def test_what_ran_in_a_run_whose_price_was_corrected_hangs_below_the_run(otlp: CaptureServer) -> None:
    outer = call("outer", 0, 3, "gpt-4o", (450, 200), ("2.5", "10"))
    inner = call("inner", 1, 1, "gpt-4o-mini", (1, 1), ("2.5", "10"), details={"parent_run_id": "outer"})
    spans = received(otlp, turn_of(outer, inner, corrected(outer, "-0.000625", entry_id="of a later name")))
    (child,) = named(spans, "chat gpt-4o-mini")
    (parent,) = named(spans, "chat gpt-4o")

    assert child.parent_span_id == parent.span_id


@pytest.mark.parametrize("year", [1931, 2701])
def test_a_clock_that_otlp_has_no_time_for_is_taken_for_the_nearest(year: int, otlp: CaptureServer) -> None:
    moment = at(0).replace(year=year)
    spans = received(otlp, turn_of(call("run", 0, 1, "gpt-4o", (1, 1), ("2.5", "10"), occurred_at=moment)))

    assert {span.start_ns for span in spans} == {0 if year < 1970 else 2**64 - 1}


def test_a_number_that_otlp_has_no_integer_for_is_a_text(otlp: CaptureServer) -> None:
    sending = replace(sent()[0], details={**sent()[0].details, "segments": 2**63})
    (send,) = named(received(otlp, turn_of(sending)), "send sms")

    assert send.attributes[sms.SEGMENTS] == str(2**63)


@pytest.mark.parametrize("source_id", [None, OUT_SID])
def test_an_sms_whose_cost_an_application_recorded_by_itself_is_a_purchase(
    source_id: str | None, otlp: CaptureServer
) -> None:
    turn = turn_of(bought(source_id))
    spans = received(otlp, turn)

    assert [span.attributes.get(names.COST_USD) for span in spans] == [None, "0.0079"]


@given(st.lists(ENTRIES, min_size=1, max_size=6))
def test_whatever_was_recorded_makes_spans_whose_costs_are_the_total(entries: list[Entry]) -> None:
    message = fold(replace(entry, message_uuid=REPLY) for entry in entries)
    document = json.loads(otlp_json(Turn(message=message, reply_to=None, total=message.total)))
    spans = document["resourceSpans"][0]["scopeSpans"][0]["spans"]

    costs = [
        Decimal(one["value"]["stringValue"])
        for span in spans
        for one in span["attributes"]
        if one["key"] == names.COST_USD
    ]
    assert reduce(EXACT.add, costs, ZERO) == message.total.actual.usd
    assert [span["name"] for span in spans if "parentSpanId" not in span] == [MESSAGE]
