"""What is delivered, and what becomes of an entry for each answer that PostHog can give: row by row of the table."""

from __future__ import annotations

import gzip
import json
import os
import socket
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from costtrace.entry import Entry
from costtrace.errors import (
    ConfigurationError,
    ExporterStopped,
    ExporterUnavailable,
    LedgerUnavailable,
    UnknownMessage,
)
from costtrace.exporters import Fate, Refusal
from costtrace.exporters.posthog import EU, US, PostHogExporter
from costtrace.exporters.posthog.ids import event_uuid
from costtrace.messages import Message
from costtrace.sandbox.loopback import LoopbackServer, Request, Response
from costtrace.sandbox.posthog import Fault, Limits, PostHogServer
from tests.exporters.posthog.conftest import NewExporter
from tests.exporters.posthog.known import usd
from tests.factories import make_entry

V1 = "/i/v1/analytics/events"


def calls(count: int) -> list[Entry]:
    """So many calls for 0.003125 USD each."""
    return [make_entry(number) for number in range(count)]


def uuid_of(entry: Entry) -> str:
    return event_uuid("$ai_generation", entry.entry_id)


def is_of(*entries: Entry) -> Any:
    uuids = {uuid_of(entry) for entry in entries}
    return lambda event: event["uuid"] in uuids


def bodies(server: PostHogServer) -> list[dict[str, Any]]:
    return [json.loads(call.body) for call in server.calls]


@pytest.fixture(params=["v1", "batch"])
def either(request: pytest.FixtureRequest, posthog: PostHogServer) -> PostHogServer:
    """A server with the endpoint that answers for each event, and one without it."""
    posthog.v1 = request.param == "v1"
    return posthog


def test_entries_arrive(either: PostHogServer, exporter: PostHogExporter) -> None:
    assert exporter.export(calls(250)) == ()

    assert len(either.events) == 250
    assert usd(either.events) == Decimal("0.78125")  # 250 x 0.003125


def test_nothing_to_deliver_is_no_request(posthog: PostHogServer, exporter: PostHogExporter) -> None:
    assert exporter.export([]) == ()
    assert exporter.export([make_entry(kind="sms-status", quote=None, cost=None)]) == ()
    assert posthog.calls == []


def test_delivered_again_they_are_the_same_events(either: PostHogServer, exporter: PostHogExporter) -> None:
    for _ in range(3):
        exporter.export(calls(5))

    assert len(either.copies) == 15
    assert len(either.events) == 5


def test_the_request_that_answers_for_each_event(posthog: PostHogServer, new_exporter: NewExporter) -> None:
    new_exporter(clock=lambda: 1_800_000_000_123_456_789).export(calls(2))

    (call,) = posthog.calls
    assert call.path == V1
    assert call.headers["authorization"] == f"Bearer {posthog.project_token}"
    assert call.headers["content-type"] == "application/json"
    assert call.headers["posthog-sdk-info"] == call.headers["user-agent"] == "langchain-costtrace/0.1.0"
    assert call.headers["posthog-attempt"] == "1"
    assert call.headers["posthog-request-timestamp"] == "2027-01-15T08:00:00.123456Z"
    body = json.loads(call.body)
    assert set(body) == {"created_at", "batch"}
    assert set(body["batch"][0]) == {"event", "uuid", "distinct_id", "timestamp", "options", "properties"}
    assert body["batch"][0]["options"] == {"disable_skew_correction": True, "process_person_profile": False}
    assert posthog.project_token not in call.body.decode()


def test_the_request_without_it(posthog: PostHogServer, exporter: PostHogExporter) -> None:
    posthog.v1 = False
    exporter.export(calls(1))

    assert [call.path for call in posthog.calls] == [V1, "/batch/"]
    body = bodies(posthog)[1]
    assert body["api_key"] == posthog.project_token
    properties = body["batch"][0]["properties"]
    assert properties["$ignore_sent_at"] is True
    assert properties["$process_person_profile"] is False
    assert (properties["$lib"], properties["$lib_version"]) == ("langchain-costtrace", "0.1.0")


def test_a_retry_across_midnight_keeps_its_day(either: PostHogServer, exporter: PostHogExporter) -> None:
    """The stand-in, like PostHog, moves events by what lies between sending and storing, unless it is told not to."""
    entry = make_entry()

    exporter.export([entry])

    assert either.events[0].timestamp == entry.occurred_at


def test_profiles_are_kept_only_where_they_are_wanted(either: PostHogServer, new_exporter: NewExporter) -> None:
    new_exporter(person_profiles=True).export(calls(1))

    event = bodies(either)[-1]["batch"][0]
    told = event["options"]["process_person_profile"] if either.v1 else event["properties"]["$process_person_profile"]
    assert told is True


def test_compressed(either: PostHogServer, new_exporter: NewExporter) -> None:
    new_exporter(compress=True).export(calls(50))

    assert len(either.events) == 50
    assert len(gzip.decompress(either.calls[-1].body)) > 4 * len(either.calls[-1].body)


def test_at_most_a_hundred_events_in_a_request(posthog: PostHogServer, exporter: PostHogExporter) -> None:
    exporter.export(calls(250))

    assert [len(body["batch"]) for body in bodies(posthog)] == [100, 100, 50]


def test_at_most_a_megabyte_in_a_request(posthog: PostHogServer, new_exporter: NewExporter) -> None:
    """2,000 events of about 1,050 bytes each."""
    new_exporter(batch_size=5_000).export(calls(2_000))

    assert len(posthog.calls) > 1
    assert all(len(call.body) < 1_001_000 for call in posthog.calls)
    assert len(posthog.events) == 2_000


def test_an_entry_that_comes_twice_is_sent_once(either: PostHogServer, exporter: PostHogExporter) -> None:
    """A uuid that comes twice would make PostHog refuse the whole request."""
    assert exporter.export([*calls(3), *calls(3)]) == ()

    assert len(either.copies) == 3


@pytest.mark.parametrize("result", ["ok", "warning"])
def test_ok_and_warning_are_taken(posthog: PostHogServer, exporter: PostHogExporter, result: Any) -> None:
    posthog.fail(Fault(result=result, details="some_hint"))

    assert exporter.export(calls(3)) == ()


@pytest.mark.parametrize(
    ("fault", "fate", "reason"),
    [
        (Fault(result="retry"), Fate.RETRY, "retry"),
        (Fault(result="missing"), Fate.RETRY, "not_acknowledged"),
        (Fault(result="missing", applied=True), Fate.RETRY, "not_acknowledged"),
        (Fault(result="drop", details="billing_limit_exceeded"), Fate.PARKED, "billing_limit_exceeded"),
        (Fault(result="drop", details="event_restriction_drop"), Fate.PARKED, "event_restriction_drop"),
        (Fault(result="drop", details="ai_byte_rate_limited"), Fate.PARKED, "ai_byte_rate_limited"),
        (Fault(result="drop", details="ai_event_too_big"), Fate.DEAD, "ai_event_too_big"),
        (Fault(result="drop", details="invalid_options"), Fate.DEAD, "invalid_options"),
        (Fault(result="drop"), Fate.DEAD, "dropped"),
    ],
)
def test_what_is_not_taken_of_some(
    posthog: PostHogServer, exporter: PostHogExporter, fault: Fault, fate: Fate, reason: str
) -> None:
    """The fourth of ten is refused; the nine others are taken."""
    entries = calls(10)
    posthog.fail(Fault(**{**_fields(fault), "which": is_of(entries[3])}))

    assert exporter.export(entries) == [Refusal(entry_id="llm/run-3/3", fate=fate, reason=reason)]
    assert len(posthog.events) == (10 if fault.applied else 9)

    assert exporter.export([entries[3]]) == ()
    assert len(posthog.events) == 10


def _fields(fault: Fault) -> dict[str, Any]:
    return {name: getattr(fault, name) for name in ("result", "details", "applied")}


def test_an_unknown_word_for_an_event_is_not_ok(posthog: PostHogServer, exporter: PostHogExporter) -> None:
    entries = calls(2)
    posthog.fail(Fault(result="perhaps", which=is_of(entries[0])))  # type: ignore[arg-type]  # a word of the future

    assert exporter.export(entries) == [Refusal(entry_id="llm/run-0/0", fate=Fate.RETRY, reason="not_acknowledged")]


def test_all_of_them_asked_for_again_is_an_endpoint_that_is_down(
    posthog: PostHogServer, exporter: PostHogExporter
) -> None:
    posthog.fail(Fault(result="retry"))

    with pytest.raises(ExporterUnavailable):
        exporter.export(calls(3))


def test_over_quota_where_nobody_answers_for_events(posthog: PostHogServer, exporter: PostHogExporter) -> None:
    """200, and nothing stored: PostHog's own SDK takes this for success."""
    posthog.v1 = False
    posthog.fail(Fault(), Fault(quota=("events",)))
    exporter.export(calls(1))
    del posthog.calls[:]

    assert exporter.export(calls(3)) == [
        Refusal(entry_id=f"llm/run-{number}/{number}", fate=Fate.PARKED, reason="quota_limited") for number in range(3)
    ]
    assert len(posthog.events) == 1


def test_over_the_quota_of_model_calls_only(posthog: PostHogServer, exporter: PostHogExporter) -> None:
    posthog.v1 = False
    tool = make_entry(9, kind="tool", entry_id="tool/1")
    posthog.outage = Fault(quota=("llm_events",))

    assert exporter.export([*calls(1), tool]) == [
        Refusal(entry_id="llm/run-0/0", fate=Fate.PARKED, reason="quota_limited")
    ]
    assert [event.event for event in posthog.events] == ["tool_cost"]


@pytest.mark.parametrize("status", [404, 408, 429, 500, 502, 503, 504, 507, 529, 599])
def test_an_endpoint_that_is_down(either: PostHogServer, exporter: PostHogExporter, status: int) -> None:
    exporter.export(calls(1))
    either.fail(Fault(status=status))

    with pytest.raises(ExporterUnavailable) as caught:
        exporter.export(calls(3))

    assert caught.value.retry_after_s is None
    assert exporter.export(calls(3)) == ()
    assert len(either.events) == 3


@pytest.mark.parametrize(("header", "seconds"), [(7, 7.0), ("2.5", 2.5), ("soon", None), ("nan", None), (-3, 0.0)])
def test_how_long_to_wait(either: PostHogServer, exporter: PostHogExporter, header: Any, seconds: float | None) -> None:
    either.outage = Fault(status=429, retry_after_s=header)

    with pytest.raises(ExporterUnavailable) as caught:
        exporter.export(calls(3))

    assert caught.value.retry_after_s == seconds


def test_to_wait_until_a_date(posthog: PostHogServer, exporter: PostHogExporter) -> None:
    posthog.fail(Fault(status=503, retry_after_s="Fri, 31 Dec 9999 23:59:59 GMT"))

    with pytest.raises(ExporterUnavailable) as caught:
        exporter.export(calls(1))

    assert caught.value.retry_after_s is not None
    assert caught.value.retry_after_s > 1e9


@pytest.mark.parametrize(
    "body", [b"", b"<html>Welcome</html>", b"[]", b'"ok"', b"\xff\xfe", b"{}", b'{"error": "x"}', b'{"status": 0}']
)
def test_a_success_that_cannot_be_read_is_none(either: PostHogServer, exporter: PostHogExporter, body: bytes) -> None:
    either.outage = Fault(body=body)

    with pytest.raises(ExporterUnavailable):
        exporter.export(calls(3))


def test_a_success_without_results_is_none(posthog: PostHogServer, exporter: PostHogExporter) -> None:
    posthog.fail(Fault(body=b'{"status": 1}'))

    with pytest.raises(ExporterUnavailable):
        exporter.export(calls(3))


@pytest.mark.parametrize("status", [b"1", b'"1"', b'"Ok"', b'"ok"'])
def test_how_a_server_says_that_it_took_a_batch(
    posthog: PostHogServer, exporter: PostHogExporter, status: bytes
) -> None:
    posthog.v1 = False
    posthog.outage = Fault(body=b'{"status": %b}' % status, applied=True)

    assert exporter.export(calls(3)) == ()


@pytest.mark.parametrize("result", [["ok"], {"ok": True}, 1])
def test_a_result_that_is_no_word_is_not_ok(posthog: PostHogServer, exporter: PostHogExporter, result: Any) -> None:
    entries = calls(2)
    results = {uuid_of(entries[0]): {"result": result}, uuid_of(entries[1]): {"result": "ok"}}
    posthog.fail(Fault(body=json.dumps({"results": results}).encode()))

    assert exporter.export(entries) == [Refusal(entry_id="llm/run-0/0", fate=Fate.RETRY, reason="not_acknowledged")]


@pytest.mark.parametrize("body", [b"[]", b"null", b'"down"', b"<html>", b""])
def test_what_an_error_says_of_itself_does_not_matter(body: bytes) -> None:
    """The package's own reading of an answer breaks at JSON that is no object."""

    async def answer(request: Request) -> Response:
        return Response(status=404 if request.path == V1 else 503, body=body, headers={"retry-after": "7"})

    server = LoopbackServer(answer, name="errors")
    server.start()
    exporter = PostHogExporter("phc_x", host=server.address)

    with pytest.raises(ExporterUnavailable, match="503") as caught:
        exporter.export(calls(2))
    exporter.close()
    server.stop()
    assert caught.value.retry_after_s == 7.0


@pytest.mark.parametrize("applied", [False, True])
def test_a_connection_that_breaks(either: PostHogServer, exporter: PostHogExporter, *, applied: bool) -> None:
    """Before anything was stored, or after all of it was: delivered again, each event is there once."""
    either.v1 = True
    either.fail(Fault(dropped=True, applied=applied))

    with pytest.raises(ExporterUnavailable, match="ConnectionError"):
        exporter.export(calls(3))
    assert exporter.export(calls(3)) == ()

    assert len(either.events) == 3
    assert len(either.copies) == (6 if applied else 3)


def test_an_answer_that_comes_too_late(posthog: PostHogServer, new_exporter: NewExporter) -> None:
    posthog.fail(Fault(delay_s=2.0))
    impatient = new_exporter(timeout_s=0.2)

    with pytest.raises(ExporterUnavailable, match="Timeout"):
        impatient.export(calls(3))


def test_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        exporter = PostHogExporter("phc_x", host=f"http://127.0.0.1:{unused.getsockname()[1]}")

        with pytest.raises(ExporterUnavailable):
            exporter.export(calls(1))
        exporter.close()


def test_tries_are_counted_and_one_request_keeps_its_id(posthog: PostHogServer, exporter: PostHogExporter) -> None:
    posthog.fail(Fault(status=503), Fault(status=503))
    for _ in range(2):
        with pytest.raises(ExporterUnavailable):
            exporter.export(calls(3))
    exporter.export(calls(3))
    exporter.export(calls(4))

    assert [call.headers["posthog-attempt"] for call in posthog.calls] == ["1", "2", "3", "1"]
    ids = [call.headers["posthog-request-id"] for call in posthog.calls]
    assert ids[0] == ids[1] == ids[2] != ids[3]


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_key_that_is_not_accepted_stops_everything(
    either: PostHogServer, exporter: PostHogExporter, status: int
) -> None:
    either.outage = Fault(status=status)

    with pytest.raises(ExporterStopped, match=str(status)) as caught:
        exporter.export(calls(3))

    assert either.project_token not in str(caught.value)


def test_a_wrong_token(either: PostHogServer) -> None:
    exporter = PostHogExporter("phc_wrong", host=either.host)

    with pytest.raises(ExporterStopped, match="POSTHOG_API_KEY"):
        exporter.export(calls(3))
    exporter.close()


@pytest.mark.parametrize("poison", [0, 41, 99])
def test_one_bad_event_of_a_hundred_is_found(poison: int) -> None:
    """Halving finds it within 15 requests, and the 99 others arrive."""
    entries = calls(100)
    with PostHogServer(poison=is_of(entries[poison])) as server:
        exporter = PostHogExporter(server.project_token, host=server.host)
        refused = exporter.export(entries)
        exporter.close()

    assert refused == [Refusal(entry_id=f"llm/run-{poison}/{poison}", fate=Fate.DEAD, reason="http_400")]
    assert len(server.events) == 99
    assert len(server.calls) <= 15


def test_one_bad_event_where_nobody_answers_for_events() -> None:
    entries = calls(20)
    with PostHogServer(v1=False, poison=is_of(entries[7])) as server:
        exporter = PostHogExporter(server.project_token, host=server.host)
        refused = exporter.export(entries)
        exporter.close()

    assert refused == [Refusal(entry_id="llm/run-7/7", fate=Fate.DEAD, reason="http_400")]
    assert len(server.events) == 19


def test_a_bad_event_alone_is_dead() -> None:
    with PostHogServer(poison=lambda _event: True) as server:
        exporter = PostHogExporter(server.project_token, host=server.host)
        refused = exporter.export(calls(1))
        exporter.close()

    assert [refusal.fate for refusal in refused] == [Fate.DEAD]


def test_a_server_that_refuses_every_event_is_a_matter_for_people() -> None:
    """Otherwise a proxy that answers 400 for an hour would bury an hour of entries."""
    with PostHogServer(poison=lambda _event: True) as server:
        exporter = PostHogExporter(server.project_token, host=server.host)
        with pytest.raises(ExporterStopped, match="400"):
            exporter.export(calls(100))
        exporter.close()


def test_many_bad_events_do_not_keep_one_good_one_back() -> None:
    entries = calls(30)
    with PostHogServer(poison=is_of(*entries[:29])) as server:
        exporter = PostHogExporter(server.project_token, host=server.host)
        refused = exporter.export(entries)
        exporter.close()

    assert [refusal.entry_id for refusal in refused] == [entry.entry_id for entry in entries[:29]]
    assert {refusal.fate for refusal in refused} == {Fate.DEAD}
    assert len(server.events) == 1


def test_too_large_a_request_is_halved() -> None:
    with PostHogServer(limits=Limits(request=20_000)) as server:
        exporter = PostHogExporter(server.project_token, host=server.host)
        assert exporter.export(calls(100)) == ()
        exporter.close()

    assert len(server.events) == 100
    assert {call.status for call in server.calls} == {200, 413}


def test_too_large_an_event_is_dead() -> None:
    long = make_entry(5, source_id="x" * 190, model="m" * 190)
    with PostHogServer(limits=Limits(event=1_300)) as server:
        exporter = PostHogExporter(server.project_token, host=server.host)
        refused = exporter.export([*calls(4), long])
        exporter.close()

    assert refused == [Refusal(entry_id="llm/run-5/5", fate=Fate.DEAD, reason="too_large")]
    assert len(server.events) == 4


def test_what_is_unknown_after_some_were_taken_is_told_of_each(
    posthog: PostHogServer, exporter: PostHogExporter
) -> None:
    """250 in three requests, of which the second finds the server down: the first hundred are acknowledged."""
    posthog.fail(Fault(), Fault(status=503))

    refused = exporter.export(calls(250))

    assert [refusal.entry_id for refusal in refused] == [f"llm/run-{number}/{number}" for number in range(100, 250)]
    assert {refusal.fate for refusal in refused} == {Fate.RETRY}
    assert len(posthog.calls) == 2


def test_which_endpoint_there_is_is_found_out_once(posthog: PostHogServer, exporter: PostHogExporter) -> None:
    posthog.v1 = False
    for _ in range(3):
        exporter.export(calls(1))

    assert [call.path for call in posthog.calls] == [V1, "/batch/", "/batch/", "/batch/"]


def test_an_endpoint_that_was_there_is_not_given_up_for_one_404(
    posthog: PostHogServer, exporter: PostHogExporter
) -> None:
    exporter.export(calls(1))
    posthog.fail(Fault(status=404))
    with pytest.raises(ExporterUnavailable):
        exporter.export(calls(2))

    assert {call.path for call in posthog.calls} == {V1}


def test_neither_endpoint_is_there(posthog: PostHogServer) -> None:
    """A wrong host is not found out for good: it may be a proxy that is being set up."""
    exporter = PostHogExporter("phc_x", host=f"{posthog.host}/elsewhere")

    with pytest.raises(ExporterUnavailable, match="there is no PostHog at"):
        exporter.export(calls(1))
    exporter.close()


def test_behind_a_proxy_with_a_path() -> None:
    with PostHogServer(prefix="/ingest") as server:
        exporter = PostHogExporter(server.project_token, host=f"{server.host}/")
        exporter.export(calls(1))
        exporter.close()

    assert [call.path for call in server.calls] == ["/ingest/i/v1/analytics/events"]


@pytest.mark.parametrize(
    ("host", "sends_to"),
    [
        (US, "https://us.i.posthog.com"),
        (EU, "https://eu.i.posthog.com"),
        ("https://eu.i.posthog.com/", "https://eu.i.posthog.com"),
        ("https://app.posthog.com", "https://us.i.posthog.com"),
        ("https://us.posthog.com/", "https://us.i.posthog.com"),
        ("https://eu.posthog.com", "https://eu.i.posthog.com"),
        ("https://posthog.example.com", "https://posthog.example.com"),
        ("https://example.com/ingest/", "https://example.com/ingest"),
        ("http://localhost:8000", "http://localhost:8000"),
    ],
)
def test_hosts(host: str, sends_to: str) -> None:
    assert PostHogExporter("phc_x", host=host).host == sends_to


@pytest.mark.parametrize("host", ["eu.i.posthog.com", "ftp://x", "https://", "https://x/?a=1"])
def test_what_is_no_host(host: str) -> None:
    with pytest.raises(ConfigurationError, match="POSTHOG_HOST"):
        PostHogExporter("phc_x", host=host)


@pytest.fixture
def redirecting() -> Iterator[str]:
    async def answer(request: Request) -> Response:
        if request.method == "GET":  # what a POST becomes that follows a redirect
            return Response(status=200, body=b'{"status": 1}')
        return Response(status=301, body=b"", headers={"location": "/elsewhere"})

    server = LoopbackServer(answer, name="redirects")
    server.start()
    yield server.address
    server.stop()


def test_a_redirect_is_not_followed(redirecting: str) -> None:
    exporter = PostHogExporter("phc_x", host=redirecting)

    with pytest.raises(ExporterStopped, match="redirect"):
        exporter.export(calls(1))
    exporter.close()


def test_a_redirect_is_not_followed_where_nobody_answers_for_events() -> None:
    async def answer(request: Request) -> Response:
        if request.path == V1:
            return Response(status=404, body=b"")
        return Response(status=302, body=b"", headers={"location": "/elsewhere"})

    server = LoopbackServer(answer, name="redirects")
    server.start()
    exporter = PostHogExporter("phc_x", host=server.address)

    with pytest.raises(ExporterStopped, match="redirect"):
        exporter.export(calls(1))
    exporter.close()
    server.stop()


def test_a_netrc_does_not_take_the_tokens_place(
    posthog: PostHogServer, exporter: PostHogExporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))

    exporter.export(calls(1))

    assert posthog.calls[0].headers["authorization"] == f"Bearer {posthog.project_token}"


def test_a_ledger_that_cannot_be_read_puts_delivery_off(posthog: PostHogServer, new_exporter: NewExporter) -> None:
    def down(_uuid: str) -> Message:
        raise LedgerUnavailable("locked")

    with pytest.raises(ExporterUnavailable, match="locked"):
        new_exporter(messages=down).export(calls(1))
    assert posthog.calls == []


def test_an_unknown_message_is_no_obstacle(posthog: PostHogServer, new_exporter: NewExporter) -> None:
    def unknown(uuid: str) -> Message:
        raise UnknownMessage(uuid, "nowhere")

    assert new_exporter(messages=unknown).export(calls(2)) == ()
    assert len(posthog.events) == 2


def test_it_starts_no_thread_and_can_be_used_again_after_it_was_closed(
    posthog: PostHogServer, exporter: PostHogExporter
) -> None:
    before = threading.active_count()
    exporter.export(calls(2))
    assert threading.active_count() == before

    exporter.close()
    exporter.close()
    assert exporter.export(calls(3)) == ()
    assert len(posthog.events) == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def test_a_forked_child_has_connections_of_its_own(posthog: PostHogServer, exporter: PostHogExporter) -> None:
    exporter.export(calls(1))
    child = os.fork()
    if child == 0:
        try:
            exporter.export([make_entry(50)])
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    exporter.export([make_entry(51)])

    assert len(posthog.events) == 3


def test_what_it_is_called(exporter: PostHogExporter) -> None:
    assert (exporter.name, exporter.batch_size) == ("posthog", 100)
