"""Notices: what the server warned of while revisions ran. Knows a connection, and no run.

A WARNING, and the NOTICE of a name cut to 63 bytes (42622), which makes another object than asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tenantmig.domain.tenant import Tenant

if TYPE_CHECKING:
    import psycopg
    from psycopg.errors import Diagnostic

NAME_CUT = "42622"
MOST = 100  # different ones of an attempt, or of a run, that are kept
PLACEHOLDER = "<tenant>"


@dataclass(frozen=True, slots=True)
class Warned:
    """A warning of the server."""

    revision: str
    """The revision; several, if a replay sent them at once."""
    sqlstate: str
    message: str
    """In a report `<tenant>` stands for the tenant's own schema."""
    count: int = 1
    """How often the warning came."""
    tenants: int = 1
    """For how many tenants it came."""
    example: str = ""
    """One of these tenants."""


class NoticeListener:
    """Hears what the server warns of on one connection, between two calls of `take`."""

    def __init__(self, redact: Callable[[str], str]) -> None:
        self.revision = ""
        self._redact = redact
        self._heard: Counter[tuple[str, str, str]] = Counter()

    def listen(self, connection: psycopg.Connection) -> None:
        """Hear what comes on a connection from now on."""
        connection.add_notice_handler(self._hear)

    def _hear(self, told: Diagnostic) -> None:
        is_warning = told.severity_nonlocalized == "WARNING" or told.sqlstate == NAME_CUT
        if not (self.revision and is_warning):
            return
        one = (self.revision, told.sqlstate or "", told.message_primary or "")
        if one in self._heard or len(self._heard) < MOST:
            self._heard[one] += 1

    def take(self, tenant: Tenant) -> tuple[Warned, ...]:
        """Return what was heard, and begin anew for the next tenant."""
        heard, self._heard, self.revision = self._heard, Counter(), ""
        return tuple(
            Warned(
                revision, state, self._redact(_general(text, tenant.schema)), count, 1, tenant.name
            )
            for (revision, state, text), count in heard.items()
        )


def _general(message: str, schema: str) -> str:
    """Put the placeholder where a message quotes the tenant's own schema."""
    for quoted in (f'"{schema}"', f'"{schema}.', f" {schema}."):
        message = message.replace(quoted, quoted.replace(schema, PLACEHOLDER))
    return message


class WarningSum:
    """The warnings of a run, each revision's once, with how many tenants it came for."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str], Warned] = {}
        self._seen: set[tuple[str, tuple[str, str, str]]] = set()

    def add(self, heard: Iterable[Warned]) -> None:
        """Add what one tenant's attempt heard."""
        for one in heard:
            key = self._key(one)
            known = self._found.get(key)
            if known is None:
                if len(self._found) < MOST:
                    self._found[key] = replace(one, revision=key[0])
                    self._seen.add((one.example, key))
                continue
            is_new = (one.example, key) not in self._seen
            self._seen.add((one.example, key))
            self._found[key] = replace(
                known, count=known.count + one.count, tenants=known.tenants + is_new
            )

    def _key(self, one: Warned) -> tuple[str, str, str]:
        """Take the revision that told the same to an earlier tenant, if a replay names several."""
        for revision in one.revision.split(", "):
            if (revision, one.sqlstate, one.message) in self._found:
                return revision, one.sqlstate, one.message
        return one.revision, one.sqlstate, one.message

    @property
    def warnings(self) -> tuple[Warned, ...]:
        """All of them, in the order in which they came."""
        return tuple(self._found.values())
