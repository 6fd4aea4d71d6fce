"""langchain-google-genai. Shapes: https://ai.google.dev/api/generate-content."""

from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from costtrace.usage import FLAG_DETAILS_LOST, FLAG_TOOL_FEES
from tests.integrations.providers.conftest import Recorded
from tests.integrations.providers.partition import usage_of
from tests.integrations.providers.stand_in import StandIn

pytestmark = [
    pytest.mark.usefixtures("leaves_connections"),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]

google = pytest.importorskip("langchain_google_genai")

USAGE = {
    "promptTokenCount": 2048,
    "cachedContentTokenCount": 1024,
    "candidatesTokenCount": 120,
    "thoughtsTokenCount": 380,
    "toolUsePromptTokenCount": 52,
    "totalTokenCount": 2600,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 2048}],
}
BUCKETS = {"cache_read": 1024, "input": 1076, "output": 500}
QUERIES = ["price of gpt", "price of claude", ""]


def answer(
    model: str, *, grounding: dict[str, Any] | None = None, usage: dict[str, Any] | None = None
) -> dict[str, Any]:
    candidate: dict[str, Any] = {
        "content": {"parts": [{"text": "Hello."}], "role": "model"},
        "finishReason": "STOP",
        "index": 0,
    }
    if grounding is not None:
        candidate["groundingMetadata"] = grounding
    return {"candidates": [candidate], "usageMetadata": usage or USAGE, "modelVersion": model, "responseId": "r1"}


def model(stand_in: StandIn, name: str = "gemini-3.1-pro-preview", **options: Any) -> Any:
    return google.ChatGoogleGenerativeAI(
        model=name, google_api_key="test", base_url=stand_in.url, max_retries=1, **options
    )


def test_thoughts_are_output_and_what_tools_brought_in_is_input(stand_in: StandIn, recorded: Recorded) -> None:
    stand_in.answers(answer("gemini-3.1-pro-preview"))
    entry = recorded(model(stand_in))
    usage = usage_of(entry)
    assert usage.buckets == BUCKETS
    assert (usage.reasoning_tokens, usage.flags) == (380, ())
    assert (entry.provider, entry.model) == ("google_genai", "gemini-3.1-pro-preview")


def test_a_stream_that_counts_up_is_not_added_up(stand_in: StandIn, recorded: Recorded) -> None:
    early = {"promptTokenCount": 2048, "cachedContentTokenCount": 1024, "thoughtsTokenCount": 300}
    first = answer("gemini-3.1-pro-preview", usage={**early, "totalTokenCount": 2348})
    del first["candidates"][0]["finishReason"]
    stand_in.streams([first, answer("gemini-3.1-pro-preview")], done=False)
    usage = usage_of(recorded(model(stand_in), stream=True))
    assert usage.buckets == BUCKETS
    assert usage.reasoning_tokens == 380


@pytest.mark.parametrize(("name", "searches"), [("gemini-3.1-pro-preview", 2), ("gemini-2.5-flash", 1)])
def test_grounding_is_counted_by_query_and_before_gemini_3_by_prompt(
    stand_in: StandIn, recorded: Recorded, name: str, searches: int
) -> None:
    stand_in.answers(answer(name, grounding={"webSearchQueries": QUERIES, "groundingChunks": []}))
    usage = usage_of(recorded(model(stand_in, name)))
    assert usage.buckets == {**BUCKETS, "web_search": searches}
    assert usage.flags == ()


def test_a_grounding_that_looked_nothing_up_costs_nothing(stand_in: StandIn, recorded: Recorded) -> None:
    stand_in.answers(answer("gemini-2.5-flash", grounding={"webSearchQueries": []}))
    assert usage_of(recorded(model(stand_in, "gemini-2.5-flash"))).buckets == BUCKETS


def test_maps_have_a_fee_that_nothing_counts(stand_in: StandIn, recorded: Recorded) -> None:
    maps = {"groundingChunks": [{"maps": {"uri": "https://maps.example", "title": "Here"}}]}
    stand_in.answers(answer("gemini-2.5-flash", grounding=maps))
    assert usage_of(recorded(model(stand_in, "gemini-2.5-flash"))).flags == (FLAG_TOOL_FEES,)


def test_spoken_input_is_known_to_be_counted_as_text(stand_in: StandIn, recorded: Recorded) -> None:
    """The integration drops the count by modality, and Google bills sound at a rate of its own."""
    stand_in.answers(answer("gemini-2.5-flash"))
    sound = {"type": "media", "mime_type": "audio/wav", "data": "UklGRg=="}
    spoken = [HumanMessage([{"type": "text", "text": "What is said?"}, sound])]
    usage = usage_of(recorded(model(stand_in, "gemini-2.5-flash"), spoken))
    assert usage.flags == (FLAG_DETAILS_LOST,)
