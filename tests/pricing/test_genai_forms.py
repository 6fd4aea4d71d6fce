"""Which names a clause of a price list may stand for: lists of one or two models, so that each rule is seen alone."""

from __future__ import annotations

from typing import Final

import pytest
from genai_prices.data_snapshot import DataSnapshot
from genai_prices.types import (
    ClauseAnd,
    ClauseContains,
    ClauseEndsWith,
    ClauseEquals,
    ClauseOr,
    ClauseRegex,
    ClauseStartsWith,
    MatchLogic,
    ModelInfo,
    ModelPrice,
    Provider,
)

from costtrace.pricing.genai_names import find, listed_names


def table(provider: str, *models: tuple[str, MatchLogic], sells: list[str] | None = None) -> Provider:
    infos = [ModelInfo(id=name, match=match, prices=ModelPrice()) for name, match in models]
    return Provider(id=provider, name=provider, api_pattern="", models=infos, fallback_model_providers=sells)


def found(providers: list[Provider], provider: str, *names: tuple[str, str]) -> tuple[str, str, str] | None:
    match = find(DataSnapshot(providers=providers, from_auto_update=False), provider, names)
    return match and (match[0].id, match[1], match[2])


def rule_of(provider: str, listed: str, match: MatchLogic, name: str) -> str | None:
    answer = found([table(provider, (listed, match))], provider, (name, "exact name"))
    return answer and answer[2]


STARTS: Final = ClauseStartsWith(starts_with="M-1")
DATED: Final = ClauseStartsWith(starts_with="m-1-2024-")
RULES: Final[list[tuple[str, str, MatchLogic, str, str | None]]] = [
    # provider, id of the list, its clause, name as served, rule by which it is found
    ("x", "M-1", ClauseEquals(equals="one"), "m-1", "exact name"),
    ("x", "m-1", ClauseEquals(equals="ONE"), "one", "listed name"),
    ("x", "m-1", ClauseEquals(equals="one"), "one-2024-08-06", None),
    ("x", "m-1", STARTS, "m-1-2024-08-06", "listed form"),
    ("x", "m-1", STARTS, "m-1-20240806", "listed form"),
    ("x", "m-1", STARTS, "m-1@20240806", "listed form"),
    ("x", "m-1", STARTS, "m-1-latest", "listed form"),
    ("x", "m-1", STARTS, "m-1-20241306", None),
    ("x", "m-1", STARTS, "m-1-2024-08-06-2024-08-06", None),
    ("x", "m-1", STARTS, "m-1-turbo", None),
    ("x", "m-1", STARTS, "x-m-1", None),
    ("x", "m-1", DATED, "m-1-2024-08-06", "listed form"),
    ("x", "m-1", ClauseStartsWith(starts_with="m-1-2024-0"), "m-1-2024-08-06", "listed form"),
    ("x", "other", ClauseStartsWith(starts_with="m-1-2024"), "m-1-2024-08-06", "listed form"),
    ("x", "other", ClauseStartsWith(starts_with="m-1@"), "m-1@20240806", "listed form"),
    ("x", "other", ClauseStartsWith(starts_with="m-1-0"), "m-1-0125", None),
    ("x", "other", ClauseContains(contains="m-1"), "m-1-latest", "listed form"),
    ("x", "other", ClauseContains(contains="m-1"), "x-m-1-latest", None),
    ("x", "m-1", ClauseEndsWith(ends_with="m-1"), "m-1", "exact name"),
    ("x", "other", ClauseEndsWith(ends_with="m-1"), "m-1", "listed form"),
    ("x", "other", ClauseEndsWith(ends_with="m-1"), "x/m-1", None),
    ("x", "other", ClauseRegex(regex=r"^m-\d$"), "m-7", "listed form"),
    ("x", "other", ClauseRegex(regex=r"^m-.*$"), "m-7", None),
    ("x", "other", ClauseRegex(regex=r"m-\d"), "m-7", None),
    ("x", "other", ClauseRegex(regex=r"^m-\d"), "m-7", None),
    ("x", "other", ClauseOr(or_=[STARTS, ClauseRegex(regex=r"^k-\d$")]), "k-3", "listed form"),
    ("x", "other", ClauseOr(or_=[STARTS, ClauseEquals(equals="two")]), "two", "listed name"),
    ("x", "m-1", ClauseAnd(and_=[STARTS, ClauseContains(contains="latest")]), "m-1-latest", "listed form"),
    ("x", "m-1", ClauseAnd(and_=[STARTS, ClauseContains(contains="latest")]), "m-1-2024-08-06", None),
    ("x", "m-1", ClauseAnd(and_=[STARTS, ClauseRegex(regex=r"^m-1-\w+$")]), "m-1-odd", None),
    ("x", "ft:m-1", ClauseContains(contains="m-1"), "m-1-latest", None),
    ("x", "ft:m-1", ClauseStartsWith(starts_with="ft:m-1"), "ft:m-1-2024-08-06", "listed form"),
    ("x", "m-1", ClauseContains(contains="m-1"), "ft:m-1", None),
    ("x", "m-1.ft-", ClauseStartsWith(starts_with="m-1"), "m-1-latest", None),
    ("mistral", "m-1", STARTS, "m-1-2509", "listed form"),
    ("mistral", "m-1", STARTS, "m-1-2513", None),
    ("mistral", "m-1", STARTS, "m-1-latest", "listed form"),
    ("x", "m-1", STARTS, "m-1-2509", None),
    ("google", "m-1", STARTS, "m-1@20240806", "listed form"),
    ("google", "m-1", STARTS, "m-1@default", "listed form"),
    ("google", "m-1", STARTS, "m-1-001", "listed form"),
    ("google", "m-1", STARTS, "m-1-preview", "listed form"),
    ("google", "m-1", STARTS, "m-1-preview-09-2025", "listed form"),
    ("google", "m-1", STARTS, "m-1-preview-13-2025", None),
    ("google", "m-1", STARTS, "m-1-27b-it", "listed form"),
    ("google", "m-1", ClauseContains(contains="m-1"), "anthropic/m-1@20240806", "listed form"),
    ("google", "m-1", ClauseContains(contains="m-1"), "mistral/m-1@20240806", None),
    ("x", "m-1", ClauseContains(contains="m-1"), "anthropic/m-1-latest", None),
    ("x", "m-1", STARTS, "m-1@default", None),
    ("aws", "m-1-v1:0", ClauseContains(contains="m-1"), "m-1-v1", "listed form"),
    ("aws", "m-1-v1:0", ClauseContains(contains="m-1"), "m-1", "listed form"),
    ("aws", "m-1-v1:0", ClauseContains(contains="m-1"), "m-1-v2:0", None),
    ("aws", "m-1-v1:0", ClauseContains(contains="m-1"), "m-1-20240806-v1:0", "listed form"),
    ("aws", "m-1-v1", ClauseContains(contains="m-1"), "m-1-v1:0", "listed form"),
    ("aws", "m-1-v1:0", ClauseContains(contains="m-1"), "us.m-1-v1:0", "listed form"),
    ("aws", "m-1-v1:0", ClauseContains(contains="m-1"), "eu.m-1-v1:0", "geography not listed"),
    ("aws", "m-1-v1:0", ClauseContains(contains="m-1"), "zz.m-1-v1:0", None),
    ("aws", "m-1-v1:0", ClauseContains(contains="m-1"), "us-gov.m-1-v1:0", None),
    ("aws", "us.m-1", ClauseContains(contains="m-1"), "us.m-1-v1:0", "listed form"),
    ("aws", "eu.m-1", ClauseContains(contains="m-1"), "eu.m-1-v1:0", "listed form"),
    ("aws", "regional.m-1", ClauseContains(contains="m-1"), "global.m-1", None),
    ("aws", "global.m-1", ClauseStartsWith(starts_with="global.m-1"), "global.m-1-v1:0", "listed form"),
    ("aws", "claude-x", ClauseContains(contains="claude-x"), "anthropic.claude-x", "listed form"),
    ("aws", "claude-x", ClauseContains(contains="claude-x"), "us.anthropic.claude-x-v1:0", "listed form"),
    ("aws", "titan-x", ClauseContains(contains="titan-x"), "amazon.titan-x-v1", "listed form"),
    ("aws", "titan-x", ClauseContains(contains="titan-x"), "anthropic.titan-x-v1", None),
    ("aws", "other-x", ClauseContains(contains="other-x"), "amazon.other-x-v1", None),
    ("x", "claude-x", ClauseContains(contains="claude-x"), "anthropic.claude-x", None),
    ("openai", "computer-use", ClauseContains(contains="computer-use"), "computer-use-preview", "listed name"),
    ("x", "computer-use", ClauseContains(contains="computer-use"), "computer-use-preview", None),
    ("anthropic", "claude-2", ClauseEquals(equals="x"), "claude-2.1", "listed name"),
    ("anthropic", "claude-3", ClauseEquals(equals="x"), "claude-2.1", None),
]


@pytest.mark.parametrize(("provider", "listed", "match", "name", "rule"), RULES)
def test_a_name_is_found_by_a_clause_and_by_nothing_looser(
    provider: str, listed: str, match: MatchLogic, name: str, rule: str | None
) -> None:
    assert rule_of(provider, listed, match, name) == rule


def test_the_first_model_of_a_list_that_knows_a_name_is_taken() -> None:
    providers = [table("x", ("a", ClauseEquals(equals="n")), ("b", ClauseEquals(equals="n")), ("a", STARTS))]
    assert found(providers, "x", ("n", "exact name")) == ("a", "x", "listed name")
    info = find(DataSnapshot(providers=providers, from_auto_update=False), "x", [("a", "exact name")])
    assert info is not None
    assert info[0] is providers[0].models[0]
    forms = [table("x", ("a", STARTS), ("b", STARTS))]
    assert found(forms, "x", ("m-1-latest", "exact name")) == ("a", "x", "listed form")


def test_the_best_name_is_asked_for_in_all_lists_before_the_next() -> None:
    shop = table("shop", ("b", ClauseEquals(equals="b")), sells=["nobody", "maker"])
    maker = table("maker", ("a", ClauseEquals(equals="a")), ("b", ClauseEquals(equals="b")))
    names = (("a", "exact name"), ("b", "resource name"))
    assert found([shop, maker], "shop", *names) == ("a", "maker", "exact name")
    assert found([shop, maker], " SHOP ", ("x", "exact name"), ("b", "resource name")) == ("b", "shop", "resource name")
    assert found([shop, maker], "shop", ("x", "exact name")) is None
    assert found([shop, maker], "else", *names) is None


def test_a_bare_id_of_bedrock_is_told_from_one_that_has_one_price() -> None:
    both = table(
        "aws",
        ("regional.m-1", ClauseEquals(equals="m-1")),
        ("global.m-1", ClauseEquals(equals="global.m-1")),
        ("regional.m-2", ClauseEquals(equals="m-2")),
    )
    assert found([both], "aws", ("m-1", "exact name")) == ("regional.m-1", "aws", "bare Bedrock id")
    assert found([both], "aws", ("m-2", "exact name")) == ("regional.m-2", "aws", "listed name")
    assert found([both], "aws", ("global.m-1", "exact name")) == ("global.m-1", "aws", "exact name")
    assert found([both], "aws", ("m-1", "foundation model")) == ("regional.m-1", "aws", "foundation model")


def test_a_geography_that_is_not_listed_is_said_whatever_made_the_name() -> None:
    aws = table("aws", ("m-1-v1:0", ClauseContains(contains="m-1")))
    assert found([aws], "aws", ("eu.m-1-v1:0", "inference profile")) == ("m-1-v1:0", "aws", "geography not listed")
    assert found([aws], "aws", ("us.m-1-v1:0", "inference profile")) == ("m-1-v1:0", "aws", "inference profile")


def test_the_names_that_a_list_gives_in_full() -> None:
    match = ClauseOr(or_=[ClauseEquals(equals="One"), STARTS, ClauseAnd(and_=[ClauseEquals(equals="two")])])
    assert listed_names(ModelInfo(id="M", match=match, prices=ModelPrice())) == {"m", "one", "two"}
