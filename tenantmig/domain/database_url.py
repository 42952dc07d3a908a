"""The database URL: parsed here, shown without its password, and turned into libpq parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from tenantmig.domain.password_command import PasswordCommand
from tenantmig.domain.redaction import SECRET_PARAMETERS, find_secrets, redact_line
from tenantmig.domain.url_parameters import read_parameters
from tenantmig.domain.url_text import put_hosts, refuse_unescaped, take_hosts
from tenantmig.errors import DatabaseUrlError

NOWHERE: Mapping[str, str] = MappingProxyType({})
PSYCOPG2 = ("psycopg2", "psycopg2cffi")
ADVICE = "give one like postgresql://user@host:5432/name"


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """Where a database is; `str()` never shows a password.

    A URL of the form `embedded:///folder` means the PostgreSQL of the `embedded` extra with its
    data in that folder (`?version=16` or `18`); it must be started before it can be connected to.
    """

    pairs: tuple[tuple[str, str], ...] = field(repr=False)
    shown: str
    embedded_folder: Path | None = None
    fixed_secrets: tuple[str, ...] = field(default=(), repr=False)
    """What was known of secrets when the URL was read."""
    password_command: PasswordCommand | None = field(default=None, repr=False)
    """What prints the password, at every connect."""
    is_psycopg2: bool = False
    """It names psycopg2 as SQLAlchemy's driver."""

    @classmethod
    def parse(cls, text: str, environment: Mapping[str, str] = NOWHERE) -> DatabaseUrl:
        """Read a URL, echoing nothing of it but what is safe.

        `environment` holds the variables that libpq reads, for the secrets in them.

        Raises:
            DatabaseUrlError: not a PostgreSQL URL, or a secret stands in its query string
                (SQLAlchemy and libpq print those in clear).
        """
        text = text.strip()
        if not text.startswith("embedded:"):
            refuse_unescaped(text)
        rest, hosts = take_hosts(text)
        url = _make_url(rest)
        kind, _, driver = url.drivername.partition("+")
        if kind == "embedded":
            return cls._embedded(url, environment)
        if kind not in {"postgresql", "postgres"}:
            raise DatabaseUrlError(f'The database URL is for "{kind}", not PostgreSQL; {ADVICE}.')
        secrets = sorted(SECRET_PARAMETERS & {key.lower() for key in url.query})
        if secrets:
            raise DatabaseUrlError(
                f"The database URL carries {secrets[0]!r} in its query string, where logs "
                "show it. Put the password before the @, in PGPASSWORD or in a passfile."
            )
        parameters = _libpq_parameters(url) | hosts
        shown = url.render_as_string(hide_password=True)
        if hosts:
            shown = put_hosts(shown, text)
        known = find_secrets(parameters, environment)
        return cls(
            tuple(parameters.items()), shown, fixed_secrets=known, is_psycopg2=driver in PSYCOPG2
        )

    @classmethod
    def _embedded(cls, url: URL, environment: Mapping[str, str]) -> DatabaseUrl:
        if url.host or not url.database:
            raise DatabaseUrlError(
                "The embedded URL does not name an absolute folder; write "
                "embedded:///folder, with three slashes."
            )
        version = url.query.get("version", "18")
        if version not in {"16", "18"}:
            raise DatabaseUrlError("The embedded PostgreSQL exists in versions 16 and 18.")
        return cls(
            (("version", str(version)),),
            url.render_as_string(hide_password=True),
            Path("/" + url.database.lstrip("/")),
            fixed_secrets=find_secrets({}, environment),
        )

    def __str__(self) -> str:
        return self.shown

    @property
    def parameters(self) -> dict[str, str]:
        """The libpq connection parameters, the password among them."""
        return dict(self.pairs)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What `redact` takes out of a text, with the newest passwords of the command."""
        produced = self.password_command.produced if self.password_command else ()
        return (*self.fixed_secrets, *produced)

    def asking(self, command: PasswordCommand) -> DatabaseUrl:
        """Return the URL with a command that is asked for the password at every connect.

        Raises:
            DatabaseUrlError: the URL holds a password as well, or means the embedded server.
        """
        if "password" in self.parameters or self.embedded_folder is not None:
            raise DatabaseUrlError(
                "Both `password_command` and the database URL give a password. Remove one of them."
                if self.embedded_folder is None
                else "The embedded PostgreSQL takes no password; remove `password_command`."
            )
        return replace(self, password_command=command)

    def naming(self, database: str) -> DatabaseUrl:
        """Return the URL of another database of the same server."""
        pairs = self.parameters | {"dbname": database}
        shown = f"{self.shown} (database {database})"
        return replace(self, pairs=tuple(pairs.items()), shown=shown)

    def ask_parameters(self) -> dict[str, str]:
        """Return the libpq parameters for one connect; the password command is run for it.

        Raises:
            ConnectError: the password command failed.
        """
        if self.password_command is None:
            return self.parameters
        return self.parameters | {"password": self.password_command.ask()}

    @property
    def database(self) -> str:
        """The database's name, or "" where libpq chooses it."""
        return self.parameters.get("dbname", "")

    def redact(self, text: str) -> str:
        """Return `text` on one line with every known secret, in any spelling, replaced by ***."""
        return redact_line(text, self.secrets)


def _make_url(text: str) -> URL:
    is_read = True
    try:
        url = make_url(text)
        _ = url.port
    except (ArgumentError, ValueError):
        is_read = False  # what was raised quotes the text
    if not is_read:
        raise DatabaseUrlError(f"The database URL cannot be read; {ADVICE}.")
    return url


def _libpq_parameters(url: URL) -> dict[str, str]:
    parts = url.translate_connect_args(username="user", database="dbname")
    parameters = {key: str(value) for key, value in parts.items()}
    return parameters | read_parameters(url.query)
