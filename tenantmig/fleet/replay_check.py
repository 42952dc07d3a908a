"""The check of the default engine: does it make of a schema what plain Alembic makes of it.

Three scratch schemas go up the history by plain Alembic, each step in a process of its own, and
three by the default engine, of which the third is replayed where that is right. All get the same
made-up rows on the way. Compared are catalogs and rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import psycopg
from psycopg import sql

from tenantmig.catalog.catalog import CatalogReader
from tenantmig.domain.failure import Failure
from tenantmig.domain.plan import RunKind
from tenantmig.domain.tenant import Tenant
from tenantmig.drift.likeness import find_chance, look, unlike
from tenantmig.drift.made_up import MadeUp, make_up, repeat
from tenantmig.engines.alone import upgrade_alone
from tenantmig.errors import ScratchError
from tenantmig.fleet.driver import Driver
from tenantmig.fleet.run_options import RunOptions
from tenantmig.ledger.ledger import Ledger
from tenantmig.postgres.version import Version
from tenantmig.postgres.version_table import read_versions
from tenantmig.postgres.version_writing import write_version
from tenantmig.rollout import planning

SCHEMAS = 3
"""So many each way: two witnesses and one that is replayed."""
FIRST_RUN = 2**40  # the number of the first run: no run of the fleet has it


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """How the default engine compares with plain Alembic.

    `differences` lists what is not the same. `left_out` lists what already differs between two
    schemas of plain Alembic. `empty` lists the tables that accept no made-up row, and why.
    `obstacles` says why revisions were not replayed.
    """

    revisions: int
    replayed: int
    differences: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    empty: Mapping[str, str] = field(default_factory=dict)
    obstacles: Mapping[str, str] = field(default_factory=dict)
    without_rows: str | None = None
    """Why the history was run in one go over empty tables: it fails with the made-up rows."""

    @property
    def is_same(self) -> bool:
        """True when nothing differs."""
        return not self.differences


class _FailsAlone(Exception):  # noqa: N818  an answer, not an error
    """Plain Alembic cannot go this way up the history."""


def check_replay(driver: Driver) -> ReplayReport:
    """Compare the default engine with plain Alembic, in scratch schemas.

    Raises:
        HistoryError: the history is broken.
        ScratchError: an upgrade fails in an empty schema, or touches another schema.
    """
    try:
        return _compare(driver, _find_stops(driver), has_rows=True)
    except _FailsAlone as failure:
        reason = str(failure)
    with driver.scratch() as scratch:
        scratch.upgrade()  # nothing of it may reach out, and it must succeed at all
    try:
        return replace(_compare(driver, ["heads"], has_rows=False), without_rows=reason)
    except _FailsAlone as failure:
        raise ScratchError(f"Plain Alembic cannot run the history: {failure}.") from failure


def _find_stops(driver: Driver) -> Sequence[str]:
    """Return the revisions after which there is a new table to fill, and the heads."""
    order = driver.history.path(RunKind.UPGRADE, (), "heads").revisions
    tables = "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind = 'r'"
    stops: list[str] = []
    seen: set[str] = set()
    with driver.scratch() as scratch:
        for revision in order:
            failure = scratch.step(RunKind.UPGRADE, revision)
            if isinstance(failure, Failure):
                raise _FailsAlone(f"revision by revision: {failure.message}")
            if failure is not None:
                raise ScratchError(f"The engines cannot be compared: {failure.message}.")
            found = {name for (name,) in scratch.connection.execute(tables, [scratch.schema])}
            if found > seen:
                stops.append(revision)
            seen |= found
    return [stop for stop in stops if stop != order[-1]] + ["heads"]


def _compare(driver: Driver, stops: Sequence[str], *, has_rows: bool) -> ReplayReport:
    with _open(driver) as sides:
        for stop in stops:
            sides.go(stop)
            if sides.differences:
                break  # what comes after it would differ as well
            if has_rows:
                sides.fill()
        return sides.report()


@contextmanager
def _open(driver: Driver) -> Iterator[_Sides]:
    """Make the scratch schemas, and one for the ledger that the default engine needs."""
    with ExitStack() as opened:
        schemas = [opened.enter_context(driver.scratch_schema()) for _ in range(2 * SCHEMAS + 1)]
        (connection, ledger), *rest = schemas
        settings = driver.settings.model_copy(
            update={
                "ledger_schema": ledger,
                "source": "registry",
                "engine": "auto",
                "canary": "0",
                "wave": None,
                "gate": "",
                "max_failures": "100%",
            }
        )
        ours = opened.enter_context(closing(Driver(settings, url=driver.url)))
        with ours.ledger() as kept:
            kept.create()
            restart = sql.SQL("ALTER TABLE {} ALTER id RESTART WITH {}")
            connection.execute(restart.format(sql.Identifier(ledger, "run"), FIRST_RUN))
            with driver.catalogs(kept, 1) as reader:
                names = [schema for _, schema in rest]
                for schema in names[SCHEMAS:]:  # without one, nobody knows where a schema is
                    write_version(kept.connection, schema, settings.version_table, ())
                yield _Sides(ours, kept, reader, names[:SCHEMAS], names[SCHEMAS:])


class _Sides:
    """The schemas of plain Alembic, those of the default engine, and what was found out."""

    def __init__(
        self,
        driver: Driver,
        ledger: Ledger,
        reader: CatalogReader,
        plain: Sequence[str],
        ours: Sequence[str],
    ) -> None:
        self.driver = driver
        self.ledger = ledger
        self.reader = reader
        self.plain = plain
        self.ours = ours
        self.differences: list[str] = []
        self._left_out: dict[str, None] = {}
        self._empty: dict[str, str] = {}
        self._obstacles: dict[str, str] = {}

    @property
    def connection(self) -> psycopg.Connection:
        """What looks at the schemas."""
        return self.ledger.connection

    def go(self, destination: str) -> None:
        """Bring all schemas to a revision, each by its own means, and compare them."""
        options = self.driver.engines.options
        with ThreadPoolExecutor(SCHEMAS) as threads:
            upgrade = partial(upgrade_alone, options, destination=destination)
            for failure in threads.map(upgrade, self.plain):
                if failure is not None:
                    raise _FailsAlone(f"on the path to {destination}: {failure.message}")
        plan = planning.plan_rollout(
            self._read_versions,
            self.driver.history,
            RunKind.UPGRADE,
            destination,
            [Tenant(schema, schema, self.connection.info.dbname) for schema in self.ours],
        )
        report = self.driver.start(plan, self.ledger, RunOptions(parallel=1))
        self._obstacles |= report.obstacles
        for tenant in report.tenants:
            if not tenant.outcome.is_at_target:
                who = self._who(tenant.schema)
                self.differences.append(f"{who}: the upgrade failed: {tenant.error}")
        if not self.differences:
            self._compare()

    def _read_versions(self, schemas: Sequence[str]) -> dict[str, Version]:
        """Take what the version tables hold; that made-up tables stand beside is known."""
        table = self.driver.settings.version_table
        found = read_versions(self.connection, schemas, table)
        return {schema: Version(version.heads) for schema, version in found.items()}

    def fill(self) -> None:
        """Put the same made-up rows into every schema."""
        options, table = self.driver.session_options, self.driver.settings.version_table
        first, *others = (*self.plain, *self.ours)
        made, self._empty = make_up(self.connection, options, first, table)
        for schema in others:
            self._repeat(schema, made)

    def _repeat(self, schema: str, made: Sequence[MadeUp]) -> None:
        for name, reason in repeat(self.connection, self.driver.session_options, schema, made):
            self.differences.append(
                f"{self._who(schema)}: the table {name} does not accept the rows: {reason}"
            )

    def report(self) -> ReplayReport:
        """Sum up."""
        revisions = self.driver.history.path(RunKind.UPGRADE, (), "heads").revisions
        return ReplayReport(
            len(revisions),
            sum(revision not in self._obstacles for revision in revisions),
            tuple(self.differences),
            tuple(self._left_out),
            self._empty,
            self._obstacles,
        )

    def _compare(self) -> None:
        versions = self._read_versions([*self.plain, *self.ours])
        table = self.driver.settings.version_table
        first, *others = [
            look(self.connection, self.reader, schema, versions[schema].heads, table)
            for schema in (*self.plain, *self.ours)
        ]
        chance = find_chance(first, others[: SCHEMAS - 1])
        self._left_out |= dict.fromkeys(chance.names)
        for found in others[SCHEMAS - 1 :]:
            who = self._who(found.schema)
            self.differences += [f"{who}: {text}" for text in unlike(first, found, chance)]

    def _who(self, schema: str) -> str:
        """What is said in the place of a scratch schema's name."""
        if schema in self.plain:
            return f"scratch tenant {self.plain.index(schema) + 1} of plain Alembic"
        return f"scratch tenant {self.ours.index(schema) + 1}"
