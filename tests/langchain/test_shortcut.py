"""The short way of a plain call writes what the general way writes, byte for byte, or leaves the call to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator

import costtrace
from costtrace.entry import Entry
from costtrace.errors import LedgerUnavailable
from costtrace.ledger import SqliteLedger
from costtrace.ledger.rows import to_line, to_row
from costtrace.ledger.templates import template_of
from costtrace.pricing import Catalog
from costtrace.testing import MemoryLedger
from costtrace.tracing.names import PRESETS
from costtrace.tracing.repeated import repeated_outcome

JANUARY_NS = 1_768_901_400_000_000_000  # 2026-01-20T09:30:00Z
CATALOG = Catalog.default()


class Lines(MemoryLedger):
    """Keeps each entry as the spool would hold it."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[bytes] = []

    def spool(self, entry: Entry) -> None:
        self.lines.append(to_line(to_row(entry)))


class ShortLines(Lines):
    """The same, and takes lines as well."""

    def __init__(self) -> None:
        super().__init__()
        self.short = 0
        self.down = False

    def spool_line(self, line: bytes) -> None:
        if self.down:
            raise LedgerUnavailable("down")
        self.lines.append(line)
        self.short += 1


class Clock:
    """Stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now_ns = JANUARY_NS

    def __call__(self) -> int:
        return self.now_ns


CLOCK = Clock()


@pytest.fixture(autouse=True)
def january() -> None:
    CLOCK.now_ns = JANUARY_NS


def recorder_of(ledger: costtrace.Ledger, **options: Any) -> costtrace.Recorder:
    return costtrace.Recorder(ledger, catalog=CATALOG, clock=CLOCK, **options)


def counted(counts: Mapping[str, int], **details: int) -> dict[str, Any]:
    """A usage record of LangChain's with those totals and details."""
    outputs = ("reasoning", "output_audio")
    return {
        "input_tokens": counts["input"],
        "output_tokens": counts["output"],
        "total_tokens": counts["input"] + counts["output"],
        "input_token_details": {name: value for name, value in details.items() if name not in outputs},
        "output_token_details": {"reasoning": details["reasoning"]} if "reasoning" in details else {},
    }


def plain(input_tokens: int = 1000, output_tokens: int = 500, **metadata: Any) -> AIMessage:
    usage = counted({"input": input_tokens, "output": output_tokens}, audio=0, cache_read=400, reasoning=300)
    return AIMessage(
        content="hello",
        usage_metadata=usage,
        response_metadata={
            "model_name": "gpt-4o-2024-08-06",
            "service_tier": "default",
            "token_usage": {"prompt_tokens": input_tokens, "completion_tokens": output_tokens},
            "finish_reason": "stop",
            **metadata,
        },
    )


def call(
    handler: costtrace.CostCallbackHandler, number: int, message: BaseMessage, said: Mapping[str, Any] | None = None
) -> None:
    """One call of a second and a half as LangChain reports it; the number names the run."""
    said = said or {}
    run_id = UUID(int=number)
    handler.on_chat_model_start(
        {"kwargs": said.get("client", {})},
        [[]],
        run_id=run_id,
        parent_run_id=said.get("parent"),
        metadata={"ls_provider": said.get("provider", "openai"), "ls_model_name": "gpt-4o", **said.get("metadata", {})},
        invocation_params=said.get("options", {}),
    )
    CLOCK.now_ns += 1_500_000_999
    result = LLMResult(generations=[[ChatGeneration(message=message)]], llm_output=said.get("output"))
    handler.on_llm_end(result, run_id=run_id)


COUNTS = st.integers(0, 300_000) | st.sampled_from([0, 1, 200_000, 200_001, 2**53])
DETAILS = st.fixed_dictionaries(
    {},
    optional={
        "audio": st.sampled_from([0, 0, 7]),
        "cache_read": COUNTS,
        "cache_creation": st.sampled_from([0, 0, 0, 50]),
        "ephemeral_5m_input_tokens": st.sampled_from([0, 30]),
        "ephemeral_1h_input_tokens": st.sampled_from([0, 20]),
        "flex": st.just(0),
        "reasoning": st.sampled_from([0, 100, 100_000_000]),
    },
)
RAW = st.fixed_dictionaries(
    {},
    optional={
        "prompt_tokens": COUNTS,
        "prompt_tokens_details": st.sampled_from([None, {"cached_tokens": 10}, {"note": "\N{SNOWMAN} \ud800"}]),
        "inference_geo": st.sampled_from(["us", "global", "not_available", None]),
        "service_tier": st.sampled_from(["standard", "priority", None]),
        "server_tool_use": st.sampled_from([None, {"web_search_requests": 2}]),
        "iterations": st.just([{"input_tokens": 1, "output_tokens": 2}]),
        "cost": st.just(0.25),
    },
)
METADATA = st.fixed_dictionaries(
    {"model_name": st.sampled_from(["gpt-4o-2024-08-06", "claude-sonnet-4-5", "gemini-2.5-pro", "nobody's", 5, None])},
    optional={
        "service_tier": st.sampled_from(["default", "flex", "priority", "auto", 3, None]),
        "token_usage": RAW,
        "usage": RAW,
        "model_provider": st.just("openai"),
        "finish_reason": st.text(max_size=3),
        "headers": st.just({"x-litellm-response-cost": "0.5"}),
        "grounding_metadata": st.just({"web_search_queries": ["a"]}),
    },
)
CONTEXTS = st.fixed_dictionaries(
    {},
    optional={
        "user_id": st.text(min_size=1, max_size=8),
        "channel": st.just("sms"),
        "reply_to": st.just('"quoted" 100%d \\ \n'),
        "tags": st.dictionaries(st.text(min_size=1, max_size=3), st.text(min_size=1, max_size=3), max_size=2),
    },
)
SAID = st.fixed_dictionaries(
    {"provider": st.sampled_from(["openai", "anthropic", "google_genai", "google_vertexai", "mistralai", "azure", ""])},
    optional={
        "parent": st.just(UUID(int=2**100)),
        "metadata": st.sampled_from([{}, {"message_uuid": "m-1 %s"}, {"thread_id": "t1"}]),
        "client": st.sampled_from([{}, {"openai_api_base": "https://api.openai.com/v1"}, {"azure_deployment": "d%d"}]),
        "options": st.sampled_from([{}, {"service_tier": "flex"}, {"inference_geo": "us"}, {"speed": "fast"}]),
        "output": st.none() | METADATA,
    },
)
PLAIN_DETAILS = st.fixed_dictionaries(
    {"cache_read": st.integers(0, 500)},
    optional={
        "audio": st.just(0),
        "ephemeral_5m_input_tokens": st.sampled_from([0, 30]),
        "reasoning": st.sampled_from([0, 100]),
    },
)
PLAIN_METADATA = st.fixed_dictionaries(
    {"model_name": st.sampled_from(["gpt-4o-2024-08-06", "claude-sonnet-4-5", "gemini-2.5-pro"])},
    optional={
        "service_tier": st.sampled_from(["default", "standard", "priority"]),
        "token_usage": st.fixed_dictionaries({"prompt_tokens": COUNTS}, optional={"service_tier": st.just("standard")}),
        "finish_reason": st.text(max_size=3),
    },
)
PLAIN_SAID = st.fixed_dictionaries(
    {"provider": st.sampled_from(["openai", "anthropic", "google_genai", "azure"])},
    optional={
        "parent": st.just(UUID(int=2**100)),
        "metadata": st.sampled_from([{}, {"message_uuid": "m-1 %s"}, {"thread_id": "t1"}]),
        "client": st.sampled_from([{}, {"openai_api_base": "https://api.openai.com/v1"}]),
    },
)
KINDS: Sequence[type[AIMessage]] = (AIMessage, AIMessageChunk)
CONTENTS = st.sampled_from(["hello", "hello", [{"type": "text", "text": "hello"}], [{"type": "web_search_call"}]])
EXTRAS = st.sampled_from([{}, {}, {"refusal": None}, {"tool_outputs": [{"type": "web_search_call"}]}])


@st.composite
def plain_messages(draw: st.DrawFn) -> list[BaseMessage]:
    """Some answers of one kind as most are, whose counts differ."""
    kind, metadata = draw(st.sampled_from(KINDS)), draw(PLAIN_METADATA)
    details, tokens = draw(PLAIN_DETAILS), st.integers(530, 300_000)
    counts = draw(st.lists(st.tuples(tokens, tokens, st.integers(0, 500)), min_size=2, max_size=4))
    return [
        kind.model_construct(
            content="hello",
            usage_metadata=counted({"input": each, "output": output}, **{**details, "cache_read": cached}),
            response_metadata=metadata,
            additional_kwargs={},
        )
        for each, output, cached in counts
    ]


@st.composite
def messages(draw: st.DrawFn) -> list[BaseMessage]:
    """Some answers of one kind, whose counts differ."""
    kind = draw(st.sampled_from(KINDS))
    metadata, content, extras = draw(METADATA), draw(CONTENTS), draw(EXTRAS)
    usages = draw(st.lists(st.tuples(COUNTS, COUNTS, DETAILS, st.integers(-1, 3)), min_size=1, max_size=2))
    answers: list[BaseMessage] = []
    for tokens, output, details, off in [*usages, *usages, *usages]:
        usage = counted({"input": tokens, "output": output}, **details)
        usage["total_tokens"] += off // 3  # now and then it does not add up
        answers.append(
            kind.model_construct(
                content=content, usage_metadata=usage, response_metadata=dict(metadata), additional_kwargs=extras
            )
        )
    return answers


@settings(deadline=None)
@given(answers=messages(), said=SAID, context=CONTEXTS)
def test_both_ways_write_the_same_of_whatever_comes(
    answers: list[BaseMessage], said: dict[str, Any], context: dict[str, Any]
) -> None:
    check_both_ways(answers, said, context)


@settings(max_examples=200, deadline=None)
@given(answers=plain_messages(), said=PLAIN_SAID, context=CONTEXTS)
def test_both_ways_write_the_same_of_plain_answers(
    answers: list[BaseMessage], said: dict[str, Any], context: dict[str, Any]
) -> None:
    check_both_ways(answers, said, context)


def check_both_ways(answers: list[BaseMessage], said: dict[str, Any], context: dict[str, Any]) -> None:
    general, short = Lines(), ShortLines()
    for ledger in (general, short):
        CLOCK.now_ns = JANUARY_NS
        handler = costtrace.CostCallbackHandler(recorder_of(ledger))
        for number, message in enumerate(answers):
            call(handler, number + 1, message, said)
            with costtrace.message("m-2", **context):
                call(handler, number + 1_000, message, said)
    assert short.lines == general.lines


@pytest.mark.parametrize("model", ["gpt-4o-2024-08-06", "gpt-4o-mini", "gpt-5", "o3", "gpt-4.1-nano"])
@given(numbers=st.lists(st.tuples(st.integers(401, 2**53), st.integers(300, 2**53)), min_size=1, max_size=4))
def test_amounts_are_the_same_to_the_last_digit(model: str, numbers: list[tuple[int, int]]) -> None:
    general, short = Lines(), ShortLines()
    for ledger in (general, short):
        CLOCK.now_ns = JANUARY_NS
        handler = costtrace.CostCallbackHandler(recorder_of(ledger))
        for number, counts in enumerate([(1000, 500), *numbers]):
            call(handler, number + 1, plain(*counts, model_name=model))
    assert short.lines == general.lines


def test_the_second_plain_call_of_a_kind_takes_the_short_way() -> None:
    ledger = ShortLines()
    recorder = recorder_of(ledger)
    handler = costtrace.CostCallbackHandler(recorder)
    for number in range(1, 6):
        call(handler, number, plain(1000 + number))
    assert (len(ledger.lines), ledger.short) == (5, 4)
    assert recorder.health().recorded == 5


def test_what_went_the_short_way_is_read_as_any_other_entry(tmp_path: Path) -> None:
    """1,000 input tokens, 400 of them cached, and 500 output tokens of gpt-4o: 0.0015 + 0.0005 + 0.005 dollars."""
    with costtrace.message(user_id="u1", tags={"team": "a"}) as message:
        ledger = SqliteLedger(tmp_path / "costs.db")
        handler = costtrace.CostCallbackHandler(recorder_of(ledger))
        for number in (1, 2):
            call(handler, number, plain())
    first, second = ledger.message(message.uuid).entries
    ledger.close()
    assert str(second.cost) == "0.007 USD"
    assert (second.quote, second.usage, second.context) == (first.quote, first.usage, first.context)
    assert second.context.tags == {"team": "a"}


def test_a_long_prompt_is_priced_at_its_own_rates() -> None:
    """Above 200,000 input tokens gemini-2.5-pro costs 2.50 and 15.00 dollars a million, below 1.25 and 10.00."""
    ledger = ShortLines()
    handler = costtrace.CostCallbackHandler(recorder_of(ledger))
    costs = []
    for number, tokens in enumerate((300_000, 100_000, 100_000, 300_000)):
        message = plain(tokens, 1000, model_name="gemini-2.5-pro", token_usage=None)
        message.usage_metadata = counted({"input": tokens, "output": 1000}, cache_read=0)  # type: ignore[assignment]
        call(handler, number + 1, message, {"provider": "google_genai"})
        costs.append(ledger.lines[-1].split(b'"USD"')[0].rpartition(b',"')[2][:-2])
    assert costs == [b"0.765", b"0.135", b"0.135", b"0.765"]
    assert ledger.short == 1


def test_a_ledger_that_is_down_is_left_to_the_general_way() -> None:
    ledger = ShortLines()
    recorder = recorder_of(ledger)
    handler = costtrace.CostCallbackHandler(recorder)
    call(handler, 1, plain())
    ledger.down = True
    call(handler, 2, plain())
    assert (len(ledger.lines), recorder.health().recorded) == (2, 2)


def test_who_wants_to_see_a_span_gets_the_entry_on_it() -> None:
    ledger = ShortLines()
    provider = TracerProvider()
    handler = costtrace.CostCallbackHandler(recorder_of(ledger, tracer_provider=provider))
    for number in (1, 2):
        call(handler, number, plain())
    provider.shutdown()
    assert all(b'"span":{' in line for line in ledger.lines)


@settings(max_examples=60, deadline=None)
@given(answers=plain_messages(), said=PLAIN_SAID, context=CONTEXTS)
def test_both_ways_show_the_same_on_spans_and_in_entries(
    answers: list[BaseMessage], said: dict[str, Any], context: dict[str, Any]
) -> None:
    def calls(handler: costtrace.CostCallbackHandler) -> None:
        for number, message in enumerate(answers):
            with costtrace.message("m-2", **context):
                call(handler, number + 1, message, said)

    check_both_ways_show(calls)


@pytest.mark.parametrize(
    ("model", "tier"),
    [("gpt-4o-2024-08-06", "default"), ("gpt-4o-mini", "default"), ("gpt-5-nano", "flex"), ("o3", "flex")],
)
@settings(deadline=None)
@given(numbers=st.lists(st.tuples(st.integers(401, 2**53), st.integers(300, 2**53)), min_size=1, max_size=4))
def test_spans_show_the_same_doubles_to_the_last_bit(model: str, tier: str, numbers: list[tuple[int, int]]) -> None:
    def calls(handler: costtrace.CostCallbackHandler) -> None:
        for number, counts in enumerate([(1000, 500), *numbers]):
            call(handler, number + 1, plain(*counts, model_name=model, service_tier=tier))

    check_both_ways_show(calls)


@pytest.mark.parametrize("preset", [(), *((preset,) for preset in PRESETS)])
def test_under_any_preset_and_below_a_root_both_ways_show_the_same(preset: tuple[str, ...]) -> None:
    root = UUID(int=2**100)

    def calls(handler: costtrace.CostCallbackHandler) -> None:
        handler.on_chain_start(None, {}, run_id=root, name="answer")
        for number in range(3):
            call(handler, number + 1, plain(1000 + number), {"parent": root})
        handler.on_chain_end({}, run_id=root)

    *_, total = check_both_ways_show(calls, span_presets=preset)
    assert total["costtrace.total.usd"] == "0.0210075"  # 3 calls of 0.007 dollars, and 3 more tokens at 2.5 a million


def test_an_entry_is_only_made_of_a_call_where_a_viewer_has_names_of_its_own() -> None:
    ledger = MemoryLedger()
    call(costtrace.CostCallbackHandler(recorder_of(ledger)), 1, plain())
    ((_, entry),) = ledger.entries()
    template, counts = template_of(entry, 10_000), (400, 600, 500)
    assert template is not None
    costs = template.costs(counts)
    assert costs == ("0.007", 0.007, 7_000_000, 0.002, 0.005)
    repeats = {preset: repeated_outcome(entry, frozenset({preset}), counts, costs) is not None for preset in PRESETS}
    assert repeats == {"draft443": False, "langfuse": False, "mlflow": False, "openinference": True, "posthog": False}
    assert repeated_outcome(entry, frozenset(), counts, costs) is not None


def check_both_ways_show(
    calls: Callable[[costtrace.CostCallbackHandler], None], **options: Any
) -> list[dict[str, Any]]:
    """The attributes of the spans that either way makes of those calls, and the same lines beside them."""
    seen: list[list[Any]] = []
    shown: list[dict[str, Any]] = []
    for ledger in (Lines(), ShortLines()):
        CLOCK.now_ns = JANUARY_NS
        exporter, provider = InMemorySpanExporter(), TracerProvider(id_generator=Counted())
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        calls(costtrace.CostCallbackHandler(recorder_of(ledger, tracer_provider=provider, **options)))
        shown = [dict(span.attributes or {}) for span in exporter.get_finished_spans()]
        spans = [(s.name, s.start_time, s.end_time, s.status.status_code) for s in exporter.get_finished_spans()]
        provider.shutdown()
        seen.append([ledger.lines, spans, shown])
    assert seen[0] == seen[1]
    return shown


class Counted(IdGenerator):
    """Ids that are the same each time."""

    def __init__(self) -> None:
        self._ids = count(1)

    def generate_span_id(self) -> int:
        return next(self._ids)

    def generate_trace_id(self) -> int:
        return next(self._ids)
