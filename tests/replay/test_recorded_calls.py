"""Every chat call that LangChain's provider packages recorded is replayed, and the bill compared with the tape."""

from collections import Counter
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from importlib.metadata import version
from typing import Any

import anthropic
import openai
import pytest
from langchain_core.runnables import RunnableConfig
from pydantic import BaseModel, ValidationError, field_validator

import costtrace
from costtrace.testing import MemoryLedger
from tests.replay.cassettes import DISTRIBUTIONS, Cassette, NoCassettesError, RecordedCall, cassettes
from tests.replay.provider_usage import Tokens, billed, reported, served_model, tools_billed_apart
from tests.replay.tape_player import TapePlayer, model_for, playing

pytestmark = [
    # LangChain's own stream parser says so of Anthropic's tool blocks, and parses them all the same.
    pytest.mark.filterwarnings("ignore:Received unexpected tool content block:UserWarning"),
    # Anthropic's client says so of recorded models that have since grown old.
    pytest.mark.filterwarnings("ignore:The model '.*' is deprecated:DeprecationWarning"),
]

# Found on these versions: chat calls, those with usage among them, and HTTP errors.
FOUND = {"openai": ("1.7.3", 179, 178, 1), "anthropic": ("1.7.7", 65, 65, 0)}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "cassette" in metafunc.fixturenames:
        metafunc.parametrize(
            "cassette", [parameter for provider in DISTRIBUTIONS for parameter in _parameters(provider)]
        )
    if "provider" in metafunc.fixturenames:
        metafunc.parametrize("provider", DISTRIBUTIONS)


def _parameters(provider: str) -> Iterator[Any]:
    try:
        for cassette in cassettes(provider):
            yield pytest.param(cassette, id=cassette.name)
    except NoCassettesError as missing:
        yield pytest.param(None, id=f"{provider}-none", marks=pytest.mark.skip(reason=str(missing)))


def _calls(provider: str, names: str = "*") -> list[RecordedCall]:
    try:
        return [call for cassette in cassettes(provider) if fnmatch(cassette.name, names) for call in cassette.calls]
    except NoCassettesError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def player() -> Iterator[TapePlayer]:
    with playing() as player:
        yield player


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
def config(ledger: MemoryLedger) -> RunnableConfig:
    return {"callbacks": [costtrace.CostCallbackHandler(costtrace.Recorder(ledger))]}


def test_each_recorded_call_becomes_one_entry_with_what_the_provider_bills(
    cassette: Cassette, player: TapePlayer, ledger: MemoryLedger, config: RunnableConfig
) -> None:
    for call in cassette.calls:
        player.load(call)
        model = model_for(call, player.url)
        with costtrace.message(user_id="replay") as message:
            if call.failed:
                with pytest.raises((openai.APIStatusError, anthropic.APIStatusError)):
                    model.invoke("Hi", config)
            else:
                model.invoke("Hi", config)
        assert len(player.paths) == 1, f"{call} was sent {len(player.paths)} times"
        _check(call, ledger.message(message.uuid).entries)
    assert len(list(ledger.entries())) == len(cassette.calls)


async def test_the_same_holds_for_async_calls_and_streams(
    cassette: Cassette, player: TapePlayer, ledger: MemoryLedger, config: RunnableConfig
) -> None:
    for call in cassette.calls:
        player.load(call)
        model = model_for(call, player.url)
        with costtrace.message(user_id="replay") as message:
            if call.failed:
                with pytest.raises((openai.APIStatusError, anthropic.APIStatusError)):
                    await model.ainvoke("Hi", config)
            elif call.streamed:
                assert [chunk async for chunk in model.astream("Hi", config)]
            else:
                await model.ainvoke("Hi", config)
        _check(call, ledger.message(message.uuid).entries)
    assert len(list(ledger.entries())) == len(cassette.calls)


def _check(call: RecordedCall, entries: tuple[costtrace.Entry, ...]) -> None:
    assert len(entries) == 1, f"{call}: {len(entries)} entries"
    (entry,) = entries
    assert (entry.kind, entry.provider, entry.requested_model) == ("llm", call.provider, call.request["model"])
    assert entry.context.user_id == "replay"
    if call.failed:
        _check_failure(entry)
    else:
        _check_bill(call, entry)


def _check_failure(entry: costtrace.Entry) -> None:
    assert entry.status == "failed"
    assert entry.error
    assert entry.cost is None
    assert entry.estimate is None


def _check_bill(call: RecordedCall, entry: costtrace.Entry) -> None:
    assert entry.status == "completed"
    assert entry.error is None
    assert entry.model == served_model(call)
    assert entry.usage is not None
    incomplete = "usage_incomplete" in entry.usage.flags
    assert _tokens(entry.usage) == (reported(call) if incomplete else billed(call)), f"{call}: {entry.usage.raw}"
    assert incomplete or entry.usage.problem is None
    if incomplete:
        assert entry.cost is None, f"{call}: a bill known to be short passes for the actual cost"
    elif entry.cost is None:
        assert entry.reason or (entry.quote and entry.quote.assumptions), f"{call} has no cost, and no reason for that"
    else:
        _check_working(entry)


def _check_working(entry: costtrace.Entry) -> None:
    assert entry.usage is not None
    assert entry.quote is not None
    assert entry.cost is not None
    priced = Counter[str]()
    for line in entry.quote.lines:
        priced[line.bucket] += line.quantity
    assert dict(priced) == dict(entry.usage.buckets)
    assert entry.cost.amount == sum(line.subtotal for line in entry.quote.lines) > 0


def _tokens(usage: costtrace.Usage) -> Tokens:
    """The usage as the provider counts it, added up from the buckets; and the totals must be those sums."""
    counts = {
        bucket: count for bucket, count in usage.buckets.items() if bucket.startswith(("input", "cache", "output"))
    }
    output = sum(count for bucket, count in counts.items() if bucket.startswith("output"))
    assert usage.output_tokens == output
    assert usage.input_tokens == sum(counts.values()) - output
    return Tokens(
        input=usage.input_tokens,
        output=usage.output_tokens,
        cache_read=sum(count for bucket, count in counts.items() if bucket.startswith("cache_read")),
        cache_write=sum(count for bucket, count in counts.items() if bucket.startswith("cache_write")),
        reasoning=usage.reasoning_tokens,
    )


class NeverValid(BaseModel):
    """Rejects what the recorded model answers, as in the recorded test."""

    response: str

    @field_validator("response")
    @classmethod
    def refuse(cls, value: str) -> str:
        raise ValueError(value)


def test_an_answer_that_does_not_parse_is_a_failed_call_that_was_paid(
    player: TapePlayer, ledger: MemoryLedger, config: RunnableConfig
) -> None:
    unparsable = _calls("openai", "*schema_parsing_failures*")
    assert unparsable
    for call in unparsable:
        player.load(call)
        with costtrace.message() as message, pytest.raises(ValidationError):
            model_for(call, player.url).invoke("Hi", config, response_format=NeverValid)
        (entry,) = ledger.message(message.uuid).entries
        assert entry.status == "failed"
        assert entry.usage is not None
        assert _tokens(entry.usage) == billed(call)
        assert entry.model == served_model(call)
        _check_working(entry)


def test_a_tool_billed_apart_is_never_left_out_of_an_actual_cost(
    provider: str, player: TapePlayer, ledger: MemoryLedger, config: RunnableConfig
) -> None:
    with_tools = [call for call in _calls(provider) if tools_billed_apart(call)]
    assert with_tools
    for call in with_tools:
        player.load(call)
        with costtrace.message() as message:
            model_for(call, player.url).invoke("Hi", config)
        (entry,) = ledger.message(message.uuid).entries
        if entry.cost is not None and entry.quote is not None:
            lines = {line.bucket: line.quantity for line in entry.quote.lines}
            assert lines.items() >= tools_billed_apart(call).items(), f"{call}: {lines}"


def test_no_recording_is_missed(provider: str) -> None:
    calls = _calls(provider)
    found = (len(calls), sum(reported(call) is not None for call in calls), sum(call.failed for call in calls))
    since, *at_least = FOUND[provider]
    if _release(version(DISTRIBUTIONS[provider])) >= _release(since):
        assert all(now >= then for now, then in zip(found, at_least, strict=True)), f"{found} of {at_least}"
    assert all(found[:2])


def test_every_call_without_usage_is_an_http_error(provider: str) -> None:
    for call in _calls(provider):
        assert (reported(call) is None) == call.failed, f"{call}: HTTP {call.status}, usage {reported(call)}"


KNOWN = [
    ("openai-test_compaction", 2, billed, Tokens(input=19161, output=611, cache_read=18560)),
    ("openai-test_schema_parsing_failures", 0, billed, Tokens(input=44, output=402, reasoning=384)),
    ("anthropic-test_web_search", 1, billed, Tokens(input=32749, output=563)),
    ("anthropic-test_compaction", 1, billed, Tokens(input=83555, output=139)),
    ("anthropic-test_compaction", 1, reported, Tokens(input=0, output=0)),
    ("anthropic-test_compaction_streaming", 1, billed, Tokens(input=83779, output=176)),
]


@pytest.mark.parametrize(("name", "number", "read", "tokens"), KNOWN)
def test_the_tape_is_read_as_it_was_read_by_eye(
    name: str, number: int, read: Callable[[RecordedCall], Tokens | None], tokens: Tokens
) -> None:
    provider = name.partition("-")[0]
    if version(DISTRIBUTIONS[provider]) != FOUND[provider][0]:
        pytest.skip("another release may have recorded the call anew")
    assert read(_calls(provider, name)[number]) == tokens


def _release(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:3] if part.isdigit())
