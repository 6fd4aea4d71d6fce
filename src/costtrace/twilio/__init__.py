"""Twilio: SMS, MMS and WhatsApp messages with what they are expected to cost, and then what they did.

Names are loaded when they are first used; what is pure works without the ``twilio`` package.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from costtrace.twilio.addresses import Address, NumberHasher, NumberKind, parse_address
    from costtrace.twilio.client import make_client
    from costtrace.twilio.cost_states import CostState
    from costtrace.twilio.delivery import Delivery, Report
    from costtrace.twilio.estimates import CarrierFee, Estimate, estimate
    from costtrace.twilio.legs import Leg
    from costtrace.twilio.outcomes import AlreadySent, SendUnknown, SentMessage
    from costtrace.twilio.price_plan import PricePlan
    from costtrace.twilio.reconcile import Reconcile
    from costtrace.twilio.reconciled import Reconciled
    from costtrace.twilio.segments import Encoding, Forcing, Segmentation, segment
    from costtrace.twilio.sender import SmsSender
    from costtrace.twilio.settlement import Settled, Settlement
    from costtrace.twilio.sms_rates import SmsRates

_HOMES = {
    "addresses": ("Address", "NumberHasher", "NumberKind", "parse_address"),
    "client": ("make_client",),
    "cost_states": ("CostState",),
    "delivery": ("Delivery", "Report"),
    "estimates": ("CarrierFee", "Estimate", "estimate"),
    "legs": ("Leg",),
    "outcomes": ("AlreadySent", "SendUnknown", "SentMessage"),
    "price_plan": ("PricePlan",),
    "reconcile": ("Reconcile",),
    "reconciled": ("Reconciled",),
    "segments": ("Encoding", "Forcing", "Segmentation", "segment"),
    "sender": ("SmsSender",),
    "settlement": ("Settled", "Settlement"),
    "sms_rates": ("SmsRates",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Address",
    "AlreadySent",
    "CarrierFee",
    "CostState",
    "Delivery",
    "Encoding",
    "Estimate",
    "Forcing",
    "Leg",
    "NumberHasher",
    "NumberKind",
    "PricePlan",
    "Reconcile",
    "Reconciled",
    "Report",
    "Segmentation",
    "SendUnknown",
    "SentMessage",
    "Settled",
    "Settlement",
    "SmsRates",
    "SmsSender",
    "estimate",
    "make_client",
    "parse_address",
    "segment",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'costtrace.twilio' has no attribute {name!r}")
    return getattr(importlib.import_module(f"costtrace.twilio.{home}"), name)


def __dir__() -> list[str]:
    return __all__
