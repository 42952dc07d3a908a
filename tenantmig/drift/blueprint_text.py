"""The text of a blueprint: what the statements of two finished schemas have in common. Pure.

PostgreSQL's own scanner tells words apart. Where two words differ, each must be the name of its own
schema: as an identifier, in the text of a reference (`'acme.ids'::regclass`) or in a search path. A
literal or a body that holds the name was written by a script; it fits plain names only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from tenantmig.engines.template import GAP, PLAIN, QUALIFIED, SCHEMA, NotReplayable
from tenantmig.postgres.parsing import tokens

REFERENCE = re.compile(r"reg(class|proc|procedure|oper|operator|type|config|dictionary|collation)")
WORD = re.compile(r"\w+|\W")
SHOWN = 60
_Token = tuple[int, int, str]


@dataclass(slots=True)
class CommonText:
    """Compares the statements of two schemas and puts gaps where their names stand."""

    first: str
    second: str
    is_written: bool = field(default=False, init=False)
    """A literal or a body holds the name of the schema."""

    def of(self, statement: str, other: str) -> str:
        """Return the statement with its gaps.

        Raises:
            NotReplayable: the statements differ by more than the names of their schemas.
        """
        if statement == other and self.first not in statement:
            return statement
        words, others = _tokens(statement), _tokens(other)
        if len(words) != len(others):
            raise _differs(statement, other)
        raw, end, found = statement.encode(), 0, b""
        for place, (start, stop, word) in enumerate(words):
            if word == others[place][2]:
                continue
            gap = self._gap(words, place, others[place][2])
            if gap is None:
                raise _differs(word, others[place][2])
            found += raw[end:start] + gap.encode()
            end = stop
        return (found + raw[end:]).decode()

    def _gap(self, words: Sequence[_Token], place: int, other: str) -> str | None:
        word = words[place][2]
        if (_name(word), _name(other)) == (self.first, self.second):
            return GAP
        if word[:1] == "'" and other[:1] == "'":
            rest = _rest(word, self.first)
            if rest and rest == _rest(other, self.second) and _is_reference(words, place):
                return f"'{QUALIFIED}{rest}'"
            if (word[1:-1], other[1:-1]) == self._literals and _is_search_path(words, place):
                return SCHEMA
        if word[:1] in {"'", "$", "E", "e"} and word[:1] == other[:1]:
            return self._inside(word, other)
        return None

    @property
    def _literals(self) -> tuple[str, str]:
        return self.first.replace("'", "''"), self.second.replace("'", "''")

    def _inside(self, word: str, other: str) -> str | None:
        """Put gaps into a literal, word by word."""
        parts, others = WORD.findall(word), WORD.findall(other)
        if len(parts) != len(others):
            return None
        for place, (part, with_) in enumerate(zip(parts, others, strict=True)):
            if part != with_:
                if (part, with_) != (self.first, self.second):
                    return None
                parts[place] = PLAIN
        self.is_written = True
        return "".join(parts)


def _tokens(statement: str) -> list[_Token]:
    raw = statement.encode()
    return [(t.start, t.end, raw[t.start : t.end].decode()) for t in tokens(statement)]


def _name(word: str) -> str | None:
    if word[:1] == '"':
        return word[1:-1].replace('""', '"')
    return word.lower() if word[:1].isalpha() or word[:1] == "_" else None


def _rest(literal: str, schema: str) -> str | None:
    """What follows the schema's name in the text of a reference, with the dot."""
    text = literal[1:-1]
    quoted = '"' + schema.replace('"', '""').replace("'", "''") + '"'
    for name in (quoted, schema):
        if text.startswith(f"{name}."):
            return text[len(name) :]
    return None


def _is_reference(words: Sequence[_Token], place: int) -> bool:
    """True for a literal that the server reads as the name of an object."""
    after = [word.lower() for _, _, word in words[place + 1 : place + 3]]
    if len(after) == 2 and after[0] == "::" and REFERENCE.fullmatch(after[1]):
        return True
    before = [word.lower() for _, _, word in words[max(0, place - 2) : place]]
    return before == ["setval", "("]


def _is_search_path(words: Sequence[_Token], place: int) -> bool:
    """True for a literal in `SET search_path TO 'acme', 'pg_temp'`."""
    before = [word.lower() for _, _, word in words[:place]]
    while before and (before[-1] == "," or before[-1][:1] == "'"):
        before.pop()
    return before[-2:] in (["search_path", "to"], ["search_path", "="])


def _differs(one: str, other: str) -> NotReplayable:
    return NotReplayable(f"two births differ: {_short(one)} and {_short(other)}")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else line[: SHOWN - 3] + "..."
