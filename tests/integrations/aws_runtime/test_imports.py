"""What a function loads when it is initialised: that is billed, and the small zip holds no LangChain."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable

import pytest

from tests.integrations.aws_runtime.runtime import HANDLERS

SETTINGS = {
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "COSTTRACE_LEDGER": "dynamodb://",
    "COSTTRACE_PUBLIC_BASE_URL": "https://example.com",
    "COSTTRACE_HASH_KEY": "a key of the tests, 32 bytes lon",
    "COSTTRACE_FROM_NUMBER": "+14155550199",
    "COSTTRACE_PARKED_QUEUE_URL": "https://sqs.example.com/0/parked",
    "COSTTRACE_REPLY_QUEUE_URL": "https://sqs.example.com/0/reply",
    "COSTTRACE_DEAD_LETTER_QUEUE_URL": "https://sqs.example.com/0/dead",
    "TWILIO_ACCOUNT_SID": "AC" + "a" * 32,
    "TWILIO_AUTH_TOKEN": "0123456789abcdef0123456789abcdef",
    "OPENAI_API_KEY": "sk-test",
}
SMALL = ("sms_inbound", "sms_callback", "parked", "settlement", "reconcile", "stream", "notifications")
LARGE = ("chat", "reply")
NOT_IN_SMALL = ("langchain", "langchain_core", "langchain_openai", "langsmith", "orjson", "rich", "starlette", "typer")
NEVER = {"langchain", "langchain_core", "langchain_openai", "langsmith", "openai", "posthog", "pyarrow"}
VERIFYING = {"twilio", "requests", "aiohttp", "genai_prices", "pydantic", "starlette", "anyio", "opentelemetry.sdk"}


def loaded_by(statement: str, *, missing: Iterable[str] = ()) -> set[str]:
    """The modules that are there afterwards, in an interpreter where `missing` are not installed."""
    hidden = f"import sys, json\nfor name in {sorted(missing)}: sys.modules[name] = None\n"
    said = "print(json.dumps([name for name, module in sys.modules.items() if module is not None]))"
    code = f"{hidden}{statement}\n{said}"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(HANDLERS), **SETTINGS}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("name", SMALL)
def test_a_function_of_the_small_zip_needs_no_langchain(name: str) -> None:
    loaded = loaded_by(f"import handlers.{name}", missing=NOT_IN_SMALL)
    assert not NEVER & loaded
    assert f"handlers.{name}" in loaded


@pytest.mark.parametrize("name", ["sms_callback", "parked"])
def test_a_function_that_only_verifies_and_stores_loads_no_vendor_but_aws(name: str) -> None:
    assert not (VERIFYING | NEVER) & loaded_by(f"import handlers.{name}")


def test_an_inbound_message_is_taken_without_twilios_sdk() -> None:
    assert not {"twilio", "requests", "aiohttp", "genai_prices"} & loaded_by("import handlers.sms_inbound")


@pytest.mark.parametrize("name", LARGE)
def test_the_functions_of_the_large_zip_load_one_provider(name: str) -> None:
    loaded = loaded_by(f"import handlers.{name}")
    assert "langchain_openai" in loaded
    assert not {"posthog", "pyarrow", "starlette", "langchain_anthropic", "langchain_aws"} & loaded


def test_every_function_has_a_handler() -> None:
    assert {path.stem for path in (HANDLERS / "handlers").glob("*.py")} == {*SMALL, *LARGE, "agent", "__init__"}


def test_the_package_loads_no_aws() -> None:
    assert not {"boto3", "botocore", "costtrace.aws"} & loaded_by("import costtrace")
