"""What may leave: words and ids, and nothing that names or reaches a person.

Ids come from the application, and applications take phone numbers for ids, put e-mail addresses where a user's id
belongs and paste keys where they should not be. A text passes here if it is shaped like an id and like none of those;
too much is held back rather than too little. What is held back can be told apart all the same where a key is
configured: its keyed hash stands for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from string import ascii_letters
from typing import Final
from unicodedata import normalize

from costtrace.errors import InvalidValue

Hasher = Callable[[str], str | None]
"""A keyed hash of a text: `costtrace.twilio.NumberHasher`."""

MAX_ID: Final = 200
"""PostHog takes no longer distinct ids."""

_MANY: Final = 65_536
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_UUID_LENGTH: Final = 36
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_SHAPE: Final = re.compile(r"\w[\w.:/|~+=$#*-]*")
"""No blank, so no sentence; no @, so no e-mail address."""
_NUMBER: Final = re.compile(
    r"\+\d{6,15}"
    r"|(?<![\dA-Za-z])(?:00|011)?\d{10,16}(?![\dA-Za-z])"
    r"|(?:tel|phone|mobile|cell|fax|msisdn|sms|mms|whatsapp|rcs)\d{6,}",
    re.IGNORECASE,
)
"""A number with its country's code is seven digits or more, and 15 at most; without a plus it is taken for one from ten
digits on, and a card's number has 16. Longer ones, as some services give to their users, are ids."""
_BETWEEN_DIGITS: Final = re.compile(r"(?<=[\d+])[^\dA-Za-z]+(?=\d)")
_SECRET: Final = re.compile(
    r"(?:^|[^A-Za-z0-9])(?:sk|pk|rk|phc|phx|ghp|gho|ghs|github_pat|glpat|xox[a-z]|hf|lsv2|gsk|tvly|nvapi|r8|npm"
    r"|whsec|shp[a-z]{2}|api[_-]?key|bearer|token)[_-][A-Za-z0-9_-]{8,}"
    r"|(?<![A-Za-z0-9])(?:pplx|xai)-[A-Za-z0-9]{16,}"
    r"|(?<![A-Za-z0-9])(?:AIza[A-Za-z0-9_-]{20,}|AKIA[A-Z0-9]{12,}|SK[0-9a-f]{32}|eyJ[A-Za-z0-9_-]{8,}\."
    r"|SG\.[A-Za-z0-9_-]{10,}\.|ya29\.[A-Za-z0-9_-]{10,})",
    re.IGNORECASE,
)
"""How the keys of common services begin."""
_ACCOUNTS_MODEL: Final = re.compile(r"arn:aws[\w-]*:bedrock:[\w./:-]+", re.ASCII)
"""Amazon's names of models have the number of an account in them."""
_MODEL_STARTS: Final = frozenset("@~" + ascii_letters)
_MODEL_PREFIX: Final = re.compile(r"[@~](?=[a-z-]+/)")
"""How Cloudflare and OpenRouter begin some names."""
_MODEL_VERSION: Final = re.compile(
    r"(?<=[A-Za-z0-9][-.])20\d\d-?(?:0[1-9]|1[0-2])-?(?:0[1-9]|[12]\d|3[01])(?!\d)"
    r"|@(?:\d{3,8}(?:-\d{3})?|latest|default)\Z",
    re.ASCII,
)
"""With their dates, ``claude-haiku-4-5-20251001`` and ``gpt-4.1-2025-04-14`` hold ten digits in a row; Google puts an @
before them."""
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{0,59}")
_FAULT: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_.]{0,79})(?: ([0-9]{1,6}))?")
_SID: Final = re.compile(r"(?!SK)[A-Z]{2}[0-9a-f]{32}")
"""Twilio's ids, but for those of API keys."""
_ILLEGAL_IDS: Final = frozenset(
    {
        "0",
        "[object object]",
        "anonymous",
        "anonymous_user",
        "backend",
        "distinct_id",
        "distinctid",
        "email",
        "false",
        "guest",
        "id",
        "nan",
        "nil",
        "none",
        "not_authenticated",
        "null",
        "system",
        "true",
        "undefined",
        "user",
    }
)
"""Ids that PostHog takes for mistakes, because many people would share them."""


def identifier(text: str | None) -> str | None:
    """The text where it is shaped like an id and like nothing personal; None otherwise."""
    if text is None or (len(text) == _UUID_LENGTH and _UUID.fullmatch(text)):  # most are; none of them comes again
        return text
    return _other_identifier(text)


@lru_cache(maxsize=_MANY)
def _other_identifier(text: str) -> str | None:
    if _SID.fullmatch(text) or _HASH.fullmatch(text):
        return text
    plain = normalize("NFKC", text)  # digits and letters of full width are read as what they look like
    if len(text) > MAX_ID or not _SHAPE.fullmatch(plain) or _SECRET.search(plain):
        return None
    return None if _NUMBER.search(plain) or _NUMBER.search(_BETWEEN_DIGITS.sub("", plain)) else text


@lru_cache(maxsize=_MANY)
def word(text: str | None) -> str | None:
    """The text where it is one short word, such as ``sms`` or ``production``; None otherwise."""
    return str(text) if text is not None and _WORD.fullmatch(text) and identifier(text) else None


def environment_name(text: str) -> str:
    """The name itself where events can carry it and queries can ask for it; raises InvalidValue for any other."""
    if word(text) is None:
        raise InvalidValue("environment", text, "a word of 60 letters, digits and . _ : - at most, with a letter first")
    return text


@lru_cache(maxsize=_MANY)
def model_name(text: str | None) -> str | None:
    """The text where it is shaped like the name of a model; None otherwise."""
    if text is None or identifier(text) is not None:
        return text
    if len(text) <= MAX_ID and _ACCOUNTS_MODEL.fullmatch(text):
        return text
    name = _MODEL_VERSION.sub("", _MODEL_PREFIX.sub("", text))
    return text if text[0] in _MODEL_STARTS and len(text) <= MAX_ID and identifier(name) else None


@lru_cache(maxsize=_MANY)
def fault(text: str | None) -> tuple[str | None, int | None]:
    """Class and code of an error, ``RateLimitError 429``; nothing of a text that says more than that."""
    found = _FAULT.fullmatch(text or "")
    if found is None or identifier(found[1]) is None:
        return None, None
    return found[1], None if found[2] is None else int(found[2])


def named(text: str | None, hasher: Hasher | None) -> str | None:
    """The id itself where it may leave, else its keyed hash; None where there is no key."""
    fit = identifier(text)
    return fit if fit is not None or text is None or hasher is None else hasher(text)


def person(text: str | None, hasher: Hasher | None) -> str | None:
    """What stands for a user: `named`, and never an id that PostHog refuses."""
    if text is None:
        return None
    fit = identifier(text)
    if fit is not None and fit.lower() not in _ILLEGAL_IDS:
        return fit
    return None if hasher is None else hasher(text)
