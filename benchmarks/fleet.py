"""The fleets to begin with: templates with that many tenants, made fast.

One tenant is migrated in earnest; the others are the text that pg_dump writes of it, under their
own names. So a fleet is what a database is after a dump and a restore.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from benchmarks.command import REPOSITORY, finish, run, start
from benchmarks.history import BEFORE, HEAD, NAMELESS, OWN, History
from benchmarks.machine import BenchServer
from benchmarks.verification import Keeper, shapes, wrong_tenants

DJANGO = REPOSITORY / "benchmarks" / "django_tenants"
RIVALS = REPOSITORY / ".venv-bench" / "bin" / "python"
CONNECTIONS = 2
NOISE = re.compile(r"^(--.*|\\.*|SET .*|SELECT pg_catalog\.set_config.*|)\n", re.MULTILINE)
UNFLUSHED = {"PGOPTIONS": "-c synchronous_commit=off -c client_min_messages=warning"}
REGISTER: Mapping[Keeper, str] = {
    "tenantmig": "INSERT INTO tenantmig.tenant (name, schema, state)"
    " SELECT name, name, 'active' FROM unnest(%s::text[]) AS name",
    "django": "INSERT INTO public.customers_customer (schema_name) SELECT unnest(%s::text[])",
}


def tenant_names(count: int) -> Sequence[str]:
    """The names of the tenants; pgbench can say them too."""
    return [f"tenant_{number}" for number in range(1, count + 1)]


@dataclass(frozen=True)
class Fleet:
    """That many tenants at a revision; `size` 0 is a database before its first tenant."""

    size: int
    revision: str = BEFORE
    history: History = OWN
    keeper: Keeper = "tenantmig"


@dataclass
class Templates:
    """A database for each fleet, and what its tenants must look like."""

    server: BenchServer
    folder: Path
    _made: dict[Fleet, str] = field(default_factory=dict)
    _shapes: dict[History, dict[str, str]] = field(default_factory=dict)

    def of(self, fleet: Fleet) -> str:
        """The name of the template; made when it is first asked for."""
        if fleet not in self._made:
            name = self.server.create()
            url = self.server.url(name)
            (_make_django if fleet.keeper == "django" else _make_tenantmig)(url, fleet)
            if fleet.size:
                self._multiply(url, fleet)
            self._check(url, fleet)
            self._made[fleet] = name
        return self._made[fleet]

    def references(self, history: History) -> dict[str, str]:
        """What a tenant looks like at each revision, as plain `alembic` makes it."""
        if history not in self._shapes:
            url = self.server.url(self.server.create())
            tenants = {f"at_{revision}": revision for revision in (BEFORE, HEAD)}
            for tenant, revision in tenants.items():
                with psycopg.connect(url, autocommit=True) as connection:
                    _create_schema(connection, tenant)
                config = str(history.config)
                run(url, ["alembic", "-c", config, "-x", f"tenant={tenant}", "upgrade", revision])
            looks = shapes(url, list(tenants))
            self._shapes[history] = {tenants[tenant]: look for tenant, look in looks.items()}
        return self._shapes[history]

    def _multiply(self, url: str, fleet: Fleet) -> None:
        dump = [self.server.program("pg_dump"), "-d", url, "-n", NAMELESS, "--inserts", "-O"]
        text = NOISE.sub("", run(url, dump))
        names = tenant_names(fleet.size)
        with psycopg.connect(url, autocommit=True) as connection:
            drop = sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(NAMELESS))
            connection.execute(drop)
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            processes = []
            for number in range(CONNECTIONS):
                file = Path(folder, str(number))
                with file.open("w") as lines:
                    lines.writelines(_renamed(text, names[number::CONNECTIONS]))
                psql = [self.server.program("psql"), "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", url]
                command = [*psql, "-o", "/dev/null", "-f", str(file)]
                processes.append(start(url, command, variables=UNFLUSHED))
            for process in processes:
                finish(process)
        _register(url, fleet.keeper, names)

    def _check(self, url: str, fleet: Fleet) -> None:
        """Refuse a template that is not what it should be, also in the eyes of tenantmig."""
        names = tenant_names(fleet.size)
        expected = dict.fromkeys(names, fleet.revision)
        wrong = wrong_tenants(url, fleet.keeper, expected, self.references(fleet.history))
        if wrong:
            raise SystemExit(f"{fleet}: {len(wrong)} tenants are not as they should be")
        if fleet.keeper == "tenantmig" and fleet.size:
            command = ["tenantmig", "--config", str(fleet.history.config), "status", "--json"]
            tenants = json.loads(run(url, command))["tenants"]
            at = {(t["tenant"], t["state"], t["revision"]) for t in tenants}
            if at != {(name, "active", fleet.revision) for name in names}:
                raise SystemExit(f"{fleet}: tenantmig status does not see it as it is")


def _renamed(text: str, names: Sequence[str]) -> Iterator[str]:
    for name in names:
        yield f"BEGIN;\n{text.replace(NAMELESS, name)}\nCOMMIT;\n"


def _make_tenantmig(url: str, fleet: Fleet) -> None:
    """Onboard one tenant, so that the ledger is as tenantmig leaves it, and forget its name."""
    if fleet.size:
        tenantmig = ["tenantmig", "--config", str(fleet.history.config)]
        run(url, [*tenantmig, "onboard", "--to", fleet.revision, NAMELESS])
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DELETE FROM tenantmig.tenant WHERE name = %s", [NAMELESS])


def _make_django(url: str, fleet: Fleet) -> None:
    manage = [str(RIVALS), "manage.py", "migrate_schemas", "-v", "0"]
    run(url, [*manage, "--shared"], DJANGO)
    if fleet.size:
        with psycopg.connect(url, autocommit=True) as connection:
            _create_schema(connection, NAMELESS)
        run(url, [*manage, "--tenant", "-s", NAMELESS, "saas", fleet.revision], DJANGO)


def _register(url: str, keeper: Keeper, names: Sequence[str]) -> None:
    """Write the registry's rows; vacuum the catalogs, as autovacuum would have done meanwhile."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(REGISTER[keeper], [list(names)])
        catalogs = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace"
            " AND relkind = 'r' AND relname NOT IN ('pg_statistic', 'pg_statistic_ext_data')"
        )
        for (catalog,) in catalogs.fetchall():
            table = sql.Identifier("pg_catalog", catalog)
            connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(table))


def _create_schema(connection: psycopg.Connection, name: str) -> None:
    connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
