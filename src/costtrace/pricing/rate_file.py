"""Price lists from rates files: your own rates, which win over all others, and the overlay.

The overlay holds what the price list beneath it lacks or has wrong. Its data are in ``overlay.toml`` beside this file:
each row with the provider's page, the day somebody last compared the two, and the days from and until which it applies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Final

from costtrace.errors import InvalidRates
from costtrace.pricing.adjust import adjusted, held_until, options_used
from costtrace.pricing.rate_parser import RateRows, parse_rates
from costtrace.pricing.rate_rows import AdjustRow, AliasRow, Called, RateRow, Scope, best, known
from costtrace.pricing.resolution import resolve
from costtrace.pricing.route import Route, assumption
from costtrace.pricing.sheet import Band, RateSheet
from costtrace.quote import PriceBasis

Beneath = Callable[[Route], RateSheet | None]

LIST_RULE: Final = "list_rule"
"""What ``when`` may ask beside the options of a call: by which rule the list beneath found the model."""


class RateFile:
    """The price list that a rates file is: an answer of its own, or what it changes of the lists beneath.

    Made by `own` and `overlay`; the first reads a file, neither touches the network.
    """

    def __init__(self, rows: RateRows, *, name: str, rule: str, asked: bool) -> None:
        self.name = name
        self.version = rows.version or name
        self.data_hash = rows.data_hash
        self._rows = rows
        self._rule = rule
        self._asked = asked

    @classmethod
    def own(cls, path: str | Path) -> RateFile:
        """Your own rates. They know a call by the words it was made with as well as by those of the price lists.

        Raises InvalidRates naming file, line and key for a file that cannot be used.
        """
        file = Path(path)
        try:
            content = file.read_bytes()
        except OSError as error:
            raise InvalidRates(f"rates file {str(file)!r} cannot be read: {error.strerror}") from None
        rows = parse_rates(content, str(file), provider_id=_provider_id, sourced=False)
        return cls(rows, name=file.name, rule="own rates", asked=True)

    @classmethod
    def overlay(cls) -> RateFile:
        """Published rates and rules of providers, bundled with the package."""
        return cls(_bundled(), name="overlay", rule="overlay", asked=False)

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return len(self._scopes)

    def newest(self, before: date) -> date | None:
        """The last day up to `before` that a row names as its first, or as that of its last check."""
        days = {day for scope in self._scopes for day in (scope.effective_from, scope.checked_on) if day}
        return max((day for day in days if date.min < day <= before), default=None)

    @property
    def _scopes(self) -> list[Scope]:
        rows: tuple[RateRow | AdjustRow | AliasRow, ...] = (*self._rows.rates, *self._rows.adjusts, *self._rows.aliases)
        return [row.scope for row in rows]

    def sheet(self, route: Route, at: datetime, beneath: Beneath) -> RateSheet | None:
        """The rates for that route at that moment; None where neither this file nor the lists beneath know any."""
        if route.problem and not self._asked:
            return beneath(route)
        aliases = known(self._rows.aliases, self._called(route, None))
        alias = best(aliases, at)
        routes = (route,) if alias is None else (route, _aliased(route, alias[0]))
        meant = routes[-1]
        listed = beneath(meant)
        calls = [self._called(each, listed) for each in routes]
        rates = [found for call in calls for found in known(self._rows.rates, call)]
        adjusts = [found for call in calls for found in known(self._rows.adjusts, call)]
        chosen = best(rates, at)
        if chosen is not None:
            sheet: RateSheet | None = self._own(*chosen, meant, calls, at)
        elif listed is not None:
            sheet = self._changed(listed, adjusts, meant, at)
        else:
            sheet = self._at_other_times(rates, meant, calls, at)
        if sheet is None:
            return None
        if alias is not None:
            sheet = self._renamed(sheet, alias[0], route, meant)
        scopes = [row.scope for row, _ in rates] + [row.scope for row, _ in adjusts] + [row.scope for row, _ in aliases]
        moving = any(scope.changes_within_a_day for scope in scopes)
        return replace(sheet, by_the_minute=True) if moving else sheet

    def _called(self, route: Route, listed: RateSheet | None) -> Called:
        names = {name: assumption(name, rule) for name, rule in route.names}
        if listed is not None:
            # Where a list knows the model it also knows which snapshots cost the same: its id replaces the guesses.
            names = {name: assumed for name, assumed in names.items() if assumed is None}
            if listed.basis.provider == route.provider:
                names.setdefault(listed.basis.model, None)
        context = {**route.context, **({} if listed is None else {LIST_RULE: listed.basis.rule})}
        if not self._asked:
            return Called(providers=frozenset({route.provider}), names=names, context=context)
        names.setdefault(route.asked_model, None)
        return Called(providers=frozenset({route.provider, route.asked_provider}), names=names, context=context)

    def _own(self, row: RateRow, model: str, route: Route, calls: list[Called], at: datetime) -> RateSheet:
        scope = row.scope
        held = held_until(scope, self.name) if scope.ended(at) else None
        assumed = next((call.names[model] for call in calls if model in call.names), None)
        return RateSheet(
            basis=PriceBasis(
                provider=route.provider,
                model=model,
                rule=self._rule if model == scope.model else f"{self._rule} for {scope.model}",
                source=self.name if scope.source is None or scope.source.startswith("https://") else scope.source,
                version=self.version,
                data_hash=self.data_hash,
                url=scope.source if scope.source and scope.source.startswith("https://") else None,
                effective_from=None if scope.effective_from == date.min else scope.effective_from,
                effective_until=None if scope.effective_until == date.max else scope.effective_until,
                checked_on=scope.checked_on,
                context_used=MappingProxyType(options_used(scope, route)),
            ),
            bands=row.bands,
            currency=row.currency,
            assumptions=tuple(filter(None, (assumed, row.assume, held))),
            missing=(row.partial,) if row.partial else (),
        )

    def _changed(
        self, sheet: RateSheet, rows: Iterable[tuple[AdjustRow, str]], route: Route, at: datetime
    ) -> RateSheet:
        by_name: dict[tuple[str, int], list[tuple[AdjustRow, str]]] = {}
        for row, name in rows:
            by_name.setdefault((row.scope.name, row.above), []).append((row, name))
        before = sheet
        for group in by_name.values():
            chosen = best(group, at)
            if chosen is not None:
                sheet = adjusted(sheet, chosen[0], route, at, self.name)
        return sheet if sheet is before else self._signed(sheet)

    def _signed(self, sheet: RateSheet) -> RateSheet:
        """The sheet, its basis naming this file's version and hash beside those of the list it changed."""
        version = f"{sheet.basis.version}, {self.name} {self.version if self.version != self.name else ''}".rstrip()
        data_hash = f"{sheet.basis.data_hash}+{self.data_hash}"
        return replace(sheet, basis=replace(sheet.basis, version=version, data_hash=data_hash))

    def _at_other_times(
        self, rates: list[tuple[RateRow, str]], route: Route, calls: list[Called], at: datetime
    ) -> RateSheet | None:
        """Rates for other hours only are no answer, but the question must be asked again when those come."""
        moving = next(((row, name) for row, name in rates if row.scope.changes_within_a_day), None)
        if moving is None:
            return None
        row, model = moving
        sheet = self._own(row, model, route, calls, at)
        missing = f"{self.name} has rates of model {model!r} for other times only"
        return replace(sheet, bands=(Band(above=-1, rates=MappingProxyType({})),), missing=(missing,))

    def _renamed(self, sheet: RateSheet, alias: AliasRow, route: Route, meant: Route) -> RateSheet:
        page = f" ({alias.scope.source})" if alias.scope.source else ""
        renamed = f"{route.asked_model} is priced as {alias.provider} {alias.model} by {self.name}{page}"
        # What only said where the name leads, such as the region in an ARN, selects nothing behind it.
        consumed = {key: value for key, value in route.context.items() if key not in meant.context}
        used = {**consumed, **sheet.basis.context_used, **options_used(alias.scope, route)}
        return replace(
            sheet,
            basis=replace(
                sheet.basis,
                adjustments=(renamed, *sheet.basis.adjustments),
                context_used=MappingProxyType(used),
            ),
        )


def _aliased(route: Route, alias: AliasRow) -> Route:
    named = resolve(alias.provider, alias.model, route.context)
    return replace(named, asked_provider=route.asked_provider, used={**named.used, **route.used})


def _provider_id(provider: str) -> str:
    return resolve(provider, "any", {}).provider


@cache
def _bundled() -> RateRows:
    content = files("costtrace.pricing").joinpath("overlay.toml").read_bytes()
    return parse_rates(content, "overlay.toml", provider_id=_provider_id, sourced=True)
