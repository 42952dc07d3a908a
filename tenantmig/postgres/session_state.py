"""The session's state: what a revision leaves on a session for those after it.

Settings, a role, temporary tables and their like hold until the session ends. Whoever would go on
with another session must know of them; so the session is asked. Not seen are a setting whose name a
stored function puts together, and where a sequence stands for currval().
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy import event

from tenantmig.postgres.sql import query

PLAIN = re.compile(
    r"\s*(CREATE\s+(TABLE|(UNIQUE\s+)?INDEX|TYPE)|ALTER\s+(TABLE|TYPE|INDEX)|DROP|COMMENT\s+ON)\b",
    re.IGNORECASE,
)
NOT_PLAIN = re.compile(r";|\bset_config\b|\bselect\b", re.IGNORECASE)
"""What may call a function that changes the session."""
VERSION = "version_num"
OWN_CHECK = "SELECT pg_catalog.current_schema()"
"""What `assert_in_tenant` asks in each revision: it changes nothing and no tenant can define it."""
SETS = re.compile(r"\bset_config\b|\bset\s+((session|local)\s+)?\w+\.", re.IGNORECASE)
SEED = re.compile(r"\bsetseed\b|\bset\s+(session\s+)?seed\b", re.IGNORECASE)
UNNAMED = re.compile(r"\bset_config\s*\(\s*(?!'[^']*'\s*,|%)", re.IGNORECASE)
DEFINES = re.compile(r"\s*CREATE\s+(OR\s+REPLACE\s+)?(FUNCTION|PROCEDURE)\b", re.IGNORECASE)
PUT_TOGETHER = "a setting whose name is put together"
DOTTED = re.compile(r"[a-z_][\w$]*(?:\.[a-z_][\w$]*)+", re.IGNORECASE)
SHOWN = 3
BOUND = (
    "application_name client_connection_check_interval client_min_messages row_security search_path"
)
OURS = frozenset(f"SET {name}" for name in BOUND.split())
"""What a session is bound with, beside its limits."""
LOGINS = frozenset({"SET ROLE", "SET SESSION AUTHORIZATION"})

State = frozenset[tuple[str, str]]


class SessionState:
    """What the scripts of one attempt have left on its session."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection
        self._named: set[str] = set()
        self._seed: State = frozenset()
        self._before = self._last = frozenset[tuple[str, str]]()
        self._is_asked_for = self._has_asked = False
        self.left: dict[str, str] = {}
        """What each revision changed, unless all is as it was when the scripts began."""

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Hear for the block what the scripts send."""
        event.listen(self.connection, "before_cursor_execute", self._hear)
        try:
            yield
        finally:
            event.remove(self.connection, "before_cursor_execute", self._hear)

    def begin(self, driver: psycopg.Connection) -> None:
        """See how the session is before the first script."""
        self._before = self._last = self._read(driver)

    def look(self, driver: psycopg.Connection, revision: str, *, is_certain: bool = True) -> None:
        """See what a revision left that is committed.

        Unless that must be certain, one that sent plain DDL alone is taken to have left nothing.
        """
        if not (is_certain or self._is_asked_for):
            return
        self._ask_functions(driver)
        now = self._read(driver) | self._seed
        changed = sorted(now ^ self._last)
        self._last, self._is_asked_for = now, False
        if now == self._before:
            self.left.clear()
        elif changed:
            self.left[revision] = _shown(changed)

    def is_marked(self, driver: psycopg.Connection) -> bool:
        """True if the session can serve no other tenant: no statement takes some settings back."""
        if not self._has_asked:
            return False
        if (PUT_TOGETHER, "") in self._seed:
            return True
        self._ask_functions(driver)
        found = driver.execute(query("postgres/marked_session"), {"named": self.named}).fetchone()
        return bool(found and found[0])

    @property
    def named(self) -> list[str]:
        """The words that may name a setting of no extension, heard or in functions."""
        return sorted(self._named)

    def __str__(self) -> str:
        return "; ".join(f"{what} (revision {revision})" for revision, what in self.left.items())

    def _ask_functions(self, driver: psycopg.Connection) -> None:
        named = driver.execute(query("postgres/settings_of_functions")).fetchall()
        self._named.update(name for (name,) in named)

    def _read(self, driver: psycopg.Connection) -> State:
        return _read_state(driver, self.named)

    def _hear(
        self, _: object, __: object, statement: str, parameters: Any, ___: object, ____: bool
    ) -> None:
        is_plain = PLAIN.match(statement) and not NOT_PLAIN.search(statement)
        if not (is_plain or VERSION in statement or statement == OWN_CHECK):
            self._is_asked_for = self._has_asked = True
        if SEED.search(statement):
            self._seed |= {("the seed of random()", "")}
        bare = statement.replace('"', "")
        if UNNAMED.search(bare) and not DEFINES.match(bare):
            self._seed |= {(PUT_TOGETHER, "")}
        if SETS.search(bare):
            for text in (bare, str(parameters)):
                self._named.update(name.lower() for name in DOTTED.findall(text))


def left_by_replay(driver: psycopg.Connection, named: Sequence[str]) -> str:
    """Say what is on a session beside what a replay binds it with; "" if nothing."""
    state = _read_state(driver, named)
    own = {(login, driver.info.user) for login in LOGINS}
    return _shown(sorted(one for one in state - own if one[0] not in OURS))


def _read_state(driver: psycopg.Connection, named: Sequence[str]) -> State:
    # with its parameters in its text: sent apart, they would keep its snapshot in Alembic's
    # transaction until the next statement, and CREATE INDEX CONCURRENTLY beside would wait for it
    cursor = psycopg.ClientCursor(driver)
    return frozenset(
        cursor.execute(query("postgres/session_state"), {"named": list(named)}).fetchall()
    )


def _shown(changed: Sequence[tuple[str, str]]) -> str:
    names = list(dict.fromkeys(_show(*one) for one in changed))
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _show(what: str, value: str) -> str:
    """Name a setting without its value, which may be a secret."""
    return what if what.startswith("SET ") else f"{what} {value}".strip()
