"""The company's phone number in the demo: a stand-in for Twilio, the application's webhooks, and a customer's phone.

All of it on loopback, over real HTTP: the stand-in signs its webhooks, the application of `costtrace.web` checks them,
and the SDK's own client sends the answers.
"""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from queue import SimpleQueue
from typing import Any, Final

import uvicorn

from costtrace.context import MessageScope, carry
from costtrace.entry import Entry
from costtrace.ledger import Ledger
from costtrace.messages import Amounts
from costtrace.recorder import Recorder
from costtrace.sandbox.twilio import Fate, Tariff, TwilioServer
from costtrace.times import from_micros
from costtrace.twilio.addresses import NumberHasher
from costtrace.twilio.client import make_client
from costtrace.twilio.price_plan import PricePlan
from costtrace.twilio.sender import SentMessage, SmsSender
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
_LATE_PRICE: Final = Fate(null_reads=1)
_NO_PRICE_TODAY: Final = Fate(null_reads=None)
_AGAIN_AFTER: Final = timedelta(milliseconds=5)
_PATIENCE_S: Final = 60.0
_STEP_S: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What asking until all prices were there came to."""

    count: int
    amount: Amounts


class SmsLine:
    """One phone number. Made by `sms_line`, which opens and closes it."""

    def __init__(
        self, recorder: Recorder, server: TwilioServer, client: Any, *, callback: str, answers: _Answers
    ) -> None:
        self._recorder = recorder
        self._server = server
        ours: Any = _Since(recorder.ledger, self._now())
        self._settlement = Settlement(client, ours, clock=self._now, plan=_AtOnce(), concurrency=1)
        self._answers = answers
        self.sender: Final = SmsSender(
            client, recorder, status_callback=callback, hasher=NumberHasher(secrets.token_bytes(32))
        )

    def receive(self, text: str) -> SentMessage:
        """The customer writes that; what the application sent back, once it has.

        Raises what the application raised, and RuntimeError where it did not take the message at all.
        """
        self._server.script(_LATE_PRICE)
        came = self._server.receive(from_=CUSTOMER, to=OURS, body=text, fate=_LATE_PRICE)
        if came.error_code is not None:
            raise RuntimeError(f"the application did not take the message: error {came.error_code}")
        return self._answers.get(timeout=_PATIENCE_S).result()

    def send(self, text: str, *, message_type: str) -> SentMessage:
        """Send that to the customer."""
        return self.sender.send(to=CUSTOMER, from_=OURS, body=text, message_type=message_type)

    def deliver(self, sent: SentMessage) -> list[str]:
        """It goes out and arrives; the statuses the application was told, in the order it was."""
        self._server.play(sent.sid, _SHUFFLED)
        return list(_SHUFFLED.callbacks or ())

    def withhold_next_price(self) -> None:
        """Twilio names no price for the next message today."""
        self._server.script(_NO_PRICE_TODAY)

    def ask_for_prices(self) -> Settled:
        """Ask once for whatever price is due."""
        return self._settlement.run_once()

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
    clock = recorder.clock
    twilio = TwilioServer(
        manual=True, seed=secrets.randbits(64), tariff=CONTRACT, clock=lambda: from_micros(clock() // 1000)
    )
    answers: _Answers = SimpleQueue()
    webhooks = SmsWebhooks(
        recorder,
        Verifier(tokens=twilio.auth_token),
        on_inbound=partial(_answer, carry(answer), answers),
        identify=lambda _: whose,
    )
    with twilio, _served(create_app(recorder, webhooks)) as address, _client(twilio) as client:
        twilio.inbound_url = f"{address}/sms/inbound"
        yield SmsLine(recorder, twilio, client, callback=f"{address}/sms/callback", answers=answers)


def _answer(answer: Answer, answers: _Answers, inbound: InboundMessage, reply: MessageScope) -> None:
    """The application's part in a message that came in, for whoever waits for what came of it."""
    outcome: Future[SentMessage] = Future()
    try:
        outcome.set_result(answer(inbound, reply))
    except Exception as error:  # noqa: BLE001 - it is raised where the answer is waited for
        outcome.set_exception(error)
    answers.put(outcome)


@contextmanager
def _client(twilio: TwilioServer) -> Iterator[Any]:
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
