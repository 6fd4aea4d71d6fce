"""Emulators of AWS as peers: a process of their own on a free port of this machine, gone with the test run.

MiniStack is the main one. Moto is asked about single calls one after the other, because its conditions are no lock.
"""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

import boto3
import pytest
from botocore.config import Config

REGION: Final = "eu-central-1"
ROOT_SECRET: Final = "testing-secret"  # noqa: S105 - of an emulator
_PROJECT: Final = Path(__file__).parents[2]
_START_S: Final = 60
_numbers: Final = count(os.getpid() % 100_000 * 1_000_000 + 100_000_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account of an emulator that nobody else uses, and how to reach it."""

    endpoint: str
    """``http://127.0.0.1:PORT``."""
    access_key_id: str
    secret: str = ROOT_SECRET
    region: str = REGION

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which boto3, Terraform and Lambda functions reach it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, service: str = "dynamodb", *, endpoint: str | None = None, **config: Any) -> Any:
        """A boto3 client that retries nothing by itself; `endpoint` of a proxy before it, `config` for botocore."""
        session: Any = boto3.session.Session(
            aws_access_key_id=self.access_key_id, aws_secret_access_key=self.secret, region_name=self.region
        )
        known: dict[str, Any] = {
            "retries": {"mode": "standard", "total_max_attempts": 1},
            "connect_timeout": 2,
            "read_timeout": 10,
            "max_pool_connections": 50,
        }
        return session.client(service, endpoint_url=endpoint or self.endpoint, config=Config(**{**known, **config}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulator:
    """A running emulator."""

    name: str
    endpoint: str

    def account(self) -> Account:
        """An account without anything in it: twelve digits as the key id are the account."""
        return Account(endpoint=self.endpoint, access_key_id=f"{next(_numbers) % 10**12:012d}")


def peer_python() -> Path:
    """The Python that has the emulators: COSTTRACE_MINISTACK, else that of `.venv-peers`. Skips where there is none."""
    named = os.environ.get("COSTTRACE_MINISTACK")
    python = Path(named) if named else _PROJECT / ".venv-peers" / "bin" / "python"
    if not python.exists():
        pytest.skip(
            f"no emulator of AWS: {python} is missing; `make test` installs it, COSTTRACE_MINISTACK names another"
        )
    return python


@contextmanager
def ministack(*, enforce_iam: bool = False) -> Iterator[Emulator]:
    """MiniStack while the block lasts; with `enforce_iam`, signatures and policies count."""
    port = _free_port()
    settings = {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "MINISTACK_REGION": REGION,
        "AWS_SECRET_ACCESS_KEY": ROOT_SECRET,
        "LOG_LEVEL": "ERROR",
        "AUTH": "true" if enforce_iam else "false",
    }
    command = [str(peer_python()), "-m", "ministack"]
    with _running(command, settings, f"http://127.0.0.1:{port}", "/_ministack/health") as endpoint:
        yield Emulator(name="MiniStack", endpoint=endpoint)


@contextmanager
def moto() -> Iterator[Emulator]:
    """Moto's server while the block lasts."""
    port = _free_port()
    command = [str(peer_python()), "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with _running(command, {}, f"http://127.0.0.1:{port}", "/moto-api/data.json") as endpoint:
        yield Emulator(name="moto", endpoint=endpoint)


@contextmanager
def _running(command: Sequence[str], settings: Mapping[str, str], endpoint: str, health: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as scratch, Path(scratch, "said").open("wb") as output:
        environment = {"PATH": os.environ["PATH"], "HOME": scratch, "TMPDIR": scratch, **settings}
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment, cwd=scratch)
        try:
            if not _answers(process, endpoint + health):
                said = Path(scratch, "said").read_text(encoding="utf-8", errors="replace")
                pytest.fail(f"{command[2]} did not start:\n{said[-2000:]}")
            yield endpoint
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _answers(process: subprocess.Popen[bytes], url: str) -> bool:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - an address of this machine
                return True
        except (OSError, urllib.error.URLError):
            time.sleep(0.05)
    return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port
