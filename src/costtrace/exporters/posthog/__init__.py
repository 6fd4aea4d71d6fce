"""PostHog: entries as events, delivered at least once and counted once."""

from __future__ import annotations

from costtrace.exporters.posthog.contract import Event
from costtrace.exporters.posthog.events import EventMapper
from costtrace.exporters.posthog.exporter import EU, US, PostHogExporter

__all__ = ["EU", "US", "Event", "EventMapper", "PostHogExporter"]
