"""Foreign text made safe for a terminal and for the log of a CI. Pure.

Names, labels, comments and errors come from customers and servers. Raw control characters move a
terminal's cursor, bidirectional ones show a text in another order, invisible ones hide in it; and a
line that begins with `::` is a command to GitHub, as `##[...]` and `##vso[...]` are to GitHub and
Azure. Such characters are written as escapes that can be read; ordinary Unicode stays.
"""

from __future__ import annotations

import re
from typing import Final

UNSEEN_CLASS: Final = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters, but for tab and newline
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidirectional
    r"\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200d\u2060-\u2065\u206a-\u206f"
    r"\u3164\ufeff\uffa0\ufff0-\ufffb\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    r"\U0001d173-\U0001d17a\U000e0000-\U000e0fff"  # invisible, of no width or meant for programs
    r"\u2028\u2029"  # they end a line
    r"\ud800-\udfff"  # no characters at all
)
UNSEEN: Final = re.compile(rf"(?!\r\n)[{UNSEEN_CLASS}]")
IN_A_LINE: Final = re.compile(rf"[\t\n{UNSEEN_CLASS}]")
COMMAND: Final = re.compile(r"^([^\S\n]*):(?=:)", re.MULTILINE)
MARKED_COMMAND: Final = re.compile(r"#(?=#[\w.-]*\[)")
SHORT: Final = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}


def one_line(text: str) -> str:
    """Return a text on one line, with what is not seen written as an escape."""
    return _no_command(IN_A_LINE.sub(_escape, text))


def lines(text: str) -> str:
    """Do the same with a text of several lines: tabs and the ends of its lines stay."""
    return _no_command(UNSEEN.sub(_escape, text))


def is_safe(text: str) -> bool:
    """True when `lines` has nothing to change."""
    return lines(text) == text


def escaped_json(text: str) -> str:
    """Escape in a JSON document what JSON itself leaves raw; it stays the same data."""
    text = MARKED_COMMAND.sub(r"\\u0023", text)
    return UNSEEN.sub(lambda found: _utf16(found[0]), text)


def _no_command(text: str) -> str:
    """Take from lines what makes them commands of a CI (the runners look behind blanks too)."""
    return MARKED_COMMAND.sub(r"\\x23", COMMAND.sub(r"\1\\x3a", text))


def _escape(found: re.Match[str]) -> str:
    char = found[0]
    number = ord(char)
    if number > 0xFFFF:
        return f"\\U{number:08x}"
    return SHORT.get(char) or (f"\\x{number:02x}" if number <= 0xFF else f"\\u{number:04x}")


def _utf16(char: str) -> str:
    raw = char.encode("utf-16-be", "surrogatepass")
    units = (raw[at : at + 2] for at in range(0, len(raw), 2))
    return "".join(f"\\u{int.from_bytes(unit):04x}" for unit in units)
