"""What the pages say, for whoever asks with any address; the same numbers as `costtrace report`."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from costtrace.ledger import Selection, SqliteLedger
from costtrace.ledger.letters import PARKED, Failure, Letter, Outcome
from costtrace.ledger.protocol import EVERYTHING
from costtrace.messages import Totals
from costtrace.reports import report
from costtrace.testing import MemoryLedger
from tests.factories import make_costs, make_entry
from tests.web.dashboard.books import BACKWARDS, BOOKS, FORMULA, HOSTILE, MARKUP, QUESTION, REPLY, SID, TOTAL, UNPRICED
from tests.web.dashboard.conftest import Serve, Served

RATE_WANTED = "Add a [[rate]] for it to your rates file (COSTTRACE_RATES), then `costtrace reprice --since DATE`."
PAGES = ("/", "/messages", "/outbox", "/prices", "/by/user")
FILES = ("/report.json", "/live", "/messages.json")


def words(html: str) -> str:
    """The text of a page, as a reader has it."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


@pytest.mark.parametrize(
    "by", ["", "user", "model", "channel", "direction", "kind", "day,kind", "hour", "tag:team", "thread"]
)
def test_the_json_behind_a_table_is_that_of_a_report(served: Served, books: SqliteLedger, by: str) -> None:
    found = served.get("/report.json", params={"range": "all", "by": by}).json()
    assert found == json.loads(json.dumps(report(books, [word for word in by.split(",") if word]).to_dict()))


def test_the_csv_behind_a_table_adds_up_to_the_total(served: Served) -> None:
    answer = served.get("/report.csv?range=all&by=user")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert answer.headers["content-disposition"] == 'attachment; filename="costtrace-report-user.csv"'
    assert {row["user"]: row["actual"] for row in rows} == {"anna": "0.01415", "ben": "0.01", MARKUP: "0.003125"}
    by_channel = list(csv.DictReader(io.StringIO(served.get("/report.csv?range=all&by=channel").text)))
    assert f"'{FORMULA}" in {row["channel"] for row in by_channel}


@pytest.mark.parametrize("tag", ["a\r\nset-cookie: a=b", 'a"; filename="x', "€uro", "../../x", "x" * 200])
def test_a_file_is_called_by_letters_whatever_a_tag_is_called(served: Served, tag: str) -> None:
    answer = served.get("/report.csv", params={"range": "all", "by": f"tag:{tag}"})
    assert answer.status_code == 200
    assert re.fullmatch(
        r'attachment; filename="costtrace-[A-Za-z0-9_-]{1,80}\.csv"', answer.headers["content-disposition"]
    )


def test_a_first_day_that_is_not_whole_is_said(served: Served) -> None:
    note = "The first day counts from 2026-01-15 12:00 on."
    assert note in served.get("/part/periods?range=7d").text
    assert note.replace("12:00", "13:00") in served.get("/part/periods?range=7d&zone=Europe/Berlin").text
    assert "counts from" not in served.get("/part/periods?since=2026-01-15&until=2026-01-22T12:00").text
    assert "counts from" not in served.get("/part/periods?range=all").text


def test_the_links_of_a_table_name_the_same_entries_tomorrow(served: Served) -> None:
    page = served.get("/?range=24h").text
    (link,) = {link for link in re.findall(r'href="(/report.json\?[^"]*)"', page) if "by=" not in link}
    found = served.get(link.replace("&amp;", "&")).json()
    assert found["since"] == "2026-01-21T12:00:00+00:00"
    assert found["total"]["actual"] == {"USD": "0.013125"}  # 0.01 + 0.003125


def test_the_overview_says_the_total_whole_and_how_complete_it_is(served: Served) -> None:
    page = words(served.get("/?range=all").text)
    assert f"exactly {TOTAL} USD" in page
    assert "≈ about 0.0273 USD" in page
    assert "0.0075 USD" in page
    assert "1 pending" in page
    assert "1 unpriced" in page
    assert "The actual cost is not the whole cost" in page


def test_filters_choose_entries_on_every_page(served: Served) -> None:
    assert "exactly 0.01415 USD" in words(served.get("/?range=all&user=anna").text)
    assert "0.01 USD" in words(served.get("/?range=all&tag:team=blue").text)
    listed = served.get("/messages?user=anna").text
    assert (REPLY in listed, QUESTION in listed, UNPRICED in listed) == (True, True, False)
    assert REPLY in served.get("/messages?without=tag:team").text
    assert UNPRICED not in served.get("/messages?without=tag:team").text


def test_days_are_those_of_the_zone(served: Served, books: SqliteLedger) -> None:
    books.append([make_costs("1", number=50, occurred_at=datetime(2026, 1, 20, 23, 30, tzinfo=UTC))])
    assert "2026-01-21" not in re.findall(r'<th scope="row">([\d-]+)</th>', served.get("/part/periods?range=all").text)
    moved = served.get("/part/periods?range=all&zone=Europe/Berlin").text
    assert "2026-01-21" in re.findall(r'<th scope="row">([\d-]+)</th>', moved)


def test_the_newest_message_stands_first_and_older_ones_on_the_next_page(serve: Serve, ledger: SqliteLedger) -> None:
    uuids = [f"message-{number:03d}" for number in range(60)]
    ledger.append([make_entry(number, message_uuid=uuid) for number, uuid in enumerate(uuids)])
    served, path, pages = serve(ledger), "/messages", list[list[str]]()
    while path:
        text = served.get(path).text
        pages.append(re.findall(r"<code>(message-\d+)</code>", text))
        older = re.search(r'href="(/messages\?[^"]*)" rel="next"', text)
        path = older[1].replace("&amp;", "&") if older else ""
    assert [len(page) for page in pages] == [25, 25, 10]
    assert [uuid for page in pages for uuid in page] == uuids[::-1]


@pytest.mark.parametrize("text", [REPLY, SID, "run-2", "llm/run-2/2", f"  {REPLY} "])
def test_a_search_leads_to_the_message(served: Served, text: str) -> None:
    answer = served.get("/search", params={"q": text})
    assert (answer.status_code, answer.url.params["uuid"]) == (200, REPLY)


@pytest.mark.parametrize("text", ["SM" + "0" * 32, "nothing", MARKUP, "x" * 500, "/../..", BACKWARDS])
def test_a_search_that_finds_nothing_says_what_can_be_searched_for(served: Served, text: str) -> None:
    answer = served.get("/search", params={"q": text})
    assert answer.status_code == 404
    assert "A search takes a whole message uuid" in words(answer.text)
    assert MARKUP not in answer.text
    assert "\u202e" not in answer.text


def test_a_message_is_shown_as_it_was_known(served: Served) -> None:
    assert "0.01415" in served.get(f"/message?uuid={REPLY}").text
    then = served.get(f"/message?uuid={REPLY}&as_of=2026-01-20T09:00:01").text
    assert "0.01415" not in then
    assert "as it is known now" in then
    record = served.get(f"/message.json?uuid={REPLY}&as_of=2026-01-20").json()
    assert (record["as_of"], record["total"]["actual"]) == ("2026-01-20T23:59:59.999999Z", {"USD": "0.01415"})
    assert record["turn"]["total"]["pending"] == {"USD": "0.0075"}


def test_the_lists_of_messages_are_there_as_files(served: Served) -> None:
    found = served.get("/messages.json").json()["messages"]
    assert [message["message_uuid"] for message in found] == [HOSTILE, UNPRICED, REPLY, QUESTION]
    rows = list(csv.DictReader(io.StringIO(served.get("/messages.csv").text)))
    assert [row["actual"] for row in rows] == ["0.003125", "0.01", "0.01415", ""]
    assert rows[0]["channel"] == f"'{FORMULA}"


def test_prices_in_use_and_what_has_none(served: Served) -> None:
    page = words(served.get("/prices?range=all").text)
    assert "genai-prices" in page
    assert re.search(r"1 openai gpt-9 unpriced Add a \[\[rate\]\]", page)
    assert served.get("/prices.json?range=all").json()["gaps"] == [
        {
            "provider": "openai",
            "model": "gpt-9",
            "status": "unpriced",
            "calls": 1,
            "advice": RATE_WANTED,
        },
        *[gap for gap in served.get("/prices.json?range=all").json()["gaps"] if gap["model"] != "gpt-9"],
    ]


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/?range=last-week", 400, "range: expected one of 24h, 7d, 30d, all, custom, got 'last-week'"),
        ("/?range=custom&since=yesterday", 400, "from: expected a date such as 2026-01-20"),
        ("/?range=custom&until=0000-00-00", 400, "before: expected a date such as 2026-01-20"),
        ("/?since=2026-01-02&until=2026-01-01", 400, "before: expected a moment after 2026-01-02"),
        ("/?since=0001-01-01&zone=Asia/Tokyo", 400, "from: expected a date such as"),
        ("/?zone=Europe/Nowhere", 400, "zone: expected the name of a time zone"),
        ("/?zone=../../etc/passwd", 400, "zone: expected the name of a time zone"),
        ("/?zone=Europe", 400, "zone: expected the name of a time zone"),
        ("/?zone=%00", 400, "zone: expected the name of a time zone"),
        ("/?without=money", 400, "without: expected one of user, channel"),
        ("/by/colour", 400, "by: expected one of"),
        ("/by/user?page=0", 400, "page: expected a page number"),
        ("/by/user?range=all&page=9", 404, "There is no page 9 of this table: it has 1"),
        ("/messages?before=soon", 400, "before: expected a sequence number"),
        ("/message", 404, "The address names no message"),
        ("/message?uuid=nobody", 404, "There is no message 'nobody' in this ledger"),
        (f"/message?uuid={REPLY}&as_of=2020-01-01", 400, "2026-01-20T09:00:00.000000Z or later"),
        (f"/message?uuid={REPLY}&as_of=once", 400, "as of: expected a date such as"),
        (f"/message?uuid={REPLY}&as_of=0001-01-01T00:00%2B14:00", 400, "as of: expected a date such as"),
        (f"/message?uuid={REPLY}&as_of=9999-12-31T23:59-14:00", 400, "as of: expected a date such as"),
        ("/?since=9999-12-31T23:59:59Z&zone=Asia/Tokyo", 400, "from: expected a date such as"),
        ("/?since=0001-01-01T00:00Z&zone=America/New_York", 400, "from: expected a date such as"),
        ("/?" + "&".join(f"tag:t{number}=1" for number in range(1200)), 400, "filters: expected at most 32"),
        ("/report.json?by=" + ",".join(["user"] * 2000), 400, "by: expected at most 8"),
        ("/?user=" + "x" * 5000, 400, "..."),
        ("/no%0Asuch%0Apage", 404, "There is no such page"),
        ("/chart.svg?w=wide", 400, "w: expected a width in pixels"),
        ("/search?q=" + "x" * 501, 400, "search: expected at most 500 characters"),
        ("/static/../app.py", 404, "There is no such page"),
        ("/static/app.py", 404, "There is no such file"),
        ("/no/such/page", 404, "There is no such page"),
    ],
)
def test_an_address_that_makes_no_sense_is_a_clear_page(served: Served, path: str, status: int, said: str) -> None:
    answer = served.get(path)
    assert answer.status_code == status
    assert said in words(answer.text).replace("&#39;", "'").replace("&gt;", ">")
    assert "Traceback" not in answer.text


def test_what_an_address_says_is_escaped_wherever_it_is_quoted(served: Served) -> None:
    for path in (
        "/?range=",
        "/?zone=",
        "/?user=",
        "/by/",
        "/message?uuid=",
        "/search?q=",
        "/messages?channel=",
        "/?tag:x=",
    ):
        text = served.get(path + quote(MARKUP, safe="")).text
        assert "<script>document" not in text, path
        assert "\u202e" not in words(served.get(path + quote(BACKWARDS, safe="")).text), path


def test_a_machine_is_told_what_is_wrong_as_json(served: Served) -> None:
    answer = served.get("/report.json?by=colour")
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("This cannot be shown: by: expected one of")


def test_a_ledger_that_is_no_ledger_any_more_is_said_and_not_raised(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "broken.db").write_bytes(b"this is no database, and has never been one" * 100)
    served = serve(SqliteLedger(tmp_path / "broken.db"))
    for path in (*PAGES, "/report.json", "/part/figures", f"/message?uuid={REPLY}"):
        answer = served.get(path)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5"), path
        assert "file is not a database" in answer.text, path
    assert "file is not a database" in words(served.get("/part/problems").text)


class Slow(SqliteLedger):
    """Reports take until somebody lets them go on."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.go_on = threading.Event()
        self.asked = Counter[tuple[str, ...]]()

    def totals(
        self, by: Sequence[str] = (), selection: Selection = EVERYTHING, zone: tzinfo = UTC
    ) -> dict[tuple[str | None, ...], Totals]:
        self.asked[tuple(by)] += 1
        self.go_on.wait(20)
        return super().totals(by, selection, zone)


def test_a_report_that_takes_long_leaves_the_page_to_come_and_is_asked_once(serve: Serve, tmp_path: Path) -> None:
    ledger = Slow(tmp_path / "costs.db")
    ledger.append([make_entry()])
    served = serve(SqliteLedger(tmp_path / "costs.db"), sums=ledger, limit_s=1.0)
    page = served.get("/?range=all").text
    assert page.count('aria-busy="true"') == 6
    answer = served.get("/by/user?range=all")
    assert (answer.status_code, "It goes on looking" in answer.text) == (503, True)
    assert served.get("/part/by/user?range=all").status_code == 503
    assert served.get("/live").status_code == 200  # nothing that is quick waits for it
    assert served.get("/messages").status_code == 200
    ledger.go_on.set()
    assert "0.003125" in served.get("/part/by/user?range=all").text
    assert ledger.asked[("user",)] == 1
    ledger.close()


def test_a_ledger_that_is_busy_is_read_all_the_same(served: Served, books: SqliteLedger) -> None:
    with closing(sqlite3.connect(books.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert f"{TOTAL} USD" in words(served.get("/?range=all").text)


def test_what_was_lost_or_refused_is_said_on_every_page(serve: Serve, books: SqliteLedger) -> None:
    books.report_loss(3, "disk full")
    served = serve(books)
    for path in ("/", "/messages", "/outbox", "/prices", f"/message?uuid={REPLY}"):
        assert "3 entries were lost" in words(served.get(path).text), path


def test_reading_does_not_make_the_file(serve: Serve, ledger: SqliteLedger) -> None:
    served = serve(ledger)
    paths = (*PAGES, *FILES, "/search?q=x", "/message?uuid=x")
    assert {path: served.get(path).status_code for path in paths} == {
        **dict.fromkeys(paths, 200),
        "/search?q=x": 404,
        "/message?uuid=x": 404,
    }
    assert not ledger.exists


def test_a_file_that_was_replaced_is_another_ledger(serve: Serve, books: SqliteLedger, tmp_path: Path) -> None:
    served = serve(SqliteLedger(books.path), sums=SqliteLedger(books.path))
    assert f"exactly {TOTAL} USD" in words(served.get("/?range=all").text)
    books.close()
    other = SqliteLedger(tmp_path / "other.db")
    other.append([make_costs("42", number=number, entry_id=f"llm/x/{number}") for number in range(1, 8)])
    other.close()
    for path in tmp_path.glob(f"{books.path.name}*"):
        if path.is_file():
            path.unlink()
    other.path.replace(books.path)
    assert "294 USD" in words(served.get("/?range=all").text)  # 7 * 42, though both hold seven entries
    assert served.get("/live").json()["version"] == 7


def test_live_answers_304_while_nothing_is_new(served: Served, books: SqliteLedger) -> None:
    first = served.get("/live")
    assert (first.json()["version"], first.headers["etag"]) == (7, '"7"')
    assert served.get("/live", headers={"if-none-match": '"7"'}).status_code == 304
    books.append([make_entry(99)])
    seen: Mapping[str, Any] = {"version": 7}
    while seen["version"] == 7:
        seen = served.get("/live").json()
    assert seen["version"] == 8


def test_other_currencies_are_never_added_to_dollars(serve: Serve, ledger: SqliteLedger) -> None:
    ledger.append([make_costs("2", number=1), make_costs("3", number=2, currency="EUR", entry_id="llm/other/1")])
    page = words(serve(ledger).get("/?range=all").text)
    assert "3 EUR" in page
    assert "2 USD" in page
    assert "EUR stand in the table only" in page


def test_the_outbox_says_how_far_each_exporter_is_and_what_it_did_not_take(served: Served, books: SqliteLedger) -> None:
    books.deliveries.open("posthog", from_now=False)
    held = books.deliveries.take("posthog", owner="a test", now_us=1, until_us=2)
    assert held is not None
    parked = Letter(seq=2, state=PARKED, reason="too large for <PostHog>", attempts=1, since_us=1)
    books.deliveries.record(held, Outcome(sent=3, cursor=4, letters=[parked]), until_us=2)
    page = words(served.get("/outbox").text)
    assert re.search(r"posthog waits for the next delivery 3 .* 3 0 1 0 4 of 7", page)
    assert "1 parked too large for &lt;PostHog&gt; llm/run-2/2" in page
    assert "costtrace outbox replay posthog --parked" in page
    (record,) = served.get("/outbox.json").json()["exporters"]
    assert (record["pending"], record["sent"], record["cursor"]) == (3, 3, 4)
    assert [taken["entry_id"] for taken in record["not_taken"]] == ["llm/run-2/2"]
    (row,) = csv.DictReader(io.StringIO(served.get("/outbox.csv").text))
    assert (row["exporter"], row["pending"], row["parked"]) == ("posthog", "3", "1")


def test_an_exporter_that_waits_for_a_person_is_said_on_every_page(serve: Serve, books: SqliteLedger) -> None:
    books.deliveries.open("posthog", from_now=False)
    held = books.deliveries.take("posthog", owner="a test", now_us=1, until_us=2)
    assert held is not None
    books.deliveries.fail(held, Failure(reason="the key is refused", at_us=1, next_try_us=None, stopped=True))
    served = serve(books)
    for path in PAGES:
        page = words(served.get(path).text)
        assert "posthog is stopped: the key is refused" in page, path
        assert "costtrace outbox resume posthog" in page, path


def test_any_ledger_can_be_looked_at(serve: Serve) -> None:
    ledger = MemoryLedger()
    ledger.append(BOOKS)
    served = serve(ledger)
    for path in (*PAGES, *FILES, f"/message?uuid={REPLY}", "/by/tag:team", "/outbox.json", "/prices.json"):
        assert served.get(path).status_code == 200, path
    assert f"exactly {TOTAL} USD" in words(served.get("/?range=all").text)
    assert "has no outbox" in served.get("/outbox").text
    assert served.get("/search", params={"q": SID}).url.params["uuid"] == REPLY
