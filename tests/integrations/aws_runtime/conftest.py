"""One deployment for the tests of a file: each test has messages of its own in it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from costtrace.sandbox.openai import OpenAIServer
from costtrace.sandbox.twilio import TwilioServer
from tests.integrations.aws_runtime.stack import PUBLIC, Stack, deployed
from tests.peers.emulator import Emulator
from tests.peers.fixtures import *  # noqa: F403 - fixtures


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without AWS's runtime client there is nothing to run a handler under."""
    try:
        import awslambdaric  # noqa: F401, PLC0415 - is it there?
    except ImportError:
        here = os.path.dirname(__file__)  # noqa: PTH120 - compared as text
        for item in items:
            if str(item.path).startswith(here):
                item.add_marker(pytest.mark.skip(reason="awslambdaric is not installed: pip install awslambdaric"))


@pytest.fixture(scope="module")
def openai() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


@pytest.fixture(scope="module")
def twilio() -> Iterator[TwilioServer]:
    with TwilioServer(manual=True, inbound_url=f"{PUBLIC}/sms/inbound") as server:
        yield server


@pytest.fixture(scope="module")
def stack(aws_emulator: Emulator, twilio: TwilioServer, openai: OpenAIServer) -> Iterator[Stack]:
    with deployed(aws_emulator.account(), twilio=twilio, openai=openai) as running:
        yield running
