"""A message of very many calls, over several pages of one query."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.factories import MESSAGE, make_costs
from tests.ledger.dynamodb.conftest import Store


def test_five_thousand_calls_of_one_message_add_up_exactly(store: Store) -> None:
    """Ten dollars and something finer than a float could keep, over several pages."""
    ledger = store.ledger()
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda start: ledger.append(
                    make_costs("0.0020000000000000000001", number=number) for number in range(start, start + 625)
                ),
                range(0, 5000, 625),
            )
        )
    message = ledger.message(MESSAGE)
    assert len(message.entries) == 5000
    assert str(message.total.actual) == "10.0000000000000000005 USD"
    assert message.total.coverage == {"settled": 5000, "calculated": 0, "pending": 0, "unpriced": 0}
    assert ledger.totals()[()] == message.total
