"""The names that the history has created up to a revision. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.resources import files

from tenantmig.lint.names import Name, created
from tenantmig.lint.statements import Statement

SERIALS = frozenset({"serial", "serial2", "serial4", "serial8", "bigserial", "smallserial"})


class KnownNames:
    """The names that a revision can count on: PostgreSQL's, and what its ancestors created.

    `is_open`: one of them installs an extension, and types and functions may be its. `is_blind`:
    one creates tables that could not be seen.
    """

    def __init__(self, parents: Iterable[KnownNames] = ()) -> None:
        self._names: dict[str, set[str]] = {"relation": set(), "type": set(), "function": set()}
        self.is_open = self.is_blind = False
        self.made: set[str] = set()
        """The relations of which a statement was seen that creates them."""
        for parent in parents:
            self.is_open |= parent.is_open
            self.is_blind |= parent.is_blind
            self.made |= parent.made
            for what, names in self._names.items():
                names.update(parent._names[what])  # noqa: SLF001  of its own kind

    def learn(self, statement: Statement) -> None:
        """Take in what a statement creates."""
        if statement.kind == "create_extension_stmt":
            self.is_open = True
        for what, name in created(statement):
            self.add(name, what)
            if what == "relation":
                self.made.add(name)

    def add(self, name: str, *kinds: str) -> None:
        """Take in a name; a relation has a type of the same name."""
        for kind in kinds or ("relation", "type", "function"):
            self._names.get(kind, set()).add(name)
            if kind == "relation":
                self._names["type"].add(name)

    def has(self, name: Name) -> bool:
        """True when the name is there, or nobody can say that it is not."""
        if name.what == "other" or name.name in self._names[name.what]:
            return True
        if name.what == "relation":
            # sequences of serial and identity columns are named by the server
            return name.name.startswith("pg_") or name.name.endswith("_seq")
        if name.what == "type":
            return name.name in SERIALS | _builtin("types") or name.name.startswith("_")
        is_cast = name.name in _builtin("types") | self._names["type"]
        return is_cast or name.name in _builtin("functions")


@cache
def _builtin(what: str) -> frozenset[str]:
    """The names in pg_catalog of PostgreSQL 16 and 18, without those that only the server calls."""
    path = files("tenantmig.lint") / f"pg_catalog_{what}.txt"
    return frozenset(path.read_text(encoding="utf-8").split())
