"""What a backup holds, read before anything is run; and running it, statement by statement.

Where the tenant's own code may be less than the connected role, it runs inside a SECURITY DEFINER
function that belongs to the tenant's role: there, the server refuses SET ROLE and RESET ROLE. The
function lies in a schema that the tenant's role cannot enter, so it cannot be changed either.
"""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from psycopg import sql

from tenantmig.backups.backup_file import FORMAT
from tenantmig.backups.client_programs import ClientPrograms
from tenantmig.backups.dump_kinds import Turn
from tenantmig.backups.dump_names import texts
from tenantmig.backups.dump_script import Statement, read_script
from tenantmig.backups.dump_targets import DumpFacts
from tenantmig.backups.dump_wall import Wall
from tenantmig.backups.restore_session import RestoreSession
from tenantmig.backups.running_program import Limits, RunningProgram
from tenantmig.errors import RestoreError, UnreadableScriptError

PATH = "SET search_path = pg_catalog, pg_temp"
SETTINGS = (
    PATH,
    "SET client_encoding = 'UTF8'",
    "SET standard_conforming_strings = on",
    "SET check_function_bodies = false",
    "SET xmloption = content",
    "SET row_security = off",
)
DEFERRED = """
    SELECT count(*) FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid
     WHERE tgdeferrable AND NOT tgisinternal
       AND (pg_has_role({role}, proowner, 'USAGE') OR pronamespace = {schema}::regnamespace)
"""
CODE = """
    SELECT array_agg((kind, oid, xmin, cmin)::text ORDER BY kind, oid) FROM (
        SELECT 'f', oid, xmin, cmin FROM pg_proc WHERE pronamespace = {schema}::regnamespace
        UNION ALL
        SELECT 'r', r.oid, r.xmin, r.cmin
          FROM pg_rewrite AS r JOIN pg_class AS c ON c.oid = ev_class
         WHERE relnamespace = {schema}::regnamespace
    ) AS code (kind, oid, xmin, cmin)
"""
MAY_RUN_CODE = frozenset({"alter_domain_stmt", "alter_table_stmt", "copy_stmt", "index_stmt"})
TYPES = """
    SELECT format_type(atttypid, atttypmod) FROM pg_attribute
     WHERE attrelid = {table}::regclass AND attname = {column} AND NOT attisdropped
"""
INSERT = "INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {values} FROM {rows}.r"


@contextmanager
def script_of(
    programs: ClientPrograms, file: Path, limits: Limits, session: RestoreSession | None = None
) -> Iterator[Iterator[Statement]]:
    """Read the statements of a backup from pg_restore.

    Raises:
        UnreadableScriptError: it is none that pg_dump writes.
        ClientProgramError: pg_restore failed.
    """
    path = str(file.absolute())
    with programs.start("pg_restore", FORMAT, "-f", "-", path, stdout=subprocess.PIPE) as source:
        try:
            yield _read(source, session)
        except UnreadableScriptError:
            source.finish(limits)  # it died: what it had printed ends anywhere
            raise
        source.finish(limits)


def _read(source: RunningProgram, session: RestoreSession | None) -> Iterator[Statement]:
    script = source.process.stdout
    assert script is not None
    if session is None:
        yield from read_script(script)
        return
    with session.watching(source):
        yield from read_script(script)


def look_through(
    programs: ClientPrograms, file: Path, schema: str, outside: Iterable[str], limits: Limits
) -> DumpFacts:
    """Read a whole backup, and say what it holds.

    Raises:
        BackupRefusedError: it holds something that is none of such a backup.
        UnreadableScriptError: it is none that pg_dump writes.
        ClientProgramError: pg_restore failed.
    """
    wall = Wall(schema, outside)
    with script_of(programs, file, limits) as statements:
        for statement in statements:
            wall.look(statement)
    return wall.targets.facts


class Pouring:
    """Runs the statements of a backup, as the tenant's role if that is given.

    `bind` sets the limits of the session. `is_named`: the user has named the role.
    """

    def __init__(
        self,
        session: RestoreSession,
        schema: str,
        role: str | None,
        bind: str,
        *,
        has_code: bool,
        is_named: bool,
    ) -> None:
        self.session = session
        self._bound = "; ".join([PATH, bind, *SETTINGS])
        self._kept: dict[str, str] = {}
        self.schema = schema
        self.role = role
        self.has_code = has_code
        self.is_named = is_named
        self._private = f"tenantmig_restore_{secrets.token_hex(8)}"
        self._waiting: dict[Turn, list[str]] = {
            turn: [] for turn in (Turn.BIND, Turn.DEFER, Turn.OWN, Turn.GRANT, Turn.REFRESH)
        }

    def begin(self) -> None:
        """Make the schema, and what is needed to run as the tenant's role."""
        self._settle()
        if self.role is None:
            self._run("CREATE SCHEMA {schema}")
            return
        self._run("CREATE SCHEMA {schema} AUTHORIZATION {role}")
        self._run("CREATE SCHEMA {private}")
        self._run("GRANT CREATE ON SCHEMA {private} TO {role}")
        self._run(
            "CREATE FUNCTION {private}.run(text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER"
            " SET search_path = pg_catalog, pg_temp AS 'BEGIN EXECUTE $1; END'"
        )
        self._run("GRANT EXECUTE ON FUNCTION {private}.run(text) TO SESSION_USER")
        self._run("ALTER FUNCTION {private}.run(text) OWNER TO {role}")
        self._run("REVOKE CREATE ON SCHEMA {private} FROM {role}")
        self._run("CREATE SCHEMA {rows}")
        self._run("GRANT USAGE ON SCHEMA {rows} TO {role}")

    def pour(self, statement: Statement, turn: Turn) -> None:
        """Run a statement when its turn has come."""
        if turn is Turn.SETTING:
            self._kept[statement.node.name] = statement.text
            self.session.run(statement.text)
        elif self.role is not None and self.has_code and statement.kind in MAY_RUN_CODE:
            with self._unchanged_code():
                self._take(statement, turn)
        else:
            self._take(statement, turn)

    def _take(self, statement: Statement, turn: Turn) -> None:
        if turn is Turn.FILL:
            self._fill(statement)
        elif self.role is None and turn is not Turn.SKIP:
            self.session.run(statement.text)
        elif turn is Turn.REFRESH and self.is_named:  # later it would run as the view's owner
            self._as_role(statement.text)
        elif turn in self._waiting:
            self._waiting[turn].append(statement.text)
        elif turn is Turn.CLASS:
            self._settle()
            self.session.run(statement.text)
        elif turn is Turn.MAKE:
            self._as_role(statement.text)

    def end(self) -> None:
        """Run what had to wait; from here on nothing of the tenant's is left to run."""
        if self.role is not None:
            self._refuse_deferred()
            for text in self._waiting[Turn.DEFER]:
                self._as_role(text)
            self._settle()
            for turn in (Turn.BIND, Turn.OWN, Turn.GRANT, Turn.REFRESH):
                for text in self._waiting[turn]:
                    self.session.run(text)
            self._run("DROP SCHEMA {private}, {rows} CASCADE")
        self._settle()

    # -- as the tenant's role ------------------------------------------------------------------

    def _settle(self) -> None:
        """Take back whatever code of the tenant has set in the session."""
        self.session.run("CLOSE ALL")  # a cursor WITH HOLD would run at the COMMIT, as another role
        self.session.run("RESET ALL")
        self.session.run_texts("; ".join([self._bound, *self._kept.values()]))

    def _as_role(self, text: str) -> None:
        call = self._text("SELECT {private}.run({text})", text=sql.Literal(text))
        self._settle()
        self.session.run(call)

    def _fill(self, statement: Statement) -> None:
        if self.role is None:
            self.session.fill(statement.text, statement.rows)
        elif self.has_code:
            self._fill_by_insert(statement)
        else:
            self._run("SET ROLE {role}")
            self.session.fill(statement.text, statement.rows)
            self.session.run("RESET ROLE")

    def _fill_by_insert(self, statement: Statement) -> None:
        """Copy rows as texts, and insert them where a check of the tenant cannot leave its role."""
        relation, columns = statement.node.relation, texts(statement.node.attlist)
        table = sql.Identifier(relation.schemaname, relation.relname)
        if not columns:
            for _ in statement.rows:
                self._as_role(self._text("INSERT INTO {table} DEFAULT VALUES", table=table))
            return
        names = [sql.Identifier(f"c{number}") for number, _ in enumerate(columns)]
        made = sql.SQL(", ").join(sql.SQL("{} text").format(name) for name in names)
        self._settle()
        self.session.run(self._text("CREATE UNLOGGED TABLE {rows}.r ({made})", made=made))
        self._run("GRANT SELECT ON {rows}.r TO {role}")
        self.session.fill(self._text("COPY {rows}.r FROM stdin"), statement.rows)
        cast = [
            sql.SQL("{}::{}").format(name, sql.SQL(self._type(table, column)))
            for name, column in zip(names, columns, strict=True)
        ]
        insert = self._text(
            INSERT,
            table=table,
            columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
            values=sql.SQL(", ").join(cast),
        )
        self._as_role(insert)
        self._settle()
        self._run("DROP TABLE {rows}.r CASCADE")

    def _type(self, table: sql.Identifier, column: str) -> str:
        name = sql.Literal(table.as_string(self.session.connection))
        query = sql.SQL(TYPES).format(table=name, column=sql.Literal(column))
        return str(self.session.ask(query))

    @contextmanager
    def _unchanged_code(self) -> Iterator[None]:
        """Let no code of the tenant change views, rules and functions: others may get them later.

        What changes them by right runs none of the tenant's code.
        """
        self._settle()
        schema = sql.Literal(sql.Identifier(self.schema).as_string(self.session.connection))
        query = sql.SQL(CODE).format(schema=schema)
        before = self.session.ask(query)
        yield
        self._settle()
        if self.session.ask(query) != before:
            raise RestoreError(
                "the tenant's code changed its own views, rules or functions during the restore"
            )

    def _refuse_deferred(self) -> None:
        """Let no trigger of the tenant wait for the COMMIT, where it would run as another role."""
        self._settle()
        schema = sql.Literal(sql.Identifier(self.schema).as_string(self.session.connection))
        query = sql.SQL(DEFERRED).format(role=sql.Literal(self.role), schema=schema)
        if self.session.ask(query):
            raise RestoreError(
                "a deferrable constraint trigger of the tenant's role exists already, and "
                "it could run as another role at the COMMIT"
            )

    def _run(self, statement: str) -> None:
        self.session.run(self._text(statement))

    def _text(self, statement: str, **parts: Any) -> str:
        return (
            sql.SQL(statement)
            .format(
                schema=sql.Identifier(self.schema),
                role=sql.Identifier(self.role or ""),
                private=sql.Identifier(self._private),
                rows=sql.Identifier(f"{self._private}_rows"),
                **parts,
            )
            .as_string(self.session.connection)
        )
