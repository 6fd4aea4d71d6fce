"""Spans of calls that follow one another: each says what its own entry says, in whatever names viewers want."""

from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult
from opentelemetry.sdk.trace import TracerProvider

import costtrace
from costtrace import CostCallbackHandler, Recorder
from costtrace.tracing import entry_attributes, names
from tests.langchain.traces import Scripted, Trace, check_names, said

COUNTS = [(1000, 500, 0, 0), (2000, 10, 0, 0), (12345, 6789, 1000, 200), (17, 3, 5, 1), (18, 4, 6, 2)]
"""Tokens of input and output, and of both those that were cached and those of reasoning."""


class Counting(Scripted):
    """Takes so many tokens, in turn."""

    counts: Any

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        taken, given, cached, reasoning = next(self.counts)
        usage = UsageMetadata(
            input_tokens=taken,
            output_tokens=given,
            total_tokens=taken + given,
            input_token_details=InputTokenDetails(cache_read=cached),
            output_token_details=OutputTokenDetails(reasoning=reasoning),
        )
        served = {"model_name": "gpt-4o", "finish_reason": "stop", "id": "chatcmpl-1"}
        message = AIMessage("Sunny.", usage_metadata=usage, response_metadata=served)
        return ChatResult(generations=[ChatGeneration(message=message)])


@pytest.mark.parametrize("presets", [(), *((preset,) for preset in names.PRESETS), names.PRESETS])
def test_each_of_many_calls_shows_its_own_counts_and_costs(
    presets: tuple[str, ...], tmp_path: Path, provider: TracerProvider, trace: Trace
) -> None:
    ledger = costtrace.open_ledger(f"sqlite:///{tmp_path}/costs.db")
    handler = CostCallbackHandler(Recorder(ledger, tracer_provider=provider, span_presets=presets))
    model = Counting(counts=cycle(COUNTS))
    for _ in range(3 * len(COUNTS)):
        model.invoke("Hi", {"callbacks": [handler]})
    ledger.flush()

    entries = [entry for _, entry in ledger.entries()]
    assert len(trace.spans) == len(entries) == 3 * len(COUNTS)
    for span, entry in zip(trace.spans, entries, strict=True):
        expected = entry_attributes(entry, frozenset(presets))
        shown = said(span)
        assert (shown.pop(names.RESPONSE_ID), shown.pop(names.FINISH_REASONS)) == ("chatcmpl-1", ("stop",))
        assert shown == expected
        assert {name: type(value) for name, value in shown.items()} == {
            name: type(value) for name, value in expected.items()
        }
    assert len({str(said(span)[names.COST_USD]) for span in trace.spans}) == len(COUNTS)
    check_names(trace.spans)
    ledger.close()
