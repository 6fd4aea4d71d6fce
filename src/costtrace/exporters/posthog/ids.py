"""The ids of events. An event's id is a function of its name and of the entry it comes from, of nothing else.

So whoever delivers an entry again, from whichever process, with whatever settings, makes the event that is there
already. What may be learned later (a user, an environment) is not part of it.
"""

from __future__ import annotations

from hashlib import sha1
from typing import Final
from uuid import UUID

NAMESPACE: Final = UUID("6f0d2c5e-8a57-5b0e-9b1a-7d3c1f2e4a90")
"""Part of the contract: another one would make every event a second time."""
_SEED: Final = NAMESPACE.bytes
_VARIANTS: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""The digit whose upper two bits say that this is a UUID of RFC 9562, by the digit that the hash has there."""


def event_uuid(name: str, key: str) -> str:
    """The uuid (version 5, RFC 9562) of an event: of its name, a line break, and the id of its entry.

    No event name holds a line break, so two pairs never make one text.
    """
    # As uuid.uuid5 does, in a third of the time: this runs for every event.
    digits = sha1(_SEED + f"{name}\n{key}".encode(), usedforsecurity=False).hexdigest()
    variant = _VARIANTS[digits[16]]
    return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"
