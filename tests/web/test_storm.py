"""Tens of thousands of webhooks in any order, repeated, forged and cut off: the ledger ends as after a quiet day."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from costtrace.entry import encode_entry
from costtrace.ledger import SqliteLedger
from costtrace.recorder import Recorder
from costtrace.twilio.signature import Verifier
from costtrace.web import SmsWebhooks, create_app
from tests.web.parts import BASE, NOW_NS, TOKEN, Posted, callback, inbound, send_all, sid

REQUESTS: Final = int(os.environ.get("COSTTRACE_TEST_WEBHOOKS", "20000"))
REPEATED, FORGED = 0.30, 0.05
NOBODY: Final = 10**9
"""Where the SIDs begin that only forged requests name."""


def genuine(messages: int, chance: random.Random) -> Iterator[Posted]:
    """What Twilio posts about that many messages: sent by us, by somebody else of our account, or received."""
    for number in range(messages):
        kind = number % 10
        if kind == 0:
            yield inbound(number, f"Question {number}")
            continue
        names = {} if kind == 1 else {"message_uuid": f"uuid-{number}", "send": f"send-{number}"}
        last = chance.choice(["delivered", "undelivered", "failed", "delivered", "delivered"])
        code = {"ErrorCode": "30007"} if last != "delivered" else {}
        yield callback(number, "queued", **names)
        yield callback(number, "sent", **names)
        yield callback(number, last, **names, **code)
        if kind == 2:
            yield callback(number, "read", **names)


def forged(original: Posted, number: int, chance: random.Random) -> Posted:
    """What somebody makes who knows everything but the token, or what is left of a request that was cut off."""
    match chance.randrange(6):
        case 0:
            return callback(NOBODY + number, "delivered", token="f" * 32)
        case 1:
            return inbound(NOBODY + number, "Send me the key", token="f" * 32)
        case 2:
            return replace(original, body=original.body.replace(b"SM", b"MM", 1))
        case 3:
            return replace(original, body=original.body[: -chance.randrange(1, 40)])
        case 4:
            return replace(original, url=original.url + ("&" if "?" in original.url else "?") + "message_uuid=other")
        case _:
            cut = original.headers["x-twilio-signature"][:-2]
            return replace(original, headers={**original.headers, "x-twilio-signature": cut})


async def posted(path: Path, requests: list[Posted]) -> tuple[list[int], list[dict[str, Any]]]:
    """The statuses of the answers, and all entries there are afterwards, by id."""
    ledger = SqliteLedger(path)
    recorder = Recorder(ledger, clock=lambda: NOW_NS)
    app = create_app(recorder, SmsWebhooks(recorder, Verifier(tokens=TOKEN, public_base=BASE)))
    answers = await send_all(app, requests)
    entries = sorted((encode_entry(entry) for _, entry in ledger.entries()), key=lambda entry: str(entry["entry_id"]))
    ledger.close()
    return [answer.status for answer in answers], entries


async def test_any_order_repetition_and_forgery_end_as_the_same_ledger(tmp_path: Path) -> None:
    chance = random.Random(4)  # noqa: S311 - the same storm in every run
    once = list(genuine(int(REQUESTS * (1 - REPEATED - FORGED) / 2.83), chance))
    repeated = chance.choices(once, k=int(REQUESTS * REPEATED))
    false = [forged(chance.choice(once), number, chance) for number in range(int(REQUESTS * FORGED))]
    storm = [(request, True) for request in once + repeated] + [(request, False) for request in false]
    chance.shuffle(storm)
    assert len(storm) >= REQUESTS * 0.97

    statuses, entries = await posted(tmp_path / "storm.db", [request for request, _ in storm])
    quiet_statuses, quiet_entries = await posted(tmp_path / "quiet.db", once)

    answered = Counter(zip((true for _, true in storm), statuses, strict=True))
    assert set(quiet_statuses) == {200, 204}
    assert set(answered) == {(True, 200), (True, 204), (False, 403)}
    assert answered[False, 403] == len(false)
    assert entries == quiet_entries
    told = {request.url + request.body.decode() for request in once}
    assert len([entry for entry in entries if entry["kind"] == "sms-status"]) == len(
        [text for text in told if "/sms/callback" in text]
    )
    assert not any(entry["source_id"] >= sid(NOBODY) or entry["source_id"].startswith("MM") for entry in entries)
