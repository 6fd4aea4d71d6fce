"""``costtrace prices``: which price lists are in use; and ``costtrace prices update``."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from costtrace.pricing.genai import GenaiPrices
from costtrace.pricing.rate_file import RateFile
from costtrace.pricing.updates import PUBLISHED, read_price_file
from tests.cli.conftest import OnTerminal, Process, Run
from tests.pricing.test_updates import Site, data, model, table

RATES = '[[rate]]\nprovider = "openai"\nmodel = "my-model"\ninput = 1\n'


def write_prices(path: Path) -> Path:
    path.write_bytes(data(table()))
    return path


def test_the_lists_in_use_are_shown_with_version_and_hash(run: Run, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(RATES)

    done = run("prices", "--rates", "own.toml")

    assert done.exit_code == 0
    title, head, own, overlay, bundled, note = done.stdout.splitlines()
    assert title == "Price lists, the one that decides first on top"
    assert head.split() == ["list", "version", "sha256", "holds", "newest"]
    own_rates, rows, prices = RateFile.own("own.toml"), RateFile.overlay(), GenaiPrices()
    assert own.split()[:5] == ["own.toml", own_rates.version, own_rates.data_hash, "1", "rows"]
    assert overlay.split()[:5] == ["overlay", rows.version, rows.data_hash, str(rows.rows), "rows"]
    assert bundled.split()[:5] == ["genai-prices", prices.version, prices.data_hash, str(prices.models), "models"]
    assert note == "A newer table: `costtrace prices update --to FILE`."


def test_the_lists_as_json(run: Run) -> None:
    done = run("prices", "--json")

    lists = json.loads(done.stdout)["lists"]
    assert [each["name"] for each in lists] == ["overlay", "genai-prices"]
    latest = GenaiPrices().latest_change(datetime.now(UTC).date())
    assert latest is not None
    assert lists[1]["newest"] == latest.isoformat()
    assert lists[1]["age_days"] == (datetime.now(UTC).date() - latest).days


def test_a_price_file_stands_in_for_the_bundled_table(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_prices(tmp_path / "prices.json")
    monkeypatch.setenv("COSTTRACE_PRICES", str(file))
    _, data_hash, version = read_price_file(file)

    done = run("prices", "--json")

    assert {key: json.loads(done.stdout)["lists"][1][key] for key in ("version", "data_hash", "holds")} == {
        "version": version,
        "data_hash": data_hash,
        "holds": "3 models",
    }


def test_a_quote_names_the_price_file(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_prices(tmp_path / "prices.json")
    monkeypatch.setenv("COSTTRACE_PRICES", str(file))

    done = run(
        "price",
        *("--provider", "openai", "--model", "gpt-x", "--json", "--usage"),
        '{"input_tokens": 1000, "output_tokens": 0, "total_tokens": 1000}',
    )

    quote = json.loads(done.stdout)
    assert quote["amount_usd"] == "0.001"
    assert quote["basis"]["data_hash"] == read_price_file(file)[1]


def test_a_price_file_that_is_wrong_is_one_sentence(run: Run, tmp_path: Path) -> None:
    (tmp_path / "prices.json").write_text("[]")

    done = run("prices", "--prices", "prices.json")

    assert done.exit_code == 2
    assert done.stderr == (
        "costtrace: price data of 'prices.json' has no models of anthropic, google, openai; it is not the whole table\n"
    )


def test_an_update_writes_the_file_and_says_how_to_use_it(run: Run, tmp_path: Path) -> None:
    with Site() as site:
        done = run("prices", "update", "--from", site.address, "--to", "prices.json")

        assert done.exit_code == 0
        assert done.stdout.splitlines() == [
            "Price table",
            "  file    prices.json",
            f"  from    {site.address}",
            f"  sha256  {read_price_file('prices.json')[1]}",
            "  holds   3 models of 3 providers",
            "  state   changed",
            "To use it: COSTTRACE_PRICES=prices.json",
        ]
    assert (tmp_path / "prices.json").read_bytes() == data(table())


def test_an_update_goes_to_the_file_in_use(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSTTRACE_PRICES", str(write_prices(tmp_path / "prices.json")))
    (tmp_path / "new.json").write_bytes(data(table(openai=model("gpt-new"))))

    first = run("prices", "update", "--from", "new.json", "--json")
    second = run("prices", "update", "--from", "new.json")

    assert json.loads(first.stdout)["changed"] is True
    assert json.loads(first.stdout)["in_use"] is True
    assert "the same data as before" in second.stdout
    assert "`costtrace reprice --since DATE` corrects earlier ones" in second.stdout
    assert "gpt-new" in (tmp_path / "prices.json").read_text()


def test_an_update_that_fails_leaves_the_file_and_says_why(run: Run, tmp_path: Path) -> None:
    before = write_prices(tmp_path / "prices.json").read_bytes()
    (tmp_path / "half.json").write_bytes(before[:100])

    done = run("prices", "update", "--from", "half.json", "--to", "prices.json")

    assert done.exit_code == 2
    assert done.stderr.startswith("costtrace: price data of 'half.json' is not JSON: ")
    assert (tmp_path / "prices.json").read_bytes() == before


def test_an_update_to_nowhere_is_refused(run: Run) -> None:
    done = run("prices", "update")

    assert done.exit_code == 2
    assert done.stderr == "costtrace: no file to put the prices into: name one with --to or COSTTRACE_PRICES\n"


def test_an_address_without_encryption_is_refused(run: Run) -> None:
    done = run("prices", "update", "--from", "http://prices.example.com/data.json", "--to", "prices.json")

    assert done.exit_code == 2
    assert "name an https address or a file" in done.stderr


def test_a_secret_in_the_address_is_not_shown(run: Run) -> None:
    done = run("prices", "update", "--from", "http://me:hunter2@prices.example.com/x", "--to", "prices.json")

    assert "hunter2" not in done.stderr


def test_piped_an_update_is_silent_but_for_its_result(process: Process) -> None:
    with Site() as site:
        done = process("prices", "update", "--from", site.address, "--to", "prices.json")

    assert (done.returncode, done.stderr) == (0, "")


def test_on_a_terminal_the_lists_fit_its_width(on_terminal: OnTerminal) -> None:
    shown = on_terminal("prices", columns=100)

    assert GenaiPrices().data_hash in shown.text
    assert all(len(line) <= 100 for line in shown.text.splitlines())


def test_the_help_says_where_the_prices_come_from(run: Run) -> None:
    assert "genai-prices publishes" in " ".join(run("prices", "update", "--help").stdout.split())
    assert PUBLISHED.startswith("https://")


def test_the_doctor_says_how_old_a_price_file_is(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_prices(tmp_path / "prices.json")
    written = (datetime.now(UTC) - timedelta(days=31)).timestamp()
    os.utime(file, (written, written))
    monkeypatch.setenv("COSTTRACE_PRICES", str(file))

    done = run("doctor", "--json")

    [check] = [check for check in json.loads(done.stdout)["checks"] if check["name"] == "prices"]
    assert check["state"] == "warn"
    assert f"file of {datetime.fromtimestamp(written, UTC):%Y-%m-%d}" in check["found"]
    assert check["advice"] == "`costtrace prices update`, then `costtrace reprice --since DATE`"


def test_the_doctor_fails_a_price_file_that_cannot_be_used(run: Run) -> None:
    done = run("doctor", "--json", "--prices", "none.json")

    assert done.exit_code == 1
    [check] = [check for check in json.loads(done.stdout)["checks"] if check["name"] == "prices"]
    assert check == {
        "name": "prices",
        "state": "fail",
        "found": "price file 'none.json' cannot be read: No such file or directory",
        "advice": "`costtrace prices update` writes it anew; or unset COSTTRACE_PRICES",
    }
