"""The ASGI side: webhook routes for an application of your own, or the app that ``costtrace serve`` runs."""

from __future__ import annotations

from costtrace.errors import MissingExtra

try:
    import starlette as _starlette  # noqa: F401 - is it there?
except ImportError as error:
    raise MissingExtra(package="starlette", feature="the web app", extra="web") from error

from costtrace.web.app import create_app
from costtrace.web.replies import OnInbound
from costtrace.web.sms import Identify, SmsWebhooks, sms_routes

__all__ = ["Identify", "OnInbound", "SmsWebhooks", "create_app", "sms_routes"]
