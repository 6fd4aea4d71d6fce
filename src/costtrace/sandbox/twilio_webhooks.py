"""The requests Twilio makes: signed forms, posted with the retries that the URL's fragment asks for.

The signature covers the URL as it was given, without its fragment, followed by every name and value in the order of the
names (https://www.twilio.com/docs/usage/security). A secret key other than the Auth Token signs with SHA-256 and is
named in a header of its own. The fragment itself is never sent: it holds Twilio's connection overrides,
`#rc=3&rp=ct,rt,5xx` (https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides).
"""

import base64
import hmac
import http.client
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urldefrag, urlencode, urlsplit

FORM: Final = "application/x-www-form-urlencoded; charset=UTF-8"
MAX_ANSWER: Final = 65_536
"""Bytes of an answer that are read."""

Failure = Literal["ct", "rt", "4xx", "5xx"]
"""Why an attempt failed, in the words of the fragment: not connected, no answer in time or none at all, its status."""

_TOTAL_S: Final = 15.0
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_OVERRIDE: Final = re.compile(r"(\w+)=([\w,]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedKey:
    """A secret that signs webhooks in place of the Auth Token, with SHA-256."""

    key: str
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """One signed request, ready to be posted; `url` still has its fragment. A test may change it first."""

    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How a webhook went: one entry per attempt, an HTTP status or the failure without one; then the last answer.

    `status` is None when no attempt was answered.
    """

    webhook: Webhook
    attempts: tuple[int | Failure, ...]
    status: int | None
    content_type: str = ""
    answer: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """Twilio's limits for one webhook, in seconds, and what it tries again."""

    connect_s: float = 5.0
    read_s: float = _TOTAL_S
    total_s: float = _TOTAL_S
    retries: int = 1
    retry_on: frozenset[str] = frozenset({"ct"})

    @classmethod
    def of(cls, url: str) -> "Overrides":
        """What the fragment of the URL says; the documented default and bounds for the rest."""
        given = dict(_OVERRIDE.findall(urldefrag(url).fragment))

        def seconds(name: str, default: float, most: float) -> float:
            return min(max(int(given[name]) / 1000, 0.1), most) if given.get(name, "").isdecimal() else default

        retries = given.get("rc", "")
        return cls(
            connect_s=seconds("ct", 5.0, 10.0),
            read_s=seconds("rt", _TOTAL_S, _TOTAL_S),
            total_s=seconds("tt", _TOTAL_S, _TOTAL_S),
            retries=min(int(retries), 5) if retries.isdecimal() else 1,
            retry_on=frozenset((given.get("rp") or "ct").split(",")),
        )

    def again_after(self, failure: Failure | None) -> bool:
        """Whether this failure is worth another attempt."""
        return failure is not None and ("all" in self.retry_on or failure in self.retry_on)


def signature(url: str, params: Mapping[str, str], secret: str, *, algorithm: str = "sha1") -> str:
    """Base64 of the HMAC over the URL without its fragment and the sorted parameters."""
    text = urldefrag(url).url + "".join(name + params[name] for name in sorted(params))
    return base64.b64encode(hmac.digest(secret.encode(), text.encode(), algorithm)).decode()


def signed(
    url: str, params: Mapping[str, str], *, auth_token: str, token: str, shared_key: SharedKey | None = None
) -> Webhook:
    """The form as a webhook. `token` is the same for every attempt: it tells the application that it is one request."""
    headers = {
        "content-type": FORM,
        "accept": "*/*",
        "user-agent": "TwilioProxy/1.1",
        "i-twilio-idempotency-token": token,
        "x-twilio-signature": signature(url, params, auth_token),
    }
    if shared_key is not None:
        headers["x-twilio-signature"] = signature(url, params, shared_key.secret, algorithm="sha256")
        headers["x-twilio-webhooks-signature-settings"] = f"key={shared_key.key},algorithm=HMAC_SHA256"
    return Webhook(url=url, headers=headers, body=urlencode(params).encode())


def post(webhook: Webhook, forward: Mapping[str, str]) -> Delivery:
    """Posts it, and again as its fragment says, all within 15 s.

    `forward` names loopback addresses for public ones, scheme and host: the URL is signed as it stands and sent there.
    Any other address that is not loopback is never asked: it counts as not connected.
    """
    overrides = Overrides.of(webhook.url)
    deadline = time.monotonic() + overrides.total_s
    attempts: list[int | Failure] = []
    while True:
        delivery, failure = _attempt(webhook, forward, overrides, deadline)
        attempts.extend(delivery.attempts)
        over = len(attempts) > overrides.retries or time.monotonic() >= deadline
        if over or not overrides.again_after(failure):
            return Delivery(
                webhook=webhook,
                attempts=tuple(attempts),
                status=delivery.status,
                content_type=delivery.content_type,
                answer=delivery.answer,
            )


def _attempt(
    webhook: Webhook, forward: Mapping[str, str], overrides: Overrides, deadline: float
) -> tuple[Delivery, Failure | None]:
    parts = urlsplit(urldefrag(webhook.url).url)
    address = urlsplit(forward.get(f"{parts.scheme}://{parts.netloc}", f"{parts.scheme}://{parts.netloc}"))
    if address.scheme != "http" or address.hostname not in _LOOPBACK:
        return Delivery(webhook=webhook, attempts=("ct",), status=None), "ct"
    connection = http.client.HTTPConnection(
        address.hostname, address.port, timeout=_left(overrides.connect_s, deadline)
    )
    try:
        connection.connect()
    except OSError:
        return Delivery(webhook=webhook, attempts=("ct",), status=None), "ct"
    try:
        connection.sock.settimeout(_left(overrides.read_s, deadline))
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target, webhook.body, {"host": parts.netloc, **webhook.headers})
        return _answered(webhook, connection.getresponse())
    except (OSError, http.client.HTTPException):
        return Delivery(webhook=webhook, attempts=("rt",), status=None), "rt"
    finally:
        connection.close()


def _answered(webhook: Webhook, answer: http.client.HTTPResponse) -> tuple[Delivery, Failure | None]:
    delivery = Delivery(
        webhook=webhook,
        attempts=(answer.status,),
        status=answer.status,
        content_type=answer.headers.get_content_type() if "content-type" in answer.headers else "",
        answer=answer.read(MAX_ANSWER),
    )
    failures: Mapping[int, Failure] = {4: "4xx", 5: "5xx"}
    return delivery, failures.get(answer.status // 100)


def _left(wanted_s: float, deadline: float) -> float:
    return max(0.01, min(wanted_s, deadline - time.monotonic()))
