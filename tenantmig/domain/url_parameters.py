"""The parameters in the text of a database URL, as libpq knows them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Final

from psycopg.pq import Conninfo

from tenantmig.domain.url_text import read_hosts
from tenantmig.errors import DatabaseUrlError

DRIVERS_OWN: Final = frozenset(
    {
        "async_fallback",
        "async_creator_fn",
        "command_timeout",
        "max_cacheable_statement_size",
        "max_cached_statement_lifetime",
        "pgbouncer",
        "pool_timeout",
        "prepare_threshold",
        "prepared_statement_cache_size",
        "prepared_statement_name_func",
        "statement_cache_size",
        "timeout",
    }
)
"""What asyncpg, psycopg and their SQLAlchemy dialects take for themselves: caches and waits of the
application's, which mean nothing here."""
SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
SSL: Final = {"true": "require", "false": "disable"} | {mode: mode for mode in SSL_MODES}
"""asyncpg's `ssl`; `true` is require, as libpq itself reads it (PostgreSQL docs, 34.1.1.2)."""


def read_parameters(query: Mapping[str, str | Sequence[str]]) -> dict[str, str]:
    """Read what stands behind the `?` of a URL as libpq parameters.

    Raises:
        DatabaseUrlError: libpq and the drivers of Python know no such parameter, or its value.
    """
    known = [option.keyword.decode() for option in Conninfo.get_defaults()]
    parameters: dict[str, str] = {}
    for key, value in query.items():
        values = [value] if isinstance(value, str) else list(value)
        if key == "host":
            parameters |= read_hosts([part for one in values for part in one.split(",")])
        elif key == "ssl":
            parameters |= _read_ssl(values, query)
        elif key in known:
            parameters[key] = ",".join(values)
        elif key not in DRIVERS_OWN:
            near = get_close_matches(key, [*known, "ssl"], 1)
            hint = f"; did you mean {near[0]}?" if near else ", and neither do asyncpg or psycopg."
            raise DatabaseUrlError(
                f"The database URL has a parameter that libpq does not know{hint}"
            )
    ports = query.get("port")
    if ports is not None:
        parameters["port"] = ports if isinstance(ports, str) else ",".join(ports)
    return parameters


def _read_ssl(values: Sequence[str], query: Mapping[str, str | Sequence[str]]) -> dict[str, str]:
    mode = SSL.get(values[-1].lower())
    if mode is None:
        raise DatabaseUrlError(
            "The parameter ssl of the database URL has an unknown value; write one of "
            f"{', '.join(SSL_MODES)}."
        )
    if query.get("sslmode", mode) != mode:
        raise DatabaseUrlError(
            "The database URL has both ssl and sslmode, and they differ; remove one of them."
        )
    return {"sslmode": mode}
