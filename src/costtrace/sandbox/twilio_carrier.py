"""What happens to messages after the API took them: their statuses, their callbacks, and the replies of phones."""

import hashlib
import itertools
import threading
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from costtrace.errors import InvalidValue
from costtrace.sandbox import twilio_inbound, twilio_webhooks
from costtrace.sandbox.twilio_messages import (
    Direction,
    Message,
    MessageLog,
    Tariff,
    known_price,
    known_status,
    segments,
)
from costtrace.sandbox.twilio_requests import MessageRequest, Refusal, is_callback_url
from costtrace.sandbox.twilio_webhooks import Delivery, SharedKey, Webhook
from costtrace.sandbox.twilio_wire import API
from costtrace.sandbox.twilio_worker import Worker

_WITH_RECEIPT: Final = frozenset({"delivered", "undelivered"})
_WITH_ERROR: Final = frozenset({"failed", "undelivered"})
_QUEUE_FULL: Final = "This 'From' number has exceeded the maximum number of queued messages."


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What becomes of one message that is created.

    It goes through `statuses`, after `queued` when a Messaging Service sends it. `callbacks` are the statuses the
    application is told, in this order and as often as they stand there; by default each status once, as it is reached.
    The first `early` of them are answered before the create call is. `error_code` goes with failed and undelivered.

    `price` is Twilio's text ("-0.00750"), by default the tariff's. `null_reads` reads of the message answer null first
    (None: all of them), and none before `price_after` has passed since it was sent.
    """

    statuses: tuple[str, ...] = ("sent", "delivered")
    callbacks: tuple[str, ...] | None = None
    early: int = 0
    error_code: int | None = None
    price: str | None = None
    null_reads: int | None = 0
    price_after: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        for status in self.statuses:
            known_status(status)
        if self.price is not None:
            known_price(self.price)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbound:
    """An SMS that arrived: its webhook's delivery (None where it was lost), the SIDs of the replies the answer sent.

    `error_code` is what Twilio's debugger would show for an answer it cannot use.
    """

    sid: str
    delivery: Delivery | None
    replies: tuple[str, ...] = ()
    error_code: int | None = None


class _Step(NamedTuple):
    """The statuses a message reaches, and the one the application is then told."""

    reached: tuple[str, ...]
    told: str | None


class Carrier:
    """Moves the messages of one account along, and tells the application. Safe to use from any thread.

    `tokens` are the Auth Tokens by account SID, sub-accounts among them. With `manual` nothing moves by itself.
    """

    def __init__(
        self,
        *,
        tokens: Mapping[str, str],
        tariff: Tariff,
        clock: Callable[[], datetime],
        seed: int,
        manual: bool,
        shared_key: SharedKey | None,
        forward: Mapping[str, str],
        queue_limit: int,
    ) -> None:
        self.log = MessageLog(tariff, clock)
        self.worker = Worker("twilio stand-in callbacks", limit=queue_limit)
        self._tokens = tokens
        self._clock = clock
        self._seed = seed
        self._manual = manual
        self._shared_key = shared_key
        self._forward = forward
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._fates: deque[Fate] = deque()
        self._waiting: dict[str, Fate] = {}
        self._deliveries: list[Delivery] = []

    @property
    def deliveries(self) -> list[Delivery]:
        """Every webhook posted so far, in order of completion."""
        with self._lock:
            return list(self._deliveries)

    def script(self, *fates: Fate) -> None:
        """The next created messages get these, one each."""
        with self._lock:
            self._fates.extend(fates)

    def create(self, asked: MessageRequest, account_sid: str) -> Message:
        """Takes the message, and posts the early callbacks of its fate. Raises Refusal when too many wait."""
        fate = self._next_fate()
        message = self._added(asked, account_sid, fate)
        if message.status == "scheduled":
            self._waiting[message.sid] = fate
        elif not self._manual:
            self._send(message, fate)
        return message

    def send_due(self) -> list[str]:
        """Sends what was scheduled for now or earlier; the SIDs."""
        now = self._clock()
        due = [m for m in self.log.all() if m.status == "scheduled" and m.send_at is not None and m.send_at <= now]
        for message in due:
            self._send(message, self._waiting.pop(message.sid, Fate()))
        return [message.sid for message in due]

    def cancel(self, sid: str) -> Message:
        """Takes back a scheduled message. Raises Refusal for any other."""
        message = self.log.get(sid)
        if message is None or message.status != "scheduled":
            raise Refusal(30409, "Message is not in a cancelable state.", status=409)
        self._waiting.pop(sid, None)
        message = self.log.advance(sid, "canceled")
        if not self._manual:
            self._later(sid, [_Step((), "canceled")], Fate())
        return message

    def play(self, sid: str, fate: Fate) -> None:
        """Its statuses and callbacks to the end, in the calling thread."""
        for step in _steps(self._known(sid), fate):
            self._take(sid, step, fate)

    def webhook(self, sid: str, status: str, *, error_code: int | None = None, url: str | None = None) -> Webhook:
        """The signed status callback, not posted. `url` for a message that has none of its own."""
        message = self._known(sid)
        target = url or message.status_callback
        if target is None:
            raise InvalidValue("sid", sid, "a message that was created with a StatusCallback")
        return self._signed(target, self._callback_form(message, status, error_code), message.account_sid)

    def post(self, webhook: Webhook) -> Delivery:
        """Posts it now, retries included; the delivery is kept in `deliveries`."""
        delivery = twilio_webhooks.post(webhook, self._forward)
        with self._lock:
            self._deliveries.append(delivery)
        return delivery

    def receive(
        self,
        *,
        account_sid: str,
        to: str,
        from_: str,
        body: str,
        media: Sequence[str],
        url: str | None,
        messaging_service_sid: str | None,
        opt_out: str | None,
        fate: Fate,
    ) -> Inbound:
        """A phone's message comes in; with a `url` the application is told and its answer carried out."""
        now = self._clock()
        message = self.log.add(
            Message(
                sid=self._sid("MM" if media else "SM"),
                account_sid=account_sid,
                direction="inbound",
                status="received",
                to=to,
                from_=from_,
                body=body,
                created=now,
                updated=now,
                sent=now,
                messaging_service_sid=messaging_service_sid,
                num_media=len(media),
                segments=segments(body),
                num_segments=segments(body),
                price=fate.price,
                null_reads=fate.null_reads,
                price_after=fate.price_after,
            )
        )
        if url is None:
            return Inbound(sid=message.sid, delivery=None)
        form = twilio_inbound.form(message, media=media, api_version=API, opt_out=opt_out)
        return self._answered(message, self.post(self._signed(url, form, account_sid)))

    def _answered(self, message: Message, delivery: Delivery) -> Inbound:
        try:
            replies = twilio_inbound.replies(delivery)
        except twilio_inbound.AnswerError as error:
            return Inbound(sid=message.sid, delivery=delivery, error_code=error.code)
        sids = tuple(self._reply(message, reply) for reply in replies)
        return Inbound(sid=message.sid, delivery=delivery, replies=sids)

    def _reply(self, inbound: Message, reply: twilio_inbound.Reply) -> str:
        fate = self._next_fate()
        asked = MessageRequest(
            to=reply.to or inbound.from_ or "",
            from_=reply.from_ or inbound.to,
            messaging_service_sid=None,
            body=reply.body,
            media=reply.media,
            status_callback=reply.status_callback if is_callback_url(reply.status_callback or "") else None,
            send_at=None,
        )
        message = self._added(asked, inbound.account_sid, fate, direction="outbound-reply")
        if not self._manual:
            self._send(message, replace(fate, early=0))
        return message.sid

    def _added(
        self, asked: MessageRequest, account_sid: str, fate: Fate, *, direction: Direction = "outbound-api"
    ) -> Message:
        counted, now = segments(asked.body), self._clock()
        service = asked.messaging_service_sid
        return self.log.add(
            Message(
                sid=self._sid("MM" if asked.media else "SM"),
                account_sid=account_sid,
                direction=direction,
                status="scheduled" if asked.send_at else "accepted" if service else "queued",
                to=asked.to,
                from_=asked.from_,
                body=asked.body,
                created=now,
                updated=now,
                send_at=asked.send_at,
                messaging_service_sid=service,
                num_media=len(asked.media),
                segments=counted,
                # A Messaging Service picks the sender later, and only then are segments counted.
                num_segments=0 if service else counted,
                status_callback=asked.status_callback,
                price=fate.price,
                null_reads=fate.null_reads,
                price_after=fate.price_after,
            )
        )

    def _send(self, message: Message, fate: Fate) -> None:
        """The early steps at once, the others on the worker."""
        steps = _steps(message, fate)
        for step in steps[: fate.early]:
            self._take(message.sid, step, fate)

        if not self._later(message.sid, steps[fate.early :], fate):
            self.log.delete(message.sid)
            raise Refusal(21611, _QUEUE_FULL)

    def _later(self, sid: str, steps: Sequence[_Step], fate: Fate) -> bool:
        """False when the worker has too much to do."""

        def job() -> None:
            with suppress(InvalidValue):  # deleted meanwhile
                for step in steps:
                    self._take(sid, step, fate)

        return self.worker.submit(job)

    def _take(self, sid: str, step: _Step, fate: Fate) -> None:
        for status in step.reached:
            self.log.advance(sid, status, error_code=fate.error_code if status in _WITH_ERROR else None)
        if step.told is not None:
            self._tell(sid, step.told)

    def _tell(self, sid: str, status: str) -> None:
        """The callback, for a message that has an address for it."""
        if self._known(sid).status_callback is not None:
            self.post(self.webhook(sid, status))

    def _callback_form(self, message: Message, status: str, error_code: int | None) -> dict[str, str]:
        form = {
            "SmsSid": message.sid,
            "SmsStatus": status,
            "MessageStatus": status,
            "To": message.to,
            "MessageSid": message.sid,
            "AccountSid": message.account_sid,
            "From": message.from_ or "",
            "ApiVersion": API,
        }
        if message.messaging_service_sid:
            form["MessagingServiceSid"] = message.messaging_service_sid
        if status in _WITH_RECEIPT and message.kind != "whatsapp":
            form["RawDlrDoneDate"] = format(self._clock(), "%y%m%d%H%M")
        if message.kind == "whatsapp":
            form |= {"ChannelPrefix": "whatsapp", **({"EventType": "READ"} if status == "read" else {})}
        error_code = error_code if error_code is not None else message.error_code
        if status in _WITH_ERROR and error_code is not None:
            form["ErrorCode"] = str(error_code)
        return form

    def _signed(self, url: str, form: Mapping[str, str], account_sid: str) -> Webhook:
        return twilio_webhooks.signed(
            url,
            form,
            auth_token=self._tokens[account_sid],
            token=str(uuid.UUID(self._digest())),
            shared_key=self._shared_key,
        )

    def _next_fate(self) -> Fate:
        with self._lock:
            return self._fates.popleft() if self._fates else Fate()

    def _sid(self, prefix: str) -> str:
        return prefix + self._digest()

    def _digest(self) -> str:
        """32 hexadecimal digits: the next of a row that the seed decides."""
        return hashlib.sha256(f"{self._seed}:{next(self._numbers)}".encode()).hexdigest()[:32]

    def _known(self, sid: str) -> Message:
        message = self.log.get(sid)
        if message is None:
            raise InvalidValue("sid", sid, "a message of this stand-in")
        return message


def _steps(message: Message, fate: Fate) -> list[_Step]:
    """Callbacks in an order of their own come after everything has happened, which is how they get out of order."""
    statuses = ("queued", *fate.statuses) if message.messaging_service_sid else fate.statuses
    if fate.callbacks is None:
        return [_Step((status,), status) for status in statuses]
    first, *others = fate.callbacks or (None,)
    return [_Step(statuses, first), *(_Step((), told) for told in others)]
