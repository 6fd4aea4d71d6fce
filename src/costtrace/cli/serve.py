"""``costtrace serve``: take Twilio's webhooks."""

from __future__ import annotations

import gc
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Final

import typer

from costtrace.cli.options import LedgerUrl
from costtrace.cli.page import shown, without_password
from costtrace.errors import ConfigurationError, InvalidValue, LedgerUnavailable, MissingExtra
from costtrace.settings import Settings

if TYPE_CHECKING:
    import uvicorn

    from costtrace.ledger import Ledger
    from costtrace.recorder import Recorder
    from costtrace.twilio.addresses import NumberHasher
    from costtrace.twilio.signature import Verifier

_NO_BASE: Final = "the address this server is called by; COSTTRACE_PUBLIC_BASE_URL sets another"
_BACKLOG: Final = 2048
_SWITCH_S: Final = 0.0003
"""SQLite lets go of the interpreter at each row; who commits has it back after this time instead of Python's 5 ms."""
_GRACE_S: Final = 30
"""How long requests and replies under way may take once the end was asked for."""


def serve(
    *,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65_535, metavar="N", help="Port to listen on; 0 for a free one.")
    ] = 8000,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Address to listen on; this machine alone unless given.")
    ] = "127.0.0.1",
    ledger: LedgerUrl = None,
) -> None:
    """Take Twilio's webhooks and store what they say, until Ctrl-C or SIGTERM.

    Needs TWILIO_AUTH_TOKEN, to verify that a request is Twilio's, and COSTTRACE_PUBLIC_BASE_URL wherever a proxy or a
    tunnel stands between Twilio and this server.
    """
    settings = Settings.from_environment()
    settings = replace(settings, ledger=ledger or settings.ledger)
    verifier, hasher, recorder = _verifier(settings), settings.number_hasher(), settings.recorder()
    server = _server(recorder, verifier, hasher)
    with _listener(host, port) as listener:
        _check(recorder.ledger)
        _say(listener, settings)
        sys.setswitchinterval(_SWITCH_S)
        gc.freeze()  # what was loaded up to here stays; without this every collection looks through all of it again
        try:
            server.run(sockets=[listener])
        finally:
            recorder.close()


def _verifier(settings: Settings) -> Verifier:
    from costtrace.twilio.signature import Verifier  # noqa: PLC0415 - other commands need none

    tokens = settings.twilio_auth_tokens()
    if not tokens:
        raise ConfigurationError(
            "TWILIO_AUTH_TOKEN is not set, and without it nobody can tell Twilio's webhooks from forged ones; set it to"
            " the account's primary Auth Token (several, separated by commas, while it is rotated)"
        )
    try:
        return Verifier(tokens=tokens, public_base=settings.public_base_url)
    except InvalidValue as error:
        if error.field != "public_base":
            raise
        raise ConfigurationError(f"COSTTRACE_PUBLIC_BASE_URL: expected {error.expected}, got {error.value!r}") from None


def _listener(host: str, port: int) -> socket.socket:
    """Listening already: whoever reads where can connect."""
    try:
        family, *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        reason = str(error.strerror or error).partition(" (while")[0]  # Python repeats the address
        raise ConfigurationError(
            f"cannot listen on {host} port {port}: {reason}; choose another with --host and --port"
        ) from None


def _check(ledger: Ledger) -> None:
    """What needs a person is said now and not at the first message; what is only busy may be free by then."""
    with suppress(LedgerUnavailable):
        ledger.last_seq()
    ledger.close()


def _server(recorder: Recorder, verifier: Verifier, hasher: NumberHasher | None) -> uvicorn.Server:
    try:
        import uvicorn  # noqa: PLC0415 - no other command needs a server
    except ImportError:
        raise MissingExtra(package="uvicorn", feature="costtrace serve", extra="web") from None
    from costtrace.web import SmsWebhooks, create_app  # noqa: PLC0415 - starlette

    server = uvicorn.Server(
        uvicorn.Config(
            create_app(recorder, SmsWebhooks(recorder, verifier, hasher=hasher)),
            log_config=None,  # whoever runs it decides; warnings and errors reach standard error by themselves
            access_log=False,
            proxy_headers=False,  # the public address is a setting, not the caller's word
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=_GRACE_S,
        )
    )
    # uvicorn takes these signals over, ends in good order, and raises them again for the handlers that stood before.
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, server.handle_exit)
    return server


def _say(listener: socket.socket, settings: Settings) -> None:
    """Where it listens, and what for."""
    host, port = listener.getsockname()[:2]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    lines = [
        f"listening on {address}, ledger {shown(without_password(settings.ledger))}",
        "  POST /sms/inbound    a message came in",
        "  POST /sms/callback   the status of a message changed",
        "  GET  /healthz        whether the ledger can be used",
        f"signatures are checked against {settings.public_base_url or _NO_BASE}",
    ]
    typer.echo("\n".join(lines))
