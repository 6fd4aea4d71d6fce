"""How the command starts and ends, whatever it is asked."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.cli.conftest import MESSAGE, OnTerminal, Process, Run

COMMANDS = ["demo", "doctor", "message", "price", "report", "tail"]
BLOCKER = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocker())
"""
LOADED = """
import sys
from costtrace.__main__ import main
try:
    main()
except SystemExit as ended:
    assert not ended.code
print(*sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""


def test_help_names_the_commands_and_the_exit_codes(process: Process) -> None:
    done = process("--help")

    assert done.returncode == 0
    assert all(f"\n  {command} " in done.stdout for command in COMMANDS)
    assert "Exit codes: 0 fine; 1 a check found something (doctor); 2 bad input" in done.stdout
    assert "╭" not in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_documents_its_exit_codes(run: Run, command: str) -> None:
    done = run(command, "--help")

    assert done.exit_code == 0
    assert "Exit codes: 0 fine; 1 a check found something (doctor); 2 bad input" in done.stdout


def test_without_a_command_there_is_the_help(run: Run) -> None:
    done = run()

    assert done.exit_code == 0
    assert done.stdout.startswith("Usage: ")


def test_the_version_is_told(run: Run) -> None:
    assert run("--version").stdout == f"costtrace {version('langchain-costtrace')}\n"


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_a_missing_package_of_the_command_line_is_named_with_the_pip_line(
    process: Process, tmp_path: Path, package: str
) -> None:
    (tmp_path / "sitecustomize.py").write_text(BLOCKER.format(blocked={package}))

    done = process("--help", PYTHONPATH=str(tmp_path))

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"costtrace: the costtrace command needs the package '{package}': pip install 'langchain-costtrace[cli]'\n"
    )


@pytest.mark.parametrize(("module", "package"), [("langchain", "langchain"), ("langchain_openai", "langchain-openai")])
def test_a_missing_package_of_the_demo_is_named_with_the_pip_line(
    process: Process, tmp_path: Path, module: str, package: str
) -> None:
    (tmp_path / "sitecustomize.py").write_text(BLOCKER.format(blocked={module}))

    done = process("demo", PYTHONPATH=str(tmp_path))

    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr == f"costtrace: the demo needs the package '{package}': pip install 'langchain-costtrace[demo]'\n"
    )


def test_reading_loads_neither_langchain_nor_the_price_table(ledger_url: str) -> None:
    for words in (["message", MESSAGE], ["report"], ["tail", "--once"]):
        done = subprocess.run(
            [sys.executable, "-c", LOADED, *words, "--ledger", ledger_url],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )

        assert {"genai_prices", "langchain", "langchain_core", "openai"}.isdisjoint(done.stderr.split())


def test_a_reader_that_leaves_early_is_no_error(ledger_url: str) -> None:
    read, write = os.pipe()
    os.close(read)  # as `head` does when it has seen enough
    for words in (["report"], ["message", MESSAGE, "--json"], ["tail", "--once"], ["doctor"]):
        command = [sys.executable, "-m", "costtrace", *words, "--ledger", ledger_url]
        done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, timeout=60, check=False)

        assert (done.returncode, done.stderr) == (0, b"")
    os.close(write)


def test_letters_that_the_locale_lacks_are_written_out(process: Process, ledger_url: str) -> None:
    done = process("report", "--by", "user", "--ledger", ledger_url, PYTHONIOENCODING="ascii")

    assert done.returncode == 0
    refused = process("message", "für", "--ledger", ledger_url, PYTHONIOENCODING="ascii")
    assert refused.stderr.startswith(r"costtrace: no message 'f\xfcr' in ledger ")


def test_the_ledger_of_the_environment_is_the_default(process: Process, ledger_url: str) -> None:
    assert process("message", MESSAGE, COSTTRACE_LEDGER=ledger_url).returncode == 0


def test_help_on_a_terminal_fits_its_width(on_terminal: OnTerminal) -> None:
    shown = on_terminal("report", "--help", columns=80)

    assert shown.status == 0
    assert max(map(len, shown.lines)) <= 80
    assert "Exit codes:" in shown.text
