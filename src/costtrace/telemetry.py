"""`setup_tracing` and `flush`: OpenTelemetry for scripts and notebooks, where nobody else has set it up.

This is the one place that sets the process's own providers, because its caller asked for it.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from opentelemetry import metrics, trace

from costtrace.errors import ConfigurationError, InvalidValue
from costtrace.instruments import is_real
from costtrace.settings import otel_service_is_named, otel_variable, otlp_traces_wanted

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

    from costtrace.otlp import Failures

_log: Final = logging.getLogger("costtrace")
_EXPORTERS: Final = ("otlp", "console", "none")
_PROTOCOL: Final = "http/protobuf"


@dataclass(frozen=True, slots=True)
class _SetUp:
    """What `setup_tracing` was asked for, and what came of it."""

    service_name: str | None
    endpoint: str | None
    provider: TracerProvider
    failures: Failures


_lock: Final = threading.Lock()
_done: Final[list[_SetUp]] = []


def setup_tracing(*, service_name: str | None = None, endpoint: str | None = None) -> TracerProvider:
    """Send the spans of this process over OTLP/HTTP, in batches; the provider is set for the whole process.

        costtrace.setup_tracing(service_name="parcels", endpoint="http://127.0.0.1:4318")

    `endpoint` is the address of a collector or a viewer, without a path; OpenTelemetry's own variables say it, or it is
    ``http://localhost:4318``, unless given. OTEL_TRACES_SAMPLER holds, and links are followed besides: the callback of
    an SMS is kept exactly when its sending was. Metrics are sent too where OTEL_METRICS_EXPORTER is ``otlp``; not
    unless it is, since viewers that take traces alone refuse them. ``console``, for either, prints instead.

    Called once more, without arguments or with the same, it returns the same provider. Raises ConfigurationError where
    the process has another provider, or a variable names what cannot be had; InvalidValue for an address that is none;
    MissingExtra without OpenTelemetry's SDK. Nothing is set then.
    """
    _check(service_name, endpoint)
    with _lock:
        if _done and trace.get_tracer_provider() is _done[0].provider:
            return _again(_done[0], service_name, endpoint)
        _refuse_another(trace.get_tracer_provider())
        _done[:] = [_set_up(service_name, endpoint)]
        return _done[0].provider


def set_up_where_asked() -> None:
    """Set tracing up for a program that is costtrace's own, where the variables of OpenTelemetry name a collector.

    A provider that is there already stays. What keeps spans from being sent is logged: what the program does is worth
    more than its spans.
    """
    if not otlp_traces_wanted() or not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return
    try:
        setup_tracing(service_name=None if otel_service_is_named() else "costtrace")
    except ConfigurationError as error:
        _log.warning("no spans are sent: %s", error)


def flush(timeout_s: float = 10.0) -> bool:
    """Send the spans and metrics that wait, and say whether all of them were taken in time.

    For a function that is frozen after its answer, and before ``os._exit``. It never raises and never takes longer than
    `timeout_s`; a flush that hangs is left behind, and the next one waits for it. Where nothing is set up, nothing
    waits. What an exporter of the application's own said of its last export is not known here.
    """
    return _flusher.flush(timeout_s)


def _check(service_name: object, endpoint: object) -> None:
    if service_name is not None and not (isinstance(service_name, str) and service_name):
        raise InvalidValue("service_name", service_name, "a name such as 'parcels', or None")
    if endpoint is not None and not (isinstance(endpoint, str) and _is_address(endpoint)):
        raise InvalidValue("endpoint", endpoint, "an address such as 'http://127.0.0.1:4318', without a path, or None")


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return (
            parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and parts.path in {"", "/"}
        )
    except ValueError:  # a port that is no number
        return False


def _again(before: _SetUp, service_name: str | None, endpoint: str | None) -> TracerProvider:
    if (service_name, endpoint) not in {(None, None), (before.service_name, before.endpoint)}:
        raise ConfigurationError(
            f"tracing was set up before, with service_name={before.service_name!r} and endpoint={before.endpoint!r};"
            " OpenTelemetry takes one provider for a process: start it anew to change them"
        )
    return before.provider


def _refuse_another(provider: trace.TracerProvider) -> None:
    if isinstance(provider, trace.ProxyTracerProvider):
        return
    kind = f"{type(provider).__module__}.{type(provider).__qualname__}"
    raise ConfigurationError(
        f"this process has an OpenTelemetry provider already ({kind}), and costtrace's spans go there: leave out"
        " setup_tracing(); costtrace.sampling.link_aware(sampler) makes your own sampler follow links"
    )


def _set_up(service_name: str | None, endpoint: str | None) -> _SetUp:
    from costtrace import otlp  # noqa: PLC0415 - the SDK, which is an extra

    spans, measures = _exporter("TRACES", "otlp"), _exporter("METRICS", "none")
    failures, source = otlp.Failures(), otlp.resource(service_name)
    wants_meters = measures != "none" and not is_real(metrics.get_meter_provider())
    try:
        meters = otlp.meter_provider(source, measures, endpoint, failures) if wants_meters else None
        provider = otlp.tracer_provider(source, spans, endpoint, failures)
    except ValueError as error:
        raise ConfigurationError(f"OpenTelemetry's SDK refuses what its variables say: {error}") from None
    trace.set_tracer_provider(provider)
    if meters is not None:
        metrics.set_meter_provider(meters)
    return _SetUp(service_name, endpoint, provider, failures)


def _exporter(signal: str, default: str) -> str:
    word = (otel_variable(f"OTEL_{signal}_EXPORTER") or default).lower()
    if word not in _EXPORTERS:
        raise ConfigurationError(f"OTEL_{signal}_EXPORTER: expected one of {', '.join(_EXPORTERS)}, got {word!r}")
    for name in (f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        protocol = otel_variable(name)
        if word == "otlp" and protocol and protocol != _PROTOCOL:
            raise ConfigurationError(f"{name}: setup_tracing() speaks {_PROTOCOL} only, got {protocol!r}")
    return word


class _Flusher:
    """One flush at a time, each in a thread of its own, since a flush of the SDK takes as long as it takes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def flush(self, timeout_s: float) -> bool:
        wait_s = min(max(timeout_s, 0.0), threading.TIMEOUT_MAX)
        deadline = time.monotonic() + wait_s
        lock, outcome = self._lock, list[bool]()
        if not lock.acquire(timeout=wait_s):
            return False

        def run() -> None:
            try:
                outcome.append(_sent())
            finally:
                lock.release()

        thread = threading.Thread(target=run, name="costtrace flush", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no thread to be had, as at the end of the process
            lock.release()
            return False
        thread.join(max(deadline - time.monotonic(), 0.0))
        return outcome == [True]

    def after_fork(self) -> None:
        """In a forked child: a thread of the parent may have held the lock."""
        self._lock = threading.Lock()


def _sent() -> bool:
    """Flush the providers of the process, whoever set them; those of the API alone have nothing to flush."""
    failures = _done[0].failures if _done else None
    failed_before = 0 if failures is None else failures.count
    sent = True
    for provider in (trace.get_tracer_provider(), metrics.get_meter_provider()):
        force_flush = getattr(provider, "force_flush", None)
        if force_flush is None:
            continue
        try:
            sent = force_flush() is not False and sent
        except Exception:  # noqa: BLE001 - a provider may be anybody's
            _log.exception("costtrace: %s could not be flushed", type(provider).__qualname__)
            sent = False
    return sent and (failures is None or failures.count == failed_before)


_flusher: Final = _Flusher()
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_flusher.after_fork)
