"""Items: the events of one thing folded into one row, whatever was delivered twice, late or in another order.

Both kinds have the same columns, so that they can stand in one list:

``message_uuid, conversation_id, channel, user, who``
    whose it is; ``user`` is PostHog's person, which merges the ids that one human was seen with, ``who`` one of those:
    of several, never the one that stands for nobody
``kind``
    ``ai``, ``tool``, ``inbound`` or ``outbound``
``ts``
    when it happened, by the earliest copy
``pico``, ``native``, ``currency``
    US dollars, and the amount in its own currency, each in 1e-12; null where not known. A credit is below zero
``made``, ``awaited``, ``unknown``
    how it counts as a call, as pending and as unpriced; a correction is no call and moves the count of what it corrects
``elsewhere``
    1 where a cost is known that ``pico`` does not hold: in another currency, or beyond what one number can hold

``{environment}`` and ``{when}`` are the places of conditions. Only ``properties.x`` is used, whatever PostHog stores.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from costtrace.exporters.posthog.contract import (
    AI_EMBEDDING,
    AI_GENERATION,
    SMS_COST_UPDATE,
    SMS_INBOUND,
    SMS_OUTBOUND,
    TOOL_COST,
)


def quoted(names: Iterable[str]) -> str:
    """The names as a list of HogQL texts."""
    return ", ".join(f"'{name}'" for name in names)


_WHOSE: Final = """\
argMin(person_id, tuple(startsWith(distinct_id, 'message:'), distinct_id)) AS user,
         argMin(distinct_id, tuple(startsWith(distinct_id, 'message:'), distinct_id)) AS who"""
"""Whose user was not known when the first event was made may be known in a later one; the same one each time."""


def _of_one_uuid(events: Iterable[str]) -> str:
    return f"""\
  SELECT any(properties.message_uuid) AS message_uuid, any(properties.conversation_id) AS conversation_id,
         any(properties.channel) AS channel, {_WHOSE},
         if(any(event) = '{TOOL_COST}', 'tool', 'ai') AS kind, min(timestamp) AS ts,
         any(toInt(properties.cost_picousd)) AS pico, any(toInt(properties.cost_native_pico)) AS native,
         any(properties.price_unit) AS currency,
         any(toInt(properties.calls)) AS made, any(toInt(properties.pending)) AS awaited,
         any(toInt(properties.unpriced)) AS unknown,
         any(if(isNull(toInt(properties.cost_picousd))
           AND (isNotNull(properties.cost_usd_exact) OR isNotNull(properties.cost_native_exact)), 1, 0)) AS elsewhere
  FROM events
  WHERE event IN ({quoted(events)}) AND {{environment}} AND {{when}}
  GROUP BY uuid"""  # noqa: S608 - made of our own words


_SMS_EVENTS: Final = f"""\
    SELECT any(properties.message_uuid) AS message_uuid, any(properties.conversation_id) AS conversation_id,
           any(properties.channel) AS channel, {_WHOSE},
           coalesce(any(properties.direction), 'outbound') AS kind, min(timestamp) AS ts,
           argMaxIf(
             tuple(toInt(properties.cost_picousd), toInt(properties.cost_native_pico), properties.price_unit,
                   if(isNotNull(properties.cost_usd_exact) OR isNotNull(properties.cost_native_exact), 1, 0),
                   if(properties.status = 'unavailable', 1, 0)),
             toInt(properties.price_version), event = '{SMS_COST_UPDATE}'
           ) AS newest
    FROM events
    WHERE event IN ({quoted((SMS_INBOUND, SMS_OUTBOUND, SMS_COST_UPDATE))}) AND {{environment}} AND {{when}}
    GROUP BY coalesce(properties.send_id, properties.twilio_sid, toString(uuid))"""  # noqa: S608 - made of our own words
"""The values of the newest price stand together in a tuple: a bare null among them would let an older price win.

An SMS that we sent goes by our name for the attempt, because it may have been given up before its MessageSid was known.
"""

AI_ITEMS: Final = _of_one_uuid((AI_GENERATION, AI_EMBEDDING))
SMS_ITEMS: Final = f"""\
  SELECT message_uuid, conversation_id, channel, user, who, kind, ts,
         tupleElement(newest, 1) AS pico, tupleElement(newest, 2) AS native, tupleElement(newest, 3) AS currency,
         0 AS made,
         if(tupleElement(newest, 4) = 0 AND tupleElement(newest, 5) = 0, 1, 0) AS awaited,
         if(tupleElement(newest, 4) = 0 AND tupleElement(newest, 5) = 1, 1, 0) AS unknown,
         if(tupleElement(newest, 4) = 1 AND isNull(tupleElement(newest, 1)), 1, 0) AS elsewhere
  FROM (
{_SMS_EVENTS}
  )"""  # noqa: S608 - made of our own words
ALL_ITEMS: Final = f"{_of_one_uuid((AI_GENERATION, AI_EMBEDDING, TOOL_COST))}\n  UNION ALL\n{SMS_ITEMS}"
