"""An AWS on this machine: MiniStack, in a process of its own and on a free port of 127.0.0.1.

MiniStack demands one exact version of botocore, so it lives in an environment of its own and is found by that
environment's Python. Nothing of the real AWS is near: its process gets no variable of this one, and the clients that
`AwsEmulator.client` makes know its address, credentials of no value, and no profile, proxy or address besides.

The process lives as long as its standard input is open: that ends with the block, and also with a parent that was
killed.
"""

from __future__ import annotations

import http.client
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from costtrace.errors import ConfigurationError, MissingExtra

try:
    import boto3
    import botocore.session
    from botocore.config import Config
except ImportError:
    raise MissingExtra(package="boto3", feature="the demo on an emulated AWS", extra="dynamodb") from None

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION: Final = "1.5.33"
"""Of MiniStack, the one that was tried. It is young, and its versions differ."""
REGION: Final = "eu-central-1"

_KEY: Final = "testing"
_SECRET: Final = "testing-secret"  # noqa: S105 - of an emulator
_HEALTH: Final = "/_ministack/health"
_OK: Final = 200
_START_S: Final = 60.0
_STOP_S: Final = 10.0
_POLL_S: Final = 0.02
_SAID: Final = 300
_VENV: Final = Path(".venv-peers", "bin", "python")
_CONFIG: Final = Config(
    retries={"mode": "standard", "total_max_attempts": 3},
    connect_timeout=2,
    read_timeout=10,
    proxies={},
    use_fips_endpoint=False,
    use_dualstack_endpoint=False,
)
_OF_THE_ENVIRONMENT: Final = ("profile", "config_file", "credentials_file", "ca_bundle")
"""What botocore would take from variables and files of the user."""

_CHILD: Final = """\
import os, runpy, shutil, threading

scratch = os.getcwd()  # a parent that was interrupted may have removed it by the time it is needed

def last_as_long_as_the_parent():
    try:
        os.read(0, 1)
        shutil.rmtree(scratch, ignore_errors=True)
    finally:
        os._exit(0)

threading.Thread(target=last_as_long_as_the_parent, daemon=True).start()
runpy.run_module("ministack", run_name="__main__", alter_sys=True)
"""


def find_python(named: str | None) -> Path:
    """The Python that has MiniStack: that one; else that of ``ministack`` on the PATH; else that of ``.venv-peers``.

    Raises ConfigurationError, saying how to get one.
    """
    if named:
        if not Path(named).is_file():
            expected = "the path of a Python that has ministack"
            raise ConfigurationError(f"COSTTRACE_MINISTACK: expected {expected}, got {named!r}")
        return Path(named)
    command = shutil.which("ministack")
    for python in (command and Path(command).resolve().with_name("python"), Path.cwd() / _VENV):
        if python and python.is_file():
            return python
    raise ConfigurationError(
        "no emulator of AWS is installed: run `make demo-aws` in a clone of costtrace, or"
        f" `python -m venv ministack && ministack/bin/pip install ministack=={VERSION}`"
        " and set COSTTRACE_MINISTACK=ministack/bin/python"
    )


class AwsEmulator:
    """MiniStack for the length of a ``with`` block; `python` is one that has it.

    Empty at the start, gone at the end with all that was in it. Takes about a second. Raises ConfigurationError where
    it does not come up, with what it said last.
    """

    def __init__(self, python: Path) -> None:
        self._python = python
        self._running = ExitStack()
        self.endpoint = ""
        """``http://127.0.0.1:PORT``. There inside the block."""

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            port = _free_port()
            process, said = starting.enter_context(self._process(port))
            _wait(process, said, port)
            self.endpoint = f"http://127.0.0.1:{port}"
            self._running = starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def client(self, service: str) -> Any:
        """A boto3 client of that service, such as ``dynamodb``, which knows this emulator and no other AWS."""
        core = botocore.session.Session()
        store = core.get_component("config_store")
        for name in _OF_THE_ENVIRONMENT:
            store.set_config_variable(name, None)
        session: Any = boto3.session.Session(
            aws_access_key_id=_KEY, aws_secret_access_key=_SECRET, region_name=REGION, botocore_session=core
        )
        return session.client(service, endpoint_url=self.endpoint, config=_CONFIG)

    @contextmanager
    def _process(self, port: int) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
            said = Path(scratch, "said")
            with (
                said.open("wb") as output,
                subprocess.Popen(  # noqa: S603 - the Python that was named, with our own words
                    [str(self._python.absolute()), "-c", _CHILD],
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=output,
                    cwd=scratch,
                    env=_environment(scratch, port),
                    start_new_session=True,  # Ctrl-C reaches the whole group; when to stop is the parent's choice
                ) as process,
            ):
                try:
                    yield process, said
                finally:
                    _stop(process)


def _environment(scratch: str, port: int) -> dict[str, str]:
    return {
        "BIND_HOST": "127.0.0.1",  # unless told so, it listens to everybody
        "GATEWAY_PORT": str(port),
        "MINISTACK_REGION": REGION,
        "AWS_SECRET_ACCESS_KEY": _SECRET,
        "LOG_LEVEL": "ERROR",
        "HOME": scratch,
        "TMPDIR": scratch,
        "S3_DATA_DIR": str(Path(scratch, "s3")),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONWARNINGS": "ignore",
    }


def _wait(process: subprocess.Popen[bytes], said: Path, port: int) -> None:
    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        if _is_well(port):
            return
        time.sleep(_POLL_S)
    lines = [line.strip() for line in said.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    last = next((line for line in lines if line.startswith("ERROR")), lines[-1] if lines else "and said nothing")
    how = "did not answer" if process.returncode is None else f"ended with {process.returncode}"
    raise ConfigurationError(f"the emulator of AWS did not start: MiniStack {how}: {last[:_SAID]}")


def _is_well(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", _HEALTH)
        return connection.getresponse().status == _OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    process.stdin.close()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port
