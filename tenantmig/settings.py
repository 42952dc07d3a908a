"""Settings, from flags, TENANTMIG_* variables, tenantmig.toml or pyproject.toml. The only reader of
environment variables; knows no database."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

import pydantic_settings
from pydantic import Field, NonNegativeInt, PositiveInt, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from tenantmig.domain.alembic_ini import import_roots, read_ini
from tenantmig.domain.database_url import DatabaseUrl
from tenantmig.domain.ini_url import find_ini_url
from tenantmig.domain.password_command import PasswordCommand
from tenantmig.domain.redaction import find_secrets, redact_line, without_secrets
from tenantmig.domain.settings_origin import explain, read_files, refuse_unknown_variables
from tenantmig.domain.tenant import NameRules
from tenantmig.domain.url_source import find_url, is_named
from tenantmig.domain.waves import Canary, FailureBudget
from tenantmig.domain.written_values import AUTO, Duration, Parallel, Timeout
from tenantmig.errors import SettingsError, TenantmigError

PYPROJECT: Final = "pyproject.toml"


class Settings(BaseSettings):
    """Everything that can be set. Durations are in seconds once read.

    Precedence: flag (keyword) > `TENANTMIG_*` variable > `tenantmig.toml` > `[tool.tenantmig]`
    of `pyproject.toml` > default. The files are looked for beside the Alembic ini.
    """

    model_config = SettingsConfigDict(
        env_prefix="TENANTMIG_", extra="forbid", frozen=True, hide_input_in_errors=True
    )
    config: Path = Field(
        Path("alembic.ini"), description="the Alembic ini, or pyproject.toml with [tool.alembic]"
    )
    database_url: SecretStr | None = Field(
        None, description="the database URL, or module:function; default: sqlalchemy.url of the ini"
    )
    password_command: SecretStr | None = Field(
        None, description="command that prints the password; it runs at every connect"
    )
    source: Literal["registry", "schemas", "query", "file", "callable"] = Field(
        "registry", description="where the list of tenants comes from"
    )
    source_pattern: str = Field(
        "", description="source = schemas: a LIKE pattern for schema names, for example tenant\\_%"
    )
    source_query: str = Field(
        "", description="source = query: SQL with columns name, schema and optionally state"
    )
    source_file: Path | None = Field(None, description="source = file: lines of name[,schema]")
    source_callable: str = Field("", description="source = callable: module:function")
    birth: str = Field(
        "",
        description=(
            "module:function that creates a new tenant at head; it is called with a connection"
        ),
    )
    pool: NonNegativeInt = Field(
        0, description="finished schemas that wait for a sign-up; `onboard` gives one to a tenant"
    )
    allow_empty: bool = Field(default=False, description="allow a run over no tenants")
    names: Literal["strict", "wide"] = Field("strict", description="which tenant names are allowed")
    ledger_schema: str = Field("tenantmig", description="the schema of the ledger and the registry")
    extension_schemas: tuple[str, ...] = Field(
        (), description="schemas that follow the tenant's on the search path"
    )
    shared_schema: str = Field(
        "public",
        description="the schema of the shared lineage's tables, if the ini has such a lineage",
    )
    shared_section: str = Field(
        "shared", description="the section of the ini that describes the shared lineage"
    )
    version_table: str = Field(
        "alembic_version", description="the name of the version table, as env.py configures it"
    )
    engine: Literal["auto", "alembic", "replay"] = Field(
        "auto",
        description="how revisions are run; with replay, what auto would run with alembic fails",
    )
    parallel: Parallel = Field(
        AUTO, description="tenants at once; auto: from cores, free connections and the lock table"
    )
    attempts: PositiveInt = Field(4, description="attempts on a tenant before it counts as failed")
    lock_timeout: Timeout = Field(
        2.0, description="longest wait for locks, summed over a transaction"
    )
    statement_timeout: Timeout = Field(900.0, description="longest time of one statement")
    idle_in_transaction_timeout: Timeout = Field(
        300.0, description="longest pause of a script inside a transaction"
    )
    connect_timeout: Timeout = Field(10.0, description="longest wait for a connection")
    tenant_lock_timeout: Duration = Field(
        10.0, description="longest wait for another session that is migrating the same tenant"
    )
    deadline: Duration | None = Field(
        None,
        description=(
            "longest time of a run; then nothing more is begun and running statements are cancelled"
        ),
    )
    attempt_timeout: Timeout = Field(
        3600.0, description="longest time of one attempt on a tenant, whatever its script does"
    )
    reconnect_timeout: Duration = Field(
        60.0, description="longest wait for a server that is restarting"
    )
    canary: str = Field(
        "1", description="tenants that go first: a number, or names separated by commas"
    )
    wave: PositiveInt | None = Field(
        None, description="tenants in each wave after the canary; default: all"
    )
    max_failures: str = Field(
        "5%",
        description=(
            "the run stops when more tenants have failed: a number, or a percentage (at least 1)"
        ),
    )
    gate: str = Field(
        "", description="command to run between waves; the run stops unless it exits with 0"
    )
    gate_timeout: Timeout = Field(900.0, description="longest wait for the gate")
    client_programs: Path | None = Field(
        None, description="the folder with pg_dump and pg_restore; default: PATH"
    )
    backup_key: SecretStr | None = Field(
        None, description="the secret that signs backups; best given as TENANTMIG_BACKUP_KEY"
    )
    restore_role: str = Field(
        "", description="the role that runs the tenant's code in a restore; default: its owner"
    )
    run_as: Literal["connected", "schema_owner"] = Field(
        "connected",
        description=(
            "the role that runs scripts: the connected role, or the owner of each tenant schema"
        ),
    )
    bind_parameters: Literal["auto", "server", "client"] = Field(
        "auto",
        description=(
            "client: put all parameters of scripts into the text, as psycopg2 does; auto: do "
            "so if the database URL says +psycopg2"
        ),
    )
    onboard_owner: str = Field(
        "",
        description="the role that owns a new tenant's schema; may contain {name} or {schema}",
    )
    x: tuple[str, ...] = Field(
        (), description="what env.py and scripts get as `-x key=value`; kept in the ledger"
    )
    version_length: PositiveInt = Field(
        32, description="largest number of characters in a revision id"
    )
    pure_modules: tuple[str, ...] = Field(
        (),
        description="modules used by scripts that keep no state and do not depend on the tenant",
    )
    trusted_schemas: tuple[str, ...] = Field(
        (), description="tenant schemas that may contain code that runs as the migrator; * for all"
    )
    row_security: Literal["off", "on"] = Field(
        "off", description="on: policies may hide rows from revisions; off: such a revision fails"
    )
    recycle_after: PositiveInt = Field(200, description="tenants that one connection serves")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  pydantic's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the files that lie beside the Alembic ini below flags and variables."""
        given = {**env_settings(), **init_settings()}
        folder = Path(given.get("config", "alembic.ini")).absolute().parent
        read = InitSettingsSource(settings_cls, init_kwargs=read_files(folder))
        return (init_settings, env_settings, read)

    @field_validator("canary", mode="before")
    @classmethod
    def check_canary(cls, value: object) -> str:
        """Read the canary now, so that a mistake is told with the setting's name."""
        return str(Canary.parse(str(value)))

    @field_validator("ledger_schema", "shared_schema", "version_table")
    @classmethod
    def check_name(cls, value: str) -> str:
        """Refuse what psycopg takes for a placeholder, or SQLAlchemy for one of its own."""
        if not value or set("%[]\0") & set(value):
            raise ValueError("a name must not be empty or contain %, [ or ]")
        return value

    @field_validator("x")
    @classmethod
    def check_x(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse what is no `key=value`, or would be taken for the tenant."""
        for one in value:
            key = one.partition("=")[0].strip()
            if not key or "\0" in one:
                raise ValueError("write key=value")
            if key in {"tenant", "schema"}:
                raise ValueError(f"tenantmig sets {key} itself, for each tenant")
        return value

    @field_validator("onboard_owner")
    @classmethod
    def check_owner(cls, value: str) -> str:
        """Refuse a pattern that means something else than the tenant's name and schema."""
        rest = value.replace("{name}", "").replace("{schema}", "")
        if "{" in rest or "}" in rest or "\0" in rest:
            raise ValueError("write the name of a role; {name} and {schema} stand for the tenant's")
        return value

    @field_validator("max_failures", mode="before")
    @classmethod
    def check_budget(cls, value: object) -> str:
        """Read the failure budget now, for the same reason."""
        return str(FailureBudget.parse(str(value)))

    @property
    def name_rules(self) -> NameRules:
        """What tenants and their schemas may be called under these settings."""
        reserved = {self.ledger_schema, self.shared_schema, *self.extension_schemas}
        return NameRules(self.names == "wide", frozenset(name.lower() for name in reserved))

    @property
    def has_shared_lineage(self) -> bool:
        """True when the ini has a section for it.

        Raises:
            SettingsError: the ini is missing or malformed.
        """
        return read_ini(self.config).has_section(self.shared_section)

    @property
    def url(self) -> DatabaseUrl:
        """The database's URL, from `database_url`, else from the ini's `sqlalchemy.url`.

        Raises:
            SettingsError: neither is set, or what is set gives none.
            DatabaseUrlError: it cannot be used.
        """
        url = DatabaseUrl.parse(self._url_text, os.environ)
        return url.asking(self._password_command) if self._password_command else url

    @cached_property
    def _url_text(self) -> str:
        """The text of the URL; a function of the project is called once."""
        if not self.database_url:
            return find_ini_url(self.config)
        text = self.database_url.get_secret_value()
        return find_url(text, import_roots(self.config)) if is_named(text) else text

    @cached_property
    def _password_command(self) -> PasswordCommand | None:
        command = self.password_command.get_secret_value() if self.password_command else ""
        return PasswordCommand.of(command) if command else None

    @property
    def puts_in_all(self) -> bool:
        """True when all parameters of scripts are put into the text; needs no database."""
        if self.bind_parameters != AUTO:
            return self.bind_parameters == "client"
        try:
            return self.url.is_psycopg2
        except TenantmigError:
            return False

    def redact(self, text: str) -> str:
        """Return a text on one line without the secrets of the URL and of the environment."""
        return redact_line(text, self.secrets)

    @property
    def secrets(self) -> tuple[str, ...]:
        """All secrets that are known, also where the URL cannot be used."""
        try:
            return self.url.secrets
        except TenantmigError:
            return find_secrets({}, os.environ)

    @property
    def gate_environment(self) -> dict[str, str]:
        """The environment of the gate: this process's, without the secrets that are known."""
        return without_secrets(os.environ, self.secrets)

    @property
    def signing_key(self) -> str | None:
        """The key that signs backups, if there is one."""
        return (self.backup_key.get_secret_value() if self.backup_key else "") or None


def load_settings(**flags: object) -> Settings:
    """Read the settings; a flag that is None counts as not given.

    Raises:
        SettingsError: naming the file or variable, the key and the reason; also for a `TENANTMIG_*`
            variable that names no setting.
    """
    given: dict[str, Any] = {key: value for key, value in flags.items() if value is not None}
    known = Settings.model_fields.keys()
    refuse_unknown_variables(os.environ, known)
    try:
        return Settings(**given)
    except ValidationError as error:
        raise SettingsError(explain(error, given, os.environ, known)) from error
    except pydantic_settings.SettingsError as error:
        reason = f"{error} ({error.__cause__})" if error.__cause__ else str(error)
        raise SettingsError(f"A TENANTMIG_* variable cannot be used: {reason}.") from error
