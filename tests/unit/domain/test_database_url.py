"""The database URL: read, and shown without any secret."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenantmig.domain.database_url import DatabaseUrl
from tenantmig.errors import DatabaseUrlError

# a head and a tail that stand in no host or user name; NUL cannot be in a libpq parameter
passwords = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")).map(
    lambda text: f"Zq{text}qZ"
)


def _with(password: str) -> DatabaseUrl:
    return DatabaseUrl.parse(f"postgresql://app:{quote(password, safe='')}@db:5433/main")


def _texts(error: BaseException | None) -> Iterator[str]:
    """What a traceback would print of an error and of those that it came from."""
    while error is not None:
        yield repr(error)
        error = error.__cause__ or error.__context__


@settings(deadline=None)
@given(password=passwords)
def test_a_password_reaches_libpq_and_nothing_that_is_shown(password: str) -> None:
    url = _with(password)
    assert url.parameters["password"] == password
    for shown in (str(url), repr(url), f"{url}", url.shown):
        assert "Zq" not in shown
    assert str(url) == "postgresql://app:***@db:5433/main"


@settings(deadline=None)
@given(password=passwords, spell=st.sampled_from([str, quote, quote_plus]))
def test_redaction_removes_every_spelling(password: str, spell: type[str]) -> None:
    spelled = spell(password)
    line = _with(password).redact(f'password "{spelled}" was refused\nfor {spelled}@db')
    assert "\n" not in line
    assert spelled not in line
    assert " ".join(spelled.split()) not in line
    assert line.count("***") == 2


def test_redaction_without_a_password_changes_only_line_ends() -> None:
    assert DatabaseUrl.parse("postgresql://db/x").redact("a\n  b\t***") == "a b ***"


@pytest.mark.parametrize(
    "scheme",
    ["postgresql", "postgres", "postgresql+psycopg", "postgresql+psycopg2", "postgresql+asyncpg"],
)
def test_any_driver_of_postgresql_is_understood(scheme: str) -> None:
    url = DatabaseUrl.parse(f" {scheme}://app@db:5433/main?sslmode=require\n")
    assert url.parameters == {
        "host": "db",
        "port": "5433",
        "user": "app",
        "dbname": "main",
        "sslmode": "require",
    }
    assert url.database == "main"
    assert url.embedded_folder is None


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("postgresql:///main", {"dbname": "main"}),
        ("postgresql://[::1]/main", {"host": "::1", "dbname": "main"}),
        ("postgresql:///main?host=/run/pg", {"dbname": "main", "host": "/run/pg"}),
        ("postgresql:///m?host=a&host=b", {"dbname": "m", "host": "a,b"}),
        ("postgresql://a%40b@db/x", {"host": "db", "user": "a@b", "dbname": "x"}),
    ],
)
def test_parts_that_are_left_out_are_libpqs_choice(text: str, parameters: dict[str, str]) -> None:
    assert DatabaseUrl.parse(text).parameters == parameters


@pytest.mark.parametrize("key", ["password", "PASSWORD", "sslpassword", "oauth_client_secret"])
def test_a_secret_in_the_query_string_is_refused(key: str) -> None:
    with pytest.raises(DatabaseUrlError, match="query string") as refused:
        DatabaseUrl.parse(f"postgresql://app@db/main?{key}=hunter2&sslmode=require")
    assert not any("hunter2" in text for text in _texts(refused.value))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hunter2",
        "db.example/main",
        "postgresql:app:hunter2@db",
        "postgresql://app:hunter2@db:port/main",
        "postgresql://app:hunter2@db:99999999999999999999999x/main",
        "mysql://app:hunter2@db/main",
        "sqlite:///hunter2.db",
        "embedded://",
        "embedded:///folder?version=17",
        "embedded:///folder?version=16&version=18",
    ],
)
def test_what_cannot_be_used_is_refused_without_an_echo(text: str) -> None:
    with pytest.raises(DatabaseUrlError) as refused:
        DatabaseUrl.parse(text)
    assert refused.value.message.isprintable()
    assert not any("hunter2" in text for text in _texts(refused.value))


def test_another_database_is_named_and_a_good_url_shown() -> None:
    with pytest.raises(DatabaseUrlError, match=r'"mysql", not PostgreSQL; .* postgresql://user@'):
        DatabaseUrl.parse("mysql://db/main")


@pytest.mark.parametrize(
    ("text", "folder", "version"),
    [
        ("embedded:///srv/pg", "/srv/pg", "18"),
        ("embedded:////srv/pg", "/srv/pg", "18"),
        ("embedded:///srv/pg?version=16", "/srv/pg", "16"),
    ],
)
def test_an_embedded_url_names_a_folder_and_a_version(text: str, folder: str, version: str) -> None:
    url = DatabaseUrl.parse(text)
    assert url.embedded_folder == Path(folder)
    assert url.parameters == {"version": version}
