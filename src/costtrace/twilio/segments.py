"""Segments of an SMS: what Twilio bills by.

A text of GSM-7's characters fills one segment up to 160 units, or several of 153; the ten characters of its extension
take two units each. One other character turns the whole text to UCS-2: 70 units, or several of 67, in which a character
beyond U+FFFF, as most emoji, takes two. No character is torn apart between two segments.

An emoji built from several characters (a family, a flag) may be parted here. Twilio's own calculator keeps it together
and can therefore count more segments where such emoji stand at the seams.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from types import ModuleType
from typing import Final, NamedTuple

from costtrace.errors import InvalidValue, MissingExtra
from costtrace.twilio.smart_encoding import smart_encoded

_ESCAPE: Final = "\x1b"


class Encoding(StrEnum):
    """How the text of an SMS travels."""

    GSM_7 = "GSM-7"
    UCS_2 = "UCS-2"


class Forcing(NamedTuple):
    """A character that GSM-7 lacks, and which therefore makes the text more than twice as long."""

    character: str
    name: str
    """Its Unicode name, such as ``RIGHT SINGLE QUOTATION MARK``; ``U+0009`` where it has none."""
    positions: tuple[int, ...]
    """Where it stands in the text, counted from 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segmentation:
    """How a text falls into segments."""

    encoding: Encoding
    segments: int
    """At least 1: a text without characters is billed, too."""
    characters: int
    """Unicode characters of the text as it is sent."""
    units: int
    """What they take of the room in the segments: septets of GSM-7, 16-bit units of UCS-2."""
    smart_encoded: bool
    """Whether Smart Encoding was reckoned with."""
    forces_ucs2: tuple[Forcing, ...]
    """Which characters force UCS-2, in the order of their first place; none for GSM-7."""


def segment(body: str, *, smart_encoding: bool = False) -> Segmentation:
    """How the text of an SMS falls into segments; `smart_encoding` as it is set in the Messaging Service.

    Positions are those in the text you passed. Raises InvalidValue for what is no text, MissingExtra without smsutil.
    """
    if not isinstance(body, str):
        raise InvalidValue("body", type(body).__name__, "a text")
    sent = smart_encoded(body) if smart_encoding else body
    encoding = Encoding.GSM_7 if _is_gsm_7(sent) else Encoding.UCS_2
    smsutil = _smsutil()
    # smsutil finds no character of GSM-7 in a text without characters.
    split = smsutil.gsm_split(sent) if sent and encoding is Encoding.GSM_7 else smsutil.unicode_split(sent)
    return Segmentation(
        encoding=encoding,
        segments=max(1, len(split.parts)),
        characters=len(sent),
        units=split.total_bytes if encoding is Encoding.GSM_7 else split.total_bytes // 2,
        smart_encoded=smart_encoding,
        forces_ucs2=() if encoding is Encoding.GSM_7 else _forcing(body, smart_encoding=smart_encoding),
    )


def _forcing(body: str, *, smart_encoding: bool) -> tuple[Forcing, ...]:
    places: dict[str, list[int]] = {}
    for position, character in enumerate(body):
        places.setdefault(character, []).append(position)
    return tuple(
        Forcing(character, unicodedata.name(character, f"U+{ord(character):04X}"), tuple(positions))
        for character, positions in places.items()
        if not _is_gsm_7(smart_encoded(character) if smart_encoding else character)
    )


def _is_gsm_7(text: str) -> bool:
    # ESC has a place in the table only to announce a character of the extension.
    return not text or (_ESCAPE not in text and _smsutil().is_valid_gsm(text))


def _smsutil() -> ModuleType:
    try:
        import smsutil  # noqa: PLC0415 - comes with the twilio extra
    except ImportError:
        raise MissingExtra(package="smsutil", feature="counting SMS segments", extra="twilio") from None
    module: ModuleType = smsutil
    return module
