"""Download: one file over https, bounded in size and time. The only module of pricing that uses the network."""

from __future__ import annotations

import time
from http.client import HTTPException, HTTPMessage, HTTPResponse
from ipaddress import ip_address
from typing import IO, Final
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from costtrace.errors import PricesUnavailable

_PIECE: Final = 64 * 1024
_SOCKET_TIMEOUT_S: Final = 10.0


def download(address: str, *, max_bytes: int, timeout_s: float) -> bytes:
    """What stands at that address, following redirects.

    Only https is used, or http within this machine: what comes decides about money, so nobody on the way may change it.
    Raises PricesUnavailable for any other address, and where not all of it came in time.
    """
    _check_address(address)
    request = Request(address, headers={"Accept": "application/json"})  # noqa: S310 - the scheme was checked
    deadline = time.monotonic() + timeout_s
    try:
        with build_opener(_SafeRedirects).open(request, timeout=min(timeout_s, _SOCKET_TIMEOUT_S)) as answer:
            return _body(answer, address, max_bytes, deadline)
    except HTTPError as error:
        error.close()
        raise PricesUnavailable(f"{address} answers with HTTP status {error.code}") from None
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error) or type(error).__name__
        raise PricesUnavailable(f"{address} cannot be fetched: {reason}") from None


def _body(answer: HTTPResponse, address: str, max_bytes: int, deadline: float) -> bytes:
    body = bytearray()
    while piece := answer.read1(_PIECE):
        body += piece
        if len(body) > max_bytes:
            raise PricesUnavailable(f"{address} sends more than {max_bytes} bytes; a price table is smaller")
        if time.monotonic() > deadline:
            raise PricesUnavailable(f"{address} was too slow: {len(body)} bytes came in time; try again")
    if answer.length:
        raise PricesUnavailable(f"{address} broke off {answer.length} bytes before the end; try again")
    return bytes(body)


class _SafeRedirects(HTTPRedirectHandler):
    """Follows to where an address may lead in the first place, and nowhere else."""

    def redirect_request(  # noqa: PLR0917 - the signature is the standard library's
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        """The request for the new address."""
        _check_address(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_address(address: str) -> None:
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:
        host = ""
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))):
        raise PricesUnavailable(f"prices are not fetched from {address!r}: name an https address or a file")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
