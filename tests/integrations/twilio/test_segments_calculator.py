"""Twilio's own segment calculator, from npm, counts as we do."""

import json
import random
import subprocess
from typing import Any

from costtrace.twilio import segment
from costtrace.twilio.smart_encoding import smart_encoded
from tests.integrations.twilio.node import installed
from tests.twilio.segment_cases import CASES

_TEXTS = 3_000
_SCRIPT = """
const { SegmentedMessage } = require(process.argv[1]);
const asked = JSON.parse(require("fs").readFileSync(0, "utf8"));
const said = asked.map(([text, smart]) => {
  const message = new SegmentedMessage(text, "auto", smart);
  return [message.encodingName, message.segmentsCount];
});
process.stdout.write(JSON.stringify(said));
"""
_TABLE = """
process.stdout.write(JSON.stringify(require(process.argv[1] + "/dist/libs/SmartEncodingMap.js").default));
"""
_PIECES = ("a", "€", "`", "\u2019", "\u2026", "\u00a0", "\t", "ç", "😀", "汉", "\r\n", "[", "\x1b", "\x00", "Ω")
_LENGTHS = (1, 2, 3, 33, 65, 66, 67, 69, 70, 76, 80, 133, 134, 152, 153, 159, 160)


def _run(script: str, asked: object) -> Any:
    package = installed("sms-segments-calculator", "1.3.0")
    command = ["node", "-e", script, str(package)]
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, check=True, timeout=120)
    return json.loads(done.stdout)


def _ours(text: str, *, smart: bool) -> list[str | int]:
    found = segment(text, smart_encoding=smart)
    return [str(found.encoding), found.segments]


def _texts(seed: int) -> list[tuple[str, bool]]:
    chance = random.Random(seed)  # noqa: S311 - texts, not secrets
    return [
        (
            "".join(chance.choice(_PIECES) * chance.choice(_LENGTHS) for _ in range(chance.randint(0, 5))),
            chance.random() < 0.5,
        )
        for _ in range(_TEXTS)
    ]


def test_the_calculator_counts_every_tricky_text_alike() -> None:
    asked = [(text, smart) for text, smart, *_ in CASES.values()]
    assert dict(zip(CASES, _run(_SCRIPT, asked), strict=True)) == {
        name: _ours(text, smart=smart) for name, (text, smart, *_) in CASES.items()
    }


def test_the_calculator_counts_thousands_of_texts_alike() -> None:
    asked = _texts(seed=4)
    for (text, smart), theirs in zip(asked, _run(_SCRIPT, asked), strict=True):
        assert _ours(text, smart=smart) == theirs, repr(text)


def test_an_emoji_of_several_characters_may_make_the_calculator_count_more_never_less() -> None:
    family, flag = "👨‍👩‍👧‍👦", "🇩🇪"
    asked = [
        ("a" * before + emoji * times, False) for emoji in (family, flag) for before in (0, 60) for times in (1, 9, 30)
    ]
    for (text, _), (encoding, segments) in zip(asked, _run(_SCRIPT, asked), strict=True):
        ours = segment(text)
        assert str(ours.encoding) == encoding
        assert segments - 2 <= ours.segments <= segments


def test_smart_encoding_replaces_what_the_calculator_replaces() -> None:
    theirs = _run(_TABLE, None)
    assert {character: smart_encoded(character) for character in theirs} == theirs
    others = "".join(chr(point) for point in range(0x11000) if chr(point) not in theirs)
    assert smart_encoded(others) == others
