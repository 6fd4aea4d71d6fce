"""What becomes of an attempt to send a message: Twilio has it, or had it before, or nobody knows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from costtrace.errors import CostTraceError
from costtrace.money import Money


class AlreadySent(CostTraceError):  # noqa: N818 - names what happened, as the other errors do
    """The ledger has that attempt already: nothing was sent now."""

    def __init__(self, message_uuid: str, send_id: str) -> None:
        self.message_uuid = message_uuid
        self.send_id = send_id
        super().__init__(f"attempt {send_id} of message {message_uuid!r} was made before; nothing was sent now")


class SendUnknown(CostTraceError):  # noqa: N818 - names what happened, as the other errors do
    """Twilio may have sent the SMS, or not: the answer was lost. Do not send it again on the strength of this.

    It stands in the ledger as ``send_unknown`` until its status callback, or a reconciliation, finds out.
    """

    def __init__(self, message_uuid: str, send_id: str, fault: str) -> None:
        self.message_uuid = message_uuid
        self.send_id = send_id
        super().__init__(
            f"whether Twilio sent attempt {send_id} of message {message_uuid!r} is unknown ({fault}); "
            "`costtrace sms reconcile` finds out"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SentMessage:
    """A message that Twilio has taken."""

    message_uuid: str
    send_id: str
    """Our name for this attempt."""
    sid: str
    """Twilio's MessageSid."""
    status: str
    """``queued``, ``accepted`` or ``scheduled``."""
    estimate: Money | None
    """What it is expected to cost; None where no rate is known. Twilio names the price later."""
    message: Any = field(repr=False)
    """The SDK's own ``MessageInstance``."""
