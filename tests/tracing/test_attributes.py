"""What a span says of an entry: names, types, and which amounts are a cost."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costtrace.entry import Entry
from costtrace.money import Money
from costtrace.quote import Quote, QuoteLine, QuoteStatus, no_quote
from costtrace.tracing import entry_attributes, names
from costtrace.usage import Usage
from tests.factories import make_basis, make_costs, make_entry

COST_KEYS = {"gen_ai.usage.cost", "operation.cost", "llm.cost.total", "costtrace.cost.usd", "costtrace.cost.nano_usd"}


def said(entry: Entry, *presets: str) -> dict[str, Any]:
    found = entry_attributes(entry, frozenset(presets))
    assert set(found) <= set(names.ATTRIBUTES)
    assert {type(value) for value in found.values()} <= {str, int, float, bool}
    return found


def test_a_model_call_says_what_it_was_what_it_used_and_what_it_cost() -> None:
    """450 x 2.50 / 1M = 0.001125 and 200 x 10 / 1M = 0.002."""
    assert said(make_entry()) == {
        "costtrace.message_uuid": "0199d3a0-0000-7000-8000-000000000001",
        "gen_ai.operation.name": "chat",
        "gen_ai.conversation.id": "t1",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o",
        "gen_ai.usage.input_tokens": 450,
        "gen_ai.usage.output_tokens": 200,
        "gen_ai.usage.total_tokens": 650,
        "gen_ai.usage.cache_read.input_tokens": 0,
        "gen_ai.usage.cache_write.input_tokens": 0,
        "gen_ai.usage.cache_creation.input_tokens": 0,
        "gen_ai.usage.reasoning.output_tokens": 0,
        "costtrace.cost.status": "exact",
        "costtrace.cost.usd": "0.003125",
        "costtrace.cost.nano_usd": 3_125_000,
        "gen_ai.usage.cost": 0.003125,
        "operation.cost": 0.003125,
        "llm.cost.total": 0.003125,
        "llm.cost.prompt": 0.001125,
        "llm.cost.completion": 0.002,
        "costtrace.price.source": "genai-prices",
        "costtrace.price.version": "0.2.3",
    }


def test_each_kind_of_token_has_its_name_and_the_sums_hold_all_of_them() -> None:
    usage = Usage(
        buckets={
            "input": 1,
            "input_audio": 2,
            "cache_read": 4,
            "cache_read_audio": 8,
            "cache_write_5m": 16,
            "cache_write_1h": 32,
            "output": 64,
            "output_audio": 128,
            "web_search": 3,
        },
        reasoning_tokens=40,
    )
    found = said(make_entry(usage=usage))
    assert {key: value for key, value in found.items() if key.endswith("tokens")} == {
        "gen_ai.usage.input_tokens": 63,
        "gen_ai.usage.output_tokens": 192,
        "gen_ai.usage.total_tokens": 255,
        "gen_ai.usage.cache_read.input_tokens": 12,
        "gen_ai.usage.cache_write.input_tokens": 48,
        "gen_ai.usage.cache_creation.input_tokens": 48,
        "gen_ai.usage.reasoning.output_tokens": 40,
        "gen_ai.usage.audio.input_tokens": 10,
        "gen_ai.usage.audio.output_tokens": 128,
    }


def test_the_draft_names_stand_in_place_of_the_number_whose_name_they_extend() -> None:
    found = said(make_entry(), "draft443")
    assert "gen_ai.usage.cost" not in found
    assert {key: value for key, value in found.items() if key.startswith("gen_ai.usage.cost.")} == {
        "gen_ai.usage.cost.amount": 0.003125,
        "gen_ai.usage.cost.currency": "USD",
        "gen_ai.usage.cost.source": "local",
    }
    named = Quote(status=QuoteStatus.PROVIDER_REPORTED, amount=Decimal("0.01"))
    assert said(make_entry(quote=named, cost=Money("0.01")), "draft443")["gen_ai.usage.cost.source"] == "provider"


def test_presets_add_the_names_that_some_viewers_read() -> None:
    plain = said(make_entry())
    every = said(make_entry(), "langfuse", "mlflow", "openinference", "posthog")
    assert set(plain) - set(every) == {"gen_ai.usage.cache_write.input_tokens"}  # Langfuse takes it for further tokens
    assert {key: every[key] for key in set(every) - set(plain)} == {
        "$ai_input_cost_usd": 0.001125,
        "$ai_output_cost_usd": 0.002,
        "$ai_total_cost_usd": 0.003125,
        "mlflow.llm.cost": '{"input_cost": 0.001125, "output_cost": 0.002, "total_cost": 0.003125}',
        "langfuse.observation.cost_details": '{"input": 0.001125, "output": 0.002, "total": 0.003125}',
        "openinference.span.kind": "LLM",
    }


def test_what_the_provider_named_is_not_split_by_what_we_would_have_asked() -> None:
    lines = (QuoteLine("input", 450, Decimal("2.5"), 1_000_000),)
    quote = Quote(
        status=QuoteStatus.PROVIDER_REPORTED,
        amount=Decimal("0.01"),
        computed=Decimal("0.001125"),
        lines=lines,
        basis=make_basis(),
    )
    found = said(make_entry(quote=quote, cost=Money("0.01")), "posthog")
    assert (found["llm.cost.total"], found["$ai_total_cost_usd"]) == (0.01, 0.01)
    assert not {"llm.cost.prompt", "llm.cost.completion", "$ai_input_cost_usd"} & set(found)


def test_a_fee_beside_the_tokens_is_in_neither_part() -> None:
    quote = Quote(
        status=QuoteStatus.EXACT,
        amount=Decimal("0.011125"),
        lines=(
            QuoteLine("input", 450, Decimal("2.5"), 1_000_000),
            QuoteLine("web_search", 1, Decimal(10), 1_000),
        ),
        basis=make_basis(),
    )
    found = said(make_entry(quote=quote, cost=Money("0.011125")))
    assert (found["llm.cost.prompt"], found["llm.cost.completion"], found["llm.cost.total"]) == (
        0.001125,
        0.0,
        0.011125,
    )


@pytest.mark.parametrize(
    ("status", "amount", "shown"),
    [
        (QuoteStatus.ESTIMATED, "0.003", {"costtrace.estimate.usd": "0.003"}),
        (QuoteStatus.PARTIAL, "0.003", {"costtrace.estimate.usd": "0.003"}),
        (QuoteStatus.UNPRICED, None, {}),
        (QuoteStatus.USAGE_MISSING, None, {}),
    ],
)
def test_what_is_not_known_to_be_owed_is_no_cost(status: QuoteStatus, amount: str | None, shown: Any) -> None:
    quote = no_quote(status, "why") if amount is None else Quote(status=status, amount=Decimal(amount))
    found = said(make_entry(quote=quote, cost=None, estimate=amount and Money(amount)), "posthog", "mlflow", "langfuse")
    assert found["costtrace.cost.status"] == status.value
    assert {key: value for key, value in found.items() if "cost" in key and "$" not in key} == {
        "costtrace.cost.status": status.value,
        "costtrace.message_uuid": found["costtrace.message_uuid"],
        **shown,
    }
    assert not COST_KEYS & set(found)
    assert not any(key.startswith("$ai") for key in found)


def test_an_sms_whose_price_is_not_out_shows_an_estimate() -> None:
    found = said(make_costs(estimate="0.0079", kind="sms", provider="twilio"))
    assert (found["costtrace.cost.status"], found["costtrace.estimate.usd"]) == ("estimated", "0.0079")
    assert not COST_KEYS & set(found)


def test_the_cost_of_what_is_no_model_call_has_no_name_of_one() -> None:
    found = said(make_costs("0.0079", kind="sms", provider="twilio", model="sms"), "posthog", "draft443", "mlflow")
    assert not any(key.startswith(("gen_ai.usage", "gen_ai.request", "llm.", "$ai", "mlflow")) for key in found)
    assert (found["costtrace.cost.usd"], found["operation.cost"]) == ("0.0079", 0.0079)


def test_an_entry_that_replaces_another_shows_the_difference_it_makes() -> None:
    revised = make_costs("-0.0004", kind="sms-price", replaces="settled", entry_id="sms-price/SM1/2")
    assert (said(revised)["costtrace.cost.usd"], said(revised)["operation.cost"]) == ("-0.0004", -0.0004)
    settled = make_costs("0.0079", estimate="-0.0079", kind="sms-price", replaces="pending", entry_id="sms-price/SM1/1")
    assert said(settled)["costtrace.cost.usd"] == "0.0079"
    assert "costtrace.estimate.usd" not in said(settled)


def test_another_currency_is_never_called_dollars() -> None:
    found = said(make_costs("0.0065", currency="EUR"), "draft443", "posthog", "mlflow", "langfuse")
    assert {key: found[key] for key in found if "cost" in key} == {
        "costtrace.message_uuid": found["costtrace.message_uuid"],
        "costtrace.cost.status": "provider_reported",
        "costtrace.cost.amount": "0.0065",
        "costtrace.cost.currency": "EUR",
        "gen_ai.usage.cost.amount": 0.0065,
        "gen_ai.usage.cost.currency": "EUR",
        "gen_ai.usage.cost.source": "local",
    }
    expected = said(make_costs(estimate="0.0065", currency="EUR", kind="sms"))
    assert (expected["costtrace.estimate.amount"], expected["costtrace.estimate.currency"]) == ("0.0065", "EUR")


def test_a_run_of_a_tool_says_nothing_of_money() -> None:
    run = make_entry(
        kind="tool-run",
        usage=None,
        quote=None,
        cost=None,
        details={"tool": "search", "tool_call_id": "call_1"},
        status="failed",
        error="ValueError",
    )
    assert said(run, "openinference") == {
        "costtrace.message_uuid": run.message_uuid,
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.conversation.id": "t1",
        "gen_ai.tool.name": "search",
        "gen_ai.tool.call.id": "call_1",
        "openinference.span.kind": "TOOL",
        "error.type": "ValueError",
    }


def test_a_call_that_was_never_answered_names_no_model_that_answered() -> None:
    failed = make_entry(status="failed", error="RateLimitError 429", usage=None, quote=None, cost=None)
    assert "gen_ai.response.model" not in said(failed)
    assert said(failed)["gen_ai.request.model"] == "gpt-4o"
    assert (said(failed)["error.type"], said(failed)["costtrace.cost.status"]) == ("RateLimitError 429", "unknown")


def test_an_embedding_and_a_text_completion_are_called_so() -> None:
    assert said(make_entry(kind="embedding"))["gen_ai.operation.name"] == "embeddings"
    assert said(make_entry(details={"operation": "text_completion"}))["gen_ai.operation.name"] == "text_completion"


@given(st.decimals(min_value=Decimal(0), max_value=Decimal(10) ** 6, places=15))
def test_the_text_is_exact_and_the_integer_is_the_nearest(amount: Decimal) -> None:
    found = said(make_costs(format(amount, "f"), kind="llm"))
    assert Decimal(found["costtrace.cost.usd"]) == amount
    assert abs(found["costtrace.cost.nano_usd"] - amount * 10**9) <= Decimal("0.5")
    assert found["operation.cost"] == float(amount)
