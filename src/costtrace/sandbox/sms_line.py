"""The company's phone number in the demo: a stand-in for Twilio, the application's webhooks, and a customer's phone.

All of it on loopback, over real HTTP: the stand-in signs its webhooks, the application of `costtrace.web` checks them,
and the SDK's own client sends the answers.
"""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from queue import SimpleQueue
from typing import Any, Final, Protocol

import uvicorn

from costtrace.context import MessageScope, carry
from costtrace.entry import Entry
from costtrace.ledger import Ledger
from costtrace.messages import Amounts
from costtrace.recorder import Recorder
from costtrace.sandbox.twilio import Fate, Inbound, Tariff, TwilioServer
from costtrace.times import from_micros
from costtrace.twilio.addresses import NumberHasher
from costtrace.twilio.client import make_client
from costtrace.twilio.outcomes import SentMessage
from costtrace.twilio.price_plan import PricePlan
from costtrace.twilio.sender import SmsSender
from costtrace.twilio.settlement import Settled, Settlement
from costtrace.twilio.signature import Verifier
from costtrace.twilio.webhooks import InboundMessage
from costtrace.web import SmsWebhooks, create_app

Answer = Callable[[InboundMessage, MessageScope], SentMessage]
"""What the application does with a message: it answers with another one."""
_Answers = SimpleQueue[Future[SentMessage]]

OURS: Final = "+14155550199"
CUSTOMER: Final = "+14155550123"
CONTRACT: Final = Tariff(sms_outbound="0.0075", sms_inbound="0.0075")
"""What Twilio charges this company: less than its list says, which is all that can be known beforehand."""

_SHUFFLED: Final = Fate(statuses=("sent", "delivered"), callbacks=("delivered", "sent", "delivered"))
"""Callbacks as they come in bad moments: the last one first, and twice."""
_NO_PRICE_TODAY: Final = Fate(null_reads=None)
_AGAIN_AFTER: Final = timedelta(milliseconds=5)
_PATIENCE_S: Final = 60.0
_STEP_S: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What asking until all prices were there came to."""

    count: int
    amount: Amounts


class NotTaken(RuntimeError):  # noqa: N818 - names what happened
    """The application did not take a message that came in."""


class Sent(Protocol):
    """An SMS that Twilio has taken from the application."""

    @property
    def message_uuid(self) -> str:
        """Of the message it is."""

    @property
    def sid(self) -> str:
        """Twilio's MessageSid."""


class SmsLine:
    """One phone number. Made by `sms_line`, which opens and closes it.

    `client` is the SDK's; `answered` waits for what the application answers to a message that came in, which it reads
    `reads` times from Twilio for that; `meanwhile` is what it does by itself after each step.
    """

    def __init__(
        self,
        recorder: Recorder,
        server: TwilioServer,
        client: Any,
        *,
        sender: SmsSender,
        answered: Callable[[Inbound], Sent],
        reads: int = 0,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> None:
        self._recorder = recorder
        self._server = server
        self.client = client
        """The SDK's own client of the account."""
        ours: Any = _Since(recorder.ledger, self._now())
        self._settlement = Settlement(
            client,
            ours,
            clock=self._now,
            plan=_AtOnce(),
            concurrency=1,
            tracing=recorder.tracing,
            measures=recorder.metrics,
        )
        self._sender = sender
        self._answered = answered
        self._reads = reads
        self._meanwhile = meanwhile

    def receive(self, text: str) -> Sent:
        """The customer writes that; what the application sent back, once it has.

        Raises what the application raised, and NotTaken where it did not take the message at all.
        """
        self._server.script(Fate(null_reads=1))
        came = self._server.receive(from_=CUSTOMER, to=OURS, body=text, fate=Fate(null_reads=1 + self._reads))
        if came.error_code is not None:
            raise NotTaken(f"the application did not take an SMS that came in: error {came.error_code}")
        sent = self._answered(came)
        self._meanwhile()
        return sent

    def send(self, text: str, *, message_type: str) -> SentMessage:
        """Send that to the customer."""
        return self._sender.send(to=CUSTOMER, from_=OURS, body=text, message_type=message_type)

    def deliver(self, sent: Sent) -> list[str]:
        """It goes out and arrives; the statuses the application was told, in the order it was."""
        self._server.play(sent.sid, _SHUFFLED)
        self._meanwhile()
        return list(_SHUFFLED.callbacks or ())

    def withhold_next_price(self) -> None:
        """Twilio names no price for the next message today."""
        self._server.script(_NO_PRICE_TODAY)

    def ask_for_prices(self) -> Settled:
        """Ask once for whatever price is due."""
        settled = self._settlement.run_once()
        self._meanwhile()
        return settled

    def wait_for_prices(self) -> Prices:
        """Ask until nothing waits for a price any more."""
        deadline, count, amount = time.monotonic() + _PATIENCE_S, 0, Amounts()
        while True:
            settled = self.ask_for_prices()
            count, amount = count + settled.priced, amount.plus(settled.amount)
            if settled.next_due is None:
                return Prices(count=count, amount=amount)
            if time.monotonic() > deadline:
                raise RuntimeError(f"prices are still missing after {_PATIENCE_S} s")
            time.sleep(min(max((settled.next_due - self._now()).total_seconds(), 0.0), _STEP_S))

    def _now(self) -> datetime:
        return from_micros(self._recorder.clock() // 1000)


class _AtOnce(PricePlan):
    """Asks again at once: a demo cannot wait for minutes."""

    def due(self, sid: str, trigger: datetime, asked: datetime | None) -> datetime:  # noqa: ARG002 - alike for all
        return trigger if asked is None else asked + _AGAIN_AFTER


class _Since:
    """The ledger, of whose waiting SMS only the new ones are seen: no other stand-in knows those of an earlier demo."""

    def __init__(self, ledger: Ledger, since: datetime) -> None:
        self._ledger = ledger
        self._since = since

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def waiting(self, kinds: Iterable[str]) -> Iterator[Entry]:
        return (entry for entry in self._ledger.waiting(kinds) if entry.recorded_at >= self._since)


@contextmanager
def sms_line(recorder: Recorder, answer: Answer, **whose: str) -> Iterator[SmsLine]:
    """A phone number whose messages are answered by `answer`, which finds the context variables that are set here.

    `whose` are the fields of `Context` that the application knows of who writes. Every line has SIDs of its own.
    """
    twilio = make_twilio(recorder)
    answers: _Answers = SimpleQueue()
    webhooks = SmsWebhooks(
        recorder,
        Verifier(tokens=twilio.auth_token),
        on_inbound=partial(_answer, carry(answer), answers),
        identify=lambda _: whose,
    )
    with twilio, _served(create_app(recorder, webhooks)) as address, twilio_client(twilio) as client:
        twilio.inbound_url = f"{address}/sms/inbound"
        hasher = NumberHasher(secrets.token_bytes(32))
        sender = SmsSender(client, recorder, status_callback=f"{address}/sms/callback", hasher=hasher)
        yield SmsLine(
            recorder, twilio, client, sender=sender, answered=lambda _: answers.get(timeout=_PATIENCE_S).result()
        )


def _answer(answer: Answer, answers: _Answers, inbound: InboundMessage, reply: MessageScope) -> None:
    """The application's part in a message that came in, for whoever waits for what came of it."""
    outcome: Future[SentMessage] = Future()
    try:
        outcome.set_result(answer(inbound, reply))
    except Exception as error:  # noqa: BLE001 - it is raised where the answer is waited for
        outcome.set_exception(error)
    answers.put(outcome)


def make_twilio(recorder: Recorder, *, forward: Mapping[str, str] | None = None) -> TwilioServer:
    """The stand-in, with SIDs of its own and the recorder's clock; `forward` is as `TwilioServer` has it."""
    clock = recorder.clock
    return TwilioServer(
        manual=True,
        seed=secrets.randbits(64),
        tariff=CONTRACT,
        clock=lambda: from_micros(clock() // 1000),
        forward=forward,
    )


@contextmanager
def twilio_client(twilio: TwilioServer) -> Iterator[Any]:
    """The SDK's own client of that stand-in."""
    client = make_client(twilio.account_sid, twilio.auth_token, base_url=twilio.base_url)
    session = client.http_client.session
    session.trust_env = False  # loopback is reached past any proxy that the environment names
    try:
        yield client
    finally:
        session.close()


@contextmanager
def _served(app: Any) -> Iterator[str]:
    """The application on a free loopback port, in a thread of its own."""
    config = uvicorn.Config(app, log_config=None, access_log=False, proxy_headers=False, ws="none")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), name="demo webhooks")
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
