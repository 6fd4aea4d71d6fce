"""``costtrace serve`` as a process of its own, and Twilio's stand-in posting to it over a socket."""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final
from urllib.error import HTTPError
from urllib.request import HTTPCookieProcessor, Request, build_opener

import pytest

from costtrace.ledger import SqliteLedger
from costtrace.sandbox.twilio import TwilioServer
from costtrace.sandbox.twilio_carrier import Fate
from tests.factories import make_entry
from tests.sandbox.twilio_app import OURS, PHONE, sdk

NEW_TOKEN: Final = "the-token-of-tomorrow"  # noqa: S105 - of the stand-in
UUID: Final = "0199d3a0-0000-7000-8000-000000000001"


@dataclass
class Serving:
    process: subprocess.Popen[str]
    address: str
    said: list[str]

    @property
    def link(self) -> str:
        """Of the dashboard."""
        found = re.search(r"http://[\d.]+:\d+/\?token=[\w-]{43}$", self.said[-1])
        assert found is not None
        return found[0]

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def end(self, signum: int = signal.SIGTERM) -> str:
        """Asks for the end; the rest of what it wrote, once it has ended in good order."""
        self.process.send_signal(signum)
        _, errors = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, errors
        return errors


def lines_until_ready(output: IO[str]) -> Iterator[str]:
    """What it says when it starts, the last line of which is about the dashboard or about signatures."""
    for line in output:
        yield line.rstrip()
        if line.startswith(("dashboard", "there is no dashboard")):
            return


def _stand_in(app: Serving) -> TwilioServer:
    return TwilioServer(auth_token=NEW_TOKEN, inbound_url=f"{app.address}/sms/inbound")


def environment(directory: Path, **changes: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COSTTRACE_", "TWILIO_"))}
    known = {
        "COSTTRACE_LEDGER": f"sqlite:///{directory}/costs.db",
        "COSTTRACE_HASH_KEY": "a key of the tests, long enough",
        "TWILIO_AUTH_TOKEN": "a-token-that-is-going",
    }
    return {**kept, **known, **changes}


@contextmanager
def serving(directory: Path, *words: str, **changes: str) -> Iterator[Serving]:
    command = [sys.executable, "-m", "costtrace", "serve", "--port", "0", *words]
    with subprocess.Popen(
        command,
        env=environment(directory, **changes),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=directory,
    ) as process:
        assert process.stdout is not None
        try:
            said = list(lines_until_ready(process.stdout))
            found = re.search(r"http://[\d.]+:\d+", said[0])
            assert found is not None, process.communicate(timeout=10)
            yield Serving(process, found[0], said)
        finally:
            process.kill()


def test_the_stand_in_posts_and_the_ledger_knows_every_status(tmp_path: Path) -> None:
    with serving(tmp_path, TWILIO_AUTH_TOKEN=f"a-token-that-is-going, {NEW_TOKEN}") as app:
        with (
            _stand_in(app) as twilio,
            sdk(twilio) as client,
        ):
            arrived = twilio.receive(from_=PHONE, to=OURS, body="Where is my parcel?")
            twilio.script(Fate(statuses=("queued", "sent", "delivered")))
            sent = client.messages.create(
                to=PHONE,
                from_=OURS,
                body="On its way.",
                status_callback=f"{app.address}/sms/callback?message_uuid={UUID}&send=s-1#rc=3&rp=ct,rt,5xx",
            )
            twilio.wait()
            assert {delivery.status for delivery in twilio.deliveries} <= {200, 204}
            assert [message.direction for message in twilio.messages] == [
                "inbound",
                "outbound-api",
            ]  # no reply of TwiML
        errors = app.end()

    assert errors == ""
    ledger = SqliteLedger(tmp_path / "costs.db")
    statuses = {entry.status for entry in ledger.message(UUID).entries if entry.kind == "sms-status"}
    inbound = [entry for _, entry in ledger.entries() if entry.context.direction == "inbound"]
    ledger.close()
    assert {"sent", "delivered"} <= statuses
    assert {entry.source_id for entry in inbound} == {arrived.sid}
    assert sent.sid not in {entry.source_id for entry in inbound}


def test_twilio_tries_a_store_that_is_down_again_until_it_is_back(tmp_path: Path) -> None:
    place = tmp_path / "costs.db"
    with serving(tmp_path, TWILIO_AUTH_TOKEN=NEW_TOKEN) as app:
        place.unlink(missing_ok=True)
        place.mkdir()  # no file can be opened there
        with TwilioServer(auth_token=NEW_TOKEN, manual=True) as twilio, sdk(twilio) as client:
            address = f"{app.address}/sms/callback?message_uuid={UUID}&send=s-1#rc=2&rp=ct,rt,5xx"
            sent = client.messages.create(to=PHONE, from_=OURS, body="On its way.", status_callback=address)
            assert twilio.callback(sent.sid, "sent").attempts == (503, 503, 503)
            place.rmdir()
            assert twilio.callback(sent.sid, "sent").attempts == (204,)
        assert "webhooks are answered with 503 until that has passed" in app.end()

    ledger = SqliteLedger(place)
    assert {entry.source_id for entry in ledger.message(UUID).entries} == {sent.sid}
    ledger.close()


def test_it_says_where_it_listens_what_for_and_for_which_public_address(tmp_path: Path) -> None:
    with serving(tmp_path, COSTTRACE_PUBLIC_BASE_URL="https://sms.example.com") as app:
        assert app.said == [
            f"listening on {app.address}, ledger sqlite:///{tmp_path}/costs.db",
            "  POST /sms/inbound    a message came in",
            "  POST /sms/callback   the status of a message changed",
            "  GET  /healthz        whether the ledger can be used",
            "signatures are checked against https://sms.example.com",
            f"dashboard: {app.link}",
        ]
        connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=10)
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b'{"ok":true}')
        connection.close()
        app.end(signal.SIGINT)


@pytest.mark.parametrize(
    ("changes", "words", "sentence"),
    [
        ({"TWILIO_AUTH_TOKEN": ""}, ("--no-dashboard",), "there is nothing to serve: TWILIO_AUTH_TOKEN is not set"),
        ({"TWILIO_AUTH_TOKEN": " , "}, ("--no-dashboard",), "there is nothing to serve: TWILIO_AUTH_TOKEN is not set"),
        ({"TWILIO_AUTH_TOKEN": ""}, ("--host", "0.0.0.0"), "there is nothing to serve: TWILIO_AUTH_TOKEN is not set"),  # noqa: S104 - nothing comes to listen there
        ({"COSTTRACE_DASHBOARD_TOKEN": "short-secret"}, (), "COSTTRACE_DASHBOARD_TOKEN: expected 16 to 200 letters"),
        ({"COSTTRACE_PUBLIC_BASE_URL": "example.com"}, (), "COSTTRACE_PUBLIC_BASE_URL: expected an address such as"),
        ({"COSTTRACE_HASH_KEY": "short-secret"}, (), "COSTTRACE_HASH_KEY: expected at least 16 random bytes"),
        ({"COSTTRACE_LEDGER": "redis://x"}, (), "ledger address 'redis://x' is not known"),
        ({}, ("--host", "256.0.0.1"), "cannot listen on 256.0.0.1 port 0"),
    ],
)
def test_it_does_not_start_with_settings_that_cannot_work(
    tmp_path: Path, changes: dict[str, str], words: tuple[str, ...], sentence: str
) -> None:
    command = [sys.executable, "-m", "costtrace", "serve", "--port", "0", *words]
    done = subprocess.run(
        command, env=environment(tmp_path, **changes), capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"costtrace: {sentence}")
    assert len(done.stderr.splitlines()) == 1
    assert "short-secret" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_ledger_that_needs_a_person_is_said_before_the_first_message(tmp_path: Path) -> None:
    (tmp_path / "costs.db").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "costtrace", "serve", "--port", "0"],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"costtrace: ledger '{tmp_path}/costs.db': unable to open database file; check that")
    assert len(done.stderr.splitlines()) == 1


def test_a_ledger_that_is_only_busy_does_not_keep_it_from_starting(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "costs.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        with serving(tmp_path) as app:
            app.end()


def test_a_port_that_is_taken_is_a_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "costtrace", "serve", "--port", port],
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr == (
        f"costtrace: cannot listen on 127.0.0.1 port {port}: Address already in use; choose another with --host and"
        " --port\n"
    )


def test_bytes_that_are_no_request_hurt_nobody(tmp_path: Path) -> None:
    chance = random.Random(7)  # noqa: S311 - the same bytes in every run
    heads = [b"POST /sms/callback HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nhost: x\r\n", b"\x16\x03\x01\x02", b""]
    with serving(tmp_path) as app:
        for _ in range(150):
            junk = chance.choice(heads) + chance.randbytes(chance.randrange(200)) + chance.choice([b"\r\n\r\n", b""])
            with socket.create_connection(("127.0.0.1", app.port), timeout=10) as connection:
                connection.sendall(junk)
                connection.shutdown(socket.SHUT_WR)
                answer = connection.recv(4096)
            assert b" 500 " not in answer.partition(b"\r\n")[0]
        errors = app.end()
    assert "Traceback" not in errors
    assert SqliteLedger(tmp_path / "costs.db").last_seq() == 0


def get(url: str, **headers: str) -> tuple[int, str]:
    """Status and text, redirects followed with whatever cookies they set."""
    opener = build_opener(HTTPCookieProcessor())
    try:
        with opener.open(Request(url, headers=headers), timeout=20) as answer:  # noqa: S310 - a loopback address
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_the_dashboard_is_there_without_twilio_and_shows_what_a_report_says(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "costs.db")
    ledger.append([make_entry(1), make_entry(2)])
    ledger.close()
    with serving(tmp_path, TWILIO_AUTH_TOKEN="") as app:
        assert app.said[2] == "Twilio's webhooks are not taken: TWILIO_AUTH_TOKEN is not set"
        status, page = get(f"{app.link}&range=all")
        assert (status, ">0.00625</span> USD" in page) == (200, True)  # 0.003125 twice
        assert get(app.address)[0] == 401
        assert get(f"{app.address}/sms/callback")[0] == 401  # no webhook is there
        found = get(f"{app.link.replace('/?', '/report.json?')}&range=all&by=model")[1]
        assert app.end() == ""
    said = subprocess.run(
        [sys.executable, "-m", "costtrace", "report", "--json", "--by", "model"],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(found) == json.loads(said.stdout)


def test_a_link_that_was_set_stays_the_same_and_its_token_out_of_the_log(tmp_path: Path) -> None:
    token = "a-token-of-a-person-1"  # noqa: S105 - of no dashboard but this
    with serving(tmp_path, COSTTRACE_DASHBOARD_TOKEN=token) as app:
        assert app.said[-1] == f"dashboard: {app.address}/?token=$COSTTRACE_DASHBOARD_TOKEN"
        assert get(f"{app.address}/?token={token}")[0] == 200
        app.end()


def test_looking_at_nothing_makes_no_ledger(tmp_path: Path) -> None:
    with serving(tmp_path, TWILIO_AUTH_TOKEN="") as app:
        assert "Nothing was recorded yet" in get(app.link)[1]
        app.end()
    assert list(tmp_path.iterdir()) == []


def test_other_machines_are_shown_no_pages_unless_that_was_asked_for(tmp_path: Path) -> None:
    with serving(tmp_path, "--host", "0.0.0.0") as app:  # noqa: S104 - for the length of this test
        assert app.said[-1] == "there is no dashboard at this address unless --dashboard asks for it"
        assert get(f"http://127.0.0.1:{app.port}/")[0] == 404
        app.end()
    with serving(tmp_path, "--host", "0.0.0.0", "--dashboard") as app:  # noqa: S104 - as above
        assert get(app.link.replace("0.0.0.0", "127.0.0.1"))[0] == 200  # noqa: S104 - as above
        app.end()
    with serving(tmp_path, "--no-dashboard") as app:
        assert app.said[-1] == "there is no dashboard: --no-dashboard"
        assert get(app.address)[0] == 404
        app.end()


def test_a_chart_that_was_drawn_leaves_no_process_behind(tmp_path: Path) -> None:
    pytest.importorskip("vl_convert", reason="vl-convert-python is not installed")
    ledger = SqliteLedger(tmp_path / "costs.db")
    ledger.append([make_entry()])
    ledger.close()
    with serving(tmp_path) as app:
        status, chart = get(f"{app.link.replace('/?', '/chart.svg?')}&range=all")
        assert (status, chart[:5]) == (200, "<svg ")
        children = Path(f"/proc/{app.process.pid}/task/{app.process.pid}/children")
        drawing = children.read_text().split() if children.exists() else []
        app.end()
    assert not [pid for pid in drawing if Path(f"/proc/{pid}").exists()]
