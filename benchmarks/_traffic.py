"""Ninety days of a messaging product, as its ledger would hold them: the same entries in every run.

Six of ten turns are SMS: what came in, two model calls, the send, its statuses, and the price that Twilio names later.
The others are web chat: an embedding and three model calls. A few users write most. Identifiers are made as they are in
life: message uuids and run ids begin with the time, the SIDs of Twilio do not.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from costtrace.context import Context
from costtrace.entry import Entry, Standing
from costtrace.money import Money
from costtrace.quote import PriceBasis, Quote, QuoteLine, QuoteStatus
from costtrace.usage import Usage

BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)
SPAN: Final = timedelta(days=90)
PER_TURN: Final = 6.4
_PER_USER: Final = 500
_MODELS: Final = {
    "gpt-4o": ("openai", Decimal("2.5"), Decimal(10)),
    "gpt-4o-mini": ("openai", Decimal("0.15"), Decimal("0.6")),
    "claude-sonnet-4-5": ("anthropic", Decimal(3), Decimal(15)),
    "gemini-2.5-flash": ("google_genai", Decimal("0.3"), Decimal("2.5")),
}
_EMBEDDING: Final = ("text-embedding-3-small", "openai", Decimal("0.02"))
_SEGMENT: Final = Money("0.0083")
_INBOUND: Final = Money("0.0079")
_PENDING: Final = Quote(status=QuoteStatus.PENDING, amount=None)
_LATER: Final = timedelta(minutes=4)


class Traffic:
    """Entries in the order in which they are stored, about `size` of them."""

    def __init__(self, size: int, *, seed: int = 1) -> None:
        self._random = random.Random(seed)  # noqa: S311 - the same traffic in every run
        self._turns = max(round(size / PER_TURN), 1)
        self._calls = {model: [self._call(model) for _ in range(64)] for model in _MODELS}
        self._embeddings = [self._embedding() for _ in range(16)]
        self.users = max(size // _PER_USER, 10)

    def __iter__(self) -> Iterator[Entry]:
        step = SPAN / self._turns
        for number in range(self._turns):
            at = BEGIN + number * step
            yield from self._sms(at) if self._random.random() < 0.6 else self._web(at)

    def _sms(self, at: datetime) -> Iterator[Entry]:
        asked, answered, context = self._uuid(at), self._uuid(at), self._context("sms")
        inbound = replace(context, direction="inbound", role="user")
        reply = replace(context, direction="outbound", role="assistant", reply_to=asked)
        sid, send = f"SM{self._hex(32)}", self._uuid(at)
        yield self._line(f"sms/SM{self._hex(32)}", asked, "sms", "received", at, inbound, cost=_INBOUND)
        for _ in range(2):
            yield self._model_call(at, answered, reply)
        sms = {"provider": "twilio", "source_id": sid}
        yield self._line(f"sms-send/{send}", answered, "sms-send", "sent", at, reply, provider="twilio")
        yield self._line(f"sms/{sid}", answered, "sms", "queued", at, reply, estimate=_SEGMENT, quote=_PENDING, **sms)
        for seconds, status in ((1, "sent"), (4, "delivered")):
            moment = at + timedelta(seconds=seconds)
            yield self._line(f"sms-status/{sid}/{status}", answered, "sms-status", status, moment, reply, **sms)
        yield self._line(
            f"sms-price/{sid}/1",
            answered,
            "sms-price",
            "completed",
            at,
            reply,
            recorded_at=at + _LATER,
            cost=_SEGMENT,
            estimate=-_SEGMENT,
            replaces=Standing.PENDING,
            details={"corrects": f"sms/{sid}"},
            **sms,
        )

    def _web(self, at: datetime) -> Iterator[Entry]:
        answered, context = self._uuid(at), self._context("web")
        usage, quote = self._random.choice(self._embeddings)
        run, (model, provider, _) = self._uuid(at), _EMBEDDING
        yield self._line(
            f"embedding/{run}",
            answered,
            "embedding",
            "completed",
            at,
            context,
            provider=provider,
            model=model,
            usage=usage,
            quote=quote,
            cost=Money(quote.amount or 0),
            source_id=run,
        )
        for _ in range(3):
            yield self._model_call(at, answered, context)

    def _model_call(self, at: datetime, uuid: str, context: Context) -> Entry:
        model = self._random.choices(tuple(_MODELS), (4, 3, 2, 1))[0]
        usage, quote = self._random.choice(self._calls[model])
        run = self._uuid(at)
        return self._line(
            f"llm/{run}/{int(at.timestamp() * 1e6)}",
            uuid,
            "llm",
            "completed",
            at,
            context,
            duration_us=1_250_000,
            provider=_MODELS[model][0],
            model=model,
            requested_model=model,
            usage=usage,
            quote=quote,
            cost=Money(quote.amount or 0),
            source_id=run,
        )

    @staticmethod
    def _line(  # noqa: PLR0917 - what every entry has
        entry_id: str, uuid: str, kind: str, status: str, at: datetime, context: Context, **more: object
    ) -> Entry:
        known = {"recorded_at": at, **more}
        return Entry(
            entry_id=entry_id,
            message_uuid=uuid,
            kind=kind,
            status=status,
            occurred_at=at,
            context=context,
            **known,  # type: ignore[arg-type]  # each by its own type
        )

    def _context(self, channel: str) -> Context:
        user = int(self._random.random() ** 3 * self.users)
        return Context(
            user_id=f"user-{user}",
            thread_id=f"{channel}-thread-{user}",
            channel=channel,
            environment="production",
            message_type=self._random.choices(("chat", "welcome", "notification"), (18, 1, 1))[0],
        )

    def _call(self, model: str) -> tuple[Usage, Quote]:
        provider, rate_in, rate_out = _MODELS[model]
        tokens_in, tokens_out = self._random.randrange(200, 4000), self._random.randrange(20, 800)
        amount = (rate_in * tokens_in + rate_out * tokens_out) / 1_000_000
        lines = (
            QuoteLine("input", tokens_in, rate_in, 1_000_000),
            QuoteLine("output", tokens_out, rate_out, 1_000_000),
        )
        return _usage(input=tokens_in, output=tokens_out), _quote(provider, model, amount, lines)

    def _embedding(self) -> tuple[Usage, Quote]:
        model, provider, rate = _EMBEDDING
        tokens = self._random.randrange(20, 400)
        amount = rate * tokens / 1_000_000
        return _usage(input=tokens), _quote(provider, model, amount, (QuoteLine("input", tokens, rate, 1_000_000),))

    def _uuid(self, at: datetime) -> str:
        text = f"{int(at.timestamp() * 1000):012x}7{self._hex(3)}8{self._hex(15)}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def _hex(self, digits: int) -> str:
        return f"{self._random.getrandbits(4 * digits):0{digits}x}"


def _usage(**buckets: int) -> Usage:
    counts = {f"{name}_tokens": count for name, count in buckets.items()}
    raw = ",".join(f'"{name}":{count}' for name, count in counts.items())
    return Usage(buckets=buckets, raw_json=f'{{"usage_metadata":{{{raw}}}}}')


def _quote(provider: str, model: str, amount: Decimal, lines: tuple[QuoteLine, ...]) -> Quote:
    basis = PriceBasis(
        provider=provider,
        model=model,
        rule="exact name",
        source="genai-prices",
        version="0.2.3",
        data_hash="0123456789abcdef",
    )
    return Quote(status=QuoteStatus.EXACT, amount=amount, lines=lines, basis=basis)
