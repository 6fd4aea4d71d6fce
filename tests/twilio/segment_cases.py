"""Texts whose segments are easily counted wrong, with what Twilio's calculator says of each."""

from typing import Final

GSM = "GSM-7"
UCS = "UCS-2"

CASES: Final[dict[str, tuple[str, bool, str, int, int]]] = {
    # name: text, Smart Encoding, encoding, units, segments
    "nothing": ("", False, GSM, 0, 1),
    "one character": ("a", False, GSM, 1, 1),
    "a full segment": ("a" * 160, False, GSM, 160, 1),
    "one more than a segment": ("a" * 161, False, GSM, 161, 2),
    "two full segments": ("a" * 306, False, GSM, 306, 2),
    "one more than two": ("a" * 307, False, GSM, 307, 3),
    "ten full segments": ("a" * 1_530, False, GSM, 1_530, 10),
    "one more than ten": ("a" * 1_531, False, GSM, 1_531, 11),
    "the basic set's letters beyond ASCII": ("àèéìòùÄÅÆÇÉÑÖØÜßäåæñöøüΔΦΓΛΩΠΨΣΘΞ" * 4, False, GSM, 132, 1),
    "signs of the basic set": ("@£$¥¡¿¤§_" * 17, False, GSM, 153, 1),
    "line ends are one unit each": ("line\r\n" * 26, False, GSM, 156, 1),
    "extension characters fill a segment": ("€" * 80, False, GSM, 160, 1),
    "one more than that": ("€" * 81, False, GSM, 162, 2),
    "76 to a segment, since none is split": ("€" * 152, False, GSM, 304, 2),
    "so the 153rd needs a third": ("€" * 153, False, GSM, 306, 3),
    "every extension character": ("^{}\\[~]|€\f" * 8, False, GSM, 160, 1),
    "an extension character at the seam": ("a" * 152 + "€" + "a" * 152, False, GSM, 306, 3),
    "an extension character before the seam": ("a" * 151 + "€" + "a" * 153, False, GSM, 306, 2),
    "a backtick": ("a" * 69 + "`", False, UCS, 70, 1),
    "a backtick in 160 characters": ("a" * 159 + "`", False, UCS, 160, 3),
    "a backtick, replaced": ("a" * 159 + "`", True, GSM, 160, 1),
    "a typographic apostrophe": ("It\u2019s " * 14 + "now", False, UCS, 73, 2),
    "a typographic apostrophe, replaced": ("It\u2019s " * 14 + "now", True, GSM, 73, 1),
    "small c with cedilla, which only the capital has": ("ç" + "a" * 70, False, UCS, 71, 2),
    "a tab": ("\t" + "a" * 70, False, UCS, 71, 2),
    "a tab, replaced by seven spaces": ("\t" + "a" * 153, True, GSM, 160, 1),
    "a no-break space": ("\u00a0" + "a" * 70, False, UCS, 71, 2),
    "no-break spaces, each replaced by two": ("\u00a0" * 81, True, GSM, 162, 2),
    "an ellipsis, replaced by three dots": ("\u2026" * 54, True, GSM, 162, 2),
    "a zero-width space, left out": ("\u200b" + "a" * 160, True, GSM, 160, 1),
    "emoji take two units": ("😀" * 35, False, UCS, 70, 1),
    "one more emoji": ("😀" * 36, False, UCS, 72, 2),
    "an emoji is not split": ("a" * 66 + "😀" + "a" * 66, False, UCS, 134, 3),
    "an emoji before the seam": ("a" * 65 + "😀" + "a" * 67, False, UCS, 134, 2),
    "an emoji is not replaced": ("😀" + "a" * 69, True, UCS, 71, 2),
    "extension characters are one unit in UCS-2": ("€" * 69 + "`", False, UCS, 70, 1),
    "Chinese": ("汉" * 71, False, UCS, 71, 2),
    "a combining accent": ("e\u0301" * 35, False, UCS, 70, 1),
    "an escape character": ("\x1b" + "a" * 70, False, UCS, 71, 2),
    "full-width letters, replaced": ("\uff28\uff45llo \uff11\uff12".replace("\uff45", "e"), True, GSM, 8, 1),
}
