"""A month in the life of a parcel company that answers its customers by SMS and on its web site. All of it is made up.

The shape is that of such products: a few customers write most, fewer write at weekends, long instructions come out of
the provider's cache, a small model sorts and a larger one answers; now and then a provider turns a call away, and a
carrier loses a text message. Model calls are priced by costtrace's catalog at the time of each, SMS by a contract made
up like the rest. The same seed makes the same month.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from costtrace import Context, Entry, Recorder, Usage, fold
from costtrace.ledger import Ledger
from costtrace.times import to_micros
from costtrace.twilio.delivery import WEBHOOK
from costtrace.twilio.entries import found_entry
from costtrace.twilio.envelope import INBOUND, OUTBOUND, envelope
from costtrace.twilio.legs import leg_of
from costtrace.twilio.revisions import MESSAGE_FETCH, price_entries

FIRST_DAY = datetime(2026, 10, 1, tzinfo=UTC)
DAYS = 31
CUSTOMERS = 40
BROKEN = range(14, 18)
"""On these days of October somebody had put the time of day at the head of the instructions: nothing was cached."""
_OURS, _THEIRS = "+14155550199", "+14155550123"
_INSTRUCTIONS = 1_920
"""Tokens of instructions before every answer, a multiple of what providers cache."""
_SORTER = ("openai", "gpt-4o-mini")
_ANSWERERS = {"sms": ("openai", "gpt-4o"), "web": ("anthropic", "claude-sonnet-4-5")}
_OWN_MODEL = ("openai", "harbor-tone-1")
"""A model of the company's own, which no price list knows."""
_MISSED = {"anthropic": "cache_write_5m"}
"""What instructions count as that were not in the cache. Anthropic asks for more to put them there, OpenAI does not."""
_PER_SEGMENT = {INBOUND: "0.0079", OUTBOUND: "0.0079"}
"""What Twilio charges this company, in dollars: less than its list says."""


logging.getLogger("costtrace").addHandler(logging.NullHandler())  # warns of the model without a price, as it should


class Traffic:
    """Writes such a month to a ledger."""

    def __init__(self, ledger: Ledger, *, seed: int = 4711) -> None:
        self._random = random.Random(seed)  # noqa: S311 - the same month every time
        self._ledger = ledger
        self._now = FIRST_DAY
        self._recorder = Recorder(ledger, clock=lambda: to_micros(self._now) * 1000)
        self._customers = [f"customer-{number:02}" for number in range(1, CUSTOMERS + 1)]
        self._weights = [1 / rank for rank in range(1, CUSTOMERS + 1)]

    def run(self, days: int = DAYS) -> None:
        """Make the first days of the month."""
        sms: list[Entry] = []
        for day in range(days):
            for moment in self._moments(FIRST_DAY + timedelta(days=day)):
                self._now = moment
                sms += self._turn(moment)
        self._ledger.append(sms)
        self._recorder.flush()

    def _moments(self, day: datetime) -> list[datetime]:
        """When customers write on that day: mostly in the afternoon, less at weekends, a little more each week."""
        usual = (55 if day.weekday() < 5 else 22) * (1 + day.day / 100)  # noqa: PLR2004 - Saturday
        count = round(self._random.gauss(usual, usual / 10))
        return sorted(day + timedelta(hours=self._random.triangular(6, 23, 14)) for _ in range(count))

    def _turn(self, moment: datetime) -> list[Entry]:
        """A question, which is sorted, and its answer."""
        channel = "sms" if self._random.random() < 0.6 else "web"  # noqa: PLR2004 - most write by SMS
        [user] = self._random.choices(self._customers, self._weights)
        known: dict[str, Any] = {
            "user_id": user,
            "channel": channel,
            "message_type": "chat",
            "environment": "production",
        }
        known["thread_id"] = f"{user}/{moment:%m-%d}"
        asked, answer = self._uuid(), self._uuid()
        question = Context(direction=INBOUND, role="user", **known)
        reply = Context(direction=OUTBOUND, role="assistant", reply_to=asked, **known)
        words = self._random.randint(8, 40)
        self._call(_SORTER, asked, question, moment, {"input": 60 + words, "output": 3})
        for number in range(self._random.choice([1, 2, 2])):
            start = moment + timedelta(seconds=2 + 3 * number)
            seller, _ = _ANSWERERS[channel]
            if self._random.random() < 0.015:  # noqa: PLR2004 - too many calls at that moment; it is tried again
                self._call(_ANSWERERS[channel], answer, reply, start, None)
                start += timedelta(seconds=1)
            self._call(_ANSWERERS[channel], answer, reply, start, self._usage(moment, seller))
        if self._random.random() < 0.02:  # noqa: PLR2004 - one in fifty
            self._call(_OWN_MODEL, answer, reply, moment + timedelta(seconds=9), {"input": 80, "output": 60})
        if channel == "web":
            return []
        return [
            *self._sms(asked, question, moment, words // 2),
            *self._sms(answer, reply, moment + timedelta(seconds=12), self._random.randint(12, 45)),
        ]

    def _usage(self, moment: datetime, seller: str) -> dict[str, int]:
        said, answered = self._random.randint(40, 400), self._random.randint(35, 140)
        cached = moment.day not in BROKEN and self._random.random() < 0.93  # noqa: PLR2004 - caches forget
        buckets = {"input": said, "output": answered}
        head = "cache_read" if cached else _MISSED.get(seller, "input")
        return {**buckets, head: buckets.get(head, 0) + _INSTRUCTIONS}

    def _call(
        self, model: tuple[str, str], uuid: str, context: Context, start: datetime, buckets: dict[str, int] | None
    ) -> None:
        """A call that used so much, or one that the provider turned away."""
        provider, name = model
        took = 0.3 + (buckets or {}).get("output", 0) * self._random.uniform(0.008, 0.02)
        self._recorder.record_call(
            run_id=self._uuid(),
            message_uuid=uuid,
            context=context,
            status="completed" if buckets else "failed",
            start_us=to_micros(start),
            duration_us=int(took * 1_000_000),
            provider=provider,
            model=name,
            requested_model=name,
            service_tier=None,
            usage=Usage(buckets=buckets) if buckets else None,
            refused=buckets is None,
            error=None if buckets else "RateLimitError 429",
        )

    def _sms(self, uuid: str, context: Context, moment: datetime, words: int) -> Iterator[Entry]:
        """An SMS, and the price that Twilio names a minute later; of the last day's, not all are named yet."""
        inbound = context.direction == INBOUND
        sid = f"SM{self._random.getrandbits(128):032x}"
        kept = envelope(
            to=_OURS if inbound else _THEIRS,
            from_=_THEIRS if inbound else _OURS,
            body="parcel " * words,
            direction=str(context.direction),
            at=moment,
        )
        arrived = "received" if inbound else "delivered"
        is_lost = not inbound and self._random.random() < 0.02  # noqa: PLR2004 - the carrier's word; billed all the same
        sent = found_entry(
            sid,
            "undelivered" if is_lost else arrived,
            direction=str(context.direction),
            kept=kept,
            source=WEBHOOK,
            occurred_at=moment,
            now=moment,
            context=context,
            message_uuid=uuid,
        )
        yield sent
        is_late = moment >= FIRST_DAY + timedelta(days=DAYS - 1, hours=18)
        leg = leg_of(fold([sent]), sid=sid)
        if not is_late and leg is not None:
            charged = (kept.segments or 1) * Decimal(_PER_SEGMENT[str(context.direction)])
            yield from price_entries(
                leg, price_raw=f"-{charged}", price_unit="USD", source=MESSAGE_FETCH, now=moment + timedelta(minutes=1)
            )

    def _uuid(self) -> str:
        return str(UUID(int=self._random.getrandbits(128), version=4))
