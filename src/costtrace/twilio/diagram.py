"""Draws a state machine from its table, for the documentation."""

from __future__ import annotations

from collections.abc import Iterable

from costtrace.twilio import cost_states, delivery


def mermaid(arrows: Iterable[tuple[str, str, str]]) -> str:
    """A Mermaid state diagram of those arrows (from, to, label); an empty `from` is the beginning."""
    lines = [f"    {before or '[*]'} --> {after}" + (f" : {label}" if label else "") for before, after, label in arrows]
    return "\n".join(["stateDiagram-v2", *lines])


def diagrams() -> dict[str, str]:
    """Both machines of an SMS, by name."""
    return {"delivery": mermaid(delivery.arrows()), "cost": mermaid(cost_states.arrows())}


if __name__ == "__main__":
    for name, text in diagrams().items():
        print(f"{name}\n{text}\n")  # noqa: T201 - what it is started for
