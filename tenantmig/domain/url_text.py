"""The text of a database URL: what must be escaped in it, its hosts, and its parameters.

Knows the spellings of libpq, SQLAlchemy and asyncpg. No message holds a part of the text that may
be one of a password.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from tenantmig.errors import DatabaseUrlError

URL: Final = re.compile(
    r"(?s)(?P<scheme>[\w+.-]+://)(?:(?P<user>[^@]*)@)?(?P<hosts>[^/?@]*)(?P<rest>.*)"
)
ESCAPES: Final = "write @ as %40, / as %2F and % as %25"
HOST: Final = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:\[\]]*)(?::(?P<port>\d*))?")


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
