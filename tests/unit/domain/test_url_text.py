"""The text of a URL: hosts and parameters of three dialects, and what must be escaped."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tenantmig.domain.database_url import DatabaseUrl
from tenantmig.errors import DatabaseUrlError

TWO = {"dbname": "d", "host": "A,B"}


def _texts(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield repr(error)
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("postgresql:///d?host=A:5432&host=B:5433", TWO | {"port": "5432,5433"}),
        ("postgresql:///d?host=A&host=B&port=5432&port=5433", TWO | {"port": "5432,5433"}),
        ("postgresql:///d?host=A,B&port=5432,5433", TWO | {"port": "5432,5433"}),
        ("postgresql:///d?host=A:5432&host=B", TWO | {"port": "5432,"}),
        ("postgresql+asyncpg://A:1,B:2/d", TWO | {"port": "1,2"}),
        ("postgresql://A,B:2/d", TWO | {"port": ",2"}),
        ("postgresql://A,B/d", TWO),
        ("postgresql://[::1]:1,[fe80::1]/d", {"dbname": "d", "host": "::1,fe80::1", "port": "1,"}),
        ("postgresql:///d?host=[::1]:1", {"dbname": "d", "host": "::1", "port": "1"}),
        ("postgresql:///d?host=::1", {"dbname": "d", "host": "::1"}),
        (
            "postgresql://u:p%40%2F@A:1,B:2/d?target_session_attrs=primary",
            TWO
            | {"user": "u", "password": "p@/", "port": "1,2", "target_session_attrs": "primary"},
        ),
        ("postgresql:///d?host=/run/a&host=/run/b", {"dbname": "d", "host": "/run/a,/run/b"}),
    ],
)
def test_hosts_as_libpq_and_as_sqlalchemy_write_them(text: str, parameters: dict[str, str]) -> None:
    assert DatabaseUrl.parse(text).parameters == parameters


def test_hosts_are_shown_and_the_password_is_not() -> None:
    url = DatabaseUrl.parse("postgresql://u:hunter2@A:1,B:2/d?sslmode=require")
    assert str(url) == "postgresql://u:***@A:1,B:2/d?sslmode=require"


@pytest.mark.parametrize(
    ("ssl", "mode"),
    [
        ("require", "require"),
        ("verify-full", "verify-full"),
        ("true", "require"),
        ("True", "require"),
        ("false", "disable"),
        ("disable", "disable"),
    ],
)
def test_asyncpgs_ssl_is_libpqs_sslmode(ssl: str, mode: str) -> None:
    url = DatabaseUrl.parse(f"postgresql+asyncpg://db/x?ssl={ssl}&prepared_statement_cache_size=0")
    assert url.parameters == {"host": "db", "dbname": "x", "sslmode": mode}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("postgresql://app:hun@ter2@db/main", "an unescaped @ or / .*; write @ as %40"),
        ("postgresql://app:hun/ter2@db/main", "an unescaped @ or / "),
        ("postgresql://app:hun@te/r2@db:1/main", "an unescaped @ or /"),
        ("postgresql://app:hun%ter2@db/main", "an unescaped % .* % as %25"),
        ("postgresql://app:hunter2%@db/main", "an unescaped % "),
        ("postgresql://app:hun?ter2@db:x/main", "cannot be read"),
        ("postgresql://app:hun@ter2@a:1,b:2/main", "an unescaped @ or /"),
        ("postgresql://hunter2:x,b:2/main", "A host .* cannot be read"),
        ("postgresql://app:hunter2,b:2/main", "A host .* cannot be read"),
        ("postgresql://db/main?sslmod=hunter2", "did you mean sslmode"),
        ("postgresql://db/main?hunter2=1", "a parameter that libpq does not know"),
        ("postgresql://db/main?ssl=hunter2", "write one of disable, allow"),
        ("postgresql://db/main?ssl=require&sslmode=disable", "both ssl and sslmode"),
    ],
)
def test_what_is_refused_is_not_shown(text: str, said: str) -> None:
    with pytest.raises(DatabaseUrlError, match=said) as refused:
        DatabaseUrl.parse(text)
    for part in ("hunter2", "hun", "ter2", "r2@"):
        assert not any(part in told for told in _texts(refused.value))


def test_signs_that_every_reader_takes_in_a_password_stay() -> None:
    assert dict(DatabaseUrl.parse("postgresql://u:a:b?c#d@db/x").pairs).get("password") == "a:b?c#d"
