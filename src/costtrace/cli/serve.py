"""``costtrace serve``: show the dashboard, and take Twilio's webhooks."""

from __future__ import annotations

import gc
import ipaddress
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Final

import typer

from costtrace.cli.options import LedgerUrl
from costtrace.cli.page import shown, without_password
from costtrace.errors import ConfigurationError, InvalidValue, LedgerUnavailable, MissingExtra
from costtrace.ledger import Ledger, SqliteLedger, open_ledger
from costtrace.settings import Settings
from costtrace.telemetry import set_up_where_asked

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

    from costtrace.recorder import Recorder
    from costtrace.twilio.signature import Verifier
    from costtrace.web import SmsWebhooks
    from costtrace.web.dashboard import Dashboard

_NO_BASE: Final = "the address this server is called by; COSTTRACE_PUBLIC_BASE_URL sets another"
_NOTHING_TO_SERVE: Final = (
    "there is nothing to serve: TWILIO_AUTH_TOKEN is not set, without which nobody can tell Twilio's webhooks from"
    " forged ones, and the dashboard is shown on this machine alone unless --dashboard asks for it"
)
_NO_PAGES: Final = "there is no dashboard at this address unless --dashboard asks for it"
_PAGES_OFF: Final = "there is no dashboard: --no-dashboard"
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
    dashboard: Annotated[
        bool | None,
        typer.Option(
            "--dashboard/--no-dashboard",
            help="Show the dashboard. Unless said otherwise: on this machine alone, and not through a proxy or tunnel.",
            show_default=False,
        ),
    ] = None,
    ledger: LedgerUrl = None,
) -> None:
    """Show the dashboard, and take Twilio's webhooks where that is set up, until Ctrl-C or SIGTERM.

    The dashboard can only be read, by whoever has the link that is printed; COSTTRACE_DASHBOARD_TOKEN keeps that link
    the same. Webhooks need TWILIO_AUTH_TOKEN, to verify that a request is Twilio's, and COSTTRACE_PUBLIC_BASE_URL
    wherever a proxy or a tunnel stands between Twilio and this server.
    """
    settings = Settings.from_environment()
    settings = replace(settings, ledger=ledger or settings.ledger)
    set_up_where_asked()
    recorder = settings.recorder()
    webhooks = _webhooks(settings, recorder)
    with _listener(host, port) as listener:
        with_pages = _is_loopback(listener) if dashboard is None else dashboard
        if webhooks is None and not with_pages:
            raise ConfigurationError(_NOTHING_TO_SERVE)
        token = _token(settings) if with_pages else ""
        with _dashboard(settings, recorder, token, host, proxied=dashboard is True) as pages:
            server = _server(_app(recorder, webhooks, pages))
            if webhooks is not None or not _is_missing(recorder.ledger):
                _check(recorder.ledger)
            _say(listener, settings, webhooks=webhooks is not None, token=token)
            if pages is None:
                typer.echo(_NO_PAGES if dashboard is None else _PAGES_OFF)
            sys.setswitchinterval(_SWITCH_S)
            gc.freeze()  # what was loaded up to here stays; without this every collection looks through all of it again
            try:
                server.run(sockets=[listener])
            finally:
                (recorder.ledger if webhooks is None else recorder).close()  # who only looked has nothing to store


def _webhooks(settings: Settings, recorder: Recorder) -> SmsWebhooks | None:
    """None where Twilio is not set up."""
    tokens = settings.twilio_auth_tokens()
    if not tokens:
        return None
    verifier, hasher = _verifier(tokens, settings.public_base_url), settings.number_hasher()
    from costtrace.web import SmsWebhooks  # noqa: PLC0415 - starlette, which no other command needs

    return SmsWebhooks(recorder, verifier, hasher=hasher)


def _verifier(tokens: tuple[str, ...], public_base: str | None) -> Verifier:
    from costtrace.twilio.signature import Verifier  # noqa: PLC0415 - other commands need none

    try:
        return Verifier(tokens=tokens, public_base=public_base)
    except InvalidValue as error:
        if error.field != "public_base":
            raise
        raise ConfigurationError(f"COSTTRACE_PUBLIC_BASE_URL: expected {error.expected}, got {error.value!r}") from None


def _token(settings: Settings) -> str:
    """The token of the dashboard's link. Raises ConfigurationError for one that could be guessed."""
    from costtrace.web.dashboard import check_token, new_token  # noqa: PLC0415 - jinja2, which no other command needs

    return new_token() if settings.dashboard_token is None else check_token(settings.dashboard_token)


@contextmanager
def _dashboard(
    settings: Settings, recorder: Recorder, token: str, host: str, *, proxied: bool
) -> Iterator[Dashboard | None]:
    """The dashboard, with ledgers of its own: who waits for a report must not hold up a webhook. None without token."""
    if not token:
        yield None
        return
    from costtrace.web.dashboard import Dashboard  # noqa: PLC0415 - as above

    with closing(open_ledger(settings.ledger)) as ledger, closing(open_ledger(settings.ledger)) as sums:
        yield Dashboard(ledger, token=token, sums=sums, catalog=recorder.catalog, hosts=(host,), proxied=proxied)


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


def _is_loopback(listener: socket.socket) -> bool:
    return ipaddress.ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback


def _is_missing(ledger: Ledger) -> bool:
    """Whether there is nothing to look at yet; looking must not make the file."""
    return isinstance(ledger, SqliteLedger) and not ledger.exists


def _check(ledger: Ledger) -> None:
    """What needs a person is said now and not at the first message; what is only busy may be free by then."""
    with suppress(LedgerUnavailable):
        ledger.last_seq()
    ledger.close()


def _app(recorder: Recorder, webhooks: SmsWebhooks | None, pages: Dashboard | None) -> ASGIApp:
    from costtrace.web import create_app  # noqa: PLC0415 - starlette, which no other command needs

    return create_app(recorder, webhooks, pages)


def _server(app: ASGIApp) -> uvicorn.Server:
    try:
        import uvicorn  # noqa: PLC0415 - no other command needs a server
    except ImportError:
        raise MissingExtra(package="uvicorn", feature="costtrace serve", extra="web") from None
    server = uvicorn.Server(
        uvicorn.Config(
            app,
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


def _say(listener: socket.socket, settings: Settings, *, webhooks: bool, token: str) -> None:
    """Where it listens, and what for; the link of the dashboard last, where it is found."""
    host, port = listener.getsockname()[:2]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    lines = [f"listening on {address}, ledger {shown(without_password(settings.ledger))}"]
    if webhooks:
        lines += [
            "  POST /sms/inbound    a message came in",
            "  POST /sms/callback   the status of a message changed",
        ]
    lines.append("  GET  /healthz        whether the ledger can be used")
    if webhooks:
        lines.append(f"signatures are checked against {settings.public_base_url or _NO_BASE}")
    else:
        lines.append("Twilio's webhooks are not taken: TWILIO_AUTH_TOKEN is not set")
    if token:
        # A token that was set is known to whoever set it, and would stay in a log.
        said = token if settings.dashboard_token is None else "$COSTTRACE_DASHBOARD_TOKEN"
        lines.append(f"dashboard: {address}/?token={said}")
    typer.echo("\n".join(lines))
