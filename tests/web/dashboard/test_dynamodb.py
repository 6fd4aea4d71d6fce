"""The same pages over a DynamoDB table, which numbers entries by the microsecond and adds up what it reads."""

from __future__ import annotations

from costtrace.ledger import open_ledger
from costtrace.ledger.dynamodb.tables import create_tables
from tests.factories import make_entry
from tests.peers.emulator import Account
from tests.peers.fixtures import *  # noqa: F403 - fixtures
from tests.web.dashboard.books import BOOKS, REPLY, SID, TOTAL
from tests.web.dashboard.conftest import Serve


def test_a_table_is_shown_as_any_other_ledger(aws_environment: Account, serve: Serve) -> None:
    create_tables(aws_environment.client(), ledger="costs", messages=None)
    ledger = open_ledger("dynamodb://?ledger=costs")
    served = serve(ledger)
    assert "Nothing was recorded yet" in served.get("/").text
    ledger.append(BOOKS)
    while (live := served.get("/live")).json()["version"] == 0:
        pass
    assert live.json()["version"] > 1 << 53  # further than a script in a browser counts
    assert served.get("/live", headers={"if-none-match": live.headers["etag"]}).status_code == 304
    assert f">{TOTAL}</span>" in served.get("/part/figures?range=all").text
    assert served.get("/report.json?range=all").json()["total"]["actual"] == {"USD": TOTAL}
    assert REPLY in served.get("/messages?kind=sms").text
    assert served.get("/search", params={"q": SID}).url.params["uuid"] == REPLY
    assert served.get("/search", params={"q": "run-2"}).url.params["uuid"] == REPLY
    assert "has no outbox" in served.get("/outbox").text
    ledger.append([make_entry(99)])
    while served.get("/live").headers["etag"] == live.headers["etag"]:
        pass
    assert served.get("/report.json?range=all").json()["total"]["actual"] == {"USD": "0.0304"}
    ledger.close()
