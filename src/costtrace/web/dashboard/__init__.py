"""The dashboard: what the ledger knows, as pages. It reads, and changes nothing."""

from __future__ import annotations

from costtrace.errors import MissingExtra

try:
    import jinja2 as _jinja2  # noqa: F401 - is it there?
except ImportError as error:
    raise MissingExtra(package="jinja2", feature="the dashboard", extra="web") from error

from costtrace.web.dashboard.access import check_token, new_token
from costtrace.web.dashboard.app import Dashboard

__all__ = ["Dashboard", "check_token", "new_token"]
