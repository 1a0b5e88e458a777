"""Any text made fit to be shown: nothing in it is invisible, and it turns nothing around it.

The sets are written out: those of `unicodedata` differ from one Python to the next, and a document
is the same bytes on all of them.
"""

import re

_ISOLATED, _END = "\u2068", "\u2069"
_UNSEEN = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f\u00ad"
    # Fillers and joiners that take no room; ZWNJ and ZWJ are part of words and stay.
    "\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f"
    # Line ends, directions and their isolates, which would turn what stands behind them.
    "\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb"
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "]"
)
_MARK = "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
# More of them on one letter grow over the lines above and below.
_MARKS_MAX = 4
_PILE = re.compile(f"({_MARK}{{{_MARKS_MAX}}})({_MARK}+)")


def code_point(character: str) -> str:
    """What stands for a character that cannot be shown: `[U+202E]`."""
    return f"[U+{ord(character):04X}]"


def shown(text: str) -> str:
    """A text from outside, with what is unseen in it as its code point.

    One that may run from right to left is isolated: it takes the direction of its own first
    letter, and what stands beside it keeps its place.
    """
    if text.isascii() and text.isprintable():
        return text
    text = _UNSEEN.sub(lambda found: code_point(found[0]), text)
    text = _PILE.sub(lambda found: found[1] + "".join(map(code_point, found[2])), text)
    return text if text.isascii() else f"{_ISOLATED}{text}{_END}"
