"""langchain-aws, ChatAnthropicBedrock: Anthropic's client, Amazon's bill."""

import base64
import json
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, SystemMessage

from tests.integrations.providers.conftest import Recorded
from tests.integrations.providers.partition import usage_of
from tests.integrations.providers.stand_in import StandIn
from tests.integrations.providers.test_anthropic import BUCKETS, SAID, USAGE, events, message

pytestmark = [
    pytest.mark.usefixtures("leaves_connections"),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]

aws = pytest.importorskip("langchain_aws")

MODEL = "us.anthropic.claude-sonnet-4-6"
RULES = {"type": "text", "text": "Rules.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
PROMPT = [SystemMessage([RULES]), HumanMessage("Hi")]


@pytest.fixture(autouse=True)
def _address(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package hands no address on to Anthropic's client, which reads this one."""
    monkeypatch.setenv("ANTHROPIC_BEDROCK_BASE_URL", stand_in.url)


def model() -> Any:
    return aws.ChatAnthropicBedrock(
        model=MODEL,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - nobody's
        max_retries=0,
    )


def test_the_bill_is_amazons_and_the_counts_are_anthropics(stand_in: StandIn, recorded: Recorded) -> None:
    stand_in.answers(message([SAID], USAGE))
    entry = recorded(model())
    usage = usage_of(entry)
    assert usage.buckets == BUCKETS
    assert usage.flags == ()
    assert (entry.provider, entry.requested_model) == ("anthropic-bedrock", MODEL)
    assert entry.details["price_context"] == {"region": "us-east-1", "inference_geo": "global"}


def test_a_stream_loses_how_long_a_write_is_kept_and_the_request_still_knows(
    stand_in: StandIn, recorded: Recorded
) -> None:
    encoded = [base64.b64encode(json.dumps(event).encode()).decode() for event in events([SAID], USAGE)]
    stand_in.streams_frames([("chunk", {"bytes": text}) for text in encoded])
    entry = recorded(model(), PROMPT, stream=True)
    assert usage_of(entry).buckets == {"cache_read": 18886, "cache_write": 5500, "input": 21, "output": 393}
    assert entry.details["price_context"] == {"region": "us-east-1", "cache_ttl": "1h"}
