"""Recordings: what a revision sent to the server for one tenant. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from tenantmig.domain.plan import Heads, Memo, RunKind

AUTOCOMMIT = "it has an autocommit_block"


class Asked(NamedTuple):
    """A text that a script sent, with its placeholders; `is_outside` as in `Sent`."""

    text: str
    is_outside: bool = False


class Sent(NamedTuple):
    """A statement that a script sent.

    `is_empty`: it asked for rows and there were none, which must be so for others as well.
    `is_outside`: it ran outside any transaction, in an autocommit_block.
    """

    sql: str
    is_empty: bool = False
    is_outside: bool = False


@dataclass(frozen=True, slots=True)
class Recording:
    """What one revision sent for one tenant, parameters put in as literals.

    `before` is the outline of the tenant's catalog, `after` its fingerprint. `obstacle` says why it
    cannot stand for others: a row was read, the clock was asked, ... `named` are words that may be
    settings of no extension, which a session never loses. `is_written`: its script writes the
    schema's name into SQL by itself. `memo` is what Alembic remembers after it.
    """

    revision: str
    direction: RunKind
    schema: str
    source: Heads
    target: Heads
    statements: tuple[Sent, ...] = ()
    before: str | None = None
    after: str | None = None
    obstacle: str | None = None
    named: tuple[str, ...] = ()
    is_written: bool = False
    memo: Memo = frozenset()
