"""DeepSeek: flat until August 2026, then by the hour, then weekends, a new model under old names, then holidays.

The windows are 09:00-12:00 and 14:00-18:00 in Beijing, 01:00-04:00 and 06:00-10:00 UTC; a window's end is off-peak.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from tests.pricing.cases.case import Case, mtok, tokens, utc

PRICING: Final = "https://api-docs.deepseek.com/quick_start/pricing"
AUGUST: Final = "https://api-docs.deepseek.com/news/news260813"
SEPTEMBER: Final = "https://api-docs.deepseek.com/news/news260910"

deepseek = partial(Case, provider="deepseek")

USAGE: Final = tokens(1000, 500, of_input={"cache_read": 400})

PRO_FLAT: Final = mtok("0.435", 600) + mtok("0.003625", 400) + mtok("0.87", 500)
PRO_OFF_PEAK: Final = mtok("0.66", 600) + mtok("0.022", 400) + mtok("1.98", 500)
PRO_PEAK: Final = mtok("1.32", 600) + mtok("0.044", 400) + mtok("3.96", 500)

V4_FLASH_FLAT: Final = mtok("0.14", 600) + mtok("0.0028", 400) + mtok("0.28", 500)
V4_FLASH_OFF_PEAK: Final = mtok("0.22", 600) + mtok("0.007", 400) + mtok("0.66", 500)
V4_FLASH_PEAK: Final = mtok("0.44", 600) + mtok("0.014", 400) + mtok("1.32", 500)

FLASH_OFF_PEAK: Final = mtok("0.15", 600) + mtok("0.003", 400) + mtok("0.6", 500)
FLASH_PEAK: Final = mtok("0.3", 600) + mtok("0.006", 400) + mtok("1.2", 500)

CHANGES: Final = [
    deepseek(
        "pro, the last second of the flat price",
        "deepseek-v4-pro",
        USAGE,
        PRO_FLAT,
        source=AUGUST,
        at=utc("2026-08-16 15:59:59"),
    ),
    deepseek(
        "pro, the first second by the hour",
        "deepseek-v4-pro",
        USAGE,
        PRO_OFF_PEAK,
        source=AUGUST,
        at=utc("2026-08-16 16:00"),
    ),
    deepseek(
        "pro, an hour that would be peak was flat before",
        "deepseek-v4-pro",
        USAGE,
        PRO_FLAT,
        source=AUGUST,
        at=utc("2026-08-13 02:00"),
    ),
    deepseek(
        "flash, the last second of the flat price",
        "deepseek-v4-flash",
        USAGE,
        V4_FLASH_FLAT,
        source=AUGUST,
        at=utc("2026-08-16 15:59:59"),
    ),
    deepseek(
        "flash, the first second by the hour",
        "deepseek-v4-flash",
        USAGE,
        V4_FLASH_OFF_PEAK,
        source=AUGUST,
        at=utc("2026-08-16 16:00"),
    ),
    deepseek(
        "flash, the first peak hour",
        "deepseek-v4-flash",
        USAGE,
        V4_FLASH_PEAK,
        source=AUGUST,
        at=utc("2026-08-17 01:00"),
    ),
    deepseek(
        "flash, a peak second before V4.1 took over its name",
        "deepseek-v4-flash",
        USAGE,
        V4_FLASH_PEAK,
        source=SEPTEMBER,
        at=utc("2026-09-10 03:59:59"),
    ),
    deepseek(
        "flash, the first second of V4.1",
        "deepseek-v4-flash",
        USAGE,
        FLASH_OFF_PEAK,
        source=SEPTEMBER,
        at=utc("2026-09-10 04:00"),
    ),
    deepseek(
        "flash, the first peak hour of V4.1",
        "deepseek-v4-flash",
        USAGE,
        FLASH_PEAK,
        source=SEPTEMBER,
        at=utc("2026-09-10 06:00"),
    ),
    deepseek(
        "pro keeps its price: sending it to Flash was announced and withdrawn",
        "deepseek-v4-pro",
        USAGE,
        PRO_OFF_PEAK,
        source=PRICING,
        at=utc("2026-09-15 12:00"),
    ),
]

WEEKENDS: Final = [
    deepseek(
        "a Saturday morning before weekends were off-peak",
        "deepseek-v4-pro",
        USAGE,
        PRO_PEAK,
        source=PRICING,
        at=utc("2026-08-22 02:00"),
    ),
    deepseek(
        "the first Sunday that was off-peak",
        "deepseek-v4-pro",
        USAGE,
        PRO_OFF_PEAK,
        source=PRICING,
        at=utc("2026-08-23 02:00"),
    ),
    deepseek(
        "the Monday after it",
        "deepseek-v4-pro",
        USAGE,
        PRO_PEAK,
        source=PRICING,
        at=utc("2026-08-24 02:00"),
    ),
    deepseek(
        "a Friday afternoon in Beijing",
        "deepseek-flash",
        USAGE,
        FLASH_PEAK,
        source=PRICING,
        at=utc("2026-11-20 09:59:59"),
    ),
    deepseek(
        "a Saturday morning in Beijing",
        "deepseek-flash",
        USAGE,
        FLASH_OFF_PEAK,
        source=PRICING,
        at=utc("2026-11-21 02:00"),
    ),
    deepseek(
        "a Sunday afternoon in Beijing",
        "deepseek-v4-pro",
        USAGE,
        PRO_OFF_PEAK,
        source=PRICING,
        at=utc("2026-11-22 07:00"),
    ),
    deepseek(
        "Sunday in UTC, early Monday in Beijing",
        "deepseek-v4-pro",
        USAGE,
        PRO_OFF_PEAK,
        source=PRICING,
        at=utc("2026-11-22 23:30"),
    ),
]

HOURS: Final = [
    deepseek(
        "a second before the morning peak",
        "deepseek-v4-pro",
        USAGE,
        PRO_OFF_PEAK,
        source=PRICING,
        at=utc("2026-11-02 00:59:59"),
    ),
    deepseek("the morning peak begins", "deepseek-v4-pro", USAGE, PRO_PEAK, source=PRICING, at=utc("2026-11-02 01:00")),
    deepseek(
        "the last second of the morning peak",
        "deepseek-v4-pro",
        USAGE,
        PRO_PEAK,
        source=PRICING,
        at=utc("2026-11-02 03:59:59"),
    ),
    deepseek("noon in Beijing", "deepseek-v4-pro", USAGE, PRO_OFF_PEAK, source=PRICING, at=utc("2026-11-02 04:00")),
    deepseek(
        "the afternoon peak begins",
        "deepseek-flash",
        USAGE,
        FLASH_PEAK,
        source=PRICING,
        at=utc("2026-11-02 06:00"),
    ),
    deepseek(
        "the afternoon peak is over",
        "deepseek-flash",
        USAGE,
        FLASH_OFF_PEAK,
        source=PRICING,
        at=utc("2026-11-02 10:00"),
    ),
    deepseek(
        "the old name is billed at Flash's price",
        "deepseek-v4-flash",
        USAGE,
        FLASH_PEAK,
        source=PRICING,
        at=utc("2026-11-02 06:30"),
    ),
]

HOLIDAYS: Final = [
    deepseek(
        "the Mid-Autumn Festival, a Friday",
        "deepseek-v4-pro",
        USAGE,
        PRO_OFF_PEAK,
        source=PRICING,
        at=utc("2026-09-25 02:00"),
    ),
    deepseek(
        "National Day, a Thursday",
        "deepseek-flash",
        USAGE,
        FLASH_OFF_PEAK,
        source=PRICING,
        at=utc("2026-10-01 02:00"),
    ),
    deepseek(
        "the last day of the National Day holiday",
        "deepseek-flash",
        USAGE,
        FLASH_OFF_PEAK,
        source=PRICING,
        at=utc("2026-10-07 09:00"),
    ),
    deepseek(
        "the day after the holiday",
        "deepseek-flash",
        USAGE,
        FLASH_PEAK,
        source=PRICING,
        at=utc("2026-10-08 02:00"),
    ),
    deepseek(
        "a Saturday that is worked to make up for the holiday",
        "deepseek-flash",
        USAGE,
        FLASH_OFF_PEAK,
        source=PRICING,
        at=utc("2026-10-10 02:00"),
    ),
]

RETIRED: Final = [
    deepseek(
        "deepseek-chat as last published before V4",
        "deepseek-chat",
        USAGE,
        mtok("0.28", 600) + mtok("0.028", 400) + mtok("0.42", 500),
        source="https://api-docs.deepseek.com/news/news250929",
        at=utc("2026-01-20 12:00"),
    ),
    deepseek(
        "deepseek-reasoner as last published before V4",
        "deepseek-reasoner",
        USAGE,
        mtok("0.28", 600) + mtok("0.028", 400) + mtok("0.42", 500),
        source="https://api-docs.deepseek.com/news/news250929",
        at=utc("2026-01-20 12:00"),
    ),
]

CASES: Final = [*CHANGES, *WEEKENDS, *HOURS, *HOLIDAYS, *RETIRED]
