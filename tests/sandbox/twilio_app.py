"""An application that Twilio's webhooks reach, and a real SDK client that reaches the stand-in."""

from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import parse_qsl

from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator, get_signature_algorithm
from twilio.rest import Client

from costtrace.sandbox.loopback import LoopbackServer, Request, Response
from costtrace.sandbox.twilio import TwilioServer

PHONE = "+14155550123"
OURS = "+14155550199"
SERVICE = "MG" + "0" * 32

EMPTY_TWIML = b"<Response/>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One webhook as the application saw it. `url` is where it was posted to."""

    url: str
    form: dict[str, str]
    headers: dict[str, str]

    def signed_with(self, secret: str, *, at: str | None = None) -> bool:
        """What Twilio's own validator says; `at` is the public address, where that differs."""
        algorithm = get_signature_algorithm(self.headers.get("x-twilio-webhooks-signature-settings"))
        signature = self.headers["x-twilio-signature"]
        valid: bool = RequestValidator(secret).validate(at or self.url, self.form, signature, algorithm)
        return valid


@dataclass
class App:
    """Answers 204 unless `answers` has something else for the next request; None ends the connection."""

    received: list[Received] = field(default_factory=list)
    answers: deque[Response | None] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self._http = LoopbackServer(self._answer, name="application")

    def __enter__(self) -> Self:
        self._http.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.stop()

    @property
    def address(self) -> str:
        return self._http.address

    @property
    def url(self) -> str:
        return f"{self._http.address}/sms/callback?message_uuid=u-1"

    @property
    def statuses(self) -> list[str]:
        return [webhook.form["MessageStatus"] for webhook in self.received]

    def answer_next(self, status: int, body: bytes = b"", content_type: str = "text/xml") -> None:
        self.answers.append(Response(status=status, body=body, headers={"content-type": content_type}))

    async def _answer(self, request: Request) -> Response | None:
        form = parse_qsl(request.body.decode(), keep_blank_values=True)
        assert len(dict(form)) == len(form)
        target = request.path + (f"?{request.query}" if request.query else "")
        self.received.append(
            Received(url=f"http://{request.headers['host']}{target}", form=dict(form), headers=dict(request.headers))
        )
        return self.answers.popleft() if self.answers else Response(status=204, body=b"")


def sdk(server: TwilioServer, *, base_url: str | None = None, **credentials: str) -> AbstractContextManager[Client]:
    """The real client on the stand-in, with the main account's credentials but for those given."""
    given = {"username": server.account_sid, "password": server.auth_token, **credentials}
    return connection(given.pop("username"), given.pop("password"), base_url or server.base_url, **given)


@contextmanager
def connection(username: str, password: str, base_url: str, **options: str) -> Iterator[Client]:
    """The real client, its connections closed at the end."""
    http = TwilioHttpClient(timeout=30)
    client = Client(username, password, http_client=http, **options)
    client.api.base_url = base_url
    try:
        yield client
    finally:
        assert http.session is not None
        http.session.close()
