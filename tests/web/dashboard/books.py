"""What the dashboard of the tests is about: three days, every kind of cost, and names that nobody would choose."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from costtrace.context import Context
from costtrace.entry import Entry
from costtrace.quote import QuoteStatus, no_quote
from tests.factories import make_costs, make_entry

QUESTION: Final = "0199d3a0-0000-7000-8000-00000000000a"
REPLY: Final = "0199d3a0-0000-7000-8000-00000000000b"
UNPRICED: Final = "0199d3a0-0000-7000-8000-00000000000c"
HOSTILE: Final = "0199d3a0-0000-7000-8000-00000000000d"
SID: Final = "SM" + "5" * 32
OTHER_SID: Final = "SM" + "1" * 32
MARKUP: Final = '"><script>document.title="pwned"</script>'
FORMULA: Final = "=1+1"
BACKWARDS: Final = "user-\u202egnihton"
NEWS: Final = datetime(2026, 1, 20, 9, 0, tzinfo=UTC)


def _entry(number: int, message_uuid: str, context: Context, at: datetime, **changes: Any) -> Entry:
    return make_entry(number, message_uuid=message_uuid, context=context, occurred_at=at, recorded_at=at, **changes)


def sms(number: int, message_uuid: str, context: Context, at: datetime, **changes: Any) -> Entry:
    """An SMS of the SID of these books."""
    known: dict[str, Any] = {
        "entry_id": f"sms/{SID}",
        "kind": "sms",
        "provider": "twilio",
        "model": None,
        "requested_model": None,
        "source_id": SID,
        "status": "delivered",
    }
    return make_costs(
        changes.pop("amount", None),
        number=number,
        message_uuid=message_uuid,
        context=context,
        occurred_at=at,
        recorded_at=at,
        **{**known, **changes},
    )


ANNA: Final = Context(user_id="anna", channel="sms", thread_id="t-1", direction="inbound", role="user")
TO_ANNA: Final = Context(
    user_id="anna", channel="sms", thread_id="t-1", direction="outbound", role="assistant", reply_to=QUESTION
)
BEN: Final = Context(user_id="ben", channel="web", thread_id="t-2", direction="outbound", tags={"team": "blue"})
NASTY: Final = Context(user_id=MARKUP, channel=FORMULA, thread_id=BACKWARDS, tags={"team": MARKUP})

BOOKS: Final = (
    # 19 January: what anna asked, which cost nothing but the SMS, whose price is not known yet.
    sms(
        1,
        QUESTION,
        ANNA,
        NEWS - timedelta(hours=10),
        status="received",
        estimate="0.0075",
        entry_id="sms/SM" + "1" * 32,
    ),
    # 20 January: the reply, two calls of 0.003125 USD each and an SMS of 0.0079 USD.
    _entry(2, REPLY, TO_ANNA, NEWS),
    _entry(3, REPLY, TO_ANNA, NEWS + timedelta(seconds=2)),
    sms(4, REPLY, TO_ANNA, NEWS + timedelta(seconds=5), amount="0.0079"),
    # 22 January: ben's call of a model that nobody knows the price of, and a search for 0.01 USD.
    _entry(
        5,
        UNPRICED,
        BEN,
        NEWS + timedelta(days=2),
        quote=no_quote(QuoteStatus.UNPRICED, "no price list knows it"),
        cost=None,
        model="gpt-9",
        requested_model="gpt-9",
    ),
    make_costs(
        "0.01",
        number=6,
        kind="tool",
        provider="brave",
        model="search",
        message_uuid=UNPRICED,
        context=BEN,
        occurred_at=NEWS + timedelta(days=2, seconds=3),
        recorded_at=NEWS + timedelta(days=2, seconds=3),
    ),
    # And a call by somebody whose name is markup.
    _entry(7, HOSTILE, NASTY, NEWS + timedelta(days=2, hours=1), model=MARKUP),
)
TOTAL: Final = "0.027275"
"""0.003125 * 3 + 0.0079 + 0.01"""
