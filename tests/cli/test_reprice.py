"""``costtrace reprice``, and how its corrections are shown."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from costtrace import open_ledger
from costtrace.cli.reprice import _progress
from costtrace.messages import encode_message
from tests.cli.conftest import MESSAGE, Process, Run

RATES = '[[rate]]\nprovider = "openai"\nmodel = "own-1"\ninput = 2\noutput = 8\n'
JANUARY = ("--since", "2026-01-20", "--until", "2026-01-21", "--model", "own-1")


@pytest.fixture
def rates(tmp_path: Path) -> str:
    (tmp_path / "rates.toml").write_text(RATES)
    return str(tmp_path / "rates.toml")


def entries(url: str) -> list[str]:
    return [entry.entry_id for _, entry in open_ledger(url).entries()]


def test_a_dry_run_shows_the_difference_and_writes_nothing(process: Process, ledger_url: str, rates: str) -> None:
    before = entries(ledger_url)

    done = process("reprice", *JANUARY, "--dry-run", "--rates", rates, "--ledger", ledger_url)

    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "Priced again, from 2026-01-20 00:00 UTC until 2026-01-21 00:00 UTC"
    assert lines[1].split() == ["provider", "model", "looked", "at", "changed", "before", "now", "difference"]
    assert lines[2].split() == ["openai", "own-1", "1", "1", "1", "unpriced", "0.0025", "USD", "+0.0025", "USD"]
    assert lines[3].split() == ["total", "1", "1", "1", "unpriced", "0.0025", "USD", "+0.0025", "USD"]
    assert "own-1  rates were added: rates.toml" in done.stdout
    assert done.stdout.endswith("Dry run: nothing was written; 1 entry would be corrected.\n")
    assert entries(ledger_url) == before


def test_a_run_corrects_once_and_says_so(run: Run, ledger_url: str, rates: str) -> None:
    words = ("reprice", *JANUARY, "--rates", rates, "--ledger", ledger_url)

    first, again = run(*words).stdout, run(*words).stdout

    assert first.endswith("1 entry corrected; what was recorded before stays beside the corrections.\n")
    assert again.endswith("Every entry stands as these prices have it; there is nothing to correct.\n")
    assert entries(ledger_url)[-1] == "reprice/1/llm/run-3/3"
    assert len(entries(ledger_url)) == 6


def test_the_result_as_json(run: Run, ledger_url: str, rates: str) -> None:
    words = ("reprice", *JANUARY, "--json", "--rates", rates, "--ledger", ledger_url)
    shown = json.loads(run(*words, "--dry-run").stdout)

    assert shown["dry_run"] is True
    assert shown["since"] == "2026-01-20T00:00:00+00:00"
    assert shown["total"]["changed"] == 1
    assert shown["models"][0]["difference"] == {"actual": {"USD": "0.0025"}, "pending": {}}
    assert json.loads(run(*words).stdout) == {**shown, "dry_run": False}


def test_nothing_in_that_time_is_said(run: Run, ledger_url: str, rates: str) -> None:
    text = run("reprice", "--since", "2026-02-01", "--rates", rates, "--ledger", ledger_url).stdout
    assert text == ("Priced again, from 2026-02-01 00:00 UTC\nNo entry in that time has a usage to price.\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "Missing option '--since'; see `costtrace reprice --help`"),
        (
            ["--since", "yesterday"],
            "--since: expected a date such as 2026-01-20 or a time such as 2026-01-20T09:30 (UTC), got 'yesterday'",
        ),
        (
            ["--since", "2026-01-20", "--until", "2026-01-20"],
            "--until: expected a moment after --since 2026-01-20, got '2026-01-20'",
        ),
        (
            ["--since", "2026-01-20", "--rates", "no.toml"],
            "rates file 'no.toml' cannot be read: No such file or directory",
        ),
    ],
)
def test_what_cannot_be_right_is_refused_in_a_sentence(
    run: Run, ledger_url: str, words: list[str], sentence: str
) -> None:
    done = run("reprice", *words, "--ledger", ledger_url)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == f"costtrace: {sentence}\n"


def test_a_ledger_that_is_not_there_is_not_made(run: Run, tmp_path: Path) -> None:
    done = run("reprice", "--since", "2026-01-20")
    assert done.exit_code == 2
    assert done.stderr.startswith("costtrace: there is no ledger at 'sqlite:///costtrace.db'; ")
    assert list(tmp_path.iterdir()) == []


def test_the_message_shows_what_was_believed_what_is_now_and_why(run: Run, ledger_url: str, rates: str) -> None:
    run("reprice", *JANUARY, "--rates", rates, "--ledger", ledger_url)

    text = run("message", MESSAGE, "--ledger", ledger_url).stdout

    lines = text.splitlines()
    timeline = lines[lines.index("Timeline") + 2 :][:4]
    assert [line.split()[0] for line in timeline] == ["1", "2", "3", "4"]
    assert "llm own-1" in timeline[1]
    assert timeline[1].endswith("unpriced at first")
    assert "correction of 2" in timeline[2]
    assert timeline[2].endswith("+0.002500")
    assert "RateLimitError" in timeline[3]
    assert (
        "3  correction of 2: 0.0025 USD, exact\n"
        "  believed    unpriced: no price for model 'own-1' (provider 'openai') on 2026-01-20\n"
        "  because     rates were added: rates.toml, sha256 "
    ) in text
    assert "  difference  +0.0025 USD\n" in text
    assert "  450  input   x 2  / 1000000  = 0.0009" in text
    assert text.endswith(
        "Total\n"
        "  actual    0.005625 USD\n"  # 0.003125 + 0.0025
        "  coverage  2 calculated\n"
        "  tokens    900 in, 400 out\n"
    )


def test_as_of_an_earlier_day_the_message_is_what_was_believed_then(run: Run, ledger_url: str, rates: str) -> None:
    then = run("message", MESSAGE, "--ledger", ledger_url).stdout
    as_json = json.loads(run("message", MESSAGE, "--json", "--ledger", ledger_url).stdout)
    run("reprice", *JANUARY, "--rates", rates, "--ledger", ledger_url)

    for when, known in (
        ("2026-01-20", "2026-01-20 23:59:59.999999"),
        ("2026-01-20T10:00", "2026-01-20 10:00:00.000000"),
        ("2026-01-20T12:00+02:00", "2026-01-20 10:00:00.000000"),
    ):
        text = run("message", MESSAGE, "--as-of", when, "--ledger", ledger_url).stdout
        title, _, rest = text.partition("\n")
        assert title == f"Message {MESSAGE} as it was known at {known} UTC"
        assert rest == then.partition("\n")[2]
    shown = json.loads(run("message", MESSAGE, "--as-of", "2026-01-20", "--json", "--ledger", ledger_url).stdout)
    assert shown == {"as_of": "2026-01-20T23:59:59.999999Z", **as_json}

    today = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}"
    shown = json.loads(run("message", MESSAGE, "--as-of", today, "--json", "--ledger", ledger_url).stdout)
    assert shown["entries"] == encode_message(open_ledger(ledger_url).message(MESSAGE))["entries"]


@pytest.mark.parametrize(
    ("when", "sentence"),
    [
        (
            "2026-01-19",
            (
                "as of: expected 2026-01-20T09:30:02.005000Z or later, when the first entry of message"
                f" '{MESSAGE}' was recorded, got '2026-01-19T23:59:59.999999Z'"
            ),
        ),
        (
            "then",
            "--as-of: expected a date such as 2026-01-20 or a time such as 2026-01-20T09:30 (UTC), got 'then'",
        ),
    ],
)
def test_a_moment_at_which_nothing_was_known_is_refused(run: Run, ledger_url: str, when: str, sentence: str) -> None:
    done = run("message", MESSAGE, "--as-of", when, "--ledger", ledger_url)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == f"costtrace: {sentence}\n"


class _Terminal:
    """Standard error of a person, and what was written there."""

    def __init__(self) -> None:
        self.written = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.written += text
        return len(text)

    def flush(self) -> None:
        """Nothing waits."""


def test_progress_is_shown_to_a_person_after_a_second_and_cleared(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, now = _Terminal(), 100.0
    monkeypatch.setattr("costtrace.cli.reprice.sys.stderr", terminal)
    monkeypatch.setattr("costtrace.cli.reprice.time.monotonic", lambda: now)
    with _progress() as watch:
        watch(10, 400)
        assert terminal.written == ""
        now += 1.1
        watch(100, 400)
        watch(101, 400)
        assert terminal.written == "\rpricing again: 25 %\x1b[K"
    assert terminal.written.endswith("\r\x1b[K")
