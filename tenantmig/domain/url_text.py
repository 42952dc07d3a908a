"""The text of a database URL: what must be escaped in it, its hosts, and its parameters.

Knows the spellings of libpq, SQLAlchemy and asyncpg. No message holds a part of the text that may
be one of a password.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Final

from psycopg.pq import Conninfo

from tenantmig.errors import DatabaseUrlError

URL: Final = re.compile(
    r"(?s)(?P<scheme>[\w+.-]+://)(?:(?P<user>[^@]*)@)?(?P<hosts>[^/?@]*)(?P<rest>.*)"
)
ESCAPES: Final = "write @ as %40, / as %2F and % as %25"
HOST: Final = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:\[\]]*)(?::(?P<port>\d*))?")
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


def refuse_unescaped(text: str) -> None:
    """Refuse a URL in which a character of the password would be read as something else.

    Raises:
        DatabaseUrlError: it holds a second @, a / before the @, or a % that escapes nothing.
    """
    user, at, _ = text.partition("://")[2].partition("@")
    if text.count("@") > 1 or (at and "/" in user):
        raise DatabaseUrlError(
            "The database URL contains an unescaped @ or / in its user name, password or "
            f"parameters; {ESCAPES} there."
        )
    if at and re.search(r"%(?![0-9A-Fa-f]{2})", user):
        raise DatabaseUrlError(
            "The database URL contains an unescaped % in its user name or password; "
            f"{ESCAPES} there."
        )


def take_hosts(text: str) -> tuple[str, dict[str, str]]:
    """Take a list of hosts out of a URL, as libpq writes it (`h1:1,h2:2`).

    Returns the URL without them, and the libpq parameters `host` and `port`.

    Raises:
        DatabaseUrlError: the list cannot be read.
    """
    found = URL.fullmatch(text)
    if found is None or "," not in found["hosts"]:
        return text, {}
    user = "" if found["user"] is None else found["user"] + "@"
    return found["scheme"] + user + found["rest"], read_hosts(found["hosts"].split(","))


def put_hosts(shown: str, text: str) -> str:
    """Put the hosts of a URL back into its shown form, which was made without them."""
    found, bare = URL.fullmatch(text), URL.fullmatch(shown)
    assert found is not None and bare is not None, "both were read as URLs before"  # noqa: PT018
    user = "" if bare["user"] is None else bare["user"] + "@"
    return bare["scheme"] + user + found["hosts"] + bare["rest"]


def read_hosts(listed: Sequence[str]) -> dict[str, str]:
    """Read hosts that may have ports as the libpq parameters `host` and `port`.

    Raises:
        DatabaseUrlError: one of them cannot be read.
    """
    hosts, ports = [], []
    for one in listed:
        if one.startswith("/"):  # the folder of a socket
            host, port = one, ""
        elif found := HOST.fullmatch(one):
            host, port = found["host"].strip("[]"), found["port"] or ""
        elif one.count(":") > 1 and "[" not in one:  # an IPv6 address by itself
            host, port = one, ""
        else:
            raise DatabaseUrlError(
                "A host of the database URL cannot be read. Write host:port; separate "
                "several with commas, as in postgresql://user@first:5432,second:5433/name."
            )
        hosts.append(host)
        ports.append(port)
    return {"host": ",".join(hosts)} | ({"port": ",".join(ports)} if any(ports) else {})


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
