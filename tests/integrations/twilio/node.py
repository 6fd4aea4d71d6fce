"""Servers from npm as optional peers: installed once into the project's cache, kept on loopback, gone with the test."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

_PROJECT = Path(__file__).parents[3]
_LOOPBACK_ONLY = Path(__file__).with_name("loopback_only.cjs")
_INSTALL_S = 180
_START_S = 60


def installed(package: str, version: str) -> Path:
    """The folder of an npm package of exactly that version. Skips the test where it cannot be had."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip(f"{package} needs Node.js and npm")
    prefix = _PROJECT / ".cache" / "npm" / f"{package.replace('/', '-').lstrip('@')}-{version}"
    if not prefix.exists():
        _install(f"{package}@{version}", prefix)
    return prefix / "node_modules" / package


def _install(package: str, prefix: Path) -> None:
    """Into a folder of its own that is there whole or not at all, whoever else installs at the same time."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]
    with tempfile.TemporaryDirectory(dir=prefix.parent) as scratch:
        target = Path(scratch, "prefix")
        target.mkdir()
        command = ["npm", "install", *options, "--prefix", str(target), package]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=_INSTALL_S)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as failure:
            pytest.skip(f"npm could not install {package}: {type(failure).__name__}")
        if not prefix.exists():
            target.rename(prefix)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def running(script: Path, arguments: Sequence[str], *, port: int) -> Iterator[str]:
    """`node script arguments` while the block lasts, once it listens; yields the address with that port."""
    command = ["node", "--require", str(_LOOPBACK_ONLY), str(script), *arguments]
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "CI": "true", "NO_COLOR": "1"}
    with (
        tempfile.TemporaryDirectory() as scratch,
        Path(scratch, "said").open("wb") as output,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=output, env=environment) as process,
    ):
        try:
            said = _until_listening(process, Path(scratch, "said"))
            assert "listening on 127.0.0.1\n" in said, f"{script} did not start on loopback:\n{said}"
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def _until_listening(process: "subprocess.Popen[bytes]", output: Path) -> str:
    """What it said until it listened, ended, or took too long."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        said = output.read_text(encoding="utf-8", errors="replace")
        if "listening on " in said or process.poll() is not None:
            break
        time.sleep(0.05)
    return said
