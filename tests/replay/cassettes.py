"""The HTTP calls that LangChain's provider packages recorded against the real APIs.

langchain-openai and langchain-anthropic ship these recordings in their source distributions. The distribution of
exactly the installed version is downloaded with pip into ``.cache/sdists``, once. Nothing of it is committed.
"""

import fcntl
import gzip
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

CACHE = Path(__file__).parents[2] / ".cache" / "sdists"
DISTRIBUTIONS = {"openai": "langchain-openai", "anthropic": "langchain-anthropic"}
DOWNLOAD_SECONDS = 180


class NoCassettesError(Exception):
    """The source distribution could not be obtained; the text says why."""


@dataclass(frozen=True, kw_only=True)
class RecordedCall:
    """One chat request as it was sent, and the response as it came back."""

    provider: str
    position: int
    uri: str
    request: Mapping[str, Any]
    status: int
    body: bytes

    @property
    def streamed(self) -> bool:
        return bool(self.request.get("stream"))

    @property
    def through_responses_api(self) -> bool:
        return "input" in self.request

    @property
    def failed(self) -> bool:
        return self.status >= 400

    def __str__(self) -> str:
        return f"call {self.position} to {self.request['model']}"


@dataclass(frozen=True, kw_only=True)
class Cassette:
    """One recorded test of a provider package."""

    provider: str
    path: Path

    @property
    def name(self) -> str:
        return f"{self.provider}-{self.path.name.removesuffix('.yaml.gz')}"

    @cached_property
    def calls(self) -> tuple[RecordedCall, ...]:
        """The chat calls only: downloads, telemetry and embeddings on the same tape are left out."""
        with gzip.open(self.path) as tape:
            exchanges = yaml.load(tape, yaml.CSafeLoader)
        calls = (
            _chat_call(self.provider, position, request, response)
            for position, (request, response) in enumerate(
                zip(exchanges["requests"], exchanges["responses"], strict=True)
            )
        )
        return tuple(call for call in calls if call is not None)


@cache
def cassettes(provider: str) -> tuple[Cassette, ...]:
    """Every cassette of the installed version with a chat call on it, by name; raises NoCassettesError."""
    found = (Cassette(provider=provider, path=path) for path in sorted(_fetched(DISTRIBUTIONS[provider]).iterdir()))
    return tuple(cassette for cassette in found if cassette.calls)


def _chat_call(
    provider: str, position: int, request: Mapping[str, Any], response: Mapping[str, Any]
) -> RecordedCall | None:
    sent = _json_object(request["body"])
    embedding = "encoding_format" in sent
    if request["method"] != "POST" or embedding or not sent.keys() & {"messages", "input"}:
        return None
    body = response["body"]["string"]
    return RecordedCall(
        provider=provider,
        position=position,
        uri=request["uri"],
        request=sent,
        status=response["status"]["code"],
        body=body if isinstance(body, bytes) else body.encode(),
    )


def _json_object(body: bytes | str | None) -> dict[str, Any]:
    try:
        parsed = json.loads(body or "{}")
    except ValueError:  # A multipart telemetry upload.
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _fetched(distribution: str) -> Path:
    """The folder of the cassettes, complete or not there at all, however many processes ask at once."""
    release = f"{distribution}-{version(distribution)}"
    folder = CACHE / release
    CACHE.mkdir(parents=True, exist_ok=True)
    with _locked(CACHE / f"{release}.lock"):
        if not folder.is_dir():
            _refuse_to_repeat_a_failure(release)
            with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
                unpacked = Path(scratch) / release
                _unpack(_downloaded(distribution, Path(scratch)), unpacked)
                unpacked.rename(folder)
    return folder


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _refuse_to_repeat_a_failure(release: str) -> None:
    """All workers of one run must collect the same tests, so the first one's failure stands for all."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    failure = CACHE / f"{release}.unavailable"
    if run and failure.is_file():
        failed_run, _, reason = failure.read_text().partition("\n")
        if failed_run == run:
            raise NoCassettesError(reason)


def _downloaded(distribution: str, into: Path) -> Path:
    requirement = f"{distribution}=={version(distribution)}"
    options = ["--quiet", "--no-deps", "--retries", "1", "--timeout", "20", "--no-binary", distribution]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(into), requirement]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DOWNLOAD_SECONDS)
    except subprocess.TimeoutExpired:
        raise _unavailable(requirement, f"no answer within {DOWNLOAD_SECONDS} s") from None
    archives = list(into.glob("*.tar.gz"))
    if done.returncode or not archives:
        raise _unavailable(requirement, done.stderr)
    return archives[0]


def _unavailable(requirement: str, why: str) -> NoCassettesError:
    lines = [line for line in why.splitlines() if line.strip()] or ["pip gave no reason"]
    reason = f"no source distribution of {requirement}: {re.sub(r'https?://[^ /]*', 'the index', lines[-1])}"
    (CACHE / f"{requirement.replace('==', '-')}.unavailable").write_text(
        f"{os.environ.get('PYTEST_XDIST_TESTRUNUID', '')}\n{reason}"
    )
    return NoCassettesError(reason)


def _unpack(archive: Path, folder: Path) -> None:
    folder.mkdir()
    with tarfile.open(archive) as tar:
        for member in tar:
            path = PurePosixPath(member.name)
            tape = tar.extractfile(member) if path.match("tests/cassettes/*.yaml.gz") else None
            if tape:
                (folder / path.name).write_bytes(tape.read())
