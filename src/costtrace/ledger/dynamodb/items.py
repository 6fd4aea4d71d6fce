"""Rows of the table: one for each entry, and the few that lead to them.

    pk                  sk                        what
    m#<message_uuid>    <entry_id>                an entry; written once, never changed
    sid#<MessageSid>    sid                       which message the SMS of that SID belongs to
    w#<kind>#<shard>    <message_uuid>#<entry_id> a hint that this entry waits for its cost
    feed                <UTC day>                 a day on which entries were stored
    losses              <moment>#<random>         entries that a process reported lost

An entry's row holds what people filter and sum by in attributes of its own, and the whole entry in `body`. `feed` and
`seq` are its place in the index of what was stored when.
"""

from __future__ import annotations

import zlib
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from costtrace.entry import Entry, Standing
from costtrace.errors import InvalidValue
from costtrace.ledger.dynamodb.body import body_of, entry_of_body
from costtrace.ledger.dynamodb.table import Item
from costtrace.money import Money, amount_text
from costtrace.times import moment_text

MESSAGE: Final = "m#"
SID: Final = "sid#"
SID_ROW: Final = "sid"
WAITING: Final = "w#"
FEED: Final = "feed"
LOSSES: Final = "losses"
SMS: Final = "sms/"
"""How the id of an entry begins that names the SID of an SMS."""

SHARDS: Final = 4
"""Parts of the index for each day, and of the hints: one partition takes a thousand writes per second."""

_DIGITS: Final = 38
_KEY_BYTES: Final = {"pk": 2048, "sk": 1024}
_ITEM_BYTES: Final = 350 * 1024
"""DynamoDB refuses 400 KB, and counts a little otherwise than anybody else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What one entry is written as; all of it checked, so that DynamoDB takes it."""

    entry_id: str
    message_uuid: str
    row: Item
    """The entry's own row, as yet without its place in the index."""
    sid: str | None
    """The MessageSid that the entry's id names."""
    waits: bool
    """Whether its cost is still to come."""
    kind: str
    replaced: str | None
    """The id of the pending entry whose place it takes."""


def rows_of(entry: Entry) -> Rows:
    """The rows of that entry. Raises InvalidValue for what DynamoDB cannot hold exactly, or not at all."""
    waits = entry.replaces is None and entry.standing is Standing.PENDING
    corrects = entry.details.get("corrects") if entry.replaces == Standing.PENDING else None
    row: Item = {
        "pk": {"S": message_key(entry.message_uuid)},
        "sk": {"S": entry.entry_id},
        **_attributes(entry),
        "body": {"B": body_of(entry)},
    }
    _check_sizes(row)
    if waits:
        _check_key("entry.kind", "pk", f"{WAITING}{entry.kind}#{SHARDS}")
        _check_key("entry.entry_id", "sk", f"{entry.message_uuid}#{entry.entry_id}")
    return Rows(
        entry_id=entry.entry_id,
        message_uuid=entry.message_uuid,
        row=row,
        sid=sid_of(entry.entry_id),
        waits=waits,
        kind=entry.kind,
        replaced=corrects if isinstance(corrects, str) else None,
    )


def entry_of(item: Mapping[str, Any]) -> Entry | None:
    """The entry of that row, as boto3 gives it or a Lambda function's event; None for a row that is no entry.

    Raises InvalidValue for a row that a later version wrote.
    """
    body = item.get("body", {}).get("B")
    if body is None or not item["pk"]["S"].startswith(MESSAGE):
        return None
    return entry_of_body(b64decode(body) if isinstance(body, str) else bytes(body))


def message_key(message_uuid: str) -> str:
    """The partition of that message."""
    return f"{MESSAGE}{message_uuid}"


def sid_of(entry_id: str) -> str | None:
    """The MessageSid that an entry's id names; None where it names none."""
    return entry_id[len(SMS) :] if entry_id.startswith(SMS) else None


def shard_of(message_uuid: str) -> int:
    """Which part of the index and of the hints a message goes to; the same in every process."""
    return zlib.crc32(message_uuid.encode()) % SHARDS


def _attributes(entry: Entry) -> Item:
    texts = {
        "kind": entry.kind,
        "status": entry.status,
        "occurredAt": moment_text(entry.occurred_at),
        "standing": entry.standing,
        "provider": entry.provider,
        "model": entry.model,
        "userId": entry.context.user_id,
        "channel": entry.context.channel,
    }
    return {
        **{name: {"S": str(value)} for name, value in texts.items() if value is not None},
        **_money("cost", entry.cost),
        **_money("estimate", entry.estimate),
    }


def _money(name: str, money: Money | None) -> Item:
    """The amount as a number, which DynamoDB keeps exactly up to 38 digits, and its currency.

    `Money` holds neither a float nor a NaN, and no exponent that DynamoDB does not take.
    """
    if money is None:
        return {}
    digits = "".join(map(str, money.amount.as_tuple().digits)).strip("0")
    if len(digits) > _DIGITS:
        raise InvalidValue(
            f"entry.{name}", money.amount, f"at most {_DIGITS} digits, which is what DynamoDB holds exactly"
        )
    currency = "currency" if name == "cost" else "estimateCurrency"
    return {name: {"N": amount_text(money.amount)}, currency: {"S": money.currency}}


def _check_sizes(row: Item) -> None:
    _check_key("entry.message_uuid", "pk", row["pk"]["S"])
    _check_key("entry.entry_id", "sk", row["sk"]["S"])
    size = sum(len(name.encode()) + sum(map(_bytes, value.values())) for name, value in row.items())
    if size > _ITEM_BYTES:
        raise InvalidValue("entry", f"{size} bytes", f"at most {_ITEM_BYTES} bytes in an item of DynamoDB")


def _check_key(field: str, key: str, text: str) -> None:
    if len(text.encode()) > _KEY_BYTES[key]:
        raise InvalidValue(field, text, f"at most {_KEY_BYTES[key]} bytes in a key of DynamoDB")


def _bytes(value: str | bytes) -> int:
    return len(value if isinstance(value, bytes) else value.encode())
