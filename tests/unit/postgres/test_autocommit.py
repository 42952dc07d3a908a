"""Statements of an autocommit_block, read by PostgreSQL's parser: what each leaves when cut off."""

from __future__ import annotations

import pytest

from tenantmig.postgres.autocommit import (
    EnumValue,
    IndexBuild,
    IndexDrop,
    Maintenance,
    Statement,
    read_statement,
)

UNKNOWN = Statement(is_atomic=False)
"""Nothing is known of it, and it may have done a part of its work."""


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("CREATE INDEX CONCURRENTLY ix ON thing (id)", "ix"),
        ("create unique index concurrently IX on thing (id)", "ix"),
        ('CREATE INDEX CONCURRENTLY "My Ix" ON "Thing" ("Id")', "My Ix"),
        ('CREATE INDEX CONCURRENTLY "a ""b""" ON thing (id)', 'a "b"'),
        ("CREATE INDEX CONCURRENTLY IF NOT EXISTS ix ON thing (id)", "ix"),
        ("CREATE INDEX CONCURRENTLY ix ON acme.thing USING gin (words)", "ix"),
        ("/* why */ CREATE INDEX CONCURRENTLY ix -- here\n ON thing (id);", "ix"),
        ("CREATE INDEX CONCURRENTLY ix ON thing (id) WHERE name LIKE 'a%%'", "ix"),
        ("CREATE INDEX CONCURRENTLY ix ON thing (id) WHERE size > %(least)s", "ix"),
        ("CREATE INDEX CONCURRENTLY ix ON thing (id) WHERE size > %s AND id %% 2 = 0", "ix"),
    ],
)
def test_an_index_build_is_known_by_the_name_of_its_index(text: str, name: str) -> None:
    assert read_statement(text, "acme") == IndexBuild(is_atomic=False, name=name)


@pytest.mark.parametrize(
    "text",
    [
        "CREATE INDEX CONCURRENTLY ON thing (id)",  # the server chooses the name
        "CREATE INDEX CONCURRENTLY ix ON elsewhere.thing (id)",
    ],
)
def test_an_index_that_cannot_be_found_again_is_not_known(text: str) -> None:
    assert read_statement(text, "acme") == UNKNOWN
    assert not read_statement(text, "acme").is_repeatable


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ("Acme Corp", 'CREATE INDEX CONCURRENTLY ix ON "Acme Corp".thing (id)'),
        ('q"uote', 'CREATE INDEX CONCURRENTLY ix ON "q""uote".thing (id)'),
    ],
)
def test_a_tenant_schema_that_needs_quotes_is_ours(schema: str, text: str) -> None:
    assert read_statement(text, schema) == IndexBuild(is_atomic=False, name="ix")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("DROP INDEX CONCURRENTLY ix", ("ix",)),
        ("DROP INDEX CONCURRENTLY IF EXISTS acme.ix", ("ix",)),
        ('DROP INDEX CONCURRENTLY "My Ix", acme.other', ("My Ix", "other")),
    ],
)
def test_an_index_drop_is_known_by_its_names(text: str, names: tuple[str, ...]) -> None:
    assert read_statement(text, "acme") == IndexDrop(is_atomic=False, names=names)


def test_a_drop_in_another_schema_is_not_known() -> None:
    assert read_statement("DROP INDEX CONCURRENTLY ix, elsewhere.ix", "acme") == UNKNOWN


@pytest.mark.parametrize(
    ("text", "type_name", "value"),
    [
        ("ALTER TYPE mood ADD VALUE 'fine'", "mood", "fine"),
        ("ALTER TYPE acme.mood ADD VALUE IF NOT EXISTS 'fine' BEFORE 'sad'", "mood", "fine"),
        ("""ALTER TYPE "My Mood" ADD VALUE 'it''s 5%%'""", "My Mood", "it's 5%"),
    ],
)
def test_an_enum_value_is_known_by_its_type(text: str, type_name: str, value: str) -> None:
    assert read_statement(text, "acme") == EnumValue(type_name=type_name, value=value)


@pytest.mark.parametrize(
    "text",
    ["ALTER TYPE elsewhere.mood ADD VALUE 'fine'", "ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'"],
)
def test_other_changes_of_an_enum_are_not_known(text: str) -> None:
    assert read_statement(text, "acme") == Statement()


@pytest.mark.parametrize("text", ["VACUUM", "VACUUM (ANALYZE) thing", "ANALYZE thing"])
def test_maintenance_may_be_run_again(text: str) -> None:
    read = read_statement(text, "acme")
    assert read == Maintenance()
    assert read.is_repeatable


@pytest.mark.parametrize(
    "text",
    [
        "CALL mend()",
        "CALL mend(%(rows)s)",
        "DO $$ BEGIN UPDATE thing SET id = 1; COMMIT; END $$",
        "DO LANGUAGE plpython3u 'plpy.comm' 'it()'",
        "DO E'BEGIN DO ''BEGIN \\\\x43OMMIT; END''; END'",
        "ALTER TABLE parts DETACH PARTITION part CONCURRENTLY",
        "this is no SQL",
        "CREATE INDEX CONCURRENTLY",
    ],
)
def test_what_may_have_done_a_part_of_its_work(text: str) -> None:
    read = read_statement(text, "acme")
    assert (read, read.is_atomic, read.is_repeatable) == (UNKNOWN, False, False)


@pytest.mark.parametrize(
    "text",
    [
        "UPDATE thing SET id = id + 1",
        "INSERT INTO thing VALUES (%s, %s)",
        "UPDATE thing SET name = %(name)s WHERE name LIKE '5%%'",
        "CREATE INDEX ix ON thing (id)",
        "DROP INDEX ix",
        "CREATE TABLE thing (id int)",
        "SELECT 1; SELECT 2",
        "CREATE INDEX CONCURRENTLY ix ON thing (id); SELECT 1",
        "",
        "-- nothing",
    ],
)
def test_what_does_all_or_nothing_is_never_repeated(text: str) -> None:
    read = read_statement(text, "acme")
    assert (read, read.is_repeatable) == (Statement(is_atomic=True), False)
