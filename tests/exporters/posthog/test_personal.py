"""Nothing that names or reaches a person leaves, wherever the application put it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from genai_prices.data_snapshot import get_snapshot

from costtrace.context import Context
from costtrace.entry import Entry
from costtrace.errors import InvalidValue
from costtrace.exporters.posthog import EventMapper
from costtrace.exporters.posthog.personal import fault, identifier, model_name, person, word
from costtrace.messages import fold
from costtrace.sandbox.posthog import PostHogServer
from tests.exporters.posthog.conftest import NewExporter
from tests.exporters.posthog.known import HASHER, only, usd
from tests.factories import make_costs, make_entry
from tests.sandbox.test_demo import told

PROMPT = "Where is my parcel? My neighbour Ms Miller has the key"
PHONE = "+14155550123"
PHONES = [
    PHONE,
    "14155550123",
    "0014155550123",
    "004479460000000",
    "+1-415-555-0123",
    "+1.415.555.0123",
    "415-555-0123",
    "whatsapp:+14155550123",
    "sms:14155550123",
    "user-14155550123",
    "thread_4155550123",
    "tel:+442079460000",
    "+4930123456",
    "0114915112345678",
    "000004915112345678",
    "4915112345678",
    "٤٩١٥١١٢٣٤٥٦٧٨",
    "491_511_234_5678",
    "49--151--1234567",
    "49|151|123|4567",
    "tel4915112345678",
    "SMS4915112345678",
    "4111111111111111",
]
MAILS = ["jane@example.com", "jane.doe+x@mail.example.co.uk", "mailto:jane@example.com"]
KEYS = [
    "sk-proj-abcdefghijklmnop",
    "sk_live_abcdefghijklmnop",
    "phx_abcdefghijklmnop",
    "key:sk-ant-api03-abcdefgh",
    "ghp_abcdefghijklmnopqrst",
    "xoxb-123456789-abcdefgh",
    "AIzaSyA-abcdefghijklmnopqrstuv",
    "AKIAABCDEFGHIJKLMNOP",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
    "SK0123456789abcdef0123456789abcdef",
    "gsk_abcdefghijklmnopqrst",
    "xai-abcdefghijklmnopqrst",
    "pplx-abcdefghijklmnopqrst",
    "tvly-abcdefghijklmnop",
    "nvapi-abcdefghijklmnop",
    "whsec_abcdefghijklmnop",
    "SG.abcdefghijklmn.opqrstuvwxyz",
    "ya29.a0AfH6SMBabcdefgh",
]
PLANTS = [PROMPT, *PHONES, *MAILS, *KEYS]
GOOD_IDS = [
    "u1",
    "user_2NNEqL2nrIRdJ194ndJqAHwEfxC",
    "0199d3a0-0000-7000-8000-123456789012",
    "auth0|5f7c8ec7c33c6c004bbafe82",
    "google-oauth2|103547991597142817347",
    "cus_NffrFeUfNV2Hib",
    "42",
    "123456789",
    "org/7/user/12",
    "MG0123456789abcdef0123456789abcdef",
    "ユーザー7",
]


@pytest.mark.parametrize("text", PLANTS)
def test_what_is_no_id(text: str) -> None:
    assert identifier(text) is None
    assert word(text) is None


@pytest.mark.parametrize("text", GOOD_IDS)
def test_what_is_one(text: str) -> None:
    assert identifier(text) == person(text, None) == text


@pytest.mark.parametrize("text", ["anonymous", "guest", "user", "None", "null", "0", "SYSTEM", "backend", "undefined"])
def test_ids_that_posthog_refuses_are_nobodys(text: str) -> None:
    assert person(text, None) is None
    assert person(text, HASHER) == HASHER(text)


@pytest.mark.parametrize("text", ["x" * 201, "two words", "tab\there", "line\nbreak", "-dash-first", ""])
def test_other_shapes_that_are_no_id(text: str) -> None:
    assert identifier(text) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("RateLimitError 429", ("RateLimitError", 429)),
        ("openai.APITimeoutError", ("openai.APITimeoutError", None)),
        ("TwilioRestException 21211", ("TwilioRestException", 21211)),
        ("Invalid number +14155550123", (None, None)),
        ("ValueError: jane@example.com", (None, None)),
        ("sk_live_abcdefghijklmnop", (None, None)),
        (None, (None, None)),
    ],
)
def test_of_an_error_only_class_and_code(text: str | None, found: tuple[str | None, int | None]) -> None:
    assert fault(text) == found


@pytest.mark.parametrize(
    "name",
    [
        "gpt-4o-2024-08-06",
        "claude-3-5-sonnet@20240620",
        "ft:gpt-3.5-turbo-0125:acme::abc123",
        "anthropic/claude-sonnet-4.5:beta",
        "models/gemini-2.5-pro",
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude",
        "gpt-4.1-2025-04-14",
        "claude-haiku-4-5-20251001",
        "vertex_ai/claude-sonnet-4-5@20250929",
        "mistral-large@2411-001",
        "@cf/meta/llama-3.1-8b-instruct",
        "~anthropic/claude-haiku-latest",
    ],
)
def test_names_of_models(name: str) -> None:
    assert model_name(name) == name


def test_no_name_in_the_price_list_is_held_back() -> None:
    names = {model.id for provider in get_snapshot().providers for model in provider.models}

    assert len(names) > 1_000
    assert [name for name in names if model_name(name) is None] == []


@pytest.mark.parametrize("name", [*PHONES, *MAILS, "+4920251001", "49-20251001", "@jane", "~jane@example.com"])
def test_what_is_no_name_of_a_model(name: str) -> None:
    assert model_name(name) is None


@pytest.mark.parametrize("name", ["prod/eu", "2nd", "two words", "x" * 61, ""])
def test_an_environment_that_no_report_could_ask_for_is_refused(name: str) -> None:
    with pytest.raises(InvalidValue, match="environment: expected a word"):
        EventMapper(environment=name)


DETAILS = (
    "parent_run_id",
    "service_tier",
    "reason",
    "price_unit",
    "price_raw",
    "send_id",
    "note",
    "to_country",
    "usage",
)


def planted(text: str) -> list[Entry]:
    """An entry of each kind that makes an event, with that text wherever an application could have put it."""
    context = Context(
        user_id=text,
        thread_id=text,
        channel=text,
        environment=text,
        message_type=text,
        reply_to=text,
        role=text,
        tags={"note": text, text: "x"},
    )
    details = dict.fromkeys(DETAILS, text)
    kinds = ("llm", "embedding", "tool", "sms", "sms-price", "correction")
    return [
        make_entry(
            number,
            kind=kind,
            context=context,
            details=details,
            error=text,
            status=text,
            model=text,
            requested_model=text,
            provider=text,
            source_id=text,
            message_uuid=text,
        )
        for number, kind in enumerate(kinds)
    ]


@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("v1", [False, True])
def test_planted_texts_are_in_no_request(
    posthog: PostHogServer, new_exporter: NewExporter, *, keyed: bool, v1: bool
) -> None:
    posthog.v1 = v1
    entries = [
        replace(entry, entry_id=f"{entry.kind}/{text}/{number}")
        for text in PLANTS
        for number, entry in enumerate(planted(text))
    ]
    by_uuid = {text: [entry for entry in entries if entry.message_uuid == text] for text in PLANTS}
    exporter = new_exporter(hasher=HASHER if keyed else None, tags=["note"], messages=lambda uuid: fold(by_uuid[uuid]))

    assert exporter.export(entries) == ()

    assert len(posthog.events) > 6 * len(PLANTS)
    sent = b"\n".join(call.body for call in posthog.calls).decode()
    for text in (*PLANTS, "Miller", "4155550123", "example.com"):
        assert text not in sent


def test_a_keyed_hash_stands_for_what_may_not_leave() -> None:
    """The same for a number wherever it stands, so that a person's messages stay together."""
    entry = make_entry(context=Context(user_id=PHONE, thread_id=f"whatsapp:{PHONE}"))

    event = only(entry, hasher=HASHER)

    assert event.distinct_id == event.properties["conversation_id"] == HASHER(PHONE)


def test_without_a_key_the_message_stands_for_its_user() -> None:
    entry = make_entry(context=Context(user_id=PHONE, thread_id=PHONE))

    event = only(entry)

    assert event.distinct_id == f"message:{entry.message_uuid}"
    assert "conversation_id" not in event.properties


def test_the_text_of_an_error_does_not_leave() -> None:
    failed = make_entry(status="failed", error="BadRequestError 400: my name is Jane", quote=None, cost=None)

    properties = only(failed).properties

    assert properties["$ai_is_error"] is True
    assert "$ai_error_type" not in properties


def test_a_day_of_an_application_without_a_word_of_what_was_said(
    posthog: PostHogServer, new_exporter: NewExporter
) -> None:
    """The demo: model calls, SMS in and out, prices, a fallback; and its totals are the ledger's."""
    ledger, _ = told()

    refused = new_exporter(messages=ledger.message).export([entry for _, entry in ledger.entries()])

    assert refused == ()
    assert usd(posthog.distinct) == ledger.totals()[()].actual["USD"]
    sent = b"\n".join(call.body for call in posthog.calls).decode()
    for text in ("parcel", "neighbour", "Harbor", "+1", "+44", "sk-local"):
        assert text not in sent
    names = {event.event for event in posthog.events}
    assert {"$ai_generation", "sms_inbound", "sms_outbound", "sms_cost_update", "message_cost"} <= names


def test_amounts_of_a_message_with_a_strange_name_still_add_up() -> None:
    events = EventMapper().events(
        [make_costs("0.008", kind="tool", entry_id="tool/1", message_uuid=PROMPT, context=Context())]
    )

    assert "message_uuid" not in events[0].properties
    assert events[0].distinct_id == f"message:{events[0].uuid}"
