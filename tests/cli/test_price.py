"""``costtrace price``."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Process, Run

USAGE = '{"input_tokens":450,"output_tokens":200,"total_tokens":650}'
GPT_4O = ("--provider", "openai", "--model", "gpt-4o", "--at", "2026-01-20")
LINE = {
    "id": 1,
    "provider": "openai",
    "model": "gpt-4o",
    "at": "2026-01-20",
    "usage": {"input_tokens": 450, "output_tokens": 200, "total_tokens": 650},
}


def mtok(rate: str, tokens: int) -> Decimal:
    return Decimal(rate) * tokens / 1_000_000


def batch(run: Run, *lines: Any) -> tuple[int, list[dict[str, Any]], str]:
    texts = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    done = run("price", "--batch", stdin=b"\n".join(texts))
    return done.exit_code, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def test_a_price_is_json_with_its_working(process: Process) -> None:
    done = process("price", *GPT_4O, "--usage", USAGE, "--json")

    quote = json.loads(done.stdout)
    basis = quote.pop("basis")
    assert (done.returncode, done.stderr) == (0, "")
    assert mtok("2.5", 450) + mtok("10", 200) == Decimal("0.003125")
    assert quote == {
        "amount_usd": "0.003125",
        "status": "exact",
        "amount": "0.003125",
        "currency": "USD",
        "low": None,
        "high": None,
        "computed": None,
        "lines": [
            {
                "bucket": "input",
                "quantity": 450,
                "rate": "2.5",
                "per": 1_000_000,
                "subtotal": "0.001125",
                "source": "input_mtok",
            },
            {
                "bucket": "output",
                "quantity": 200,
                "rate": "10",
                "per": 1_000_000,
                "subtotal": "0.002",
                "source": "output_mtok",
            },
        ],
        "reason": None,
        "assumptions": [],
    }
    assert (basis["provider"], basis["model"], basis["source"]) == ("openai", "gpt-4o", "genai-prices")
    assert basis["version"]
    assert len(basis["data_hash"]) == 16


def test_a_price_is_text_when_piped(run: Run) -> None:
    text = run("price", *GPT_4O, "--usage", USAGE).stdout

    assert text.startswith(
        "openai gpt-4o on 2026-01-20: 0.003125 USD, exact\n"
        "  450  input    x 2.5  / 1000000  = 0.001125  input_mtok\n"
        "  200  output  x 10.0  / 1000000  = 0.002000  output_mtok\n"
        "  rates of    openai gpt-4o (exact name)\n"
    )


def test_every_bucket_is_a_line(run: Run) -> None:
    usage = {
        "input_tokens": 2000,
        "output_tokens": 300,
        "total_tokens": 2300,
        "input_token_details": {"cache_read": 1024},
        "output_token_details": {"reasoning": 128},
    }
    asked = ("--provider", "openai", "--model", "o4-mini", "--at", "2026-01-20", "--usage", json.dumps(usage))

    quote = json.loads(run("price", *asked, "--json").stdout)

    # cached, the rest of the input, and all output: reasoning is a part of it
    assert Decimal(quote["amount_usd"]) == mtok("0.275", 1024) + mtok("1.1", 976) + mtok("4.4", 300)
    assert "  reasoning   128 of the output tokens\n" in run("price", *asked).stdout


def test_the_service_tier_that_selected_the_rates_is_shown(run: Run) -> None:
    asked = ("--provider", "openai", "--model", "gpt-5", "--at", "2026-11-20", "--usage", USAGE)

    flex = run("price", *asked, "--service-tier", "flex").stdout
    unheard = run("price", *asked, "--service-tier", "unheard").stdout

    assert "  chosen by   service_tier=flex\n" in flex
    assert "USD, exact\n" in flex
    assert "  ignored     service_tier=unheard\n" in unheard
    assert "USD, partial\n" in unheard
    assert "  reason      no rate of its own is known for service_tier=unheard" in unheard


def test_an_unknown_model_has_no_price_rather_than_none_at_all(run: Run) -> None:
    asked = ("--provider", "openai", "--model", "gpt-9", "--at", "2026-01-20", "--usage", USAGE)
    reason = "no price for model 'gpt-9' (provider 'openai') on 2026-01-20; add it to your rates file"

    quote = json.loads(run("price", *asked, "--json").stdout)

    assert (quote["amount_usd"], quote["status"], quote["reason"]) == (None, "unpriced", reason)
    assert run("price", *asked).stdout == (
        f"openai gpt-9 on 2026-01-20: unpriced: {reason}\n"
        "  450  input   no rate    unpriced\n"
        "  200  output  no rate    unpriced\n"
    )


def test_own_rates_win_over_the_list(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates = tmp_path / "rates.toml"
    rates.write_text('[[rate]]\nprovider = "openai"\nmodel = "gpt-4o"\nsource = "contract"\ninput = 2\noutput = 8\n')

    quote = json.loads(run("price", *GPT_4O, "--usage", USAGE, "--rates", str(rates), "--json").stdout)
    monkeypatch.setenv("COSTTRACE_RATES", str(rates))
    from_environment = json.loads(run("price", *GPT_4O, "--usage", USAGE, "--json").stdout)

    assert Decimal(quote["amount_usd"]) == mtok("2", 450) + mtok("8", 200)
    assert quote["basis"]["source"] == "contract"
    assert from_environment == quote


@pytest.mark.parametrize("at", ["2026-01-20", "2026-01-20T09:30", "2026-01-20T09:30:00Z", "2026-01-20T01:30:00-08:00"])
def test_a_date_without_a_zone_is_utc(run: Run, at: str) -> None:
    text = run("price", "--provider", "openai", "--model", "gpt-4o", "--usage", USAGE, "--at", at).stdout

    assert text.startswith("openai gpt-4o on 2026-01-20: 0.003125 USD")


def test_a_batch_answers_each_line_under_its_id(run: Run) -> None:
    unpriced = {**LINE, "id": "b", "model": "gpt-9", "service_tier": None}

    status, answers, complaints = batch(run, LINE, b"", unpriced, {**LINE, "id": ["any", {"json": None}]})

    assert (status, complaints) == (0, "")
    assert [answer["id"] for answer in answers] == [1, "b", ["any", {"json": None}]]
    assert [answer["amount_usd"] for answer in answers] == ["0.003125", None, "0.003125"]
    single = json.loads(run("price", *GPT_4O, "--usage", USAGE, "--json").stdout)
    assert answers[0] == {"id": 1, **single}


@pytest.mark.parametrize(
    ("line", "answered_id", "error"),
    [
        (b"not json", None, "line: expected JSON ("),
        (b"\xff", None, "line: expected JSON ("),
        (b'{"id": NaN}', None, "line: expected JSON (NaN is no JSON number)"),
        ([3], None, "line: expected a JSON object, got [3]"),
        ({**LINE, "modle": "x"}, 1, "line: expected only the keys at, context, id, model, provider, "),
        ({**LINE, "provider": 5}, 1, "provider: expected a text, got 5"),
        ({**LINE, "usage": 5}, 1, "usage: expected an object, got 5"),
        ({**LINE, "at": "soon"}, 1, "at: expected a date such as 2026-01-20"),
        ({**LINE, "at": 20}, 1, "at: expected a text, got 20"),
    ],
)
def test_a_bad_line_is_answered_with_its_error_and_the_others_with_their_price(
    run: Run, line: Any, answered_id: Any, error: str
) -> None:
    status, answers, complaints = batch(run, line, {**LINE, "id": 2})

    assert status == 2
    assert (answers[0].pop("id"), answers[0]["error"][: len(error)]) == (answered_id, error)
    assert list(answers[0]) == ["error"]
    assert (answers[1]["id"], answers[1]["amount_usd"]) == (2, "0.003125")
    assert complaints == "costtrace: 1 of 2 lines could not be read; each was answered with its error\n"


def test_usage_that_contradicts_itself_is_answered_by_a_quote_without_an_amount(run: Run) -> None:
    odd = [{"input_tokens": -1, "output_tokens": 1}, {"input_tokens": 1, "output_tokens": 1, "input_token_details": 5}]

    _, answers, _ = batch(run, *({**LINE, "usage": usage} for usage in odd), {**LINE, "usage": None})

    assert [answer["status"] for answer in answers] == ["invalid_usage", "invalid_usage", "usage_missing"]
    assert [answer["amount_usd"] for answer in answers] == [None, None, None]


def test_a_batch_answers_each_line_before_it_waits_for_the_next() -> None:
    command = [sys.executable, "-m", "costtrace", "price", "--batch"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in (1, 2):
            process.stdin.write(json.dumps({**LINE, "id": number}) + "\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["id"] == number
        process.stdin.close()
        assert process.wait(timeout=30) == 0


@pytest.mark.parametrize("identity", ['{"a":1.50,"b":[2.5,null,"x"]}', "[1.5,[]]", "1.50", "1E+400"])
def test_an_id_comes_back_as_it_was_written(run: Run, identity: str) -> None:
    line = json.dumps(LINE)[1:].replace('"id": 1,', f'"id":{identity},', 1)
    done = run("price", "--batch", stdin=b"{" + line.encode())
    assert done.stdout.startswith(f'{{"id":{identity},"amount_usd":"0.003125"')


def test_an_id_too_deep_to_write_spoils_only_its_own_line(run: Run) -> None:
    deep = b'{"id":' + b"[" * 900 + b"]" * 900 + b"}"
    code, answers, _ = batch(run, deep, LINE)
    assert (code, answers[0]["id"], "error" in answers[0], answers[1]["amount_usd"]) == (2, None, True, "0.003125")
