"""Exporters: somewhere else that accepts entries."""

from __future__ import annotations

from costtrace.exporters.protocol import Exporter, Fate, Refusal

__all__ = ["Exporter", "Fate", "Refusal"]
