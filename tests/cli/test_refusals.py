"""Whatever is wrong with what was asked: one sentence on standard error, exit code 2, and nothing made or changed."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from costtrace import open_ledger
from costtrace.ledger.schema import MIGRATIONS
from tests.cli.conftest import MESSAGE, Process, Run
from tests.factories import make_entry

READING = [["message", MESSAGE], ["report"], ["tail", "--once"]]
ADDRESSES = "use 'sqlite:///costtrace.db' or 'dynamodb://?ledger=costtrace-ledger'"
USAGE = ("--usage", '{"input_tokens": 1, "output_tokens": 1}')
GPT_4O = ("--provider", "openai", "--model", "gpt-4o")


def refused(run: Run, *words: str) -> str:
    """The sentence with which the command refuses."""
    done = run(*words)
    assert done.exit_code == 2
    assert done.stdout == ""
    sentence = done.stderr
    assert sentence.startswith("costtrace: ")
    assert sentence.count("\n") == 1
    return sentence.removeprefix("costtrace: ").rstrip("\n")


def test_an_unknown_message(run: Run, ledger_url: str, tmp_path: Path) -> None:
    assert refused(run, "message", "nope", "--ledger", ledger_url) == (
        f"no message 'nope' in ledger '{tmp_path}/costs.db'; `costtrace tail` lists the messages there are"
    )


@pytest.mark.parametrize("words", READING)
def test_a_ledger_that_is_not_there_is_not_made(run: Run, tmp_path: Path, words: list[str]) -> None:
    sentence = "name another with --ledger or COSTTRACE_LEDGER, or make one to look at with `costtrace demo`"

    assert refused(run, *words) == f"there is no ledger at 'sqlite:///costtrace.db'; {sentence}"
    assert (
        refused(run, *words, "--ledger", "sqlite:///other.db")
        == f"there is no ledger at 'sqlite:///other.db'; {sentence}"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", READING)
@pytest.mark.parametrize("url", ["costs.db", "postgres://host/db", "sqlite:///"])
def test_an_address_of_no_ledger(run: Run, words: list[str], url: str) -> None:
    assert refused(run, *words, "--ledger", url) == f"ledger address {url!r} is not known; {ADDRESSES}"


@pytest.mark.parametrize("words", READING)
def test_a_file_that_is_no_database(run: Run, tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "notes.db").write_text("Dear diary, this is no database at all. " * 100)

    assert refused(run, *words, "--ledger", "sqlite:///notes.db") == (
        "ledger 'notes.db': file is not a database; check the address: something else stands there"
    )


@pytest.mark.parametrize("words", READING)
def test_a_database_of_another_application_is_left_alone(run: Run, tmp_path: Path, words: list[str]) -> None:
    connection = sqlite3.connect(tmp_path / "shop.db")
    connection.execute("CREATE TABLE orders (id INTEGER)")
    connection.close()
    before = (tmp_path / "shop.db").read_bytes()

    assert refused(run, *words, "--ledger", "sqlite:///shop.db") == (
        "ledger 'shop.db': this SQLite database belongs to another application; check the address"
    )
    assert (tmp_path / "shop.db").read_bytes() == before


@pytest.mark.parametrize("words", READING)
def test_a_ledger_of_a_newer_version(run: Run, ledger_url: str, tmp_path: Path, words: list[str]) -> None:
    connection = sqlite3.connect(tmp_path / "costs.db")
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()

    assert refused(run, *words, "--ledger", ledger_url).endswith("; upgrade costtrace")


@pytest.mark.parametrize("words", READING)
def test_a_ledger_path_that_is_a_directory(run: Run, tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "folder.db").mkdir()

    assert refused(run, *words, "--ledger", "sqlite:///folder.db") == (
        "ledger 'folder.db': unable to open database file;"
        " check that the path is a file in a directory that exists and may be written"
    )


def test_a_damaged_ledger(run: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/costs.db"
    ledger = open_ledger(url)
    ledger.append([make_entry(number) for number in range(500)])
    ledger.close()
    data = bytearray((tmp_path / "costs.db").read_bytes())
    data[4096 * 2 :] = b"\xa5" * (len(data) - 4096 * 2)
    (tmp_path / "costs.db").write_bytes(data)

    sentence = refused(run, "message", MESSAGE, "--ledger", url)

    assert "restore it from a copy, or save what is left with the sqlite3 command .recover" in sentence


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["report", "--by", "user,colour"],
            (
                "by: expected one of channel, day, direction, environment, hour, kind, message, message_type, model,"
                " provider, status, thread, user or tag:NAME, got 'colour'"
            ),
        ),
        (["report", "--last", "7x"], "--last: expected a span such as 30m, 12h, 7d or 4w, got '7x'"),
        (["report", "--last", "0d"], "--last: expected a span such as 30m, 12h, 7d or 4w, got '0d'"),
        (["report", "--last", "999999w"], "--last: expected a span that begins after the year 1, got '999999w'"),
        (
            ["report", "--since", "yesterday"],
            "--since: expected a date such as 2026-01-20 or a time such as 2026-01-20T09:30 (UTC), got 'yesterday'",
        ),
        (
            ["report", "--until", "2026-02-30"],
            "--until: expected a date such as 2026-01-20 or a time such as 2026-01-20T09:30 (UTC), got '2026-02-30'",
        ),
        (
            ["report", "--since", "2026-01-02", "--until", "2026-01-01"],
            "--until: expected a moment after --since 2026-01-02, got '2026-01-01'",
        ),
        (
            ["report", "--last", "7d", "--since", "2026-01-02"],
            "--last excludes --since and --until; give one or the other",
        ),
        (["report", "--json", "--csv"], "--json and --csv exclude each other; choose one"),
        (["tail", "--since", "soon"], "--since: expected a span such as 30m, 12h, 7d or 4w, got 'soon'"),
    ],
)
def test_a_malformed_selection(run: Run, ledger_url: str, words: list[str], sentence: str) -> None:
    assert refused(run, *words, "--ledger", ledger_url) == sentence


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            [*GPT_4O, "--usage", '{"input_tokens":'],
            (
                """--usage: expected a JSON object such as '{"input_tokens": 450, "output_tokens": 200}'"""
                """ (Expecting value: line 1 column 17 (char 16)), got '{"input_tokens":'"""
            ),
        ),
        (
            [*GPT_4O, "--usage", "[1]"],
            """--usage: expected a JSON object such as '{"input_tokens": 450, "output_tokens": 200}', got '[1]'""",
        ),
        (
            [*GPT_4O, "--usage", '{"input_tokens": NaN}'],
            (
                """--usage: expected a JSON object such as '{"input_tokens": 450, "output_tokens": 200}'"""
                """ (NaN is no JSON number), got '{"input_tokens": NaN}'"""
            ),
        ),
        (
            [*GPT_4O, *USAGE, "--at", "soon"],
            "--at: expected a date such as 2026-01-20 or a time such as 2026-01-20T09:30 (UTC), got 'soon'",
        ),
        (["--model", "gpt-4o", *USAGE], "--provider is missing; give it, or lines of JSON with --batch"),
        (["--provider", "openai", *USAGE], "--model is missing; give it, or lines of JSON with --batch"),
        ([*GPT_4O], "--usage is missing; give it, or lines of JSON with --batch"),
        (["--batch", "--service-tier", "flex"], "--batch reads service_tier from its lines; leave out --service-tier"),
        ([*GPT_4O, *USAGE, "--rates", "no.toml"], "rates file 'no.toml' cannot be read: No such file or directory"),
    ],
)
def test_a_price_that_cannot_be_asked_for(run: Run, words: list[str], sentence: str) -> None:
    assert refused(run, "price", *words) == sentence


def test_a_rates_file_that_is_wrong(run: Run, tmp_path: Path) -> None:
    (tmp_path / "rates.toml").write_text('[[rate]]\nprovider = "openai"\nmodel = "m"\ninput = "cheap"\n')

    assert refused(run, "price", *GPT_4O, *USAGE, "--rates", "rates.toml") == (
        "rates file 'rates.toml', line 4: input must be a price of zero or more, got 'cheap'"
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["message"], "Missing argument 'UUID'; see `costtrace message --help`"),
        (["conquer"], "No such command 'conquer'; see `costtrace --help`"),
        (["--bogus"], "No such option: --bogus; see `costtrace --help`"),
        (["report", "--bogus"], "No such option: --bogus; see `costtrace report --help`"),
        (["report", "--by"], "Option '--by' requires an argument; see `costtrace report --help`"),
    ],
)
def test_words_that_the_command_does_not_know(run: Run, words: list[str], sentence: str) -> None:
    assert refused(run, *words) == sentence


def test_a_number_that_is_none(run: Run, ledger_url: str) -> None:
    assert "'-n'" in refused(run, "tail", "-n", "few", "--ledger", ledger_url)
    assert "'-n'" in refused(run, "tail", "-n", "-1", "--ledger", ledger_url)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--live", "--local-llm"], "--live and --local-llm exclude each other; choose one"),
        (["--live"], "--live needs an OpenAI key in OPENAI_API_KEY; without one, run `costtrace demo`"),
        (["--ledger", "costs.db"], f"ledger address 'costs.db' is not known; {ADDRESSES}"),
        (
            ["--ledger", "sqlite:////dev/null/costs.db"],
            "ledger '/dev/null/costs.db': its directory cannot be made: File exists",
        ),
    ],
)
def test_a_demo_that_cannot_be_run(run: Run, monkeypatch: pytest.MonkeyPatch, words: list[str], sentence: str) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    assert refused(run, "demo", *words) == sentence


def test_no_traceback_is_seen_by_who_runs_it_as_a_process(process: Process) -> None:
    done = process("message", "nope")

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("costtrace: there is no ledger at 'sqlite:///costtrace.db'; ")
    assert done.stderr.count("\n") == 1


def test_a_password_in_an_address_is_not_repeated(run: Run) -> None:
    sentence = refused(run, "report", "--ledger", "postgres://me:hunter2@host/db")

    assert sentence == f"ledger address 'postgres://***@host/db' is not known; {ADDRESSES}"


def test_control_characters_of_the_question_are_not_obeyed_in_the_answer(run: Run, ledger_url: str) -> None:
    assert "\x1b" not in refused(run, "message", "\x1b[31mred", "--ledger", ledger_url)
    assert "\x1b" not in refused(run, "\x1b[31mred")
