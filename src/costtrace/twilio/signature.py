"""Was this signed by Twilio? Only what was is parsed any further.

Twilio signs the address it called, followed by every form parameter, name and value, sorted: HMAC-SHA1 with the primary
Auth Token of the account that the request names, or another HMAC with a shared key that the request names
(https://www.twilio.com/docs/usage/webhooks/webhooks-security, .../webhook-shared-keys). Of a JSON body it signs the
SHA-256, which stands in the query. The check is the standard library's `hmac`, so that a function which only answers
callbacks need not carry Twilio's SDK; the tests hold it against the SDK's own validator.

Names and values are signed without anything between them, so one signature fits several readings: a value can swallow
the parameter after it, and the first parameters can move into the address, or its tail into them. Hence names have
Twilio's own alphabet, and whoever reads a field takes no second one and checks its form.

A signature holds no time: the same request is valid for ever, so that what follows must be safe to repeat.
"""

from __future__ import annotations

import hmac
import json
import re
from binascii import b2a_base64
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Final
from urllib.parse import unquote_plus

from costtrace.errors import InvalidValue
from costtrace.twilio.requests import MAX_BODY, Fault, Refused, WebhookRequest

BODY_HASH: Final = "bodySHA256"
"""The query key that holds the SHA-256 of a JSON body, as Twilio adds it."""

_MAX_FIELDS: Final = 512
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.\[\]-]*")
_ACCOUNT: Final = re.compile(r"AC[0-9a-fA-F]{32}")
_RETRY_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,128}")
_ORIGIN: Final = re.compile(
    r"(?P<bare>(?P<scheme>https?)://(?:[\w.~-]+|\[[0-9a-fA-F:.]+\]))(?P<port>:\d{1,5})?", re.ASCII
)
_BASE: Final = re.compile(r"(?P<origin>https?://[^/?#@\s]+)(?P<prefix>(?:/[^/?#\s]+)*)/?")
_DIGESTS: Final[Mapping[str, str]] = {"HMAC_SHA1": "sha1", "HMAC_SHA256": "sha256"}
_PORTS: Final[Mapping[str, str]] = {"http": ":80", "https": ":443"}

_Secrets = tuple[Mapping[str, hmac.HMAC], ...]
"""For each secret, its keyed digests by name."""

Fields = Mapping[str, tuple[str, ...]]
"""Every value of a name, in order, blank ones included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A request that Twilio signed. Only `Verifier.verify` makes one."""

    fields: Fields = field(repr=False)
    """Everything that was signed with it; numbers and texts among it, so it is not shown."""
    query: Fields = field(repr=False)
    """The query of the address, which anybody may have written before it was given to Twilio."""
    idempotency_token: str | None
    """The same for every retry of one request. Not signed, and not always there."""

    def one(self, name: str) -> str | None:
        """The value of that field; None where it is missing or blank. Raises Refused where there are two."""
        return _only(self.fields.get(name, ()))

    def asked(self, name: str) -> str | None:
        """The value of that key of the query, likewise."""
        return _only(self.query.get(name, ()))


class Verifier:
    """Holds the secrets that Twilio signs with, and lets through what carries one of their signatures.

    Several Auth Tokens of one account stand side by side while it is rotated. A sub-account signs with a token of its
    own, never with its parent's. An account that is not in `accounts` needs one of `tokens`; one that is, does not get
    them. Requests that name a shared key need that key's secret.

    `public_base` is the address the world knows this server by, such as ``https://example.com`` or
    ``https://example.com/prod``; a path in it goes before the path received, unless that begins with it already.
    Without it the origin is what the server saw: behind a proxy seldom the address Twilio called, and elsewhere the
    caller's word.

    Raises InvalidValue for an empty secret, for no secret at all, and for a public address that cannot be one.
    """

    def __init__(
        self,
        *,
        tokens: str | Iterable[str] = (),
        accounts: Mapping[str, str | Iterable[str]] | None = None,
        shared_keys: Mapping[str, str] | None = None,
        public_base: str | None = None,
    ) -> None:
        self._tokens = _secrets(tokens, "tokens")
        self._accounts = {
            _account_sid(sid): _secrets(own, "accounts", required=True) for sid, own in (accounts or {}).items()
        }
        self._shared = {
            name: _secrets(secret, "shared_keys", required=True) for name, secret in (shared_keys or {}).items()
        }
        self._base = None if public_base is None else _public_base(public_base)
        if not (self._tokens or self._accounts or self._shared):
            raise InvalidValue(
                "tokens", (), "at least one Auth Token or shared key: without one nothing can be verified"
            )

    def __repr__(self) -> str:
        return f"Verifier(accounts={sorted(self._accounts)}, shared_keys={sorted(self._shared)})"

    def verify(self, request: WebhookRequest) -> Verified:
        """The request, proven to be Twilio's. Raises Refused, and nothing else whatever the request is."""
        fields, signed_body = _read(request)
        signature = request.headers.get("x-twilio-signature")
        if not signature:
            raise Refused(Fault.NO_SIGNATURE)
        secrets, digest = self._keys(request, _only(fields.get("AccountSid", ())))
        given = signature.encode("ascii", "replace")
        texts = (address + signed_body for address in self._addresses(request))
        if not any(_any_matches(text.encode(), given, secrets, digest) for text in texts):
            raise Refused(Fault.SIGNATURE)
        retry = request.headers.get("i-twilio-idempotency-token", "")
        token = retry if _RETRY_TOKEN.fullmatch(retry) else None
        return Verified(fields=fields, query=_query(request), idempotency_token=token)

    def _keys(self, request: WebhookRequest, account: str | None) -> tuple[_Secrets, str]:
        settings = request.headers.get("x-twilio-webhooks-signature-settings")
        if settings:
            return self._shared_key(settings)
        secrets = self._tokens if account is None else self._accounts.get(account, self._tokens)
        if not secrets:
            raise Refused(Fault.UNKNOWN_ACCOUNT)
        return secrets, "sha1"

    def _shared_key(self, settings: str) -> tuple[_Secrets, str]:
        """The secret and the digest named by ``key=<id>,algorithm=<name>``."""
        named = [
            (name.strip(), value.strip()) for name, _, value in (part.partition("=") for part in settings.split(","))
        ]
        said = dict(named)
        digest = _DIGESTS.get(said.get("algorithm", "").upper())
        if digest is None or len(said) != len(named):
            raise Refused(Fault.ALGORITHM)
        secrets = self._shared.get(said.get("key", ""))
        if secrets is None:
            raise Refused(Fault.UNKNOWN_KEY)
        return secrets, digest

    def _addresses(self, request: WebhookRequest) -> Iterator[str]:
        """What Twilio may have called: about the port it is not consistent, and a server may lose the query's order."""
        for origin in self._origins(request):
            for query in request.queries:
                yield f"{origin}{request.path}?{query}" if query else origin + request.path

    def _origins(self, request: WebhookRequest) -> tuple[str, ...]:
        if self._base is None:
            return _with_and_without_port(request.origin)
        origins, prefix = self._base
        if not prefix or request.path == prefix or request.path.startswith(prefix + "/"):
            return origins
        return tuple(origin + prefix for origin in origins)


def _any_matches(text: bytes, signature: bytes, secrets: _Secrets, digest: str) -> bool:
    """Every secret is tried, so that the time taken says nothing about which of them, if any, fits."""
    matches = False
    for secret in secrets:
        mac = secret[digest].copy()  # hmac.digest would let go of the interpreter, to wait for other threads' turns
        mac.update(text)
        matches |= hmac.compare_digest(b2a_base64(mac.digest(), newline=False), signature)
    return matches


def _signed_text(fields: Fields) -> str:
    """Names sorted, and the different values of each; a value given twice counts once, as in Twilio's own validator."""
    return "".join([name + value for name in sorted(fields) for value in _distinct(fields[name])])


def _distinct(values: tuple[str, ...]) -> Iterable[str]:
    return values if len(values) == 1 else sorted(set(values))


def _with_and_without_port(origin: str) -> tuple[str, str]:
    """The origin without a port, and with its own, or else its scheme's."""
    match = _ORIGIN.fullmatch(origin)
    if match is None:
        raise Refused(Fault.MALFORMED)
    bare = match["bare"]
    return bare, bare + (match["port"] or _PORTS[match["scheme"]])


def _read(request: WebhookRequest) -> tuple[Fields, str]:
    """The fields of the body, and what of it is signed behind the address."""
    if request.method != "POST":
        raise Refused(Fault.METHOD)
    if len(request.body) > MAX_BODY:
        raise Refused(Fault.TOO_LARGE)
    content_type, _, parameters = request.headers.get("content-type", "").lower().partition(";")
    if parameters.strip().replace('"', "") not in {"", "charset=utf-8"}:
        raise Refused(Fault.CONTENT_TYPE)
    match content_type.strip():
        case "application/x-www-form-urlencoded":
            fields = _form(request.body)
            return fields, _signed_text(fields)
        case "application/json":
            return _json(request), ""
        case _:
            raise Refused(Fault.CONTENT_TYPE)


def _form(body: bytes) -> Fields:
    """Blank values stay, and what is no UTF-8 is refused: a replacement character would fit other bytes too."""
    try:
        fields = _decoded(body.decode(), errors="strict")
    except UnicodeDecodeError as error:
        raise Refused(Fault.MALFORMED) from error
    if not all(map(_is_name, fields)):
        raise Refused(Fault.MALFORMED)
    return fields


@lru_cache(maxsize=256)
def _is_name(text: str) -> bool:
    """Twilio sends the same few dozen names again and again."""
    return _NAME.fullmatch(text) is not None


def _query(request: WebhookRequest) -> Fields:
    """The query, which is signed as it stands: what is no UTF-8 in it belongs to the application, and may stay."""
    return _decoded(request.queries[0], errors="replace")


def _decoded(text: str, *, errors: str) -> Fields:
    """A form or a query, as the standard library's `parse_qsl` reads it. Raises Refused, and UnicodeDecodeError."""
    if text.count("&") >= _MAX_FIELDS:
        raise Refused(Fault.MALFORMED)
    return _grouped([_pair(part, errors) for part in text.split("&") if part])


def _pair(part: str, errors: str) -> tuple[str, str]:
    name, _, value = part.partition("=")
    if "%" in part or "+" in part:
        return _plain(name, errors), _plain(value, errors)
    return name, value


def _plain(text: str, errors: str) -> str:
    return unquote_plus(text, errors=errors) if "%" in text or "+" in text else text


def _json(request: WebhookRequest) -> Fields:
    """The texts, numbers and flags of a JSON object, as text. Nested values are no fields of a message."""
    hashes = _query(request).get(BODY_HASH, ())
    if len(hashes) != 1 or not hmac.compare_digest(sha256(request.body).hexdigest().encode(), hashes[0].encode()):
        raise Refused(Fault.BODY_HASH)
    try:
        pairs = json.loads(request.body.decode(), object_pairs_hook=tuple, parse_float=str, parse_int=str)
        if not isinstance(pairs, tuple) or len(pairs) > _MAX_FIELDS:
            raise Refused(Fault.MALFORMED)
        return _grouped([(_text(name), _text(value)) for name, value in pairs if isinstance(value, str | bool)])
    except (RecursionError, ValueError) as error:
        raise Refused(Fault.MALFORMED) from error


def _text(value: str | bool) -> str:  # noqa: FBT001 - a JSON value, whatever it is
    """The value as a form would have it. Raises ValueError for half a surrogate pair, which no store takes."""
    text = value if isinstance(value, str) else str(value).lower()
    text.encode()
    return text


def _grouped(pairs: Collection[tuple[str, str]]) -> Fields:
    fields: dict[str, tuple[str, ...]] = {name: (value,) for name, value in pairs}
    if len(fields) == len(pairs):  # as good as always
        return fields
    fields.clear()
    for name, value in pairs:
        fields[name] = (*fields[name], value) if name in fields else (value,)
    return fields


def _only(values: tuple[str, ...]) -> str | None:
    if len(values) > 1:
        raise Refused(Fault.FIELD)
    return values[0] or None if values else None


def _secrets(given: str | Iterable[str], what: str, *, required: bool = False) -> _Secrets:
    """The secrets as keyed digests. What was given is never shown."""
    secrets = (given,) if isinstance(given, str) else tuple(given)
    if required and not secrets:
        raise InvalidValue(what, "no secret", "at least one secret for each of its names")
    for secret in secrets:
        if not isinstance(secret, str):
            raise InvalidValue(what, type(secret).__name__, "secrets as text")
        if not secret or secret != secret.strip():
            raise InvalidValue(what, "a secret", "secrets that are not empty and have no space around them")
    return tuple({name: hmac.new(secret.encode(), digestmod=name) for name in _DIGESTS.values()} for secret in secrets)


def _account_sid(sid: str) -> str:
    if not _ACCOUNT.fullmatch(sid):
        raise InvalidValue("accounts", sid, "AccountSids: AC and 32 hexadecimal digits")
    return sid


def _public_base(address: str) -> tuple[tuple[str, str], str]:
    """Both origins of the public address, and its path."""
    match = _BASE.fullmatch(address)
    if match is None or not _ORIGIN.fullmatch(match["origin"]):
        raise InvalidValue(
            "public_base", address.rpartition("@")[2], "an address such as https://example.com, without user and query"
        )
    return _with_and_without_port(match["origin"]), match["prefix"]
