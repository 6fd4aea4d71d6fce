"""``costtrace posthog``: the reports as a dashboard, in the terminal, and the proof that PostHog has everything.

What does the work is imported by each command itself, because no other command should wait for it.
"""

from __future__ import annotations

import csv
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from costtrace.cli.options import AsJson, LedgerUrl, ago, existing_ledger
from costtrace.cli.output import progress, show, show_json
from costtrace.errors import ConfigurationError, InvalidValue
from costtrace.settings import Settings

if TYPE_CHECKING:
    from costtrace.posthog_reports.api import PostHogApi

_FAULTY: Final = 1
_EXIT_CODES: Final = (
    "Exit codes: 0 fine; 1 PostHog lacks something or has another amount (verify); 2 bad input or configuration, or no"
    " answer."
)
_PAUSE_S: Final = 60.0

posthog_app = typer.Typer(
    name="posthog",
    help="Reports in PostHog; needs POSTHOG_PERSONAL_API_KEY and POSTHOG_PROJECT_ID.",
)
Environment = Annotated[
    str | None,
    typer.Option(
        "--environment",
        metavar="NAME",
        help="Only events of that environment; COSTTRACE_ENVIRONMENT unless given, and without it all.",
        show_default=False,
    ),
]


@posthog_app.callback(invoke_without_command=True, epilog=_EXIT_CODES)
def _posthog(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


@posthog_app.command(epilog=_EXIT_CODES)
def dashboard(
    *,
    print_as: Annotated[
        Literal["json", "terraform"] | None,
        typer.Option("--print", help="Print it for PostHog's API, or for its Terraform provider.", show_default=False),
    ] = None,
    apply_now: Annotated[
        bool, typer.Option("--apply", help="Make it in the project, or bring it up to date. Deletes nothing.")
    ] = False,
    ids: Annotated[
        Path, typer.Option("--ids", metavar="FILE", help="Where the ids of what was made are kept.", dir_okay=False)
    ] = Path("costtrace-posthog.json"),
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Print or make the dashboard of the four reports."""
    settings = Settings.from_environment()
    chosen = environment or settings.environment
    if apply_now == (print_as is not None):
        raise ConfigurationError("choose one of --print json, --print terraform and --apply")
    if print_as == "json":
        from costtrace.posthog_reports.payloads import everything  # noqa: PLC0415

        show_json(everything(environment=chosen))
    elif print_as == "terraform":
        from costtrace.posthog_reports.terraform import terraform  # noqa: PLC0415

        sys.stdout.write(terraform(environment=chosen))
    else:
        _apply(_api(settings), ids, environment=chosen, as_json=as_json)


@posthog_app.command(epilog=_EXIT_CODES)
def query(
    report: Annotated[str, typer.Argument(metavar="REPORT", help="ai_cost, twilio_cost, user_total or journey.")],
    *,
    last: Annotated[str, typer.Option("--last", metavar="SPAN", help="Such as 30m, 12h, 7d, 4w.")] = "30d",
    environment: Environment = None,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV; money is text, so that no digit is lost.")] = False,
) -> None:
    """Show a report as PostHog has it, to the last digit."""
    if as_json and as_csv:
        raise ConfigurationError("--json and --csv exclude each other; choose one")
    from costtrace.cli.pages.posthog import answer_page, csv_rows  # noqa: PLC0415
    from costtrace.posthog_reports.answers import ask  # noqa: PLC0415
    from costtrace.posthog_reports.definitions import report_of  # noqa: PLC0415

    settings = Settings.from_environment()
    wanted, since = report_of(report), ago(last, "--last")
    api = _api(settings)
    with progress(f"asking PostHog for {wanted.title}"):
        found = ask(
            api,
            wanted,
            since=since,
            until=datetime.now(UTC) + timedelta(seconds=1),  # whole seconds are asked for; now is inside
            environment=environment or settings.environment,
        )
    if as_json:
        show_json(found.to_dict())
    elif as_csv:
        csv.writer(sys.stdout, lineterminator="\n").writerows(csv_rows(found))
    else:
        show(answer_page(found))
    if found.is_cut and (as_json or as_csv):
        sys.stderr.write("costtrace: PostHog gives no more rows in one answer; ask for a shorter time\n")


@posthog_app.command(epilog=_EXIT_CODES)
def verify(
    *,
    day: Annotated[
        str | None,
        typer.Option("--day", metavar="DATE", help="A UTC day; the last one that has settled unless given."),
    ] = None,
    requeue: Annotated[
        bool, typer.Option("--requeue/--no-requeue", help="Let what is missing be delivered again.")
    ] = True,
    pause: Annotated[
        float, typer.Option("--pause", min=0, metavar="SECONDS", help="Between queries; PostHog's clouds allow few.")
    ] = _PAUSE_S,
    as_json: AsJson = False,
    ledger: LedgerUrl = None,
) -> None:
    """Compare a day in PostHog with the ledger: how many events, and what they add up to, in whole 1e-12 dollars."""
    from costtrace.cli.pages.posthog import verified_page  # noqa: PLC0415
    from costtrace.posthog_reports.redelivery import redelivery  # noqa: PLC0415
    from costtrace.posthog_reports.verify import last_settled  # noqa: PLC0415
    from costtrace.posthog_reports.verify import verify as verified  # noqa: PLC0415

    now = datetime.now(UTC)
    asked = last_settled(now) if day is None else _day(day)
    opened = existing_ledger(ledger)
    settings = Settings.from_environment()
    api = _api(settings, pause_s=pause)
    again = redelivery(opened, lambda: settings.make_exporters(opened)) if requeue else None
    with progress(f"comparing {asked} with PostHog"):
        found = verified(api, opened, asked, now=now, requeue=again)
    if as_json:
        show_json(found.to_dict())
    else:
        show(verified_page(found, requeued=requeue))
    if found.missing or found.differing:
        raise typer.Exit(_FAULTY)


def _apply(api: PostHogApi, ids: Path, *, environment: str | None, as_json: bool) -> None:
    from costtrace.cli.pages.posthog import applied_page  # noqa: PLC0415
    from costtrace.posthog_reports.apply import IdFile, apply  # noqa: PLC0415

    with progress("bringing the dashboard up to date"):
        applied = apply(api, IdFile(ids), environment=environment)
    if as_json:
        show_json([one.to_dict() for one in applied])
    else:
        show(applied_page(applied))


def _api(settings: Settings, *, pause_s: float = _PAUSE_S) -> PostHogApi:
    from costtrace.posthog_reports.api import PostHogApi  # noqa: PLC0415

    return PostHogApi(
        settings.posthog_host,
        project_id=settings.posthog_project_id,
        personal_key=settings.posthog_personal_api_key,
        pause_s=pause_s,
    )


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidValue("--day", text, "a date such as 2026-01-20") from None
