"""langchain-mistralai, which reports three totals. Shapes: https://docs.mistral.ai/api/endpoint/chat."""

from typing import Any

import pytest

from costtrace.usage import FLAG_DETAILS_LOST, FLAG_INCOMPLETE
from tests.integrations.providers.conftest import Recorded
from tests.integrations.providers.partition import usage_of
from tests.integrations.providers.stand_in import StandIn

pytestmark = [
    pytest.mark.usefixtures("leaves_connections"),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]

mistral = pytest.importorskip("langchain_mistralai")

TOTALS = {"prompt_tokens": 1500, "completion_tokens": 60, "total_tokens": 1560}
HEAD = {"id": "m-1", "created": 1795300000, "model": "mistral-large-2512"}


def answer(usage: dict[str, Any]) -> dict[str, Any]:
    message = {"role": "assistant", "content": "Hello.", "tool_calls": None}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {**HEAD, "object": "chat.completion", "choices": [choice], "usage": usage}


def model(stand_in: StandIn) -> Any:
    return mistral.ChatMistralAI(
        model="mistral-large-2512", api_key="test", endpoint=f"{stand_in.url}/v1", max_retries=1
    )


@pytest.mark.parametrize(
    "said", [{"prompt_tokens_details": {"cached_tokens": 1408}}, {"num_cached_tokens": 1408}], ids=["details", "count"]
)
def test_cached_input_is_read_from_the_raw_record(stand_in: StandIn, recorded: Recorded, said: dict[str, Any]) -> None:
    stand_in.answers(answer({**TOTALS, **said}))
    entry = recorded(model(stand_in))
    usage = usage_of(entry)
    assert usage.buckets == {"cache_read": 1408, "input": 92, "output": 60}
    assert usage.flags == ()
    assert (entry.provider, entry.model) == ("mistral", "mistral-large-2512")


def test_without_a_cache_all_input_is_plain(stand_in: StandIn, recorded: Recorded) -> None:
    stand_in.answers(answer(TOTALS))
    usage = usage_of(recorded(model(stand_in)))
    assert (dict(usage.buckets), usage.flags) == ({"input": 1500, "output": 60}, ())


def test_seconds_of_sound_are_billed_and_no_token(stand_in: StandIn, recorded: Recorded) -> None:
    stand_in.answers(answer({**TOTALS, "prompt_audio_seconds": 12}))
    assert usage_of(recorded(model(stand_in))).flags == (FLAG_INCOMPLETE,)


def test_a_stream_is_known_to_hide_what_was_cached(stand_in: StandIn, recorded: Recorded) -> None:
    head = {**HEAD, "object": "chat.completion.chunk"}
    last = {"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}
    usage = {**TOTALS, "prompt_tokens_details": {"cached_tokens": 1408}}
    stand_in.streams(
        [
            {**head, "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hello."}}]},
            {**head, "choices": [last], "usage": usage},
        ]
    )
    found = usage_of(recorded(model(stand_in), stream=True))
    assert found.buckets == {"input": 1500, "output": 60}
    assert found.flags == (FLAG_DETAILS_LOST,)
