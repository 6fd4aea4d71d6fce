"""Another instrumentation beside ours is found by what it does to LangChain, and pointed out once."""

from __future__ import annotations

import functools
import logging
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackManager

from costtrace.langchain import instrumentations
from costtrace.langchain.instrumentations import others, warn_of_others


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before, warned = BaseCallbackManager.__init__, dict(instrumentations._warned)
    yield
    BaseCallbackManager.__init__ = before  # type: ignore[method-assign]  # as those do
    instrumentations._warned.clear()
    instrumentations._warned.update(warned)


def put_around(module: str, *, tells: bool) -> None:
    """What an instrumentation does by hand; `tells` is for one whose wrapper says what it wraps."""
    original: Callable[..., None] = BaseCallbackManager.__init__

    def patched(self: Any, *arguments: Any, **named: Any) -> None:
        original(self, *arguments, **named)

    if tells:
        functools.update_wrapper(patched, original)
    patched.__module__ = module
    BaseCallbackManager.__init__ = patched  # type: ignore[method-assign]  # as those do


def test_langchain_alone_has_no_others() -> None:
    assert others() == ()


@pytest.mark.parametrize("tells", [True, False])
def test_a_function_in_the_place_of_the_constructor_is_found(tells: bool) -> None:  # noqa: FBT001 - a parameter of pytest
    put_around("theirs.patching", tells=tells)

    assert others() == ("theirs.patching",)


def test_one_around_another_is_found_with_it() -> None:
    put_around("first", tells=True)
    put_around("second", tells=True)

    assert others() == ("second", "first")


def test_each_is_pointed_out_once(caplog: pytest.LogCaptureFixture) -> None:
    put_around("theirs.patching", tells=True)
    with caplog.at_level(logging.WARNING, logger="costtrace"):
        warn_of_others()
        warn_of_others()

    (text,) = [record.getMessage() for record in caplog.records]
    assert text.startswith("theirs.patching makes spans of LangChain calls beside costtrace: ")
    assert 'spans="off"' in text


class Odd:
    """What somebody may have put there."""

    @property
    def __wrapped__(self) -> Any:
        raise RuntimeError("no")

    def __call__(self, *arguments: Any, **named: Any) -> None:
        raise NotImplementedError


@pytest.mark.expects_fault
def test_what_cannot_be_looked_at_is_no_problem_of_the_application(caplog: pytest.LogCaptureFixture) -> None:
    BaseCallbackManager.__init__ = Odd()  # type: ignore[method-assign]  # as those do
    warn_of_others()

    (record,) = caplog.records
    assert record.getMessage().startswith("costtrace failed while looking for other instrumentations")


def run(program: str) -> list[str]:
    """What the program printed; in a process of its own, since instrumentations stay."""
    command = [sys.executable, "-c", textwrap.dedent(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_instrumentation_of_traceloop_is_found_while_it_is_active() -> None:
    pytest.importorskip("opentelemetry.instrumentation.langchain", reason="the instrumentation is not installed")
    said = run("""
        from costtrace.langchain.instrumentations import others
        from opentelemetry.instrumentation.langchain import LangchainInstrumentor
        print(others())
        LangchainInstrumentor().instrument(skip_dep_check=True)
        print(others())
        """)

    assert said == ["()", "('opentelemetry.instrumentation.langchain',)"]


def test_the_export_of_langsmith_is_found_where_it_is_switched_on() -> None:
    said = run("""
        from langsmith import Client
        from costtrace.langchain.instrumentations import others
        Client(api_key="none", api_url="http://127.0.0.1:9", auto_batch_tracing=False)
        print(others())
        Client(api_key="none", api_url="http://127.0.0.1:9", auto_batch_tracing=False, tracing_mode="otel")
        print(others())
        """)

    assert said == ["()", "('langsmith (tracing mode otel or hybrid)',)"]


def test_the_handler_points_it_out_at_its_first_span_and_not_without_spans() -> None:
    pytest.importorskip("opentelemetry.instrumentation.langchain", reason="the instrumentation is not installed")
    said = run("""
        import logging, sys
        logging.basicConfig(stream=sys.stdout, format="%(message)s")
        from langchain_core.language_models import FakeListChatModel
        from opentelemetry.instrumentation.langchain import LangchainInstrumentor
        from opentelemetry.sdk.trace import TracerProvider
        from costtrace import Catalog, CostCallbackHandler, Recorder
        from costtrace.testing import MemoryLedger
        provider = TracerProvider()
        LangchainInstrumentor().instrument(skip_dep_check=True, tracer_provider=provider)
        for spans in ("off", "leaf", "all"):
            recorder = Recorder(MemoryLedger(), catalog=Catalog(), tracer_provider=provider, spans=spans)
            for _ in range(2):
                model = FakeListChatModel(responses=["yes"])
                model.invoke("Hi", {"callbacks": [CostCallbackHandler(recorder)]})
            print(spans, len(list(recorder.ledger.entries())))
        """)

    assert [line.split(" ")[0] for line in said] == ["off", "opentelemetry.instrumentation.langchain", "leaf", "all"]
    assert {line for line in said if line.endswith(" 2")} == {"off 2", "leaf 2", "all 2"}
