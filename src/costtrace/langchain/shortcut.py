"""The short way of a plain call from its answer to the ledger, on which no value is made that nobody looks at.

The general way (`costtrace.recorder.Recorder.record_call`) goes first, once for each kind of plain call on each day,
and leaves a template of the line it wrote. What is not plain, is of a new kind, or cannot be written just now goes the
general way.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, Final

from costtrace.entry import Entry
from costtrace.langchain.plain import Outline, Plain, is_plain
from costtrace.langchain.runs import Call
from costtrace.ledger.templates import PlainCall, Template, template_of
from costtrace.recorder import Recorder
from costtrace.tracing import span_ref

_DAY_NS: Final = 86_400 * 1_000_000_000
_MOST: Final = 1024
"""Kinds that are remembered; those of a day are fewer."""

_new: Final = tuple.__new__  # a third of the time of PlainCall(...)


class Shortcut:
    """The templates of one recorder. Safe to use from many threads."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._templates: dict[Hashable, Template | None] = {}

    def took(self, call: Call, answer: Plain, duration_us: int, shown: Callable[[], Mapping[str, Any]]) -> bool:
        """Whether the entry of that call is durable now; if not, it has to go the general way.

        `shown` is what its span says of the answer beside the entry.
        """
        outline, counts, input_tokens, output_tokens, reasoning, raw_json = answer
        template = self._templates.get(_kind(call, outline))
        recorder = self._recorder
        if template is None or input_tokens > template.most_input or call.recorder is not recorder:
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
        if not recorder.store_line(template.line(plain)):
            return False
        if call.span is not None or call.place is not None or recorder.metrics.active:
            entry = template.entry(plain)
            recorder.show(entry, call.span, shown())
            if call.place is not None:
                call.place.bill.add(entry)
        return True

    def learn(self, call: Call, answer: Plain, entry: Entry) -> None:
        """Keep a template of the entry that the general way made of that call, or that there is none."""
        kind = _kind(call, answer[0])
        if kind in self._templates or call.recorder is not self._recorder:
            return
        template = None
        if is_plain(Outline(*answer[0]), call.provider):
            most_input = self._rates_hold_up_to(entry)
            if 0 <= most_input < answer[2]:
                return  # a long prompt, at rates of its own; shorter ones may follow
            template = template_of(entry, most_input)
        if len(self._templates) >= _MOST:
            self._templates.clear()
        self._templates[kind] = template

    def _rates_hold_up_to(self, entry: Entry) -> int:
        return self._recorder.catalog.steady_up_to(
            provider=entry.provider,
            model=entry.model,
            service_tier=entry.details.get("service_tier"),
            at=entry.occurred_at,
            context=entry.details.get("price_context"),
        )


def _kind(call: Call, outline: Hashable) -> Hashable:
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
