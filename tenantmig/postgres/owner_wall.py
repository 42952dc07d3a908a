"""The owner's wall: what a script sends runs as the role that owns the tenant schema.

SET ROLE alone would be none: code that a script's SQL reaches (a trigger, a function, an operator)
can say RESET ROLE. So each statement runs inside a SECURITY DEFINER function of the owner, where
the server refuses both. The functions last as long as the transaction. What cannot run in a
function (CREATE INDEX CONCURRENTLY and its like) runs under SET ROLE: there the server itself runs
the tenant's code as the table's owner and refuses SET ROLE to it (PostgreSQL's security-restricted
operation). Knows one connection at a time; nothing of Alembic and of the ledger.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import sql
from psycopg.abc import Query
from psycopg.pq import PipelineStatus, TransactionStatus

from tenantmig.domain.counting import counted
from tenantmig.errors import ForbiddenTextError, PrivilegeError
from tenantmig.postgres.connection import in_catalog
from tenantmig.postgres.literals import Literals, UnwritableError
from tenantmig.postgres.parsing import parse
from tenantmig.postgres.sql import query
from tenantmig.postgres.wall_functions import PREFIX, ROWS, lower_sql, raise_sql
from tenantmig.postgres.wall_statements import Kind

SCHEMA_OWNER = "schema_owner"
SHOWN = 3


# -- who owns what ---------------------------------------------------------------------------------


def read_owners(
    connection: psycopg.Connection, schemas: Sequence[str]
) -> dict[str, tuple[str, str]]:
    """Return the owner of each schema that is there, and the connected role.

    Raises:
        PrivilegeError: the connected role cannot act as one of the owners; with the remedy.
    """
    rows = connection.execute(
        query("postgres/schema_owners"), {"schemas": list(schemas)}
    ).fetchall()
    wrong = [row for row in rows if row[2] is not None]
    if wrong:
        schema, owner, problem, me, database = wrong[0]
        others = counted(len(wrong) - 1, "more tenant schema")
        more = f" (and {others})" if len(wrong) > 1 else ""
        raise PrivilegeError(
            f'run_as = "{SCHEMA_OWNER}": the steps of the tenant schema "{schema}" cannot run as'
            f' its owner "{owner}": {problem}{more}. {_remedy(problem, owner, me, database)}'
            " Nothing was touched."
        )
    return {schema: (owner, me) for schema, owner, _, me, _ in rows}


def _remedy(problem: str, owner: str, me: str, database: str) -> str:
    if "superuser" in problem:
        return "Give the schema to a role with fewer rights, or connect as a superuser."
    if "create" in problem:
        return f'Grant it: GRANT CREATE ON DATABASE "{database}" TO "{me}".'
    return (
        f'Grant it: GRANT "{owner}" TO "{me}", from PostgreSQL 16 on WITH INHERIT TRUE, SET TRUE.'
    )


# -- one connection --------------------------------------------------------------------------------


class Gate:
    """Says whether what is sent now is a script's: one for all connections of a session."""

    def __init__(self) -> None:
        self.is_armed = False

    @contextmanager
    def armed(self, *, is_armed: bool = True) -> Iterator[None]:
        """What is sent in the block is a script's; or, within such a block, ours."""
        before, self.is_armed = self.is_armed, is_armed
        try:
            yield
        finally:
            self.is_armed = before


class OwnerWall:
    """The wall of one connection, bound to a tenant schema.

    `is_raised` says that its functions are there, in the transaction that is open.
    """

    def __init__(
        self, gate: Gate, schema: str, owner: str, version_table: str, trusted: Sequence[str]
    ) -> None:
        self.gate = gate
        self.owner = owner
        self.is_raised = False
        self._name = PREFIX + secrets.token_hex(8)
        literal = sql.Literal(schema)
        self._raise = raise_sql(self._name, literal)
        self._lower = lower_sql(self._name, literal, version_table, trusted)
        self._asked = 0
        self._has_failed = False

    def up(self, connection: psycopg.Connection) -> None:
        """Make sure that the functions are there."""
        if not self.is_raised:
            _own(connection, self._raise)
            self.is_raised = True

    def lower(self, connection: psycopg.Connection) -> None:
        """End the wall before something else than a script's SQL runs, if it is up.

        Raises:
            psycopg.errors.InsufficientPrivilege: something of the tenant's could run later, as the
                connected role.
        """
        if not self.is_raised:
            return
        if self._has_failed:
            self._forget_prepared(connection)
        _own(connection, self._lower)
        self.is_raised = False

    def forget(self) -> None:
        """The transaction was rolled back, and the functions with it."""
        self.is_raised = False

    def write(self, connection: psycopg.Connection, asked: Query, parameters: Any) -> str:
        """Return a statement with its parameters put in.

        Raises:
            ForbiddenTextError: that cannot be done.
        """
        if connection.pgconn.pipeline_status != PipelineStatus.OFF:
            raise _forbidden("a pipeline")
        statement = asked if isinstance(asked, str) else _as_text(asked, connection)
        if parameters is None:
            return statement
        try:
            return Literals(connection, asks=False).write(statement, parameters)
        except UnwritableError as error:
            raise _forbidden(f"a parameter that cannot be written as text ({error})") from error

    def run(self, connection: psycopg.Connection, statement: str) -> int:
        """Run a text as the owner; return how many rows its last statement changed."""
        call = sql.SQL("SELECT {}.run({})").format(sql.SQL(self._name), sql.Literal(statement))
        row = _own(connection, call).fetchone()
        return int(row[0]) if row else 0

    @contextmanager
    def rows(self, connection: psycopg.Connection, statement: str, kind: Kind) -> Iterator[str]:
        """Run a statement as the owner, and hand out what fetches its rows: that runs no code."""
        self._asked += 1
        name = f"{ROWS}{self._asked}"
        prepare = f"PREPARE {name} AS {statement}" if kind is Kind.ROWS else None
        opened = f"EXECUTE {name}" if kind is Kind.ROWS else statement
        arguments = sql.SQL(", ").join(map(sql.Literal, (prepare, opened, name)))
        call = sql.SQL("SELECT {}.rows({})").format(sql.SQL(self._name), arguments)
        self._has_failed = True
        _own(connection, call)
        yield f"FETCH ALL FROM {name}"
        end = f"CLOSE {name}; DEALLOCATE {name}" if kind is Kind.ROWS else f"CLOSE {name}"
        _own(connection, sql.SQL(end))
        self._has_failed = False

    @contextmanager
    def as_owner(self, connection: psycopg.Connection, statement: str) -> Iterator[None]:
        """Run what cannot run in a function, outside a transaction.

        Raises:
            ForbiddenTextError: the server would run code while it only reads the statement, and
                would let it be the connected role.
        """
        self._refuse_early(connection, statement)
        _own(connection, sql.SQL("SET ROLE {}").format(sql.Identifier(self.owner)))
        try:
            yield
        finally:
            with suppress(psycopg.Error):
                _own(connection, sql.SQL("RESET ROLE"))

    def _refuse_early(self, connection: psycopg.Connection, statement: str) -> None:
        (parsed,) = parse(statement).stmts
        name = parsed.stmt.WhichOneof("node")
        detaches = name == "alter_table_stmt"
        has_literal = name == "index_stmt" and not {"'", "$"}.isdisjoint(statement)
        if not (detaches or has_literal):
            return
        facts = {"owner": self.owner, "detaches": detaches}
        with in_catalog(connection):
            found = (
                psycopg.Cursor(connection).execute(query("postgres/read_early"), facts).fetchone()
            )
        if found:
            raise _forbidden(f"a statement for which the server would call {found[0]} too early")

    def _forget_prepared(self, connection: psycopg.Connection) -> None:
        """Take away what statements left that failed behind a savepoint."""
        found = _own(
            connection,
            sql.SQL(
                "SELECT name FROM pg_catalog.pg_prepared_statements"
                " WHERE pg_catalog.starts_with(name, {})"
            ).format(sql.Literal(ROWS)),
        ).fetchall()
        for (name,) in found:
            _own(connection, sql.SQL("DEALLOCATE {}").format(sql.Identifier(name)))
        self._has_failed = False


def is_idle(connection: psycopg.Connection) -> bool:
    """True when no transaction is open."""
    return connection.info.transaction_status is TransactionStatus.IDLE


def refuse_way(connection: Any, what: str) -> None:
    """Refuse a way to the server that does not lead through the wall, while it must.

    Raises:
        ForbiddenTextError: a script takes it.
    """
    wall = connection.wall
    if wall is not None and wall.gate.is_armed:
        raise _forbidden(what)


def _forbidden(what: str) -> ForbiddenTextError:
    return ForbiddenTextError(
        f'The script uses {what}, which cannot run as the owner of the tenant schema (run_as = "'
        f'{SCHEMA_OWNER}"); it was not run.'
    )


def _own(connection: psycopg.Connection, statement: sql.SQL | sql.Composed) -> psycopg.Cursor[Any]:
    """Send a statement of ours, past the script's cursor."""
    cursor: psycopg.Cursor[Any] = psycopg.Cursor(connection)
    return cursor.execute(statement)


def _as_text(asked: Query, connection: psycopg.Connection) -> str:
    if isinstance(asked, bytes):
        return asked.decode(connection.info.encoding)
    return asked.as_string(connection) if isinstance(asked, sql.Composable) else str(asked)
