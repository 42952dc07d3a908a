"""The database that an Alembic ini names. Knows the file alone."""

from __future__ import annotations

from pathlib import Path

from tenantmig.domain.alembic_ini import read_ini, read_option
from tenantmig.errors import SettingsError


def find_ini_url(config: Path) -> str:
    """Return the `sqlalchemy.url` of an ini.

    Raises:
        SettingsError: it names none, or cannot be read.
    """
    text = read_option(read_ini(config), config, "sqlalchemy.url")
    if not text:
        raise SettingsError(
            "No database URL is set. Set TENANTMIG_DATABASE_URL, or sqlalchemy.url in"
            f" {config}, or take it from your application, in tenantmig.toml:"
            ' database_url = "myapp.config:settings.database_url".'
        )
    return text
