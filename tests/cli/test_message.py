"""``costtrace message``."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

from costtrace import open_ledger
from costtrace.context import Context
from costtrace.messages import encode_message
from costtrace.money import Money
from costtrace.quote import Quote, QuoteStatus
from tests.cli.conftest import MESSAGE, QUESTION, OnTerminal, Process, Run
from tests.factories import make_costs, make_entry, make_quote

REASON = "no price for model 'own-1' (provider 'openai') on 2026-01-20"


def test_a_message_is_shown_whole_when_piped(process: Process, ledger_url: str) -> None:
    done = process("message", MESSAGE, "--ledger", ledger_url)

    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout == (
        "Message 0199d3a0-0000-7000-8000-000000000001\n"
        "  user        u1\n"
        "  thread      t1\n"
        "  channel     sms\n"
        "  role        assistant\n"
        "  replies to  0199d3a0-0000-7000-8000-0000000000aa\n"
        "  began       2026-01-20 09:30:02.000000 UTC\n"
        "\n"
        "Timeline\n"
        "  #  time      what                   status                       in  out  took        cost USD\n"
        "  1  09:30:02  llm gpt-4o-2024-08-06  completed                   450  200  5 ms        0.003125\n"
        "  2  09:30:03  llm own-1              completed                   450  200  5 ms        unpriced\n"
        "  3  09:30:04  llm gpt-4o             failed: RateLimitError 429    -    -  5 ms  nothing bought\n"
        "\n"
        "1  llm openai gpt-4o-2024-08-06 (asked for gpt-4o): 0.003125 USD, exact\n"
        "  450  input    x 2.5  / 1000000  = 0.001125\n"
        "  200  output  x 10.0  / 1000000  = 0.002000\n"
        "  rates of    openai gpt-4o (exact name)\n"
        "  price list  genai-prices 0.2.3, sha256 0123456789abcdef\n"
        "\n"
        f"2  llm openai own-1: unpriced: {REASON}\n"
        "  450  input   no rate    unpriced\n"
        "  200  output  no rate    unpriced\n"
        "\n"
        "3  llm openai gpt-4o: nothing bought\n"
        "\n"
        "Total\n"
        "  actual    0.003125 USD\n"
        f"  unpriced  {REASON}\n"
        "  coverage  1 calculated, 1 unpriced: the actual amount is not the whole cost\n"
        "  tokens    900 in, 400 out\n"
    )


def test_the_json_of_a_message_is_that_of_the_library(run: Run, ledger_url: str) -> None:
    shown = json.loads(run("message", MESSAGE, "--json", "--ledger", ledger_url).stdout)

    assert shown == {**encode_message(open_ledger(ledger_url).message(MESSAGE)), "sms": []}
    assert shown["total"]["actual"] == {"USD": "0.003125"}
    assert [entry["cost"] for entry in shown["entries"]] == ["0.003125", None, None]


def test_a_turn_adds_what_was_answered_and_both_costs(run: Run, ledger_url: str) -> None:
    text = run("message", MESSAGE, "--turn", "--ledger", ledger_url).stdout
    shown = json.loads(run("message", MESSAGE, "--turn", "--json", "--ledger", ledger_url).stdout)

    assert text.startswith(f"Message {QUESTION}\n")
    assert f"\nMessage {MESSAGE}\n" in text
    assert text.endswith(
        "Total of the turn\n"
        "  actual    0.00625 USD\n"  # 0.003125 for the question, 0.003125 for the reply
        f"  unpriced  {REASON}\n"
        "  coverage  2 calculated, 1 unpriced: the actual amount is not the whole cost\n"
        "  tokens    1350 in, 600 out\n"
    )
    assert shown["message_uuid"] == MESSAGE
    assert shown["turn"]["reply_to"]["message_uuid"] == QUESTION
    assert shown["turn"]["total"]["actual"] == {"USD": "0.00625"}


def test_a_turn_says_when_nothing_was_recorded_of_the_question(run: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/turn.db"
    open_ledger(url).append([make_entry(context=Context(reply_to="unseen")), make_entry(2, message_uuid="alone")])

    assert "Nothing was recorded under unseen." in run("message", MESSAGE, "--turn", "--ledger", url).stdout
    assert "This message answers no other." in run("message", "alone", "--turn", "--ledger", url).stdout


def test_an_estimate_is_pending_and_says_what_was_assumed(run: Run, tmp_path: Path) -> None:
    known = make_quote()
    quote = Quote(
        status=QuoteStatus.ESTIMATED,
        amount=known.amount,
        lines=known.lines,
        assumptions=("cached_audio_tokens=0",),
        basis=known.basis,
    )
    url = f"sqlite:///{tmp_path}/pending.db"
    open_ledger(url).append([make_entry(quote=quote, cost=None, estimate=Money("0.003125"))])

    text = run("message", MESSAGE, "--ledger", url).stdout

    assert "1  llm openai gpt-4o: 0.003125 USD, estimated\n" in text
    assert "  assumed     cached_audio_tokens=0\n" in text
    assert (
        "Total\n"
        "  actual    pending\n"
        "  pending   0.003125 USD, not in the actual amount\n"
        "  coverage  1 pending: the actual amount is not the whole cost\n"
    ) in text


def test_currencies_are_shown_side_by_side(run: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/currencies.db"
    open_ledger(url).append([make_costs("0.0079", number=1, kind="sms"), make_costs("0.07", number=2, currency="EUR")])

    text = run("message", MESSAGE, "--ledger", url).stdout

    assert "  actual    0.07 EUR + 0.0079 USD\n" in text
    assert "sms openai gpt-4o: 0.0079 USD, as the seller named it\n" in text


def test_an_entry_of_another_day_shows_its_date(run: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/days.db"
    open_ledger(url).append([make_entry(1), make_entry(86_400)])

    text = run("message", MESSAGE, "--ledger", url).stdout

    assert "  1  09:30:01  " in text
    assert "  2  2026-01-21 09:30:00  " in text


def test_on_a_terminal_a_message_fits_its_width(on_terminal: OnTerminal, ledger_url: str) -> None:
    for columns in (80, 120):
        shown = on_terminal("message", MESSAGE, "--turn", "--ledger", ledger_url, columns=columns)

        assert shown.status == 0
        assert max(map(len, shown.lines)) <= columns
        assert f"Message {MESSAGE}" in shown.lines
        assert "  450  input    x 2.5  / 1000000  = 0.001125" in [line.rstrip() for line in shown.lines]
        assert "─────" in shown.text
        assert "\x1b[" in shown.raw
        assert "…" not in shown.text


def test_control_characters_and_markup_are_shown_not_obeyed(run: Run, on_terminal: OnTerminal, tmp_path: Path) -> None:
    hostile = "\x1b[31mred\nnew line [bold]x[/bold] \u202egnp.exe <script>alert(1)</script>"
    shown = r"\x1b[31mred\nnew line [bold]x[/bold] \u202egnp.exe <script>alert(1)</script>"
    url = f"sqlite:///{tmp_path}/hostile.db"
    open_ledger(url).append([make_entry(context=Context(user_id=hostile, tags={"k": hostile}))])

    assert f"  user   {shown}\n" in run("message", MESSAGE, "--ledger", url).stdout
    seen = on_terminal("message", MESSAGE, "--ledger", url, columns=200)
    assert f"  user   {shown}" in [line.rstrip() for line in seen.lines]
    assert "\x1b[31mred" not in seen.raw


def test_the_html_page_is_one_file_that_loads_nothing(run: Run, tmp_path: Path) -> None:
    hostile = "</pre><script>alert(1)</script>{x}"
    url = f"sqlite:///{tmp_path}/page.db"
    open_ledger(url).append([make_entry(message_uuid=hostile, context=Context(user_id=hostile))])
    target = tmp_path / "page.html"

    done = run("message", hostile, "--html", str(target), "--ledger", url)

    page = target.read_text()
    assert (done.exit_code, done.stdout) == (0, f"wrote {target}\n")
    assert page.startswith("<!DOCTYPE html>")
    assert "<script" not in page
    assert not re.search(r"\b(src|href)=|@import|url\(", page)
    assert "default-src 'none'" in page
    visible = html.unescape(re.sub(r"<[^>]+>", "", page))
    assert f"<title>Message {html.escape(hostile)}</title>" in page
    assert "x 2.5  / 1000000  = 0.001125" in visible
    assert "0.003125 USD, exact" in visible
    assert sorted(path.name for path in tmp_path.iterdir() if "html" in path.name) == ["page.html"]


def test_a_page_that_cannot_be_written_leaves_the_old_one(run: Run, ledger_url: str, tmp_path: Path) -> None:
    for target in (tmp_path / "missing" / "page.html", tmp_path):
        done = run("message", MESSAGE, "--html", str(target), "--ledger", ledger_url)

        assert done.exit_code == 2
        assert done.stderr.startswith(f"costtrace: --html '{target}' cannot be written: ")
        assert done.stderr.count("\n") == 1
    assert not [path for path in tmp_path.parent.iterdir() if path.name.startswith(f".{tmp_path.name}")]


def test_html_and_json_can_be_had_together(run: Run, ledger_url: str, tmp_path: Path) -> None:
    done = run("message", MESSAGE, "--json", "--html", str(tmp_path / "page.html"), "--ledger", ledger_url)

    assert json.loads(done.stdout)["message_uuid"] == MESSAGE
    assert (tmp_path / "page.html").exists()


def test_a_tool_run_is_in_the_timeline_and_has_nothing_to_work_out(run: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/tools.db"
    tool = make_costs(number=2, kind="tool-run", provider=None, model=None, details={"tool": "parcel_status"})
    open_ledger(url).append([make_entry(1), tool])

    text = run("message", MESSAGE, "--ledger", url).stdout

    assert "  2  09:30:02  tool-run parcel_status  completed    -    -  5 ms         -\n" in text
    assert "\n2  " not in text
