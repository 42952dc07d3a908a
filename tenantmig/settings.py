"""Settings, from flags, TENANTMIG_* variables, tenantmig.toml or pyproject.toml. The only reader of
environment variables; knows no database."""

from __future__ import annotations

import math
import os
import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import pydantic_settings
from pydantic import (
    BeforeValidator,
    Field,
    PositiveInt,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from tenantmig.domain.alembic_ini import import_roots, read_ini, read_option
from tenantmig.domain.database_url import DatabaseUrl
from tenantmig.domain.password_command import PasswordCommand
from tenantmig.domain.redaction import find_secrets, redact_line, without_secrets
from tenantmig.domain.settings_origin import explain, read_files, refuse_unknown_variables
from tenantmig.domain.tenant import NameRules
from tenantmig.domain.url_source import find_url, is_named
from tenantmig.domain.waves import Canary, FailureBudget
from tenantmig.errors import SettingsError, TenantmigError

DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|h)")
AUTO: Final = "auto"
PYPROJECT: Final = "pyproject.toml"
UNIT_S = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}


def parse_duration(value: object) -> float:
    """Read "500ms", "2s", "5min" or "1h" (or a number of seconds) as seconds.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf:
        return float(value)
    found = DURATION.fullmatch(str(value).strip())
    if not found:
        raise ValueError("write a duration like 500ms, 2s, 5min or 1h")
    return float(found[1]) * UNIT_S[found[2]]


def parse_parallel(value: object) -> int | str:
    """Read "auto", or a number of at least 1.

    Raises:
        ValueError: it is neither.
    """
    text = str(value).strip()
    if text == AUTO:
        return AUTO
    if isinstance(value, bool) or not (text.isdecimal() and int(text) > 0):
        raise ValueError(
            "write auto, or the number of tenants at once as an integer greater than 0"
        )
    return int(text)


Duration = Annotated[float, BeforeValidator(parse_duration)]
Timeout = Annotated[Duration, Field(ge=0.001)]  # to PostgreSQL, 0 means no limit
Parallel = Annotated[int | Literal["auto"], BeforeValidator(parse_parallel)]


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
        None, description="the database; default: sqlalchemy.url of the ini"
    )
    password_command: SecretStr | None = Field(
        None, description="a command that prints the password; it runs at every connect"
    )
    source: Literal["registry", "schemas", "query", "file", "callable"] = Field(
        "registry", description="where tenants are listed"
    )
    source_pattern: str = Field(
        "", description="for source = schemas: which schemas are tenants, such as tenant\\_%"
    )
    source_query: str = Field(
        "", description="for source = query: returns columns name, schema and optionally state"
    )
    source_file: Path | None = Field(None, description="for source = file: lines of name[,schema]")
    source_callable: str = Field("", description="for source = callable: returns the tenants")
    birth: str = Field(
        "",
        description="a function that creates a new tenant at head; it is called with a connection",
    )
    allow_empty: bool = Field(
        default=False, description="true: a run without any tenant is complete, not refused"
    )
    names: Literal["strict", "wide"] = Field("strict", description="which tenant names are allowed")
    ledger_schema: str = Field("tenantmig", description="the schema of the ledger and the registry")
    extension_schemas: tuple[str, ...] = Field(
        (), description="schemas on the search path after the tenant's"
    )
    shared_schema: str = Field(
        "public", description="the schema of the shared lineage, if the ini has one"
    )
    shared_section: str = Field(
        "shared", description="the section of the ini that describes the shared lineage"
    )
    version_table: str = Field(
        "alembic_version", description="the name of the version table, as env.py configures it"
    )
    engine: Literal["auto", "alembic", "replay"] = Field(
        "auto", description="what runs the revisions"
    )
    parallel: Parallel = Field(
        AUTO,
        description="how many tenants at once, at most; auto: by cores, connections and lock table",
    )
    attempts: PositiveInt = Field(4, description="how often a tenant is tried before it has failed")
    lock_timeout: Timeout = Field(
        2.0, description="longest wait for locks, for all locks of a transaction together"
    )
    statement_timeout: Timeout = Field(900.0, description="longest time for one statement")
    idle_in_transaction_timeout: Timeout = Field(
        300.0, description="longest pause of a script inside a transaction"
    )
    connect_timeout: Timeout = Field(10.0, description="longest wait for a connection")
    tenant_lock_timeout: Duration = Field(
        10.0, description="longest wait for another session that is migrating the same tenant"
    )
    deadline: Duration | None = Field(
        None,
        description="longest run; after it, nothing more is begun and what is running is cancelled",
    )
    attempt_timeout: Timeout = Field(
        3600.0, description="longest attempt on one tenant, whatever its script does"
    )
    reconnect_timeout: Duration = Field(60.0, description="longest wait for a server that restarts")
    canary: str = Field("1", description="the tenants that go first: how many, or which")
    wave: PositiveInt | None = Field(
        None, description="how many tenants in each wave after the canary; default: all"
    )
    max_failures: str = Field(
        "5%",
        description="the run stops when more tenants have failed; a share is at least 1 tenant",
    )
    gate: str = Field(
        "", description="a command that runs between waves; unless it exits with 0, the run stops"
    )
    gate_timeout: Timeout = Field(900.0, description="longest wait for the gate")
    client_programs: Path | None = Field(
        None, description="the folder with pg_dump and pg_restore; default: PATH"
    )
    backup_key: SecretStr | None = Field(
        None, description="the secret that signs backups; best set as TENANTMIG_BACKUP_KEY"
    )
    restore_role: str = Field(
        "",
        description="the role that runs the tenant's code in a restore; default: its owner",
    )
    run_as: Literal["connected", "schema_owner"] = Field(
        "connected",
        description="the role that runs scripts",
    )
    bind_parameters: Literal["auto", "server", "client"] = Field(
        "auto",
        description="how parameters of scripts are sent",
    )
    onboard_owner: str = Field(
        "",
        description="the role that will own a new tenant's schema",
    )
    x: tuple[str, ...] = Field(
        (), description="what env.py and scripts read as `-x key=value`; kept in the ledger"
    )
    version_length: PositiveInt = Field(32, description="longest revision id, in characters")
    pure_modules: tuple[str, ...] = Field(
        (),
        description="modules of scripts that keep no state and do not ask who the tenant is",
    )
    trusted_schemas: tuple[str, ...] = Field(
        (),
        description="tenant schemas whose own code may run as the migrator; * for all",
    )
    row_security: Literal["off", "on"] = Field(
        "off", description="whether row security policies may hide rows from revisions"
    )
    recycle_after: PositiveInt = Field(
        200, description="how many tenants one connection serves before it is replaced"
    )

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
            return self._ini_url()
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

    def _ini_url(self) -> str:
        text = read_option(read_ini(self.config), self.config, "sqlalchemy.url")
        if not text:
            raise SettingsError(
                "No database URL is set. Set TENANTMIG_DATABASE_URL, or sqlalchemy.url in "
                f"{self.config}, or take it from your application, in tenantmig.toml: "
                'database_url = "myapp.config:settings.database_url".'
            )
        return text


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
