"""Make the zips of the Lambda functions: the same bytes from the same sources, in whichever folder they lie.

    python integrations/aws/build.py --out build

makes chat.zip (the functions that run the agent) and callback.zip (all others; no LangChain) for Python 3.12 on arm64,
on any machine, from wheels only. Needs pip and nothing else. `--host` builds for the Python that runs this instead: for
emulators whose functions run on it.
"""

# ruff: noqa: T201 - a script, which prints what it made

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
PROJECT: Final = HERE.parents[1]
CONSTRAINTS: Final = PROJECT / "constraints.txt"

PYTHON: Final = "3.12"
PLATFORMS: Final = tuple(
    f"{tag}_aarch64" for tag in ("manylinux_2_34", "manylinux_2_28", "manylinux_2_17", "manylinux2014")
)
"""What Amazon Linux 2023 runs, of which Lambda's Python 3.12 is made: glibc 2.34 and older."""

UNZIPPED_LIMIT: Final = 262_144_000
"""Lambda refuses a function that is larger unzipped, layers included."""
ZIPPED_LIMIT: Final = 52_428_800
"""Lambda refuses an upload that is larger; more would have to go through S3."""

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The oldest time a zip can hold."""
_INSTALLER_NOTES: Final = frozenset({"RECORD", "INSTALLER", "REQUESTED", "WHEEL", "direct_url.json"})
"""What installers note about an installation: paths and tools of the machine, which nothing reads at run time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """One zip."""

    name: str
    """Name of the zip and of its requirements file."""
    left_out: frozenset[str] = frozenset()
    """Files of handlers/ that need what this zip does not have."""

    @property
    def requirements(self) -> Path:
        """Every package of the zip but costtrace, by name; versions are those of constraints.txt."""
        return HERE / "requirements" / f"{self.name}.txt"


BUNDLES: Final = (
    Bundle(name="chat"),
    Bundle(name="callback", left_out=frozenset({"agent.py", "chat.py", "reply.py"})),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The machine the zip is for; without platforms, the one that builds it."""

    platforms: tuple[str, ...]
    python: str

    def options(self) -> list[str]:
        """What pip must be told."""
        if not self.platforms:
            return []
        platforms = [f"--platform={platform}" for platform in self.platforms]
        return [*platforms, f"--python-version={self.python}", "--implementation=cp", "--only-binary=:all:"]


def build(bundle: Bundle, target: Target, out: Path) -> Path:
    """Make that zip in `out` and return its path; raises BuildError for what Lambda would refuse."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        wheels, tree = Path(scratch, "wheels"), Path(scratch, "tree")
        to_tree = ["--no-deps", "--no-compile", f"--target={tree}", *target.options()]
        _pip("install", *to_tree, f"--requirement={bundle.requirements}", f"--constraint={CONSTRAINTS}")
        _pip("wheel", "--no-deps", f"--wheel-dir={wheels}", str(PROJECT))
        _pip("install", *to_tree, *map(str, wheels.glob("*.whl")))
        _add_handlers(tree, bundle.left_out)
        unzipped = sum(path.stat().st_size for path in _files(tree))
        archive = out / f"{bundle.name}.zip"
        _write_zip(tree, archive)
    _check_sizes(archive, unzipped)
    print(f"{archive}  {_mb(archive.stat().st_size)} MB, unzipped {_mb(unzipped)} MB, sha256 {sha256(archive)}")
    return archive


class BuildError(Exception):
    """The zip cannot be made, or Lambda would refuse it; the text says why."""


def sha256(archive: Path) -> str:
    """The zip's hash, in hexadecimal digits."""
    return hashlib.sha256(archive.read_bytes()).hexdigest()


def _pip(command: str, *arguments: str) -> None:
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    # pip of a cross-platform build warns of nothing that concerns a folder of its own.
    environment = {**os.environ, "PIP_ROOT_USER_ACTION": "ignore", "SOURCE_DATE_EPOCH": "315532800"}
    run = subprocess.run(  # noqa: S603 - this Python's own pip
        [sys.executable, "-m", "pip", command, *quiet, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        raise BuildError(f"pip {command} failed:\n{run.stderr.strip()}")


def _add_handlers(tree: Path, left_out: frozenset[str]) -> None:
    shutil.copytree(HERE / "handlers", tree / "handlers", ignore=shutil.ignore_patterns("__pycache__", *left_out))


def _files(tree: Path) -> Iterator[Path]:
    """What belongs in the zip: no scripts, which name the builder's Python, no bytecode and no installer's notes."""
    for path in sorted(tree.rglob("*")):
        parts = path.relative_to(tree).parts
        is_note = path.parent.suffix == ".dist-info" and path.name in _INSTALLER_NOTES
        if path.is_file() and parts[0] != "bin" and "__pycache__" not in parts and not is_note:
            yield path


def _write_zip(tree: Path, archive: Path) -> None:
    """The names in order, one time and one mode for all: the bytes follow from the files' contents alone."""
    unfinished = archive.with_suffix(".part")
    names = sorted((path.relative_to(tree).as_posix(), path) for path in _files(tree))
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, path in names:
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = 3  # Unix, on every machine
            entry.external_attr = 0o100644 << 16
            zipped.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    unfinished.replace(archive)


def _check_sizes(archive: Path, unzipped: int) -> None:
    zipped = archive.stat().st_size
    for what, size, limit in (("unzipped", unzipped, UNZIPPED_LIMIT), ("zipped", zipped, ZIPPED_LIMIT)):
        if size > limit:
            raise BuildError(f"{archive.name} has {_mb(size)} MB {what}; Lambda takes at most {_mb(limit)} MB")


def _mb(size: int) -> str:
    return f"{size / 2**20:.1f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 1 where a zip could not be made."""
    parser = argparse.ArgumentParser(description="Make the zips of the Lambda functions.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the zips")
    parser.add_argument("--only", choices=[bundle.name for bundle in BUNDLES], help="make this one; both unless given")
    parser.add_argument("--host", action="store_true", help="for the Python and the machine that run this")
    parser.add_argument("--platform", action="append", help="wheel platform, repeatable; arm64 of Lambda unless given")
    parser.add_argument("--python", default=PYTHON, help=f"version of Python; {PYTHON} unless given")
    chosen = parser.parse_args(arguments)
    target = Target(platforms=() if chosen.host else tuple(chosen.platform or PLATFORMS), python=chosen.python)
    try:
        for bundle in BUNDLES:
            if chosen.only in {None, bundle.name}:
                build(bundle, target, chosen.out)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
