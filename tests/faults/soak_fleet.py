"""The fleet that is soaked: its histories, how each schema is, and how it may be, in plain SQL.

Knows no kill and no command. A `Standing` is what an operator could see of one tenant; `broken`
holds what there is against what is allowed.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from psycopg import Connection, sql

from tests.faults.soak_history import CORE, INDEX, REVISIONS, project_on, shared_goldens
from tests.fixtures.database import ADVISORY_LOCKS, SESSIONS, Database
from tests.fixtures.goldens import WITNESS, Golden, Goldens, describe
from tests.fixtures.oracles import catalog, content, shared_mark, untouched_mark
from tests.fixtures.server import Server

TENANTS = tuple(f"customer_{number:02d}" for number in range(1, 31))
BYSTANDER = "bystander"
LEDGER = "tenantmig"
SCRATCH = "tenantmig_scratch_"
DONE = {"upgraded", "downgraded", "onboarded", "offboarded", "restored", "already_current"}
SETTLING_S = 20.0

SCHEMAS = """
    SELECT n.nspname::text, array_agg(c.relname::text) FILTER (WHERE c.relname IS NOT NULL)
    FROM pg_namespace n LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind = 'r'
    WHERE n.nspname NOT LIKE 'pg\\_%%' AND n.nspname NOT IN ('information_schema', 'public', %s)
    GROUP BY 1
"""
LATEST = """
    SELECT DISTINCT ON (t.schema)
        t.schema, t.run, t.outcome, t.to_revision, coalesce(t.target, 'base')
    FROM tenantmig.run_tenant t ORDER BY t.schema, t.run DESC
"""
UNFINISHED = """
    SELECT 'part of ' || schema FROM tenantmig.part
    UNION ALL SELECT 'doubt about ' || tenant FROM tenantmig.doubt
    UNION ALL SELECT name || ' is ' || state FROM tenantmig.tenant
        WHERE state IN ('onboarding', 'offboarding')
    UNION ALL SELECT format('INVALID index %I.%I', n.nspname, c.relname)
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT (i.indisvalid AND i.indisready)
"""


@dataclass(frozen=True)
class Standing:
    """What can be seen of a schema.

    `revision` is what its version table says; `absent`: there is no such schema; `bare r3`: as r3
    makes it, and without a version table. `rows` are its customers' own, which no migration
    touches. `state` is that of the registry, None if it is not registered.
    """

    revision: str
    rows: tuple[str, ...] = ()
    state: str | None = "active"


ABSENT = Standing("absent", (), None)
HALF_BORN = Standing("half-born", (), "onboarding")
"""In the middle of an onboarding: with whatever the revisions have made so far."""
Allowed = Mapping[str, Collection[Standing]]


class SoakFleet:
    """A database with the tenants of the soak, and `at`: how each is while nothing runs."""

    def __init__(self, server: Server, database: Database, folder: Path) -> None:
        self.server = server
        self.database = database
        self.backups = folder / "backups"
        self.project = project_on(folder, database)
        self.goldens = Goldens().of(server, folder / "history", REVISIONS)
        self.goldens |= shared_goldens(server)
        self.at: dict[str, Standing] = {}
        self.saved: dict[str, tuple[Path, Standing]] = {}
        """A backup of each tenant that has one, and how the tenant was when it was taken."""
        self.guests = 0  # so many have been named

    def prepare(self) -> None:
        """Onboard the fleet at the lowest revision."""
        self.database.execute(f"CREATE SCHEMA {CORE}")
        self.project.run("upgrade", "s1", "--lineage", "shared")
        self.project.run("onboard", *TENANTS, BYSTANDER, "--to", REVISIONS[0])
        self.project.run("tenants", "suspend", BYSTANDER)
        self.at = self.seen()

    # -- what commands are about ------------------------------------------------------------

    def active(self) -> list[str]:
        """The tenants that a rollout reaches."""
        return sorted(name for name, now in self.at.items() if now.state == "active")

    def staying(self) -> list[str]:
        """The guests that are tenants now."""
        return [name for name in self.active() if name.startswith("guest_")]

    def new_guest(self) -> str:
        """Return a name that was never used."""
        self.guests += 1
        return f"guest_{self.guests:03d}"

    def write_row(self, tenant: str) -> None:
        """Let a customer write a row, so that the tenant is not as any backup of it."""
        before = self.at[tenant]
        row = f"row {len(before.rows) + 1} of {tenant}"
        statement = sql.SQL("INSERT INTO {} (id, name) VALUES (1, {})")
        table = sql.Identifier(tenant, "thing")
        self.database.execute(statement.format(table, sql.Literal(row)).as_string())
        self.at[tenant] = replace(before, rows=tuple(sorted((*before.rows, row))))

    def make_by_hand(self, name: str, revision: str, *, is_stamped: bool) -> Standing:
        """Make a schema by plain Alembic; return how it will be once it is adopted."""
        self.database.execute(f"CREATE SCHEMA {name}")
        self.project.alembic("-x", f"tenant={name}", "upgrade", revision)
        if not is_stamped:
            self.database.execute(f"DROP TABLE {name}.alembic_version")
            bare = f"bare {revision}"
            self.goldens.setdefault(bare, describe(self.database, name))
        self.at[name] = Standing(revision if is_stamped else f"bare {revision}", (), None)
        self.write_row(name)
        return Standing(revision, self.at[name].rows)

    # -- what there is ----------------------------------------------------------------------

    def seen(self) -> dict[str, Standing]:
        """Look at every schema but the ledger's and scratch schemas."""
        with self.database.connect() as connection:
            states: dict[str, str] = dict(
                connection.execute("SELECT schema, state FROM tenantmig.tenant")
            )
            schemas = connection.execute(SCHEMAS, [LEDGER]).fetchall()
            found = {
                schema: self._seen(connection, schema, tables or [], states.get(schema))
                for schema, tables in schemas
                if not schema.startswith(SCRATCH)
            }
        connection.close()
        born = {name: Standing("absent", (), state) for name, state in states.items()}
        return born | found

    def _seen(
        self, connection: Connection, schema: str, tables: Collection[str], state: str | None
    ) -> Standing:
        def read(column: str, table: str) -> tuple[str, ...]:
            statement = sql.SQL("SELECT {} FROM {} ORDER BY 1")
            place = sql.Identifier(schema, table)
            rows = connection.execute(statement.format(sql.Identifier(column), place))
            return tuple(value for (value,) in rows)

        rows = read("name", "thing") if "thing" in tables else ()
        if "alembic_version" in tables:
            return Standing(",".join(read("version_num", "alembic_version")) or "base", rows, state)
        return Standing("bare", rows, state)

    def ledger_mark(self) -> str:
        """Return a mark over all rows of the ledger."""
        with self.database.connect() as connection:
            rows = content(connection, LEDGER)
        connection.close()
        return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()

    def marks(self, touched: Collection[str]) -> tuple[str, str]:
        """Return a mark over the catalogs of what may not change, and one over what is shared."""
        with self.database.connect() as connection:
            query = "SELECT nspname::text FROM pg_namespace WHERE starts_with(nspname, %s)"
            scratch = [name for (name,) in connection.execute(query, [SCRATCH])]
            excluded = [*touched, LEDGER, *scratch]
            found = untouched_mark(connection, excluded), shared_mark(connection)
        connection.close()
        return found

    # -- oracles: each yields what is wrong -------------------------------------------------

    def broken(self, allowed: Allowed, *, is_partial: bool) -> Iterator[str]:
        """Complain about what is neither as it was at rest nor as `allowed` says.

        `is_partial`: an index may be half-built where the ledger knows of it.
        """
        yield from self._sessions()
        parts = {row[0] for row in self.database.fetch("SELECT schema FROM tenantmig.part")}
        seen = self.seen()
        there = {name for name, now in seen.items() if now.revision != ABSENT.revision}
        golden = self._described(sorted(there & allowed.keys()))
        for name in sorted(seen.keys() | self.at.keys()):
            now = seen.get(name, ABSENT)
            wanted = set(allowed.get(name, ())) or {self.at.get(name, ABSENT)}
            if now.state == HALF_BORN.state and HALF_BORN in wanted:
                continue
            fitting = _fitting(now, wanted)
            if fitting is None:
                yield f"{name} is {now}, and may be {sorted(map(str, wanted))}"
            elif name in allowed and fitting != ABSENT:
                lines = self.goldens[fitting.revision].differences(golden[name])
                if is_partial and name in parts:
                    lines = [line for line in lines if INDEX not in line]
                yield from (f"{name} at {now.revision}: {line}" for line in lines)
        yield from self._ledger(seen)

    def _described(self, names: Collection[str]) -> dict[str, Golden]:
        """Describe schemas over one connection."""
        with self.database.connect() as connection:
            found = {
                name: Golden(catalog(connection, name), content(connection, name).get(WITNESS))
                for name in names
            }
        connection.close()
        return found

    def _sessions(self) -> Iterator[str]:
        """Wait for what a dead driver left on the server; it must go by itself."""
        deadline = time.monotonic() + SETTLING_S
        query = f"({SESSIONS}) UNION ALL ({ADVISORY_LOCKS})"
        while (left := self.database.fetch(query)) and time.monotonic() < deadline:
            time.sleep(0.05)
        yield from (text for (text,) in left)

    def _ledger(self, seen: Mapping[str, Standing]) -> Iterator[str]:
        """The newest row of each schema says where it is, whatever happened to the run."""
        for schema, run, outcome, reached, target in self.database.fetch(LATEST):
            is_there = seen.get(schema, ABSENT).revision not in {"absent", "bare"}
            at = seen[schema].revision if is_there else "base"
            if outcome in DONE and at != target:
                yield f"run {run} says {outcome} to {target}, and {schema} is at {at}"
            if outcome != "in_doubt" and at != (reached or "base"):
                yield f"run {run} has {schema} at {reached} ({outcome}), and it is at {at}"

    def unfinished(self) -> Iterator[str]:
        """Complain about what a converged fleet must not have."""
        yield from (text for (text,) in self.database.fetch(UNFINISHED))

    def scratch(self) -> Iterator[str]:
        """Complain about scratch schemas."""
        query = "SELECT nspname::text FROM pg_namespace WHERE starts_with(nspname, %s)"
        yield from (f"left: {name}" for (name,) in self.database.fetch(query, [SCRATCH]))


def _fitting(now: Standing, wanted: Collection[Standing]) -> Standing | None:
    """Return the standing that is seen; of a bare schema the revision is not seen."""
    for one in wanted:
        if replace(one, revision=one.revision.partition(" ")[0]) == now:
            return one
    return None
