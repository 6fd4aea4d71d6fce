"""Neither a phone number nor a text nor a token is in the ledger's files, the logs or the answers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from costtrace.context import MessageScope
from costtrace.ledger import SqliteLedger
from costtrace.recorder import Recorder
from costtrace.twilio.webhooks import InboundMessage
from costtrace.web import SmsWebhooks, create_app
from tests.web.conftest import KEY
from tests.web.parts import TOKEN, Answer, callback, inbound, running, send

TEXT = "zanzibar-planted-text"
THEIRS, WHATSAPP, NAMED = "+14155559137", "+14155559248", "+14155559359"
PLANTED = [TEXT.encode(), *(number[2:].encode() for number in (THEIRS, WHATSAPP, NAMED)), TOKEN.encode(), KEY]


def identify(message: InboundMessage) -> dict[str, str]:
    if message.num_media:
        raise ValueError(message.body, message.from_)
    return {"user_id": "u1"}


def reply(message: InboundMessage, _: MessageScope) -> None:
    raise RuntimeError(message.body, message.from_, message.to)


async def test_nothing_planted_is_found_again(
    tmp_path: Path,
    recorder: Recorder,
    ledger: SqliteLedger,
    webhooks: Callable[..., SmsWebhooks],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    app = create_app(recorder, webhooks(identify=identify, on_inbound=reply))
    media = {"NumMedia": "1", "MediaUrl0": f"https://api.twilio.com/{TEXT}", "MediaContentType0": "image/png"}
    good = [
        callback(1, "queued", To=THEIRS, From=NAMED, Body=TEXT, ChannelStatusMessage=TEXT),
        callback(1, "undelivered", To=f"whatsapp:{WHATSAPP}", From=f"whatsapp:{NAMED}", ErrorCode="30007"),
        callback(7, "sent", message_uuid="m-7", To=THEIRS, From=NAMED, Body=TEXT),
        inbound(2, TEXT, From=THEIRS, To=NAMED),
        inbound(3, TEXT, From=THEIRS, To=NAMED, **media),
        inbound(4, TEXT, From=f"whatsapp:{WHATSAPP}", To=f"whatsapp:{NAMED}", ProfileName=TEXT),
        inbound(5, TEXT, From=f"messenger:{TEXT}", To=f"{TEXT} {NAMED}"),
    ]
    bad = [
        replace(inbound(6, TEXT, From=THEIRS), headers={**good[3].headers, "x-twilio-signature": TOKEN}),
        replace(inbound(6, TEXT, From=THEIRS), body=b"Body=" + TEXT.encode() + b"&From=" + THEIRS.encode()),
        inbound(6, TEXT, From=THEIRS, MessageSid=TEXT),
        callback(6, f"{TEXT} {THEIRS}", To=THEIRS),
    ]
    async with running(app):
        answers = [await send(app, request) for request in good + bad]
    assert [answer.status for answer in answers] == [204, 204, 204, 200, 200, 200, 200, 403, 403, 403, 403]

    spooled = [entry for _, entry in ledger.entries()]
    for entry in spooled:  # once more by way of the spool
        ledger.spool(replace(entry, entry_id=entry.entry_id + "/again"))
    written = _files(tmp_path)
    ledger.close()
    written += _files(tmp_path)
    told = caplog.text.encode() + b"".join(_bytes(answer) for answer in answers)
    assert b"sms-status/" in written
    assert caplog.messages
    for planted in PLANTED:
        assert planted not in written
        assert planted not in told
        assert planted not in repr(spooled).encode()


def _bytes(answer: Answer) -> bytes:
    return repr(answer.headers).encode() + answer.body


def _files(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file())
