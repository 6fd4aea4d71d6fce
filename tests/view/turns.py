"""Turns as they come in a day, with times a person would believe; every price stands in the open."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from costtrace.context import Context
from costtrace.entry import Entry, SpanRef
from costtrace.messages import Message, fold
from costtrace.money import Money
from costtrace.quote import Quote, QuoteLine, QuoteStatus, no_quote
from costtrace.reports import Turn
from costtrace.twilio.entries import bound_entry, found_entry, refused_entry, send_entry, status_entry
from costtrace.twilio.envelope import Envelope
from costtrace.twilio.legs import leg_of
from costtrace.twilio.revisions import check_entry, price_entries, unavailable_entries
from costtrace.usage import Usage
from tests import strategies
from tests.factories import make_basis

BEGAN = datetime(2026, 11, 20, 9, 30, 4, 120_000, tzinfo=UTC)
QUESTION = "0199d3a0-0000-7000-8000-0000000000aa"
REPLY = "0199d3a0-0000-7000-8000-000000000001"
IN_SID = "SM" + "a" * 32
OUT_SID = "SM" + "b" * 32
SEND_ID = "5e4d" * 8
MTOK = 1_000_000
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SEND_SPAN = "00f067aa0ba902b7"


ENTRIES = strategies.entries() | st.builds(
    lambda entry, kind, sid, details: replace(
        entry, kind=kind, provider="twilio", source_id=sid, details={**entry.details, **details}
    ),
    strategies.entries(),
    st.sampled_from(["sms-send", "sms", "sms-status", "sms-check"]),
    st.sampled_from([OUT_SID, IN_SID, None]),
    st.sampled_from([{"send_id": SEND_ID}, {}]),
)
"""Any entry, and any that says it tells of an SMS, whoever wrote it."""


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def asked(**more: Any) -> Context:
    known = {"user_id": "user-7", "thread_id": "sms-2f7c", "channel": "sms", "environment": "production"}
    return Context(**{**known, "role": "user", "direction": "inbound", **more})


def answered(**more: Any) -> Context:
    return asked(**{"role": "assistant", "direction": "outbound", "reply_to": QUESTION, **more})


def call(  # noqa: PLR0917 - a table of calls reads best in one line each
    run: str, seconds: float, lasts: float, model: str, tokens: tuple[int, int], rates: tuple[str, str], **changes: Any
) -> Entry:
    """A model call; `rates` are dollars per million tokens in and out."""
    lines = tuple(
        QuoteLine(bucket, count, Decimal(rate), MTOK)
        for bucket, count, rate in zip(("input", "output"), tokens, rates, strict=True)
    )
    amount = sum((line.subtotal for line in lines), Decimal(0))
    moment = at(seconds)
    known: dict[str, Any] = {
        "entry_id": f"llm/{run}/{seconds}",
        "message_uuid": REPLY,
        "kind": "llm",
        "status": "completed",
        "occurred_at": moment,
        "recorded_at": moment + timedelta(seconds=lasts),
        "duration_us": round(lasts * MTOK),
        "provider": "openai",
        "model": model,
        "requested_model": model,
        "source_id": run,
        "usage": Usage(buckets={"input": tokens[0], "output": tokens[1]}),
        "quote": Quote(status=QuoteStatus.EXACT, amount=amount, lines=lines, basis=make_basis(model=model)),
        "cost": Money(amount),
        "context": answered(),
        "span": SpanRef(
            trace_id="4bf92f3577b34da6a3ce929d0e0e4736", span_id=run[:16].encode().hex()[:16].ljust(16, "0")
        ),
    }
    return Entry(**{**known, **changes})


def tool_run(run: str, seconds: float, lasts: float, name: str, **changes: Any) -> Entry:
    moment = at(seconds)
    known: dict[str, Any] = {
        "entry_id": f"tool-run/{run}",
        "message_uuid": REPLY,
        "kind": "tool-run",
        "status": "completed",
        "occurred_at": moment,
        "recorded_at": moment + timedelta(seconds=lasts),
        "duration_us": round(lasts * MTOK),
        "source_id": run,
        "context": answered(),
        "details": {"tool": name},
    }
    return Entry(**{**known, **changes})


def envelope(estimate: str | None = "0.0083") -> Envelope:
    amount = None if estimate is None else Decimal(estimate)
    quote = Quote(status=QuoteStatus.PENDING, amount=amount)
    return Envelope(quote=quote, address_kind="sms", to_country="US", segments=1, encoding="GSM-7")


def came() -> list[Entry]:
    """The question: an SMS that came in (0.0075 USD, final after an hour), sorted by a small model."""
    kept = replace(envelope("0.0075"), to_country=None)
    inbound = found_entry(
        IN_SID, "received", direction="inbound", kept=kept, source="webhook", occurred_at=at(0), now=at(0),
        context=asked(), message_uuid=QUESTION,
    )  # fmt: skip
    sorting = call(
        "sorting", 0.31, 0.52, "gpt-4o-mini", (1_912, 4), ("0.15", "0.6"), message_uuid=QUESTION, context=asked()
    )
    return priced([inbound, sorting], IN_SID, "-0.00750", 3_720)


def thought() -> list[Entry]:
    """The agent: a call that asks for a tool, the tool with a call of its own inside, and the call that answers."""
    return [
        call("first-call", 0.9, 1.24, "gpt-4o-2024-08-06", (2_318, 21), ("2.5", "10")),
        tool_run("lookup", 2.16, 0.61, "parcel_status"),
        call("inner", 2.3, 0.4, "gpt-4o-mini", (310, 12), ("0.15", "0.6"), details={"parent_run_id": "lookup"}),
        call("second-call", 2.8, 1.6, "gpt-4o-2024-08-06", (2_391, 38), ("2.5", "10")),
    ]


def sent(seconds: float = 4.46, *, links: Iterable[str] = ("first-call", "second-call")) -> list[Entry]:
    """The answer goes out and Twilio takes it."""
    send = send_entry(
        SEND_ID, message_uuid=REPLY, context=answered(), kept=envelope(), now=at(seconds),
        details={"links": list(links), "traceparent": f"00-{TRACE}-{SEND_SPAN}-01"},
    )  # fmt: skip
    send = replace(send, span=SpanRef(trace_id=TRACE, span_id=SEND_SPAN))
    bound = bound_entry(OUT_SID, send_id=SEND_ID, message_uuid=REPLY, now=at(seconds + 0.38), context=answered())
    return [send, bound, said("queued", seconds + 0.38, source="create")]


def bought(source_id: str | None) -> Entry:
    """An SMS for which the application itself recorded what it cost."""
    return Entry(
        entry_id="sms/own",
        message_uuid=REPLY,
        kind="sms",
        status="completed",
        occurred_at=at(4),
        recorded_at=at(4),
        provider="twilio",
        model="outbound",
        source_id=source_id,
        cost=Money("0.0079"),
        context=answered(),
    )


def corrected(entry: Entry, difference: str, hours: int = 1, **changes: Any) -> Entry:
    """That entry's price was worked out again."""
    known: dict[str, Any] = {
        "entry_id": f"correction/{hours}/{entry.entry_id}",
        "kind": "correction",
        "recorded_at": at(hours * 3_600),
        "cost": Money(difference),
        "quote": Quote(status=QuoteStatus.EXACT, amount=Decimal("0.0025")),
        "replaces": entry.standing,
        "usage": None,
        "duration_us": None,
        "span": None,
        "details": {"corrects": entry.entry_id, "reason": "newer prices"},
    }
    return replace(entry, **{**known, **changes})


def said(word: str, seconds: float, *, source: str = "callback", **changes: Any) -> Entry:
    known = {"message_uuid": REPLY, "context": answered(), "send_id": SEND_ID}
    return status_entry(OUT_SID, word, source=source, now=at(seconds), **{**known, **changes})


def priced(entries: list[Entry], sid: str, raw: str, *seconds: float, unit: str = "USD") -> list[Entry]:
    """The entries, with the price Twilio named at those moments."""
    for moment in seconds:
        leg = leg_of(fold(entries), sid=sid)
        assert leg is not None
        found = price_entries(leg, price_raw=raw, price_unit=unit, source="message_fetch", now=at(moment))
        entries = [*entries, *found]
    return entries


def asked_in_vain(entries: list[Entry], *seconds: float) -> list[Entry]:
    for moment in seconds:
        leg = leg_of(fold(entries), sid=OUT_SID)
        assert leg is not None
        entries = [*entries, check_entry(leg, outcome="no_price", now=at(moment))]
    return entries


def turn_of(*entries: Entry) -> Turn:
    """The turn whose message is `REPLY`."""
    messages = {
        uuid: fold([e for e in entries if e.message_uuid == uuid]) for uuid in {e.message_uuid for e in entries}
    }
    reply: Message = messages[REPLY]
    question = messages.get(QUESTION)
    total = reply.total if question is None else reply.total.plus(question.total)
    return Turn(message=reply, reply_to=question, total=total)


def whole_turn() -> Turn:
    """A question and its answer, delivered and settled.

    Models: 0.0002892 + 0.006005 + 0.0000537 + 0.0063575 USD. SMS: 0.0075 + 0.0079 USD.
    """
    reply = [*thought(), *sent(), said("sent", 5.9), said("delivered", 55.4)]
    reply = priced(asked_in_vain(reply, 120, 1_020), OUT_SID, "-0.00790", 3_725)
    return turn_of(*came(), *reply)


def troubled_turn() -> Turn:
    """Everything that goes wrong: refused, cancelled and unpriced calls, no delivery, a price given up and revised."""
    unpriced = no_quote(QuoteStatus.UNPRICED, "no price for model 'harbor-tone-1' (provider 'openai') on 2026-11-20")
    failed = call("failing", 0.2, 0.4, "gpt-4o", (0, 0), ("2.5", "10"), status="failed", error="RateLimitError 429",
                  usage=None, quote=None, cost=None)  # fmt: skip
    own = call("own", 0.7, 0.5, "harbor-tone-1", (450, 20), ("0", "0"), quote=unpriced, cost=None)
    partly = Quote(status=QuoteStatus.PARTIAL, amount=Decimal("0.001125"), reason="no rate for cache_write")
    left = call("left", 1.3, 0.9, "gpt-4o", (450, 9), ("2.5", "10"), status="cancelled", quote=partly, cost=None,
                estimate=Money("0.001125"))  # fmt: skip
    second = send_entry("feed" * 8, message_uuid=REPLY, context=answered(), kept=envelope(), now=at(2.9))
    refused = refused_entry(second, error="TwilioRestException 21610", now=at(3.2))
    reply = [
        failed,
        own,
        left,
        *sent(2.4, links=["left"]),
        second,
        refused,
        said("undelivered", 9.8, error_code=30_003),
    ]
    leg = leg_of(fold(reply), sid=OUT_SID)
    assert leg is not None
    reply += unavailable_entries(leg, reason="deadline", now=at(90_000))
    reply = priced(priced(reply, OUT_SID, "-0.00790", 180_000), OUT_SID, "-0.00830", 190_000)
    return turn_of(*came(), *reply)
