"""The names of ``costtrace.twilio``: each is there, and asking for one that is pure loads no client."""

from __future__ import annotations

import subprocess
import sys

import pytest

import costtrace.twilio


def test_every_name_is_there() -> None:
    assert dir(costtrace.twilio) == costtrace.twilio.__all__ == sorted(costtrace.twilio.__all__)
    for name in costtrace.twilio.__all__:
        assert getattr(costtrace.twilio, name) is not None
    assert set(costtrace.twilio._HOME_OF) == set(costtrace.twilio.__all__)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"module 'costtrace\.twilio' has no attribute 'sms'"):
        costtrace.twilio.sms  # noqa: B018 - what the test is about


def test_an_estimate_loads_neither_the_client_nor_a_web_server() -> None:
    code = """
import sys
from costtrace.twilio import estimate
estimate("hello", "+14155550100")
print(sorted({"twilio", "requests", "aiohttp", "starlette", "genai_prices", "langchain_core"} & set(sys.modules)))
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"
