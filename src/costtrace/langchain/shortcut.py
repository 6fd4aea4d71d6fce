"""The short way of a plain call from its answer to the ledger, on which no value is made that nobody looks at.

The general way (`costtrace.recorder.Recorder.record_call`) goes first, once for each kind of plain call on each day,
and leaves a template of the line it wrote. What is not plain, is of a new kind, or cannot be written just now goes the
general way.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Final, NamedTuple

from langchain_core.outputs import LLMResult

from costtrace.entry import Entry
from costtrace.langchain.described import shown_of
from costtrace.langchain.plain import Outline, Plain, is_plain
from costtrace.langchain.runs import Call
from costtrace.ledger.templates import PlainCall, Template, template_of
from costtrace.recorder import Recorder
from costtrace.tracing import span_ref
from costtrace.tracing.repeated import RepeatedOutcome, repeated_outcome

_DAY_NS: Final = 86_400 * 1_000_000_000
_MOST: Final = 1024
"""Kinds that are remembered; those of a day are fewer."""

_new: Final = tuple.__new__  # a third of the time of PlainCall(...)


class _Kind(NamedTuple):
    """How the calls of one kind are recorded."""

    template: Template
    outcome: RepeatedOutcome | None
    """How they are shown; None where that takes an `Entry`."""


class Shortcut:
    """The templates of one recorder. Safe to use from many threads."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._kinds: dict[Hashable, _Kind | None] = {}

    def took(self, call: Call, answer: Plain, duration_us: int, result: LLMResult) -> bool:
        """Whether the entry of that call is durable now; if not, it has to go the general way."""
        outline, counts, input_tokens, output_tokens, reasoning, raw_json = answer
        kind = self._kinds.get(_key(call, outline))
        recorder = self._recorder
        if kind is None or input_tokens > kind.template.most_input or call.recorder is not recorder:
            return False
        parent = call.parent_run_id
        plain = _new(
            PlainCall,
            (
                str(call.run_id) if call.source != "run" or parent is not None else call.message_uuid,
                None if parent is None else str(parent),
                call.message_uuid,
                call.context,
                None if call.span is None else span_ref(call.span),
                call.start_ns // 1000,
                duration_us,
                recorder.clock() // 1000,
                input_tokens,
                output_tokens,
                reasoning,
                counts,
                raw_json,
            ),
        )
        if not recorder.store_line(kind.template.line(plain)):
            return False
        if call.span is not None or call.place is not None or recorder.metrics.active:
            self._show(call, plain, kind, result)
        return True

    def _show(self, call: Call, plain: PlainCall, kind: _Kind, result: LLMResult) -> None:
        """Show it as the general way does, by an entry only where one is needed."""
        recorder, counts, (template, outcome) = self._recorder, plain.counts, kind
        if outcome is None or recorder.metrics.active:
            entry = template.entry(plain)
            recorder.show(entry, call.span, shown_of(call, result))
            if call.place is not None:
                call.place.bill.add(entry)
            return
        if call.place is not None:
            call.place.bill.add_dollars(template.amount(counts))
        if call.span is not None and call.span.is_recording():
            totals = plain.input_tokens, plain.output_tokens, plain.reasoning_tokens
            found = outcome.attributes(counts, totals, template.costs(counts), shown_of(call, result))
            recorder.tracing.end(call.span, attributes=found, end_ns=(plain.start_us + plain.duration_us) * 1000)

    def learn(self, call: Call, answer: Plain, entry: Entry) -> None:
        """Keep a template of the entry that the general way made of that call, or that there is none."""
        key = _key(call, answer[0])
        if key in self._kinds or call.recorder is not self._recorder:
            return
        kind = None
        if is_plain(Outline(*answer[0]), call.provider):
            most_input = self._rates_hold_up_to(entry)
            if 0 <= most_input < answer[2]:
                return  # a long prompt, at rates of its own; shorter ones may follow
            kind = self._kind_of(entry, most_input, answer[1])
        if len(self._kinds) >= _MOST:
            self._kinds.clear()
        self._kinds[key] = kind

    def _kind_of(self, entry: Entry, most_input: int, counts: Sequence[int]) -> _Kind | None:
        template = template_of(entry, most_input)
        if template is None:
            return None
        presets = self._recorder.tracing.presets
        return _Kind(template, repeated_outcome(entry, presets, counts, template.costs(counts)))

    def _rates_hold_up_to(self, entry: Entry) -> int:
        return self._recorder.catalog.steady_up_to(
            provider=entry.provider,
            model=entry.model,
            service_tier=entry.details.get("service_tier"),
            at=entry.occurred_at,
            context=entry.details.get("price_context"),
        )


def _key(call: Call, outline: Hashable) -> Hashable:
    """Calls of one kind differ in their ids, times and counts."""
    asked = call.asked
    return (
        outline,
        call.provider,
        call.model,
        None if asked is None else (*asked.context.items(), asked.service_tier, asked.flag),
        call.operation,
        call.source == "run",
        call.parent_run_id is None,
        call.start_ns // _DAY_NS,
    )
