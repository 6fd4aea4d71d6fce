"""PostHog's own package agrees: our requests are what it would send, and it takes nothing away from our events."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime
from typing import Any

import pytest
from posthog.capture_v1 import _parse_v1_response, _to_v1_event
from posthog.client import Client
from posthog.request import DatetimeSerializer

from costtrace.errors import MissingExtra
from costtrace.exporters.posthog import Event, EventMapper, PostHogExporter
from costtrace.exporters.posthog.wire import batch_record, packed
from costtrace.jsontext import decode
from costtrace.messages import fold
from costtrace.sandbox.posthog import Fault, PostHogServer
from tests.exporters.posthog.conftest import NewExporter
from tests.factories import make_costs, make_entry
from tests.twilio.sms_entries import bound, leg, price, sent


def one_of_each() -> list[Event]:
    entries = [
        make_entry(1, message_uuid="m1"),
        make_entry(2, kind="embedding", message_uuid="m1"),
        make_costs("0.008", kind="tool", entry_id="tool/1", message_uuid="m1"),
        sent(),
        bound(),
    ]
    entries += price(leg(entries[3:]), "-0.00790")
    return EventMapper(messages=lambda uuid: fold([e for e in entries if e.message_uuid == uuid])).events(entries)


@pytest.mark.parametrize("event", one_of_each(), ids=lambda event: event.name)
def test_both_forms_of_an_event_are_the_packages_own(event: Event) -> None:
    """It turns our event for ``/batch/`` into our event for the other endpoint, options and all."""
    (ours,) = packed([event], person_profiles=False)

    theirs = _to_v1_event(batch_record(event, person_profiles=False, version="0.1.0"))

    record = decode(ours.json)
    assert datetime.fromisoformat(theirs.pop("timestamp")) == datetime.fromisoformat(record.pop("timestamp"))
    assert record == theirs


def test_its_json_loses_nothing() -> None:
    for event in one_of_each():
        record = batch_record(event, person_profiles=False, version="0.1.0")
        assert decode(DatetimeSerializer().encode(record)) == record


@pytest.fixture
def requests_of_both(posthog: PostHogServer, new_exporter: NewExporter) -> tuple[dict[str, str], dict[str, str]]:
    """The headers of the same event sent by PostHog's SDK and by ours."""
    client = Client(
        posthog.project_token,
        host=posthog.host,
        sync_mode=True,
        capture_mode="v1",
        disable_geoip=True,
        super_properties=None,
    )
    client.capture("e", distinct_id="u1")
    client.shutdown()
    new_exporter().export([make_entry()])
    theirs, ours = (dict(call.headers) for call in posthog.calls)
    return theirs, ours


def test_the_headers_are_those_of_the_sdk(requests_of_both: tuple[dict[str, str], dict[str, str]]) -> None:
    theirs, ours = requests_of_both
    per_request = {
        "content-length",
        "posthog-request-id",
        "posthog-request-timestamp",
        "user-agent",
        "posthog-sdk-info",
    }

    assert ours.keys() == theirs.keys()
    assert {n: v for n, v in ours.items() if n not in per_request} == {
        n: v for n, v in theirs.items() if n not in per_request
    }


def test_it_reads_the_answers_of_the_stand_in_as_we_do(posthog: PostHogServer, new_exporter: NewExporter) -> None:
    """A check of the stand-in: the SDK finds in its answer what the stand-in was told to say."""
    posthog.fail(Fault(result="drop", details="billing_limit_exceeded"))
    answers: list[Any] = []
    exporter = new_exporter()
    session = exporter._transport._connection()
    session.hooks["response"].append(lambda answer, **_: answers.append(_parse_v1_response(answer)))

    exporter.export([make_entry()])

    (result,) = answers[0].results.values()
    assert (result.result, result.details) == ("drop", "billing_limit_exceeded")


def test_without_the_package_it_is_said_how_to_get_it() -> None:
    code = (
        "import sys; sys.modules['posthog'] = None\n"
        "from costtrace.exporters.posthog import PostHogExporter, EventMapper\n"
        "try: PostHogExporter('phc_x')\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.startswith(MissingExtra.__name__)
    assert "pip install 'langchain-costtrace[posthog]'" in done.stdout


def test_nothing_of_the_package_is_loaded_before_an_exporter_is_made() -> None:
    code = (
        "import sys, costtrace.exporters.posthog as module\n"
        "assert not {'posthog', 'requests'} & sys.modules.keys()\n"
        "module.PostHogExporter('phc_x')\n"
        "import threading; print(threading.active_count())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "1"
    assert PostHogExporter.__module__ == "costtrace.exporters.posthog.exporter"
