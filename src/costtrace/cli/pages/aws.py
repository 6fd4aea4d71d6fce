"""What stands in DynamoDB after the demo, as a page and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from costtrace.cli.page import NOTHING, Block, Cell, Column, Facts, Grid, Note, Section
from costtrace.money import EXACT, ZERO, amount_text
from costtrace.view.amounts import lined_up

if TYPE_CHECKING:
    from costtrace.sandbox.aws_demo import Row, Standing

_ROWS: Final = (
    Column("sk"),
    Column("status"),
    Column("cost USD", right=True, whole=True),
    Column("bytes", right=True),
)


def dynamodb_blocks(standing: Standing) -> list[Block]:
    """The reply in both tables, and what writing such messages costs."""
    return [
        Section("What stands in DynamoDB"),
        Note("chat-messages, as whoever knows that table reads it:"),
        Facts([(name, Cell(text)) for name, text in _facts(standing)]),
        Note("costtrace-ledger, one row for each thing that happened, written once:"),
        _ledger(standing.rows),
        Facts(_units(standing)),
    ]


def dynamodb_record(standing: Standing) -> dict[str, Any]:
    """The same as JSON objects, numbers as text."""
    spent = standing.spent
    return {
        "chat_messages": {**_plain(standing.item), "content_characters": standing.characters},
        "ledger": [
            {
                "sk": row.key,
                "kind": row.entry.kind,
                "status": row.entry.status,
                "cost": None if row.entry.cost is None else amount_text(row.entry.cost.amount),
                "bytes": row.size,
            }
            for row in standing.rows
        ],
        "write_units": {
            "messages": spent.messages,
            "ledger": amount_text(spent.ledger),
            "chat_messages": amount_text(spent.chat),
            "per_message": amount_text(spent.per_message),
            "usd_per_million_messages": amount_text(standing.usd_per_million_messages),
        },
    }


def _facts(standing: Standing) -> Iterator[tuple[str, str]]:
    for name in sorted(standing.item.keys() - {"costs"}, key=_place):
        yield name, str(standing.item[name])
    yield "content", f"{standing.characters} characters"
    for part, fields in standing.item.get("costs", {}).items():
        for name, value in fields.items():
            yield f"costs.{part}.{name}", amount_text(value) if isinstance(value, Decimal) else str(value)


def _place(name: str) -> tuple[int, str]:
    """The keys first."""
    keys = ("threadId", "timestamp", "messageId")
    return (keys.index(name) if name in keys else len(keys)), name


def _ledger(rows: tuple[Row, ...]) -> Grid:
    amounts = [ZERO if row.entry.cost is None else row.entry.cost.amount for row in rows]
    total = ZERO
    for amount in amounts:
        total = EXACT.add(total, amount)
    *texts, sum_text = lined_up([*amounts, total])
    cells = [
        [Cell(row.key), Cell(row.entry.status), NOTHING if row.entry.cost is None else Cell(text), Cell(str(row.size))]
        for row, text in zip(rows, texts, strict=True)
    ]
    return Grid(_ROWS, cells, [Cell("total", "strong"), Cell(""), Cell(sum_text), Cell("")])


def _units(standing: Standing) -> list[tuple[str, Cell]]:
    spent = standing.spent
    counted = f"{amount_text(spent.ledger)} in the ledger, {amount_text(spent.chat)} in chat-messages"
    price = f"at {amount_text(standing.usd_per_million_units)} USD for a million write units (on demand, us-east-1)"
    return [
        ("write units", Cell(f"{amount_text(spent.per_message)} for a message: {spent.messages} SMS took {counted}")),
        ("a million of them", Cell(f"{amount_text(standing.usd_per_million_messages)} USD, {price}")),
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return amount_text(value) if isinstance(value, Decimal) else value
