"""Where the user's env.py and scripts run: the history loaded once, and what env.py must do.

Knows no session and no ledger.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TextIO

import sqlalchemy as sa
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, RevisionStep

from tenantmig.domain.ini_error import say_error
from tenantmig.domain.lineage import Lineage
from tenantmig.domain.plan import Heads, RunKind, show_heads
from tenantmig.domain.plan import Path as RevisionPath
from tenantmig.domain.safe_text import lines
from tenantmig.domain.tenant import Tenant
from tenantmig.engines.env_watch import EnvWatch, Migrations
from tenantmig.errors import EnvironmentFileError, TenantmigError
from tenantmig.history.alembic_config import alembic_config
from tenantmig.history.revisions import History
from tenantmig.history.translation import OPTION, TenantImpl, derive
from tenantmig.postgres.connection import SessionOptions
from tenantmig.postgres.session import TenantSession, translate_map

MOST_LINES = 200


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """What a worker is told once."""

    ini: Path
    session: SessionOptions
    ledger: str
    version_table: str
    recycle_after: int = 200
    is_registry_source: bool = True
    attempt_timeout_s: float = 3600.0
    lineage: Lineage = Lineage.TENANT
    shared_schema: str = "public"
    pure_modules: tuple[str, ...] = ()
    birth: str = ""
    """What makes new tenants in place of the history, if anything does."""
    shared_section: str = "shared"
    x: tuple[str, ...] = ()
    """What env.py and scripts see as `-x key=value`, beside the tenant."""

    def config(self, x: tuple[str, ...] = ()) -> Config:
        """Return Alembic's configuration of the lineage."""
        return alembic_config(self.ini, self.lineage, (*x, *self.x), self.shared_section)


class Unheard(io.TextIOBase):
    """A stream whose reader may go away: what a script prints must not fail its revision.

    What it prints may come from a tenant, so that it is made safe for a terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self._kept: list[str] | None = None
        self.before: tuple[str, ...] = ()
        """Lines that were kept earlier and told nobody."""

    def keep(self) -> None:
        """Keep what is written from now on, until it is taken."""
        self._kept, self.before = [f"{line}\n" for line in self.before], ()

    def take(self) -> tuple[str, ...]:
        """Return the lines that were kept, the first `MOST_LINES`; write from now on."""
        found, self._kept = "".join(self._kept or ()).splitlines(), None
        kept = [line.rstrip() for line in found if line.strip()]
        more = len(kept) - MOST_LINES
        return (*kept[:MOST_LINES], *([f"(and {more} more lines)"] if more > 0 else ()))

    def fileno(self) -> int:
        """The descriptor of the stream."""
        return self.stream.fileno()

    def write(self, text: str) -> int:
        """Write, or go on if nobody reads."""
        if self._kept is not None:
            self._kept.append(lines(text))
            return len(text)
        with suppress(OSError):
            self.stream.write(lines(text))
        return len(text)

    def flush(self) -> None:
        """Flush, or go on if nobody reads."""
        with suppress(OSError):
            self.stream.flush()


class ScriptEnvironment:
    """One process's history, and its env.py."""

    def __init__(self, options: WorkerOptions) -> None:
        self.options = options
        self._loaded_before = frozenset(sys.modules)
        self.history = History(
            options.ini, options.lineage, options.pure_modules, options.shared_section
        )
        self.config = options.config()

    def load_late(self) -> None:
        """Load scripts, and what they import of the project, when env.py runs and not before.

        What a module looks at when it is imported (the environment, `sys.argv`) is then what plain
        Alembic would show it.
        """
        loaded = {n: str(getattr(sys.modules[n], "__file__", None) or "") for n in sys.modules}
        # compiled modules cannot be loaded twice in a process
        compiled = {n.partition(".")[0] for n, file in loaded.items() if file.endswith(".so")}
        for name in loaded.keys() - self._loaded_before:
            is_installed = "site-packages" in loaded[name] or not loaded[name]
            is_standard = loaded[name].startswith(sys.base_prefix)
            if not (is_installed or is_standard or name.partition(".")[0] in compiled):
                del sys.modules[name]
        self.history.forget_scripts()

    def _leave_out_impure(self, step: RevisionStep, context: MigrationContext) -> None:
        """Run no script that is not proved pure where only its SQL is asked for."""
        revision = str(step.revision.revision)
        reason = self.history.proofs.of(RunKind.UPGRADE, revision).impure

        @wraps(step.migration_fn)
        def leave_out(**_: object) -> None:
            context.impl.static_output(f"-- The SQL of revision {revision} is not shown: {reason}")

        if reason:
            step.migration_fn = leave_out

    def run_env(
        self, tenant: Tenant, migrations: Migrations, destination: str, **more: object
    ) -> None:
        """Run the user's env.py for a tenant; it calls `migrations` to run its revisions.

        Raises:
            EnvironmentFileError: it sends by itself what would place the tenant's tables.
        """
        tell_env(self.config, self.options, tenant, destination)
        script, extensions = self.history.script, self.options.session.extension_schemas
        watch = EnvWatch(str(Path(script.dir, "env.py")), (tenant.schema, *extensions))
        fn = watch.around(migrations)
        with (
            watch.attached(self.config.attributes.get("connection")),
            EnvironmentContext(
                self.config, script, fn=fn, destination_rev=destination, tag=None, **more
            ),
        ):
            script.run_env()

    def check_environment(
        self, context: MigrationContext, session: TenantSession, tenant: Tenant
    ) -> None:
        """Trust nothing that env.py configured: each of these has cost somebody a database."""
        broken = broken_rules(context, session.sqlalchemy, tenant.schema, self.options)
        if broken:
            raise EnvironmentFileError(f"env.py must {', '.join(broken)}; nothing was run.")

    def render_sql(self, tenant: Tenant, path: RevisionPath) -> str:
        """Return the SQL that brings a tenant along `path`."""
        buffer = io.StringIO()
        source = show_heads(path.source) or "base"

        def migrations(heads: Heads, context: MigrationContext) -> Iterable[RevisionStep]:
            for step in self.history.steps(RunKind.UPGRADE, path.destination)(heads, context):
                self._leave_out_impure(step, context)
                yield step

        self.config.attributes.pop("connection", None)
        self.config.output_buffer = buffer
        offline = {"as_sql": True, "starting_rev": source, OPTION: translate_map(tenant.schema)}
        try:
            self.run_env(tenant, migrations, path.destination, **offline)
        except TenantmigError:
            raise
        except Exception as error:  # noqa: BLE001  what it raises may not survive pickling
            raise EnvironmentFileError(
                self.options.session.url.redact(
                    f"The SQL cannot be written offline: {type(error).__name__}: {say_error(error)}"
                )
            ) from None
        return buffer.getvalue()


def tell_env(config: Config, options: WorkerOptions, tenant: Tenant, destination: str) -> None:
    """Let env.py see what plain Alembic would show it for a tenant."""
    assert config.cmd_opts is not None
    config.cmd_opts.x = [f"tenant={tenant.name}", f"schema={tenant.schema}", *options.x]
    told = [word for each in config.cmd_opts.x for word in ("-x", each)]
    sys.argv = ["alembic", "-c", str(options.ini), *told, "upgrade", destination]


def broken_rules(
    context: MigrationContext, connection: sa.Connection, schema: str, options: WorkerOptions
) -> list[str]:
    """Return what env.py must do and did not when it configured a context."""
    version_table, length = options.version_table, options.session.version_length
    made = getattr(context._version.c.version_num.type, "length", None)  # noqa: SLF001
    rules = {
        derive(context.impl): isinstance(context.impl, TenantImpl),
        'use the connection in config.attributes["connection"]': context.connection is connection,
        "pass version_table_schema=<the tenant schema>": context.version_table_schema == schema,
        f"pass version_table={version_table!r} (or set `version_table`)": (
            context.version_table == version_table
        ),
        f"keep the version column {length} characters wide (or set version_length = {made})": (
            made in {length, None}
        ),
        "pass transaction_per_migration=True": context.opts.get("transaction_per_migration"),
        "keep connection.dialect.default_schema_name at the tenant schema": (
            connection.dialect.default_schema_name == schema
        ),
        "not change the schema_translate_map of the connection": _is_mapped(connection, schema),
        "execute nothing before context.configure()": not context._in_external_transaction,  # noqa: SLF001
    }
    return [must for must, is_kept in rules.items() if not is_kept]


def _is_mapped(connection: sa.Connection, schema: str) -> bool:
    """True when neither no schema nor the placeholder means another one than the tenant's."""
    given = connection.get_execution_options().get("schema_translate_map") or {}
    return all(given.get(key, schema) == schema for key in translate_map(schema))
