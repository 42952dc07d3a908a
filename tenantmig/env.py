"""What an Alembic env.py needs of tenantmig: which schema, and a session that is bound to it.

The driver hands its own session over through `config.attributes["connection"]`, Alembic's
documented pattern; alone, env.py gets a session of its own from here, under the same rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from alembic import context
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from psycopg import sql

from tenantmig.domain.lineage import SHARED_NAME
from tenantmig.domain.plan import show_heads
from tenantmig.errors import (
    PrivilegeError,
    ReadBackError,
    TenantmigError,
    TenantSessionError,
    UnknownTenantError,
)
from tenantmig.history import entities
from tenantmig.history.translation import (  # also: what Alembic writes itself
    LENGTH,
    TenantImpl,
    derive,
)
from tenantmig.ledger.denial import find_denied
from tenantmig.postgres import embedded
from tenantmig.postgres.connection import SessionOptions, set_limits
from tenantmig.postgres.diagnosis import HIDDEN_ROWS, is_denied, is_hiding_rows
from tenantmig.postgres.elsewhere import find_elsewhere
from tenantmig.postgres.session import TenantSession, translate_map
from tenantmig.postgres.session_state import OWN_CHECK
from tenantmig.postgres.version_writing import refuse_danger
from tenantmig.settings import Settings, load_settings
from tenantmig.tenants.lookup import look_up

__all__ = ["SharedEnv", "TenantEnv", "TenantImpl", "assert_in_tenant"]

HEADS = "tenantmig_heads"
VERSION_TABLE = "tenantmig_version_table"
ROLLED_BACK = "the transaction was rolled back"
"""What a revision committed before, in an autocommit_block, is not."""
USAGE = "Name a tenant: alembic -x tenant=NAME ... (and -x schema=SCHEMA if no source lists it)."


class LineageEnv:
    """One schema of a lineage, for one run of env.py: a tenant's or the shared one."""

    name = ""
    schema = ""
    acts_as_owner = False
    """Scripts may run as the owner of the schema, if the settings say so."""

    def __init__(self, config: Config) -> None:
        entities.attach()
        self.config = config
        self.is_driven = "connection" in config.attributes
        if not self.is_driven:
            with _one_sentence(), suppress(AttributeError):  # outside of Alembic
                options = context._proxy.context_opts  # type: ignore[attr-defined]  # noqa: SLF001
                options[LENGTH] = self.settings.version_length

    @cached_property
    def settings(self) -> Settings:
        """The settings next to the Alembic ini; a run of tenantmig has read them already."""
        return load_settings(config=Path(self.config.config_file_name or "alembic.ini"))

    @property
    def translate_map(self) -> dict[str | None, str | None]:
        """The `schema_translate_map`: no schema, and the placeholder "tenant"."""
        return translate_map(self.schema)

    @property
    def search_path_sql(self) -> str:
        """The statement for `context.execute` that puts the schema on the search path."""
        names = (self.schema, *self.settings.extension_schemas)
        path = [sql.Identifier(name).as_string() for name in names]
        listed = ", ".join([*path, "pg_temp"])
        return f"SET search_path = {listed}".replace(":", r"\:")  # else a parameter

    @contextmanager
    def session(self) -> Iterator[sa.Connection]:
        """Open a connection whose search path and translate map are those of the schema.

        Locks: the advisory lock of the schema, on this connection.
        Raises:
            CommandError: the server cannot be used, or the schema is locked or missing.
        """
        if self.is_driven:
            yield self.config.attributes["connection"]
            return
        with _one_sentence():
            url = embedded.resolve(self.settings.url)
            options = SessionOptions.of(self.settings, url, f"tenantmig env {self.name}")
            with closing(TenantSession(options)) as session:
                session.lock(self.schema)
                with session.outside_transaction() as connection:
                    refuse_danger(connection, self.schema, self.settings.version_table)
                session.bind(self.schema)
                session.follow(_context)
                if self.acts_as_owner:
                    session.act_as_owner(self.settings.version_table)
                    _confine_steps(session)
                session.sqlalchemy.info["tenantmig_options"] = options
                session.sqlalchemy.info[VERSION_TABLE] = self.settings.version_table
                try:
                    yield session.sqlalchemy
                    self._read_back(session)
                except sa.exc.DBAPIError as error:
                    if is_hiding_rows(error):
                        error.add_note(HIDDEN_ROWS.strip())
                    self._note_elsewhere(error, session)
                    if is_denied(error) and not is_hiding_rows(error):
                        raise PrivilegeError(self._denied(error, session)) from error
                    raise

    def _read_back(self, session: TenantSession) -> None:
        """Look, after the last COMMIT, whether the tenant is where Alembic says that it is.

        Raises:
            ReadBackError: it is not.
        """
        told = session.sqlalchemy.info.get(HEADS)
        if told is None:
            return  # no revision ran
        with session.outside_transaction() as connection:
            table = sql.Identifier(self.schema, self.settings.version_table)
            rows = connection.execute(sql.SQL("SELECT version_num FROM ONLY {}").format(table))
            found = sorted(str(row[0]) for row in rows)
            session.assert_bound()
        if found != told:
            raise ReadBackError(
                f"After the COMMIT, the version table says {show_heads(found) or 'base'}, "
                f"not {show_heads(told) or 'base'}. Check the tenant before you run again."
            )

    def _note_elsewhere(self, error: sa.exc.DBAPIError, session: TenantSession) -> None:
        found = find_elsewhere(
            error,
            session,
            ledger=self.settings.ledger_schema,
            shared=self.settings.shared_schema,
            version_table=self.settings.version_table,
        )
        if found:
            error.add_note(found.removeprefix("; "))

    def _denied(self, error: sa.exc.DBAPIError, session: TenantSession) -> str:
        """Say what the server denied, and which GRANT was lacking."""
        told = error.orig.diag.message_primary if isinstance(error.orig, psycopg.Error) else None
        missing = find_denied(error, session, self.schema, self.settings.version_table)
        return f"{told or error.orig}{missing}"

    def include_name(self, name: str | None, kind: str, _: object) -> bool:
        """Exclude the version table from autogenerate, which sees it without its schema."""
        return not (kind == "table" and name == self.settings.version_table)


class TenantEnv(LineageEnv):
    """The tenant that `-x tenant=NAME` names, for one run of env.py."""

    acts_as_owner = True

    def __init__(self, config: Config, x: Mapping[str, str], *, is_offline: bool) -> None:
        """Find the tenant; offline nobody can be asked, and the name stands for the schema.

        Raises:
            CommandError: what Alembic prints as one sentence: no `-x tenant=`; no source lists
                the tenant and no schema has its name; or a name that cannot be a tenant's.
        """
        super().__init__(config)
        self.name, self.schema = x.get("tenant", ""), x.get("schema", "")
        if not self.is_driven:
            with _one_sentence():
                self._find(is_offline=is_offline)

    def __str__(self) -> str:
        """The tenant schema: in a text that env.py puts together, the tenant is nothing else."""
        return self.schema

    def _find(self, *, is_offline: bool) -> None:
        if not self.name:
            raise UnknownTenantError(USAGE)
        rules = self.settings.name_rules
        rules.check(self.name)
        if not self.schema:
            self.schema = self.name if is_offline else look_up(self.settings, self.name)
        rules.check(self.schema, "tenant schema")


class SharedEnv(LineageEnv):
    """The schema of the shared lineage, for one run of its env.py (`alembic -n shared ...`).

    Raises:
        CommandError: the settings cannot be read.
    """

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.name = SHARED_NAME
        with _one_sentence():
            self.schema = self.settings.shared_schema


@contextmanager
def _one_sentence() -> Iterator[None]:
    """Let Alembic print a refusal as it prints its own; anything else would be a traceback."""
    try:
        yield
    except TenantmigError as error:
        raise CommandError(error.message) from error


def _confine_steps(session: TenantSession) -> None:
    """Let the scripts that Alembic runs next act as the owner of the schema, and nothing else."""
    options = context._proxy.context_opts  # type: ignore[attr-defined]  # noqa: SLF001  no public way
    find_steps = options.get("fn")
    if find_steps is None or session.owner is None:
        return

    def steps(heads: Any, running: MigrationContext) -> Iterator[Any]:
        for step in find_steps(heads, running):
            if hasattr(step, "migration_fn"):
                session.confine(step)
            yield step

    options["fn"] = steps


def _context() -> MigrationContext | None:
    """Return Alembic's context of the moment, if env.py has configured one."""
    try:
        return context.get_context()
    except Exception:  # noqa: BLE001  Alembic says so by a bare one
        return None


def assert_in_tenant(*, ctx: MigrationContext, **facts: Any) -> None:
    """Check, in each revision's own transaction, that its script stayed in the tenant schema.

    Limits that the script set (`SET lock_timeout`) end with the revision.

    Raises:
        TenantSessionError: a script changed search_path, or env.py passes another version table
            than the setting says; the open transaction is rolled back.
    """
    if not isinstance(ctx.impl, TenantImpl):
        raise TenantSessionError(f"env.py must {derive(ctx.impl)}; {ROLLED_BACK}.")
    if ctx.as_sql or ctx.connection is None:
        return
    current = ctx.connection.execute(sa.text(OWN_CHECK)).scalar()
    expected = ctx.connection.info.get("tenantmig_schema")
    table = ctx.connection.info.get(VERSION_TABLE, ctx.version_table)
    if ctx.version_table != table:
        raise TenantSessionError(
            f"env.py passes version_table={ctx.version_table!r}, but the setting "
            f"`version_table` is {table!r}; set both to the table that the tenants have. "
            f"{ROLLED_BACK.capitalize()}."
        )
    if current != expected:
        raise TenantSessionError(
            f'A script changed the session from the tenant schema "{expected}" to '
            f'"{current}"; {ROLLED_BACK}.'
        )
    ctx.connection.info[HEADS] = sorted(facts.get("heads", ()))
    options = ctx.connection.info.get("tenantmig_options")
    driver = ctx.connection.connection.driver_connection
    if options is not None and isinstance(driver, psycopg.Connection):
        set_limits(driver, options)
