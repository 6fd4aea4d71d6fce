"""The zips of the functions: whole, small enough, without LangChain where it is not wanted, and the same every time."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.integrations.terraform.terraform import PROJECT

LAMBDA = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "aarch64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.12.11",
    "python_version": "3.12",
    "sys_platform": "linux",
}
LIMIT_S = 300
SCRIPT = Path("integrations", "aws", "build.py")
pytestmark = pytest.mark.timeout(2 * LIMIT_S)


def build(script: Path, out: Path, *options: str) -> None:
    """Skips where no package index can be reached: the wheels are those of another machine."""
    command = [sys.executable, str(script), "--out", str(out), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    unreachable = ("No matching distribution", "connection", "Could not find a version", "Temporary failure")
    if done.returncode and any(sign in done.stderr for sign in unreachable):
        pytest.skip(f"the packages of the zip could not be had: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The project as it is now, in two folders."""
    first, second = (tmp_path_factory.mktemp(name) / "project" for name in ("here", "somewhere-else"))
    ignored = shutil.ignore_patterns("__pycache__", ".terraform", "terraform")
    for name in ("src", "integrations"):
        shutil.copytree(PROJECT / name, first / name, ignore=ignored)
    for name in ("pyproject.toml", "constraints.txt", "README.md", "CHANGELOG.md", "LICENSE"):
        shutil.copy(PROJECT / name, first / name)
    shutil.copytree(first, second)
    return first, second


@pytest.fixture(scope="module")
def zips(copies: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    out = tmp_path_factory.mktemp("zips")
    build(copies[0] / SCRIPT, out)
    return {"chat": out / "chat.zip", "callback": out / "callback.zip"}


def names(archive: Path) -> list[str]:
    with zipfile.ZipFile(archive) as zipped:
        return zipped.namelist()


def distributions(archive: Path) -> dict[str, list[Requirement]]:
    """What is installed in the zip, and what each of it says it needs."""
    with zipfile.ZipFile(archive) as zipped:
        texts = [zipped.read(name).decode() for name in zipped.namelist() if name.endswith(".dist-info/METADATA")]
    found = [Parser().parsestr(text) for text in texts]
    return {
        canonicalize_name(each["Name"]): [Requirement(line) for line in each.get_all("Requires-Dist", [])]
        for each in found
    }


def missing(archive: Path, extras: Mapping[str, frozenset[str]]) -> set[str]:
    """What something in the zip needs on Lambda and the zip does not hold."""
    installed = distributions(archive)
    return {
        canonicalize_name(need.name)
        for name, needs in installed.items()
        for need in needs
        if canonicalize_name(need.name) not in installed and _applies(need, extras.get(name, frozenset()))
    }


def _applies(need: Requirement, extras: frozenset[str]) -> bool:
    return need.marker is None or any(need.marker.evaluate({**LAMBDA, "extra": extra}) for extra in {"", *extras})


OURS = {"langchain-costtrace": frozenset({"dynamodb", "otel", "posthog", "twilio"})}


def test_the_chat_zip_is_whole(zips: Mapping[str, Path]) -> None:
    ours = {**OURS, "langchain-costtrace": OURS["langchain-costtrace"] | {"openai"}}
    assert missing(zips["chat"], ours) == set()


def test_the_callback_zip_is_whole_but_for_langchain(zips: Mapping[str, Path]) -> None:
    """Costtrace says that it needs langchain-core, and its webhooks do not."""
    assert missing(zips["callback"], OURS) == {"langchain-core"}


def test_the_callback_zip_holds_no_langchain(zips: Mapping[str, Path]) -> None:
    unwanted = ("langchain/", "langchain_core", "langchain_openai", "langgraph", "langsmith", "openai/", "tiktoken")
    assert [name for name in names(zips["callback"]) if name.startswith(unwanted)] == []
    assert not {"handlers/chat.py", "handlers/reply.py", "handlers/agent.py"} & set(names(zips["callback"]))


def test_compiled_code_is_for_lambda(zips: Mapping[str, Path]) -> None:
    """Each shared object names the machine it is for, where it names one."""
    compiled = [name for archive in zips.values() for name in names(archive) if name.endswith(".so")]
    assert compiled
    assert [name for name in compiled if "x86_64" in name or "darwin" in name] == []
    with zipfile.ZipFile(zips["chat"]) as zipped:
        for name in names(zips["chat"]):
            if name.endswith(".so"):
                header = zipped.read(name)[:20]
                assert header[:4] == b"\x7fELF", name
                assert int.from_bytes(header[18:20], "little") == 0xB7, name  # EM_AARCH64


def test_nothing_of_the_builder_is_in_the_zip(zips: Mapping[str, Path]) -> None:
    for archive in zips.values():
        held = names(archive)
        assert held == sorted(held)
        notes = ("/RECORD", "/INSTALLER", "/REQUESTED", "/direct_url.json", ".pyc")
        assert [name for name in held if name.endswith(notes) or name.startswith("bin/")] == []
        with zipfile.ZipFile(archive) as zipped:
            assert {entry.date_time for entry in zipped.infolist()} == {(1980, 1, 1, 0, 0, 0)}
            assert {entry.external_attr >> 16 for entry in zipped.infolist()} == {0o100644}


def test_lambda_takes_them(zips: Mapping[str, Path]) -> None:
    for archive in zips.values():
        assert archive.stat().st_size < 50 * 2**20
        with zipfile.ZipFile(archive) as zipped:
            assert sum(entry.file_size for entry in zipped.infolist()) < 250 * 2**20


def test_another_folder_makes_the_same_bytes(
    zips: Mapping[str, Path], copies: tuple[Path, Path], tmp_path: Path
) -> None:
    """Otherwise each machine that applies would replace every function."""
    build(copies[1] / SCRIPT, tmp_path, "--only", "callback")
    assert _hash(tmp_path / "callback.zip") == _hash(zips["callback"])


def _hash(archive: Path) -> str:
    return hashlib.sha256(archive.read_bytes()).hexdigest()


def test_a_package_that_cannot_be_had_is_named(copies: tuple[Path, Path], tmp_path: Path) -> None:
    """And nothing that looks like a zip is left."""
    project = tmp_path / "project"
    shutil.copytree(copies[1] / "integrations", project / "integrations")
    (project / "constraints.txt").write_text("aiohappyeyeballs==0.0.0.dev1\n", encoding="utf-8")
    command = [sys.executable, str(project / SCRIPT), "--out", str(tmp_path / "out"), "--only", "callback"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    assert (done.returncode, done.stdout) == (1, "")
    assert "pip install failed" in done.stderr
    assert "aiohappyeyeballs" in done.stderr
    assert list((tmp_path / "out").iterdir()) == []
