"""The database URL: parsed here, shown without its password, and turned into libpq parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from tenantmig.errors import DatabaseUrlError
from tenantmig.redaction import SECRET_PARAMETERS, find_secrets, redact_line

NOWHERE: Mapping[str, str] = MappingProxyType({})
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
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """What `redact` takes out of a text."""

    @classmethod
    def parse(cls, text: str, environment: Mapping[str, str] = NOWHERE) -> DatabaseUrl:
        """Read a URL, echoing nothing of it but what is safe.

        `environment` holds the variables that libpq reads, for the secrets in them.

        Raises:
            DatabaseUrlError: not a PostgreSQL URL, or a secret stands in its query string
                (SQLAlchemy and libpq print those in clear).
        """
        try:
            url = make_url(text.strip())
            _ = url.port
        except (ArgumentError, ValueError) as error:
            raise DatabaseUrlError(f"The database URL cannot be read; {ADVICE}.") from error
        kind = url.drivername.partition("+")[0]
        if kind == "embedded":
            return cls._embedded(url, environment)
        if kind not in {"postgresql", "postgres"}:
            raise DatabaseUrlError(f'The database URL is for "{kind}", not PostgreSQL; {ADVICE}.')
        secrets = sorted(SECRET_PARAMETERS & {key.lower() for key in url.query})
        if secrets:
            raise DatabaseUrlError(
                f"The database URL carries {secrets[0]!r} in its query string, where logs show it;"
                " put the password before the @, in PGPASSWORD or in a passfile."
            )
        pairs = _libpq_parameters(url)
        known = find_secrets(dict(pairs), environment)
        return cls(pairs, url.render_as_string(hide_password=True), secrets=known)

    @classmethod
    def _embedded(cls, url: URL, environment: Mapping[str, str]) -> DatabaseUrl:
        if url.host or not url.database:
            raise DatabaseUrlError(
                "The embedded URL names no absolute folder; write embedded:///folder, with three"
                " slashes."
            )
        version = url.query.get("version", "18")
        if version not in {"16", "18"}:
            raise DatabaseUrlError("The embedded PostgreSQL has versions 16 and 18.")
        return cls(
            (("version", str(version)),),
            url.render_as_string(hide_password=True),
            Path("/" + url.database.lstrip("/")),
            find_secrets({}, environment),
        )

    def __str__(self) -> str:
        return self.shown

    @property
    def parameters(self) -> dict[str, str]:
        """The libpq connection parameters, the password among them."""
        return dict(self.pairs)

    @property
    def database(self) -> str:
        """The database's name, or "" where libpq chooses it."""
        return self.parameters.get("dbname", "")

    def redact(self, text: str) -> str:
        """Return `text` on one line with every known secret, in any spelling, replaced by ***."""
        return redact_line(text, self.secrets)


def _libpq_parameters(url: URL) -> tuple[tuple[str, str], ...]:
    parts = url.translate_connect_args(username="user", database="dbname")
    parameters = {key: str(value) for key, value in parts.items()}
    for key, value in url.query.items():
        parameters[key] = value if isinstance(value, str) else ",".join(value)
    return tuple(parameters.items())
