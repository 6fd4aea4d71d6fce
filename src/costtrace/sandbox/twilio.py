"""A loopback stand-in for Twilio's messaging API: messages, their callbacks, prices and usage records, and phones.

The real SDK talks to it once its base URL is changed, which holds for one client:

    with TwilioServer() as server:
        client = Client(server.account_sid, server.auth_token)
        client.api.base_url = server.base_url
        sent = client.messages.create(to="+14155550123", from_="+14155550199", body="On its way.")
        server.wait()
        client.messages(sent.sid).fetch().price        # "-0.00830"

`server.script(Fate(...))` says what becomes of the next message: other statuses, callbacks in any order or twice or
before create returns, a price that comes late or never. `server.fail(Fault(...))` says what goes wrong with the next
request. `server.receive(...)` is a phone that writes to the application. With `manual=True` nothing moves by itself:
`server.advance` and `server.callback` decide what happens when.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Self

from costtrace.errors import InvalidValue
from costtrace.sandbox.loopback import LoopbackServer
from costtrace.sandbox.twilio_api import Api, Call, Fault
from costtrace.sandbox.twilio_carrier import Carrier, Fate, Inbound
from costtrace.sandbox.twilio_messages import Message, Tariff
from costtrace.sandbox.twilio_webhooks import Delivery, SharedKey, Webhook, signed
from costtrace.sandbox.twilio_worker import LIMIT

__all__ = [
    "Call",
    "Delivery",
    "Fate",
    "Fault",
    "Inbound",
    "Message",
    "SharedKey",
    "Tariff",
    "TwilioServer",
    "Webhook",
]


class TwilioServer:
    """The stand-in as a context manager: listening on a free loopback port inside, gone after.

    `seed` decides the SIDs, `clock` (aware times) every date. `subaccounts` are Auth Tokens by account SID; the main
    account may read and send for them, and their webhooks carry their own signature. `api_key` is a key's SID and
    secret, a second way to sign in. `forward` sends webhooks for a public address (scheme and host) to one on loopback;
    no other address is ever asked. At most `queue_limit` messages wait for their callbacks: more are refused as Twilio
    does, with 21611.
    """

    def __init__(
        self,
        *,
        inbound_url: str | None = None,
        tariff: Tariff | None = None,
        manual: bool = False,
        seed: int = 1,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        auth_token: str | None = None,
        api_key: tuple[str, str] | None = None,
        subaccounts: Mapping[str, str] | None = None,
        shared_key: SharedKey | None = None,
        forward: Mapping[str, str] | None = None,
        queue_limit: int = LIMIT,
    ) -> None:
        self.inbound_url = inbound_url
        """Where the application takes incoming messages; may be set later."""
        self.account_sid: Final = "AC" + _digits(f"account {seed}")
        """The main account."""
        self.auth_token: Final = auth_token or _digits(f"token {seed}")
        """Its Auth Token, which also signs its webhooks."""
        tariff = tariff or Tariff()
        self._tokens = {self.account_sid: self.auth_token, **(subaccounts or {})}
        self._carrier = Carrier(
            tokens=self._tokens,
            tariff=tariff,
            clock=clock,
            seed=seed,
            manual=manual,
            shared_key=shared_key,
            forward=forward or {},
            queue_limit=queue_limit,
        )
        self._api = Api(self._carrier, tokens=self._tokens, api_key=api_key, clock=clock, unit=tariff.unit)
        self._http = LoopbackServer(self._api.answer, name="twilio stand-in")

    @property
    def base_url(self) -> str:
        """What a client takes as the base URL of its API domain; RuntimeError before the first start."""
        return self._http.address

    @property
    def calls(self) -> list[Call]:
        """Every request to the API so far, in order of completion."""
        return self._api.calls

    @property
    def messages(self) -> list[Message]:
        """All messages as they are now, oldest first."""
        return self._carrier.log.all()

    @property
    def deliveries(self) -> list[Delivery]:
        """Every webhook posted so far, in order of completion."""
        return self._carrier.deliveries

    def script(self, *fates: Fate) -> None:
        """The next messages that are created, or sent as a reply, get these, one each."""
        self._carrier.script(*fates)

    def fail(self, *faults: Fault) -> None:
        """Each of these happens to one request, in this order among those of its operation."""
        self._api.fail(*faults)

    def advance(self, sid: str, *statuses: str, error_code: int | None = None) -> Message:
        """The message goes through these statuses; the application is told nothing."""
        for status in statuses:
            self._carrier.log.advance(sid, status, error_code=error_code)
        return self._message(sid)

    def callback(self, sid: str, status: str | None = None, *, error_code: int | None = None) -> Delivery:
        """Posts a status callback now and returns how it went; by default for the status it has."""
        return self.post(self.webhook(sid, status, error_code=error_code))

    def webhook(
        self, sid: str, status: str | None = None, *, error_code: int | None = None, url: str | None = None
    ) -> Webhook:
        """The signed status callback, for a test that changes it before it posts it."""
        return self._carrier.webhook(sid, status or self._message(sid).status, error_code=error_code, url=url)

    def sign(self, url: str, params: Mapping[str, str], *, account_sid: str | None = None) -> Webhook:
        """Any form, signed with the account's Auth Token."""
        token = self._tokens[account_sid or self.account_sid]
        return signed(url, params, auth_token=token, token=_digits(f"{url} {sorted(params.items())}"))

    def post(self, webhook: Webhook) -> Delivery:
        """Posts a webhook now, with the retries its URL asks for."""
        return self._carrier.post(webhook)

    def reprice(self, sid: str, price: str, *, unit: str | None = None) -> Message:
        """From now on every read of the message shows this price: Twilio's own text, negative when it costs."""
        return self._carrier.log.reprice(sid, price, unit)

    def receive(
        self,
        *,
        from_: str,
        to: str,
        body: str = "",
        media: Sequence[str] = (),
        account_sid: str | None = None,
        messaging_service_sid: str | None = None,
        opt_out: str | None = None,
        lost: bool = False,
        fate: Fate | None = None,
    ) -> Inbound:
        """A phone writes to one of the account's numbers: posts the webhook now, and sends what the answer asks for.

        With `lost` the webhook never leaves; the message is there all the same. `fate` may set the price and its reads.
        """
        if not lost and self.inbound_url is None:
            raise InvalidValue("inbound_url", None, "the application's address, or lost=True")
        return self._carrier.receive(
            account_sid=account_sid or self.account_sid,
            to=to,
            from_=from_,
            body=body,
            media=media,
            url=None if lost else self.inbound_url,
            messaging_service_sid=messaging_service_sid,
            opt_out=opt_out,
            fate=fate or Fate(),
        )

    def play(self, sid: str, fate: Fate) -> Message:
        """Runs a message through its fate in the calling thread: statuses and callbacks, to the end."""
        self._carrier.play(sid, fate)
        return self._message(sid)

    def send_due(self) -> list[str]:
        """Sends the scheduled messages whose time has come; their SIDs."""
        return self._carrier.send_due()

    def wait(self, timeout_s: float = 15.0) -> None:
        """Returns once every message went through its fate and every callback was posted; TimeoutError otherwise."""
        if not self._carrier.worker.wait(timeout_s):
            raise TimeoutError(f"callbacks are still under way after {timeout_s} s")

    def start(self) -> None:
        """Listens when this returns. RuntimeError when it is started already."""
        self._http.start()
        self._carrier.worker.start()

    def stop(self) -> None:
        """Port closed, threads gone when this returns; callbacks that still wait are dropped."""
        self._carrier.worker.stop()
        self._http.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _message(self, sid: str) -> Message:
        message = self._carrier.log.get(sid)
        if message is None:
            raise InvalidValue("sid", sid, "a message of this stand-in")
        return message


def _digits(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
