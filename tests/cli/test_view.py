"""``costtrace view``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from costtrace import open_ledger
from costtrace.ledger.dynamodb.tables import create_tables
from tests.cli.conftest import MESSAGE, QUESTION, Run
from tests.factories import make_entry
from tests.peers.emulator import Account
from tests.peers.fixtures import *  # noqa: F403 - fixtures
from tests.view.turns import OUT_SID, REPLY, asked_in_vain, at, came, priced, said, sent, thought

PAGE = f"costtrace-{MESSAGE}.html"


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """Whatever fails, no unfinished file stays behind."""
    yield
    assert [path for path in Path().iterdir() if path.name.startswith(".")] == []


def test_a_page_is_written_into_the_working_directory(run: Run, ledger_url: str) -> None:
    done = run("view", MESSAGE, "--ledger", ledger_url)

    assert (done.exit_code, done.stdout) == (0, f"wrote {PAGE}; open it in a browser\n")
    html = Path(PAGE).read_text(encoding="utf-8")
    assert html.startswith("<!DOCTYPE html>")
    assert 'data-figure="actual">0.00625 USD<' in html  # 0.003125 for the question, 0.003125 for the reply
    assert QUESTION in html


def test_the_page_goes_where_it_is_wanted(run: Run, ledger_url: str, tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    done = run("view", MESSAGE, "-o", str(target), "--ledger", ledger_url)

    assert (done.exit_code, done.stdout) == (0, f"wrote {target}; open it in a browser\n")
    assert not Path(PAGE).exists()


def test_spans_are_written_instead_of_the_page_or_beside_it(run: Run, ledger_url: str) -> None:
    done = run("view", MESSAGE, "--otlp", "spans.json", "--ledger", ledger_url)

    assert done.stdout == "wrote spans.json, for a trace viewer that reads OTLP/JSON\n"
    assert "resourceSpans" in json.loads(Path("spans.json").read_text(encoding="utf-8"))
    assert not Path(PAGE).exists()
    both = run("view", MESSAGE, "--otlp", "spans.json", "-o", "page.html", "--ledger", ledger_url)
    assert both.stdout.count("wrote") == 2
    assert Path("page.html").exists()


def test_page_and_spans_cannot_go_into_one_file(run: Run, ledger_url: str) -> None:
    done = run("view", MESSAGE, "--otlp", "one.html", "-o", "./one.html", "--ledger", ledger_url)

    assert (done.exit_code, done.stderr) == (
        2,
        "costtrace: --otlp: expected another file than --output, got 'one.html'\n",
    )
    assert not Path("one.html").exists()


def test_as_of_an_earlier_day_only_what_was_known_then_is_drawn(run: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/sms.db"
    reply = priced(asked_in_vain([*thought(), *sent(), said("sent", 5.9)], 60), OUT_SID, "-0.0079", 90_000)
    open_ledger(url).append([*came(), *reply])

    run("view", REPLY, "-o", "then.html", "--as-of", f"{at(0):%Y-%m-%d}", "--ledger", url)
    run("view", REPLY, "-o", "now.html", "--ledger", url)

    then, now = Path("then.html").read_text(), Path("now.html").read_text()
    assert 'data-figure="pending">0.0083 USD<' in then
    assert "2026-11-20 23:59:59 UTC" in then
    assert 'data-figure="pending"' not in now
    early = run("view", REPLY, "--as-of", "2026-11-19", "--ledger", url)
    assert early.exit_code == 2
    assert early.stderr.startswith("costtrace: as of: expected 2026-11-20T09:30:")


@pytest.mark.usefixtures("nothing_left")
def test_an_unknown_message_is_one_sentence_and_writes_nothing(run: Run, ledger_url: str) -> None:
    done = run("view", "unseen", "--ledger", ledger_url)

    assert done.exit_code == 2
    assert done.stderr.startswith("costtrace: no message 'unseen' in ")
    assert done.stderr.count("\n") == 1
    assert not list(Path().glob("*.html"))


@pytest.mark.usefixtures("nothing_left")
def test_a_page_that_cannot_be_written_says_so(run: Run, ledger_url: str, tmp_path: Path) -> None:
    for option in ("-o", "--otlp"):
        for target in (tmp_path / "missing" / "page.html", tmp_path):
            done = run("view", MESSAGE, option, str(target), "--ledger", ledger_url)

            assert done.exit_code == 2
            assert done.stderr.startswith(f"costtrace: {target} cannot be written: ")
            assert done.stderr.count("\n") == 1


def test_a_uuid_leads_to_no_other_directory(run: Run, tmp_path: Path) -> None:
    uuid = "../../etc/a b\\c:d" + "x" * 300
    url = f"sqlite:///{tmp_path}/odd.db"
    open_ledger(url).append([make_entry(message_uuid=uuid)])

    done = run("view", uuid, "--ledger", url)

    (written,) = Path().glob("*.html")
    assert done.stdout == f"wrote {written}; open it in a browser\n"
    assert written.name.startswith("costtrace-.._.._etc_a_b_c_dxxx")
    assert len(written.name) < 120


def test_a_message_in_dynamodb_is_drawn_as_well(run: Run, aws_environment: Account) -> None:
    create_tables(aws_environment.client(), ledger="mine", messages=None)
    ledger = open_ledger("dynamodb://?ledger=mine")
    ledger.append([make_entry(1), make_entry(2)])
    ledger.close()

    done = run("view", MESSAGE, "--ledger", "dynamodb://?ledger=mine")

    assert done.exit_code == 0, done.output
    assert 'data-figure="actual">0.00625 USD<' in Path(PAGE).read_text(encoding="utf-8")
