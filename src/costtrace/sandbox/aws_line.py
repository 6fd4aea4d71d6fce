"""The company's phone number on the emulated AWS: an SMS comes in through the HTTP API, its answer goes by a queue."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

from costtrace.aws.callbacks import ParkedStatuses, SmsCallback
from costtrace.aws.inbound import SmsInbound
from costtrace.aws.replies import Agent, Assistant
from costtrace.aws.sms_replies import SmsReplies
from costtrace.aws.turns import reply_uuid_of
from costtrace.chat import ChatMessage
from costtrace.recorder import Recorder
from costtrace.sandbox.aws import AwsStack, function
from costtrace.sandbox.aws_feeds import Failed, QueueFeed
from costtrace.sandbox.lambda_gateway import LambdaGateway
from costtrace.sandbox.sms_line import SmsLine, make_twilio, twilio_client
from costtrace.sandbox.twilio import Inbound, TwilioServer
from costtrace.times import from_micros
from costtrace.twilio.addresses import NumberHasher
from costtrace.twilio.entries import message_uuid_of
from costtrace.twilio.legs import legs
from costtrace.twilio.sender import SmsSender
from costtrace.twilio.signature import Verifier

PUBLIC: Final = "https://api.example.com"
"""The address that Twilio calls and signs; what it sends there comes to the HTTP API on loopback."""

_ENVIRONMENT: Final = "demo"
_READS: Final = 1
"""Who answers asks Twilio for the customer's number, which is kept nowhere else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The SMS that answered another one."""

    message_uuid: str
    sid: str


@contextmanager
def aws_line(stack: AwsStack, recorder: Recorder, agent: Agent) -> Iterator[SmsLine]:
    """A phone number whose messages are answered by `agent`; `recorder` records into the stack's ledger."""
    with LambdaGateway() as gateway:
        twilio = make_twilio(recorder, forward={PUBLIC: gateway.address})
        twilio.inbound_url = f"{PUBLIC}/sms/inbound"
        with twilio, twilio_client(twilio) as client, stack.measured():
            yield _connected(stack, recorder, agent, gateway, twilio, client)


def _connected(  # noqa: PLR0917 - one of each
    stack: AwsStack, recorder: Recorder, agent: Agent, gateway: LambdaGateway, twilio: TwilioServer, client: Any
) -> SmsLine:
    """The functions in their places, with what Terraform would give them."""
    ledger, chat, now = stack.ledger, stack.chat, partial(_now, recorder)
    hasher = NumberHasher(secrets.token_bytes(32))
    verifier = Verifier(tokens=twilio.auth_token, public_base=PUBLIC)
    sender = SmsSender(client, recorder, status_callback=f"{PUBLIC}/sms/callback", hasher=hasher)
    tracing = recorder.tracing
    inbound = SmsInbound(
        ledger,
        chat,
        verifier,
        replies=stack.queue("reply"),
        hasher=hasher,
        now=now,
        environment=_ENVIRONMENT,
        tracing=tracing,
    )
    callback = SmsCallback(ledger, verifier, parked=stack.queue("parked"), hasher=hasher, now=now, tracing=tracing)
    faults: list[Exception] = []
    assistant = Assistant(recorder, chat, partial(_watched, agent, faults), writes=lambda _: nullcontext())
    replies = stack.feed("reply", SmsReplies(ledger, assistant, sender, client), recorder)
    parked = stack.feed("parked", ParkedStatuses(ledger, now=now, tracing=tracing))
    gateway.route("POST /sms/inbound", function(inbound))
    gateway.route("POST /sms/callback", function(callback))

    def meanwhile() -> None:
        parked.run()
        stack.catch_up()

    answered = partial(_answered, stack, replies, faults)
    return SmsLine(recorder, twilio, client, sender=sender, answered=answered, reads=_READS, meanwhile=meanwhile)


def _watched(agent: Agent, faults: list[Exception], conversation: Sequence[ChatMessage]) -> str:
    """The agent's answer; what it raises is kept, because the function only logs it and the queue brings it again."""
    try:
        return agent(conversation)
    except Exception as error:
        faults.append(error)
        raise


def _answered(stack: AwsStack, replies: QueueFeed, faults: list[Exception], came: Inbound) -> Answer:
    """The answer to that message, once the job for it is done. Raises Failed where none was sent."""
    failures = replies.run()
    uuid = reply_uuid_of(message_uuid_of(came.sid))
    sids = [] if failures else [leg.sid for leg in legs(stack.ledger.message(uuid)) if leg.sid is not None]
    if not sids:
        cause = faults[-1] if faults else None
        raise Failed(f"an SMS that came in was not answered{f' ({type(cause).__name__})' if cause else ''}") from cause
    return Answer(message_uuid=uuid, sid=sids[0])


def _now(recorder: Recorder) -> datetime:
    return from_micros(recorder.clock() // 1000)
