"""What ``costtrace doctor`` looks at: each check is a function from what it needs to what it found."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Final, Literal

from costtrace.cli.page import without_password
from costtrace.errors import ConfigurationError, CostTraceError
from costtrace.exporters.posthog.doubling import doubled_by
from costtrace.ledger import Ledger, LedgerHealth, Selection, SqliteLedger, open_ledger
from costtrace.pricing import Catalog
from costtrace.pricing.genai import GenaiPrices
from costtrace.pricing.rate_file import RateFile
from costtrace.quote import QuoteStatus
from costtrace.reports import Gap, gaps
from costtrace.settings import VARIABLES, Settings, langsmith_exports_spans, otlp_endpoints, unknown_variables
from costtrace.usage import Usage

State = Literal["ok", "warn", "fail"]

DISTRIBUTION: Final = "langchain-costtrace"
POSTHOG: Final = "posthog"
_GIGABYTE: Final = 1_000_000_000
_LOW_DISK: Final = _GIGABYTE
_NO_DISK: Final = _GIGABYTE // 10
_RECENTLY: Final = timedelta(days=30)
"""How far back is looked where the whole ledger would have to be read."""
_CLOCK_TOLERANCE: Final = timedelta(minutes=2)
_STALE_PRICES: Final = timedelta(days=90)
"""Among more than a thousand models some price changes every few weeks; a table that knows of none is old."""
_STALE_FILE: Final = timedelta(days=30)
"""Who fetches prices wants new ones."""
_NAMED: Final = 5

_OTHER_INSTRUMENTATION: Final = re.compile(
    r"(openinference|opentelemetry)-instrumentation-(genai-)?"
    r"(anthropic|bedrock|google-genai|google-generativeai|groq|langchain|litellm|mistralai|openai|openai-v2|vertexai)"
    r"|(loongsuite|splunk-otel)-instrumentation-langchain"
    r"|agentops|langfuse|langtrace-python-sdk|lmnr|monocle-apptrace|openlit|traceloop-sdk"
)
"""Distributions that watch the same calls and put tokens or costs of their own on spans."""
_SECRET: Final = re.compile("KEY|PASSWORD|SECRET|TOKEN")
_NO_FEATURES: Final = frozenset({"all", "dev"})
_REQUIREMENT: Final = re.compile(r"([A-Za-z0-9._-]+)(?:\[([\w,-]+)\])?.*extra == [\"']([\w-]+)[\"']")
_ADVICE_BY_STATUS: Final = {
    QuoteStatus.PENDING: "the seller names the price later; `costtrace sms settle` asks Twilio for those of SMS",
    QuoteStatus.USAGE_MISSING: "ask the provider for usage, also in streams: ChatOpenAI(stream_usage=True)",
}
_NEWER_TABLE: Final = (
    "`pip install --upgrade genai-prices`, or `costtrace prices update --to FILE` and COSTTRACE_PRICES=FILE;"
    " then `costtrace reprice --since DATE`"
)
_PRICED_NOW: Final = "it has a price by now: `costtrace reprice --since DATE` corrects what was recorded before"
_NEWER_FILE: Final = "`costtrace prices update`, then `costtrace reprice --since DATE`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What one check found."""

    name: str
    state: State
    found: str
    advice: str | None = None
    """What to do about it."""


def all_checks(settings: Settings, *, given: Mapping[str, str]) -> Iterator[Check]:
    """Every check, in the order in which a person would look.

    `given` names the variables that an option overrules, each with that option.
    """
    yield from _settings(settings, given)
    catalog = _catalog(settings)
    try:
        ledger = open_ledger(settings.ledger, durability=settings.durability)
    except ConfigurationError as error:
        yield Check(name="ledger", state="fail", found=without_password(str(error)))
    else:
        yield from _ledger(ledger, catalog)
        if isinstance(ledger, SqliteLedger):
            yield _disk(ledger.path.absolute().parent)
    yield _price_table(settings.prices, datetime.now(UTC))
    yield _rates_file(settings.rates)
    yield _instrumentation(
        [distribution.name for distribution in metadata.distributions()], langsmith=langsmith_exports_spans()
    )
    if POSTHOG in settings.exporter_addresses():
        yield _posthog(settings, otlp_endpoints())
    yield _extras(metadata.requires(DISTRIBUTION) or [])


def _settings(settings: Settings, given: Mapping[str, str]) -> Iterator[Check]:
    values = asdict(settings)
    for variable in VARIABLES:
        found = setting_text(variable, values[variable.removeprefix("COSTTRACE_").lower()])
        origin = f" (from {given[variable]})" if variable in given else ""
        yield Check(name=variable, state="ok", found=found + origin)
    try:
        settings.tracing()
    except ConfigurationError as error:
        yield Check(name="spans", state="fail", found=str(error))
    for variable in unknown_variables():
        advice = f"nothing reads it; known are {', '.join(VARIABLES)}"
        yield Check(name=variable, state="warn", found="is set", advice=advice)


def setting_text(variable: str, value: str | None) -> str:
    """The value as it may be shown: what is secret by its name is only said to be set."""
    if value is None:
        return "none"
    return "set" if _SECRET.search(variable) else without_password(value)


def _catalog(settings: Settings) -> Catalog:
    """The price lists that are set; the bundled ones where a file is wrong, which has a check of its own."""
    try:
        return settings.catalog()
    except ConfigurationError:
        return Catalog.default()


def _ledger(ledger: Ledger, catalog: Catalog) -> Iterator[Check]:
    if isinstance(ledger, SqliteLedger) and not ledger.exists:
        found, advice = f"nothing was recorded at {ledger.name!r} yet", "the first recorded call makes the file"
        yield Check(name="ledger", state="warn", found=found, advice=advice)
        return
    health = ledger.health()
    yield _health(health)
    if health.entries is None and health.problem:
        return
    now = datetime.now(UTC)
    recent = Selection() if health.entries is not None else Selection(since=now - _RECENTLY)
    try:
        yield _clock(ledger, now)
        yield from _gaps(gaps(ledger, recent), catalog)
    except CostTraceError as error:  # it went away while we looked
        yield Check(name="ledger", state="fail", found=str(error))


def _health(health: LedgerHealth) -> Check:
    if health.entries is None and health.problem:
        return Check(name="ledger", state="fail", found=health.problem)
    counts = f"{'uncounted' if health.entries is None else health.entries} entries at {health.name!r}"
    if health.problem:
        advice = f"{health.waiting} bytes wait in the spool beside it and are safe; they move in once this is mended"
        return Check(name="ledger", state="fail", found=f"{counts}; {health.problem}", advice=advice)
    if health.rejected:
        advice = "the table `rejected` keeps them with the reason; totals lack them"
        return Check(name="ledger", state="fail", found=f"{counts}, {health.rejected} rejected", advice=advice)
    if health.lost:
        advice = "they could be stored nowhere; the table `losses` says when and why, and totals of that time lack them"
        return Check(name="ledger", state="warn", found=f"{counts}, {health.lost} lost", advice=advice)
    return Check(name="ledger", state="ok", found=f"{counts}, none waiting, rejected or lost")


def _clock(ledger: Ledger, now: datetime) -> Check:
    future = ledger.totals(("message",), Selection(since=now + _CLOCK_TOLERANCE))
    if not future:
        return Check(name="clock", state="ok", found="no entry lies in the future")
    messages = _some([str(uuid) for (uuid,) in future])
    advice = "compare this machine's clock with that of the machine that recorded them; prices depend on the day"
    return Check(name="clock", state="fail", found=f"entries in the future, of {messages}", advice=advice)


def _disk(directory: Path) -> Check:
    try:
        free = shutil.disk_usage(directory).free
    except OSError as error:
        found = f"{str(directory)!r}: {error.strerror}"
        return Check(name="disk", state="fail", found=found, advice="make the directory, or name another ledger")
    found = f"{free / _GIGABYTE:.1f} GB free at {str(directory)!r}"
    if free >= _LOW_DISK:
        return Check(name="disk", state="ok", found=found)
    return Check(name="disk", state="warn" if free >= _NO_DISK else "fail", found=found, advice="free some disk space")


def _price_table(path: str | None, now: datetime) -> Check:
    try:
        table = GenaiPrices() if path is None else GenaiPrices.from_file(path)
    except ConfigurationError as error:
        advice = "`costtrace prices update` writes it anew; or unset COSTTRACE_PRICES"
        return Check(name="prices", state="fail", found=str(error), advice=advice)
    latest = table.latest_change(now.date())
    age = "" if latest is None else f", {_days(now.date() - latest)} ago"
    found = f"{table.name} {table.version}, sha256 {table.data_hash}, knows price changes up to {latest}{age}"
    stale = latest is None or now.date() - latest > _STALE_PRICES
    if path is not None:
        stale = stale or _unchanged_for(Path(path), now) > _STALE_FILE
    advice = _NEWER_TABLE if path is None else _NEWER_FILE
    return Check(name="prices", state="warn" if stale else "ok", found=found, advice=advice if stale else None)


def _unchanged_for(file: Path, now: datetime) -> timedelta:
    return now - datetime.fromtimestamp(file.stat().st_mtime, UTC)


def _days(span: timedelta) -> str:
    return f"{span.days} day{'s' if span.days != 1 else ''}"


def _rates_file(path: str | None) -> Check:
    if path is None:
        return Check(name="own rates", state="ok", found="none: list prices only")
    try:
        rates = RateFile.own(path)
    except ConfigurationError as error:
        advice = "mend the file, or unset COSTTRACE_RATES"
        return Check(name="own rates", state="fail", found=str(error), advice=advice)
    return Check(name="own rates", state="ok", found=f"{path!r} is valid, sha256 {rates.data_hash}")


def _gaps(found: Sequence[Gap], catalog: Catalog) -> Iterator[Check]:
    if not found:
        yield Check(name="unpriced", state="ok", found="every call has its cost")
    for gap in found:
        yield _gap(gap, catalog)


def _gap(gap: Gap, catalog: Catalog) -> Check:
    calls = f"{gap.calls} call{'s' if gap.calls != 1 else ''}"
    found = f"{calls} of {gap.provider or 'unknown provider'} {gap.model or 'unknown model'}: {gap.status}"
    advice = _ADVICE_BY_STATUS.get(QuoteStatus(gap.status), "`costtrace message` shows the reason with each of them")
    if gap.status == QuoteStatus.UNPRICED and gap.provider and gap.model:
        advice = _PRICED_NOW if _is_priced_now(gap, catalog) else _rate_wanted(gap.provider, gap.model)
    return Check(name="unpriced", state="warn", found=found, advice=advice)


def _rate_wanted(provider: str, model: str) -> str:
    row = f"[[rate]] with provider = {json.dumps(provider)} and model = {json.dumps(model)}"
    return f"add a {row} to your rates file (COSTTRACE_RATES), then `costtrace reprice --since DATE`"


def _is_priced_now(gap: Gap, catalog: Catalog) -> bool:
    one_token = Usage(buckets={"input": 1, "output": 1})
    return catalog.quote(provider=gap.provider, model=gap.model, usage=one_token).amount is not None


def _instrumentation(distributions: Sequence[str], *, langsmith: bool) -> Check:
    names = {name.lower().replace("_", "-") for name in distributions}
    others = sorted(name for name in names if _OTHER_INSTRUMENTATION.fullmatch(name))
    found = [f"also installed: {', '.join(others)}"] if others else []
    found += ["LangSmith sends its runs as spans (its tracing mode)"] if langsmith else []
    if not found:
        return Check(name="instrumentation", state="ok", found="no other one is installed")
    advice = 'only one should own the cost on spans: switch off theirs, or ours by spans="off" or COSTTRACE_SPANS=off'
    return Check(name="instrumentation", state="warn", found="; ".join(found), advice=advice)


def _posthog(settings: Settings, endpoints: Sequence[str]) -> Check:
    """Whether events can be delivered there, and whether PostHog would learn of each model call a second time."""
    if settings.posthog_api_key is None:
        advice = "set POSTHOG_API_KEY to the project token, phc_..., of PostHog's project settings"
        return Check(name=POSTHOG, state="fail", found="there is no project token to deliver with", advice=advice)
    doubles = list(doubled_by(modules=(), otlp_endpoints=endpoints))
    if doubles:
        advice = "send those spans elsewhere: each model call would be in PostHog twice, once at PostHog's own estimate"
        return Check(name=POSTHOG, state="warn", found="; ".join(doubles), advice=advice)
    found = f"events go to {without_password(settings.posthog_host)}"
    return Check(name=POSTHOG, state="ok", found=f"{found}; whoever delivers them warns of PostHog's own handlers")


def _extras(requirements: Sequence[str]) -> Check:
    needed: dict[str, list[str]] = {}
    for package, nested, extra in (m.groups() for m in map(_REQUIREMENT.match, requirements) if m):
        needed.setdefault(extra, [])
        if not nested:
            needed[extra].append(package)
    features = sorted(needed.keys() - _NO_FEATURES)
    missing = [extra for extra in features if not _installed(needed[extra])]
    found = f"installed: {', '.join(extra for extra in features if extra not in missing)}"
    advice = f"pip install '{DISTRIBUTION}[NAME]' adds one of {', '.join(missing)}" if missing else None
    return Check(name="extras", state="ok", found=found, advice=advice)


def _installed(packages: Sequence[str]) -> bool:
    try:
        return all(metadata.version(package) for package in packages)
    except metadata.PackageNotFoundError:
        return False


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
