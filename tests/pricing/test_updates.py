"""Price files: fetched when asked for, checked as a whole, replaced in one step, and named in every quote."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import pytest

from costtrace.errors import InvalidRates, PricesUnavailable
from costtrace.pricing import Catalog
from costtrace.pricing.download import download
from costtrace.pricing.genai import GenaiPrices
from costtrace.pricing.updates import PUBLISHED, read_price_file, update_price_file
from costtrace.quote import QuoteStatus
from costtrace.sandbox.loopback import LoopbackServer, Request, Response, Stream

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def provider(name: str, *models: dict[str, Any]) -> dict[str, Any]:
    return {"id": name, "name": name, "api_pattern": f"https://api\\.{name}\\.com", "models": list(models)}


def model(name: str, **prices: Any) -> dict[str, Any]:
    return {"id": name, "match": {"equals": name}, "prices": prices or {"input_mtok": 1, "output_mtok": 2}}


def table(**changes: Any) -> list[dict[str, Any]]:
    """The smallest table there can be: one model of each provider that may not be missing."""
    models = {"anthropic": model("claude-x"), "google": model("gemini-x"), "openai": model("gpt-x"), **changes}
    return [provider(name, *([] if each is None else [each])) for name, each in models.items()]


def data(raw: object) -> bytes:
    return json.dumps(raw).encode()


class Site:
    """A web server on this machine that answers as the test says, and counts how often it was asked."""

    def __init__(self) -> None:
        self.answer: Response | Stream | None = Response(status=200, body=data(table()), headers={})
        self.moved: dict[str, Response] = {}
        """By path: what answers there in its place."""
        self.asked: list[str] = []
        self.accepted: list[str | None] = []
        self._server = LoopbackServer(self._respond, name="prices")

    async def _respond(self, request: Request) -> Response | Stream | None:
        self.asked.append(request.path)
        self.accepted.append(request.headers.get("accept"))
        return self.moved.get(request.path, self.answer)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    @property
    def address(self) -> str:
        return f"{self._server.address}/data.json"


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as running:
        yield running


def test_the_address_is_that_of_the_packages_own_updater() -> None:
    from genai_prices.update_prices import DEFAULT_UPDATE_URL  # noqa: PLC0415 - loads an HTTP client

    assert PUBLISHED == DEFAULT_UPDATE_URL


def test_fetched_prices_are_written_as_they_came_and_quotes_name_their_hash(site: Site, tmp_path: Path) -> None:
    target = tmp_path / "prices.json"
    content = data(table(openai=model("gpt-x", input_mtok=0.3, output_mtok=1.1)))
    site.answer = Response(status=200, body=content, headers={})

    done = update_price_file(target, site.address)

    assert target.read_bytes() == content
    assert done.data_hash == hashlib.sha256(content).hexdigest()[:16]
    assert (done.providers, done.models, done.changed) == (3, 3, True)
    quote = Catalog(GenaiPrices.from_file(target)).quote(
        provider="openai",
        model="gpt-x",
        usage={"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100},
        at=NOON,
    )
    assert quote.status is QuoteStatus.EXACT
    assert quote.amount == 1000 * Decimal("0.3") / 1_000_000 + 100 * Decimal("1.1") / 1_000_000
    assert quote.basis is not None
    assert quote.basis.data_hash == done.data_hash


def test_a_price_is_read_as_it_is_written_to_the_last_digit(tmp_path: Path) -> None:
    file = tmp_path / "prices.json"
    file.write_bytes(data(table()).replace(b'"input_mtok": 1', b'"input_mtok": 0.1234567890123456789'))

    snapshot, _, _ = read_price_file(file)

    [found] = next(each.models for each in snapshot.providers if each.id == "openai")
    assert found.get_prices(NOON).input_mtok == Decimal("0.1234567890123456789")


def test_the_version_is_the_day_the_file_was_written(tmp_path: Path) -> None:
    file = tmp_path / "prices.json"
    file.write_bytes(data(table()))
    written = datetime(2026, 2, 3, 23, 59, tzinfo=UTC).timestamp()
    os.utime(file, (written, written))

    assert read_price_file(file)[2] == "file of 2026-02-03"


def test_the_same_data_again_changes_nothing(site: Site, tmp_path: Path) -> None:
    target = tmp_path / "prices.json"

    assert update_price_file(target, site.address).changed
    assert not update_price_file(target, site.address).changed


def test_prices_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "mirror.json").write_bytes(data(table()))

    update_price_file(tmp_path / "prices.json", str(tmp_path / "mirror.json"))

    assert (tmp_path / "prices.json").read_bytes() == data(table())


NOT_A_TABLE = {
    "not JSON": (b"<html>", "is not JSON"),
    "half of it": (data(table())[:-40], "is not JSON"),
    "not text": (b"\xff\xfe\x00", "is not JSON"),
    "nested without end": (b"[" * 200_000, "is not JSON"),
    "an object": (data({"providers": []}), "must be a list of providers, got dict"),
    "empty": (b"[]", "has no models of anthropic, google, openai"),
    "a provider is missing": (data(table()[:2]), "has no models of openai"),
    "a provider has lost its models": (data(table(google=None)), "has no models of google"),
    "a negative price": (
        data(table(openai=model("gpt-x", input_mtok=-1, output_mtok=1))),
        "provider 'openai', model 'gpt-x': input_mtok must not be -1",
    ),
    "a negative price in a tier": (
        data(table(openai=model("gpt-x", input_mtok={"base": 1, "tiers": [{"start": 10, "price": -2}]}))),
        "input_mtok must not be -2",
    ),
    "a price that is none": (b'[{"prices": {"input_mtok": NaN}}]', "NaN is no price"),
    "a price that is a word": (data(table(openai=model("gpt-x", input_mtok="dear"))), "price data"),
    "a model without a name": (data(table(openai={"match": {"equals": "x"}, "prices": {}})), "price data"),
}


@pytest.mark.parametrize(("content", "problem"), NOT_A_TABLE.values(), ids=NOT_A_TABLE)
def test_what_is_no_price_table_replaces_nothing(content: bytes, problem: str, site: Site, tmp_path: Path) -> None:
    target = tmp_path / "prices.json"
    target.write_bytes(data(table()))
    site.answer = Response(status=200, body=content, headers={})

    with pytest.raises(InvalidRates) as refused:
        update_price_file(target, site.address)

    assert problem in str(refused.value)
    assert target.read_bytes() == data(table())
    assert [path.name for path in tmp_path.iterdir()] == ["prices.json"]


@pytest.mark.parametrize(("content", "problem"), NOT_A_TABLE.values(), ids=NOT_A_TABLE)
def test_a_file_that_is_no_price_table_is_refused_by_name(content: bytes, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "prices.json"
    file.write_bytes(content)

    with pytest.raises(InvalidRates) as refused:
        GenaiPrices.from_file(file)

    assert problem in str(refused.value)
    assert "prices.json" in str(refused.value)


def test_a_file_that_is_missing_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidRates, match=r"price file '.*none\.json' cannot be read: No such file or directory"):
        GenaiPrices.from_file(tmp_path / "none.json")


def test_an_answer_that_is_too_large_is_left(site: Site, tmp_path: Path) -> None:
    with pytest.raises(PricesUnavailable, match="sends more than 100 bytes"):
        update_price_file(tmp_path / "prices.json", site.address, max_bytes=100)
    assert list(tmp_path.iterdir()) == []


def pieces_without_end() -> Iterator[bytes]:
    while True:
        yield b" " * 1000


def test_an_answer_that_never_ends_is_left(site: Site, tmp_path: Path) -> None:
    site.answer = Stream(pieces=(piece for piece in pieces_without_end()), headers={}, dropped=False)

    with pytest.raises(PricesUnavailable, match=r"too slow|sends more than"):
        update_price_file(tmp_path / "prices.json", site.address, timeout_s=0.2)


@pytest.mark.parametrize("status", [404, 429, 500])
def test_a_failed_answer_says_its_status(status: int, site: Site, tmp_path: Path) -> None:
    site.answer = Response(status=status, body=b"{}", headers={})

    with pytest.raises(PricesUnavailable, match=f"answers with HTTP status {status}"):
        update_price_file(tmp_path / "prices.json", site.address)


def test_a_connection_that_breaks_is_an_error_of_one_sentence(site: Site, tmp_path: Path) -> None:
    site.answer = None

    with pytest.raises(PricesUnavailable, match="cannot be fetched"):
        update_price_file(tmp_path / "prices.json", site.address)


def test_an_answer_that_is_shorter_than_announced_is_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/data.json"
        child = subprocess.Popen(
            [sys.executable, "-c", SHORT_ANSWER, str(listener.fileno())], pass_fds=[listener.fileno()]
        )
        with pytest.raises(PricesUnavailable, match="broke off 95 bytes before the end"):
            download(address, max_bytes=1000, timeout_s=10)
        assert child.wait(timeout=10) == 0


SHORT_ANSWER = """
import socket, sys
connection, _ = socket.socket(fileno=int(sys.argv[1])).accept()
connection.recv(65536)
connection.sendall(b"HTTP/1.1 200 OK\\r\\ncontent-length: 100\\r\\n\\r\\n[1,2]")
connection.close()
"""


@pytest.mark.parametrize(
    "address",
    [
        "http://example.com/data.json",
        "http://localhost.example.com/data.json",
        "http://localhost/data.json",
        "ftp://127.0.0.1/data.json",
        "file:///etc/hostname",
        "https:///data.json",
        "http://[::1/data.json",
    ],
)
def test_only_https_or_this_machine_is_asked(address: str, tmp_path: Path) -> None:
    with pytest.raises(PricesUnavailable, match="name an https address or a file"):
        update_price_file(tmp_path / "prices.json", address)


def test_a_redirect_to_an_address_that_anybody_could_change_is_not_followed(site: Site, tmp_path: Path) -> None:
    site.answer = Response(status=302, body=b"", headers={"location": "http://example.com/data.json"})

    with pytest.raises(PricesUnavailable, match=r"not fetched from 'http://example\.com/data\.json'"):
        update_price_file(tmp_path / "prices.json", site.address)
    assert site.asked == ["/data.json"]


def test_a_target_that_cannot_be_written_is_an_error_of_one_sentence(site: Site, tmp_path: Path) -> None:
    with pytest.raises(PricesUnavailable, match="cannot be written: No such file or directory"):
        update_price_file(tmp_path / "missing" / "prices.json", site.address)


def test_a_failed_rename_leaves_the_old_file_alone(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "prices.json"
    target.write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(PricesUnavailable, match="No space left on device"):
        update_price_file(target, site.address)

    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_the_file_keeps_who_may_read_it(site: Site, tmp_path: Path) -> None:
    target = tmp_path / "prices.json"
    target.write_bytes(b"old")
    target.chmod(0o640)

    update_price_file(target, site.address)

    assert target.stat().st_mode & 0o777 == 0o640


def test_a_large_answer_comes_whole_and_is_asked_for_as_json(site: Site, tmp_path: Path) -> None:
    models = [model(f"gpt-{number}") for number in range(3000)]
    content = data([*table()[:2], provider("openai", *models)])
    site.answer = Response(status=200, body=content, headers={})

    done = update_price_file(tmp_path / "prices.json", site.address)

    assert len(content) > 200_000
    assert (tmp_path / "prices.json").read_bytes() == content
    assert (done.path, done.source) == (tmp_path / "prices.json", site.address)
    assert (done.providers, done.models, done.changed) == (3, 3002, True)
    assert site.accepted == ["application/json"]


def test_a_redirect_within_this_machine_is_followed(site: Site) -> None:
    old = site.address.replace("data.json", "old")
    site.moved = {"/old": Response(status=302, body=b"", headers={"location": "/data.json"})}
    site.answer = Response(status=200, body=b"[1]", headers={})

    assert download(old, max_bytes=3, timeout_s=10) == b"[1]"
    assert site.asked == ["/old", "/data.json"]
    with pytest.raises(PricesUnavailable) as refused:
        download(old, max_bytes=2, timeout_s=10)
    assert str(refused.value) == f"{old} sends more than 2 bytes; a price table is smaller"


def test_each_refusal_of_an_update_is_one_sentence(site: Site, tmp_path: Path) -> None:
    target = tmp_path / "missing" / "prices.json"
    with pytest.raises(PricesUnavailable) as unwritten:
        update_price_file(target, site.address)
    assert str(unwritten.value) == f"price file {str(target)!r} cannot be written: No such file or directory"

    for raw, said in (
        (table(openai=model("gpt-x", input_mtok="dear")), ", at input_mtok.decimal: Input should be a valid decimal"),
        (table(openai=model("gpt-x", input_mtok=1, output_mtok=-1)),
         ", provider 'openai', model 'gpt-x': output_mtok must not be -1"),
        (table(openai=None, google=None), " has no models of google, openai; it is not the whole table"),
        ({}, ": must be a list of providers, got dict"),
    ):  # fmt: skip
        (tmp_path / "odd.json").write_bytes(data(raw))
        with pytest.raises(InvalidRates) as refused:
            update_price_file(tmp_path / "prices.json", str(tmp_path / "odd.json"))
        assert str(refused.value).startswith(f"price data of {str(tmp_path / 'odd.json')!r}{said}")

    site.answer = Response(status=503, body=b"", headers={})
    with pytest.raises(PricesUnavailable) as failed:
        update_price_file(tmp_path / "prices.json", site.address)
    assert str(failed.value) == f"{site.address} answers with HTTP status 503"
    with pytest.raises(PricesUnavailable) as local:
        update_price_file(tmp_path / "prices.json", "http://localhost/x")
    assert str(local.value) == "prices are not fetched from 'http://localhost/x': name an https address or a file"


def test_a_price_of_nothing_is_a_price(tmp_path: Path) -> None:
    """Open models cost nothing at some providers, and embeddings have no output."""
    tiered = {"base": 0, "tiers": [{"start": 10, "price": 0}]}
    file = tmp_path / "prices.json"
    file.write_bytes(data(table(openai=model("gpt-x", input_mtok=tiered, output_mtok=0))))
    assert GenaiPrices.from_file(file).models == 3


def test_a_negative_price_of_a_variant_or_a_date_is_refused(tmp_path: Path) -> None:
    variant = {"when": {"service_tier": "flex"}, "prices": {"input_mtok": -3}}
    dated = {"constraint": {"type": "start_date", "start_date": "2026-01-01"}, "prices": {"input_mtok": -4}}
    for odd, amount in (
        ({**model("gpt-x"), "price_variants": [variant]}, "-3"),
        ({**model("gpt-x"), "prices": [{"prices": {"input_mtok": 1}}, dated]}, "-4"),
        (model("gpt-x", input_mtok={"base": -5, "tiers": []}), "-5"),
    ):
        (tmp_path / "prices.json").write_bytes(data(table(openai=odd)))
        with pytest.raises(InvalidRates, match=f"input_mtok must not be {amount}$"):
            read_price_file(tmp_path / "prices.json")


def test_a_new_file_may_be_read_by_everybody(tmp_path: Path) -> None:
    (tmp_path / "mirror.json").write_bytes(data(table()))
    update_price_file(tmp_path / "prices.json", str(tmp_path / "mirror.json"))
    assert (tmp_path / "prices.json").stat().st_mode & 0o777 == 0o644


NO_SOCKETS = """
import sys
def guard(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "urllib.Request"):
        raise SystemExit(f"the network was asked: {event} {args}")
sys.addaudithook(guard)
"""
NEVER_ONLINE: dict[str, str] = {
    "importing": "import costtrace, costtrace.pricing.updates, costtrace.langchain.embeddings, costtrace.settings",
    "pricing": (
        "from costtrace import Catalog\n"
        "print(Catalog.default().quote(provider='openai', model='gpt-4o', usage={'input_tokens': 1000,"
        " 'output_tokens': 0, 'total_tokens': 1000}).amount)"
    ),
    "recording": (
        "from costtrace import Recorder\n"
        "from costtrace.langchain import CostCallbackHandler\n"
        "from costtrace.testing import MemoryLedger\n"
        "from langchain_core.language_models import FakeListChatModel\n"
        "handler = CostCallbackHandler(Recorder(MemoryLedger()))\n"
        "FakeListChatModel(responses=['x']).invoke('q', config={'callbacks': [handler]})\n"
        "print(handler.recorder.flush())"
    ),
    "reading a price file": (
        "import os\nfrom costtrace.settings import Settings\nSettings.from_environment().catalog()"
    ),
}


@pytest.mark.parametrize("code", NEVER_ONLINE.values(), ids=NEVER_ONLINE)
def test_nothing_but_the_update_uses_the_network(code: str, tmp_path: Path) -> None:
    file = tmp_path / "prices.json"
    file.write_bytes(data(table()))

    done = subprocess.run(
        [sys.executable, "-c", f"{NO_SOCKETS}\n{code}\nassert 'costtrace.pricing.download' not in sys.modules"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "COSTTRACE_PRICES": str(file), "LANGSMITH_TRACING": "false"},
        cwd=tmp_path,
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_the_guard_of_these_tests_sees_the_update(site: Site, tmp_path: Path) -> None:
    code = f"from costtrace.pricing.updates import update_price_file\nupdate_price_file('p.json', {site.address!r})"
    done = subprocess.run(
        [sys.executable, "-c", f"{NO_SOCKETS}\n{code}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )

    assert "the network was asked" in done.stderr
