"""SQL for people and for psql: written without characters that are not seen, with the same meaning.

A terminal obeys what stands in a literal or a name too. PostgreSQL has escapes for them: U&'...',
U&"..." and E'...' (PostgreSQL docs, 4.1.2). What runs it needs `standard_conforming_strings`, on
by default.
"""

from __future__ import annotations

import re
from typing import Final

from tenantmig.domain.safe_text import COMMAND, MARKED_COMMAND, UNSEEN, is_safe, lines
from tenantmig.postgres.parsing import UnreadableError, tokens

DOLLAR: Final = re.compile(r"\$[^$]*\$")
ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
WARNING: Final = "-- Not to be run: characters that are not seen are written as escapes here.\n"


def safe_sql(text: str) -> str:
    """Return SQL that means the same and holds nothing that a terminal or a CI obeys.

    What cannot be read is shown with escapes, under a comment that says so.
    """
    if is_safe(text):
        return text
    try:
        written = _written(text)
    except (UnreadableError, UnicodeEncodeError):
        return WARNING + lines(text)
    return written if is_safe(written) else WARNING + lines(text)


def _written(text: str) -> str:
    raw, kept, end = text.encode(), "", 0
    for token in tokens(text):
        gap = raw[end : token.start].decode().replace("\r\n", "\n")
        kept += re.sub(r"[\r\f\v]", " ", gap)
        word = raw[token.start : token.end].decode()
        is_first = not kept.rpartition("\n")[2].strip()
        kept += "/**/" if is_first and word.startswith("::") else ""
        kept += _word(word)
        end = token.end
    return kept + raw[end:].decode()


def _word(word: str) -> str:
    """Write one token; only a comment may change."""
    if is_safe("." + word):
        return word
    if word.startswith(("--", "/*")):
        return lines("." + word)[1:]
    if word[:2].lower() == "u&":
        return word[:3] + _escaped(word[3:-1]) + word[-1]
    if word[:2].lower() == "e'":
        return _inline(word)
    if dollar := DOLLAR.match(word):
        body = word[dollar.end() : -len(dollar[0])]
        return _unicode("'", body)
    if word[0] in "'\"":
        pieces = word[1:-1].split(word[0] * 2)
        if any(word[0] in piece for piece in pieces):
            raise UnreadableError("a literal continues on another line")
        return _unicode(word[0], word[0].join(pieces))
    folded = "".join(char.lower() if char.isascii() else char for char in word)
    return _unicode('"', folded)


def _unicode(quote: str, body: str) -> str:
    return (
        f"U&{quote}{_escaped(body.replace(chr(92), chr(92) * 2).replace(quote, quote * 2))}{quote}"
    )


def _escaped(body: str) -> str:
    body = UNSEEN.sub(lambda found: _number(found[0]), body)
    body = COMMAND.sub(r"\1\\003a", "." + body)[1:]
    return MARKED_COMMAND.sub(r"\\0023", body)


def _number(char: str) -> str:
    number = ord(char)
    return f"\\{number:04x}" if number <= 0xFFFF else f"\\+{number:06x}"


def _inline(word: str) -> str:
    """Write what is not seen in an E'...' as an escape of its own."""
    word = ESCAPED.sub(lambda found: found[1] if UNSEEN.match(found[1]) else found[0], word)
    word = UNSEEN.sub(lambda found: f"\\U{ord(found[0]):08x}", word)
    word = COMMAND.sub(r"\1\\x3a", "." + word)[1:]
    return MARKED_COMMAND.sub(r"\\x23", word)
