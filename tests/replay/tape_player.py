"""A loopback server that answers with recordings, and the real chat models pointed at it."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from tests.replay.cassettes import RecordedCall

NO_KEY = SecretStr("no-key")
SECONDS = 30
# Requests that need Anthropic's beta client, when the recording does not show the query string that tells.
BETA_FIELDS = {"container", "context_management", "mcp_servers"}


class TapePlayer(ThreadingHTTPServer):
    """Answers every POST with the call that is loaded, and remembers which paths were asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.loaded: RecordedCall | None = None
        self.paths: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def load(self, call: RecordedCall) -> None:
        self.loaded = call
        self.paths.clear()


class _Answer(BaseHTTPRequestHandler):
    # HTTP/1.0, the default here, closes after each answer: no client keeps a socket that a test would have to close.

    server: TapePlayer

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.paths.append(self.path)
        call = self.server.loaded
        assert call is not None
        self.send_response(call.status)
        self.send_header("content-type", "text/event-stream" if call.streamed else "application/json")
        self.send_header("content-length", str(len(call.body)))
        self.end_headers()
        self.wfile.write(call.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server names the argument.
        """Keep the test output clean."""


@contextmanager
def playing() -> Iterator[TapePlayer]:
    player = TapePlayer()
    thread = Thread(target=player.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield player
    finally:
        player.shutdown()
        thread.join()
        player.server_close()


def model_for(call: RecordedCall, url: str) -> BaseChatModel:
    """The real chat model, set up so that it parses the recorded answer the way it was parsed when recorded."""
    return _anthropic(call, url) if call.provider == "anthropic" else _openai(call, url)


def _openai(call: RecordedCall, url: str) -> ChatOpenAI:
    return ChatOpenAI(
        model=call.request["model"],
        api_key=NO_KEY,
        base_url=url,
        max_retries=0,
        streaming=call.streamed,
        stream_usage=True,
        timeout=SECONDS,
        use_responses_api=call.through_responses_api,
    )


def _anthropic(call: RecordedCall, url: str) -> ChatAnthropic:
    through_beta = "beta=true" in call.uri or bool(call.request.keys() & BETA_FIELDS)
    return ChatAnthropic(
        model_name=call.request["model"],
        api_key=NO_KEY,
        base_url=url,
        max_retries=0,
        max_tokens_to_sample=call.request["max_tokens"],
        timeout=SECONDS,
        stop=None,
        streaming=call.streamed,
        stream_usage=True,
        betas=["recorded"] if through_beta else None,
        context_management=call.request.get("context_management"),
    )
