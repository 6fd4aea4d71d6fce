"""Who is let in: whoever holds the link, from this machine, and nobody that a foreign page speaks for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http.cookies import SimpleCookie

import httpx
import pytest

from costtrace.errors import ConfigurationError
from costtrace.ledger import SqliteLedger
from costtrace.web.dashboard import Dashboard, new_token
from tests.web.dashboard.books import REPLY
from tests.web.dashboard.conftest import TOKEN, Serve, Served

ROUTES = (
    "/",
    "/part/figures",
    "/part/by/user",
    "/part/problems",
    "/by/user",
    "/messages",
    "/messages.csv",
    f"/message?uuid={REPLY}",
    f"/message.json?uuid={REPLY}",
    "/search?q=x",
    "/outbox",
    "/outbox.json",
    "/prices",
    "/gaps.csv",
    "/chart.svg",
    "/report.json",
    "/report.csv",
    "/live",
    "/static/dashboard.js",
    "/no-such-page",
)
STRICT = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)


@pytest.fixture
def stranger(served: Served) -> Iterator[httpx.Client]:
    """One who has no cookie."""
    with httpx.Client(base_url=served.address) as client:
        yield client


def test_nothing_is_shown_without_the_cookie(stranger: httpx.Client) -> None:
    for path in ROUTES:
        answer = stranger.get(path)
        assert answer.status_code == 401, path
        assert "costtrace serve" in answer.text
        assert "0.0" not in answer.text


def test_the_link_is_exchanged_for_a_cookie_and_leaves_the_address(served: Served, stranger: httpx.Client) -> None:
    answer = stranger.get(f"/by/user?range=all&token={TOKEN}&zone=UTC")
    assert (answer.status_code, answer.headers["location"]) == (303, "/by/user?range=all&zone=UTC")
    port = served.address.rpartition(":")[2]
    cookie = SimpleCookie(answer.headers["set-cookie"])[f"costtrace-{port}"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "strict", "/")
    assert TOKEN not in cookie.value
    assert stranger.get("/by/user?range=all").status_code == 200


@pytest.mark.parametrize("path", ["/a%0Ab", "/static/a%0Ab", "/by/a%0Ab"])
def test_a_line_break_in_a_path_is_no_way_around(stranger: httpx.Client, path: str) -> None:
    answer = stranger.get(path)
    assert (answer.status_code, answer.headers["content-security-policy"][:18]) == (401, "default-src 'none'")


@pytest.mark.parametrize("path", ["//evil.example/", "/\\evil.example/", "///evil.example"])
def test_the_exchange_leads_nowhere_else(stranger: httpx.Client, path: str) -> None:
    location = httpx.get(f"{stranger.base_url}{path}?token={TOKEN}").headers["location"]
    assert re.match(r"/[^/\\]", location)


@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], TOKEN + "x", "töken"])
def test_another_token_lets_nobody_in(stranger: httpx.Client, token: str) -> None:
    answer = stranger.get("/", params={"token": token})
    assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)


def test_the_cookie_of_another_start_lets_nobody_in(serve: Serve, books: SqliteLedger) -> None:
    one, other = serve(books), serve(books, token=new_token())
    value = next(iter(one.client.cookies.jar)).value
    name = f"costtrace-{other.address.rpartition(':')[2]}"
    assert httpx.get(f"{other.address}/", cookies={name: value or ""}).status_code == 401


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "[::1]evil",
        "[::1",
        "127.0.0.1:x",
        "",
    ],
)
def test_a_foreign_name_is_not_answered_even_with_the_cookie(served: Served, host: str) -> None:
    answer = served.get("/", headers={"host": host})
    assert answer.status_code == 421
    assert "evil" not in answer.text


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]:8000", "192.168.0.7"])
def test_localhost_and_addresses_are_answered(served: Served, host: str) -> None:
    assert served.get("/live", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("header", ["x-forwarded-for", "x-forwarded-host", "forwarded", "cf-connecting-ip"])
def test_what_a_tunnel_has_passed_on_is_answered_only_where_that_was_asked_for(
    served: Served, serve: Serve, books: SqliteLedger, header: str
) -> None:
    assert served.get("/live", headers={header: "203.0.113.7"}).status_code == 421
    behind_proxy = serve(books, proxied=True, hosts=["costs.example.com"])
    names = {"host": "costs.example.com", header: "203.0.113.7"}
    assert behind_proxy.get("/live", headers=names).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_it_can_only_be_read(served: Served, method: str) -> None:
    answer = served.client.request(method, "/messages")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


def test_every_answer_carries_the_headers(served: Served) -> None:
    for path in ROUTES:
        headers = served.get(path).headers
        assert headers["content-security-policy"] == STRICT, path
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"


def test_no_page_has_inline_script_or_style(served: Served) -> None:
    for path in ROUTES:
        text = served.get(path).text
        if "<html" not in text:
            continue
        assert not re.search(r"<style|\sstyle=|<script(?! src=\"/static/)|\son[a-z]+=", text), path


def test_a_head_is_answered_without_a_body(served: Served) -> None:
    answer = served.client.head("/")
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("token", ["", "short", "has a space in the middle", "x" * 201, "line\nbreak-in-the-token"])
def test_a_token_that_could_be_guessed_is_refused_and_not_quoted(ledger: SqliteLedger, token: str) -> None:
    with pytest.raises(ConfigurationError, match="COSTTRACE_DASHBOARD_TOKEN") as raised:
        Dashboard(ledger, token=token)
    assert token == "" or token not in str(raised.value)
