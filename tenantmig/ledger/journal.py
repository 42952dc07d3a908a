"""The journal: what is written about a tenant on its own connection, under its lock.

The row that says a tenant reached a revision is written in the transaction of the DDL that reached
it. Knows nothing of the control connection, on which the ledger writes the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import psycopg
from psycopg.sql import SQL

from tenantmig.domain.outcome import AT_TARGET, DONE, Outcome
from tenantmig.domain.plan import Assignment, Heads, RunKind, show_heads
from tenantmig.errors import (
    OvertakenError,
    PartialRevisionError,
    ReadBackError,
    TenantLockedError,
    TenantSessionError,
)
from tenantmig.postgres import sql
from tenantmig.postgres.connection import salt_of

DONE_OUTCOMES = sorted(outcome.value for outcome in AT_TARGET)


class Part(NamedTuple):
    """Something a revision committed, or meant to, before it was recorded as a whole.

    `statement` is None for what stood in a transaction before an autocommit_block; `row_count` is
    how many rows it changed, None if it returned rows.
    """

    revision: str
    direction: RunKind
    position: int
    statement: str | None
    is_done: bool
    row_count: int | None = None


def begin_attempt(
    connection: psycopg.Connection, ledger: str, assignment: Assignment
) -> Outcome | None:
    """Claim an attempt, on the tenant's own connection and under its lock.

    Returns an outcome if an earlier attempt's last transaction did commit after all. What became of
    a lost COMMIT is asked twice, of the journal and of `pg_xact_status` (PostgreSQL docs, 9.27.8).

    Raises:
        OvertakenError: another driver has taken the run over, or made a later attempt.
        PartialRevisionError: the two contradict each other; nothing may be run.
        TenantLockedError: the transaction is still being committed.
    """
    facts = _key(assignment) | {
        "done": DONE_OUTCOMES,
        "lost_xid": assignment.lost_xid,
        "is_onward": assignment.is_onward,
    }
    claimed = connection.execute(sql.query("ledger/begin_attempt", ledger), facts).fetchone()
    if claimed is None:
        raise OvertakenError(
            f"Another driver took over run {assignment.run} and goes on with "
            f'"{assignment.tenant.name}"; this driver stopped.'
        )
    outcome, is_recorded, fate = claimed
    if assignment.lost_xid is not None:
        _refuse_contradiction(assignment, fate, is_recorded=is_recorded)
    return Outcome(outcome) if outcome else None


def _refuse_contradiction(assignment: Assignment, fate: str | None, *, is_recorded: bool) -> None:
    if fate == "in progress":
        raise TenantLockedError(
            f"Transaction {assignment.lost_xid} of an earlier attempt is still being committed."
        )
    # no fate: the server has forgotten so old a transaction
    if fate is None or (fate == "committed") is is_recorded:
        return
    raise PartialRevisionError(
        f"Transaction {assignment.lost_xid} of an earlier attempt is {fate}, and the journal says"
        f" that it {'was' if is_recorded else 'was not'} committed."
    )


def _key(assignment: Assignment) -> dict[str, object]:
    return {
        "run": assignment.run,
        "epoch": assignment.epoch,
        "tenant": assignment.tenant.name,
        "attempt": assignment.attempt,
    }


def record_step(
    connection: psycopg.Connection,
    ledger: str,
    assignment: Assignment,
    heads: Heads,
    *,
    is_bound: bool = True,
) -> str:
    """Write the revision that a tenant reached, in the transaction of the DDL that reached it.

    The statement also asserts that the session is still in the tenant schema (`is_bound`; an
    offboarded tenant has none) and that no other driver has taken the tenant over; otherwise the
    transaction must not be committed. Returns the transaction's id.

    Raises:
        TenantSessionError: one of these does not hold.
    """
    facts = step_facts(assignment, heads, is_bound=is_bound)
    written = connection.execute(sql.query("ledger/record_step", ledger), facts).fetchone()
    if written is None:
        raise TenantSessionError(
            "A script moved the session out of the tenant schema "
            f'"{assignment.tenant.schema}" (it changed search_path), or another driver took '
            "over the tenant; the transaction was rolled back."
        )
    return str(written[0])


def step_facts(assignment: Assignment, heads: Heads, *, is_bound: bool = True) -> dict[str, object]:
    """Return the parameters of the query `record_step`."""
    tenant_schema = assignment.tenant.schema
    is_done = heads == assignment.path.target
    return {
        **_key(assignment),
        "tenant_schema": tenant_schema,
        "schema": tenant_schema if is_bound else None,
        "revision": show_heads(heads),
        "outcome": DONE[assignment.kind].value if is_done else None,
    }


# -- what is there after the COMMIT ------------------------------------------------------------


def read_back(
    connection: psycopg.Connection,
    ledger: str,
    version_table: str,
    assignment: Assignment,
    heads: Heads,
    *,
    is_bound: bool = True,
) -> None:
    """Look, under the lock and after the COMMIT, whether what is to be told is there.

    What the journal claims falsely is withdrawn, so that the next attempt reads anew. `is_bound`
    says that the session is in the tenant schema.

    Raises:
        ReadBackError: it is not.
    """
    schema = assignment.tenant.schema
    text = SQL(sql.text("ledger/read_back")).format(
        ledger=sql.quoted(ledger), table=sql.quoted(schema, version_table)
    )
    facts = _key(assignment) | {"tenant_schema": schema, "salt": salt_of(connection)}
    try:
        found = connection.execute(text, facts).fetchone()
    except psycopg.errors.UndefinedTable:
        found = None
    problem = _disagreement(found, schema if is_bound else None, heads)
    if problem is not None:
        connection.execute(sql.query("ledger/withdraw_step", ledger), _key(assignment))
        raise ReadBackError(
            f"After the COMMIT, {problem}. The state of the tenant is therefore in doubt."
        )


def _disagreement(found: Any, schema: str | None, heads: Heads) -> str | None:
    """Say what was found after the COMMIT that should not be so."""
    if found is None:
        return "the version table no longer exists"
    versions, place, journal, is_locked = found
    told, wanted = show_heads(sorted(versions)), show_heads(sorted(heads))
    if told != wanted:
        return f"the version table says {told or 'base'}, not {wanted or 'base'}"
    if schema is not None and place != schema:
        return f'the session is in "{place}", not in "{schema}"'
    if (journal or None) != wanted:
        return f"the journal says {journal or 'base'}, not {wanted or 'base'}"
    return None if is_locked else "the tenant's lock is no longer held (a script released it)"


def read_back_gone(connection: psycopg.Connection, ledger: str, assignment: Assignment) -> None:
    """Look whether the schema of an offboarded tenant is really gone.

    Raises:
        ReadBackError: it is still there.
    """
    schema = assignment.tenant.schema
    query = "SELECT FROM pg_namespace WHERE nspname = %s::text"
    if connection.execute(query, [schema]).rowcount:
        connection.execute(sql.query("ledger/withdraw_step", ledger), _key(assignment))
        raise ReadBackError(f'After the COMMIT, the schema "{schema}" still exists.')


# -- parts of a revision ----------------------------------------------------------------------


def read_parts(connection: psycopg.Connection, ledger: str, schema: str) -> Sequence[Part]:
    """Return what an unfinished revision left committed in a tenant schema, in order.

    Raises:
        PartialRevisionError: a row cannot be used; nothing may be run.
    """
    rows = connection.execute(sql.query("ledger/read_parts", ledger), {"schema": schema}).fetchall()
    for revision, direction, position, _, is_done, _ in rows:
        if direction not in [*RunKind] or None in {revision, position, is_done}:
            raise PartialRevisionError(
                f'A row of the ledger about a partly committed revision in "{schema}" '
                f"cannot be used: {revision}, {direction}, {position}, {is_done}."
            )
    return [Part(row[0], RunKind(row[1]), *row[2:]) for row in rows]


def write_part(connection: psycopg.Connection, ledger: str, schema: str, part: Part) -> None:
    """Write a part or an intent, in the caller's transaction.

    Idempotent: yes.
    """
    connection.execute(sql.query("ledger/write_part", ledger), part._asdict() | {"schema": schema})


def forget_parts(connection: psycopg.Connection, ledger: str, schema: str, since: int = 0) -> None:
    """Forget the parts from a position on: they had no effect, or belong to no revision anymore."""
    facts = {"schema": schema, "since": since}
    connection.execute(sql.query("ledger/forget_parts", ledger), facts)
