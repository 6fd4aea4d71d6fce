"""langchain-google-vertexai, which leaves thinking out of the output it reports.

Its client speaks to Google by REST here, through credentials that need no network.
"""

from typing import Any

import pytest

from costtrace.usage import FLAG_OVERLAP
from tests.integrations.providers.conftest import Recorded
from tests.integrations.providers.stand_in import StandIn

pytestmark = [
    pytest.mark.usefixtures("leaves_connections"),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    # Its own package says so, in favour of the other one.
    pytest.mark.filterwarnings("ignore:The class `ChatVertexAI` was deprecated"),
    pytest.mark.filterwarnings("ignore:Use .`ChatGoogleGenerativeAI`:DeprecationWarning"),
]

credentials = pytest.importorskip("google.auth.credentials")
vertexai = pytest.importorskip("langchain_google_vertexai")
USAGE = {
    "promptTokenCount": 2048,
    "cachedContentTokenCount": 1024,
    "candidatesTokenCount": 120,
    "thoughtsTokenCount": 380,
    "totalTokenCount": 2548,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 1548}, {"modality": "AUDIO", "tokenCount": 500}],
}


BUCKETS = {"cache_read": 1024, "input_audio": 500, "input": 524, "output": 500}


def answer(usage: dict[str, Any]) -> dict[str, Any]:
    candidate = {"content": {"parts": [{"text": "Hello."}], "role": "model"}, "finishReason": "STOP"}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-2.5-flash"}


def model(stand_in: StandIn, **options: Any) -> Any:
    return vertexai.ChatVertexAI(
        model="gemini-2.5-flash",
        project="project",
        location="europe-west1",
        credentials=credentials.AnonymousCredentials(),
        api_transport="rest",
        api_endpoint=stand_in.url,
        max_retries=1,
        **options,
    )


def test_thoughts_are_added_to_the_output_and_sound_told_apart(stand_in: StandIn, recorded: Recorded) -> None:
    stand_in.answers(answer(USAGE))
    entry = recorded(model(stand_in))
    usage = entry.usage
    assert usage is not None
    assert usage.raw["usage_metadata"]["output_tokens"] == 120  # what LangChain says, less than Google bills
    assert usage.buckets == BUCKETS
    assert (usage.input_tokens, usage.output_tokens, usage.reasoning_tokens) == (2048, 500, 380)
    assert usage.flags == (FLAG_OVERLAP,)  # how much of the sound was cached is not told
    assert (entry.provider, entry.model) == ("google_vertexai", "gemini-2.5-flash")
    assert entry.details["price_context"] == {"region": "europe-west1"}


def test_without_thoughts_nothing_is_added(stand_in: StandIn, recorded: Recorded) -> None:
    stand_in.answers(answer({"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}))
    usage = recorded(model(stand_in)).usage
    assert usage is not None
    assert (dict(usage.buckets), usage.flags) == ({"input": 10, "output": 5}, ())
