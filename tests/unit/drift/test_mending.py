"""Mending: what is proposed for objects that no test of a whole fleet has."""

from __future__ import annotations

import pytest

from tenantmig.catalog.catalog import CatalogObject
from tenantmig.catalog.catalog_ddl import NOTHING
from tenantmig.domain.tenant import Tenant
from tenantmig.drift.drift import Difference
from tenantmig.drift.mending import propose


def proposed(reference: CatalogObject | None, found: CatalogObject | None) -> list[str]:
    """The statements, and the comments that hold some."""
    lines = list(propose(Tenant("acme", "acme"), [Difference(reference, found)]))
    return [line for line in lines[3:] if line.endswith(";") or NOTHING in line]


def enum(*labels: str) -> CatalogObject:
    return CatalogObject("enum", "", "mood", ", ".join(labels))


@pytest.mark.parametrize(
    ("wanted", "present", "statements"),
    [
        (("'a'", "'b'"), ("'a'",), ["ALTER TYPE mood ADD VALUE 'b' AFTER 'a';"]),
        (("'a'", "'b'"), ("'b'",), ["ALTER TYPE mood ADD VALUE 'a' BEFORE 'b';"]),
        (
            ("'x, y'", "'it''s'", "'z'"),
            ("'z'",),
            [
                "ALTER TYPE mood ADD VALUE 'x, y' BEFORE 'z';",
                "ALTER TYPE mood ADD VALUE 'it''s' AFTER 'x, y';",
            ],
        ),
    ],
)
def test_labels_are_added_where_they_belong(
    wanted: tuple[str, ...], present: tuple[str, ...], statements: list[str]
) -> None:
    assert proposed(enum(*wanted), enum(*present)) == statements


@pytest.mark.parametrize("present", [("'b'", "'a'"), ("'a'", "'c'")])
def test_labels_are_neither_moved_nor_removed(present: tuple[str, ...]) -> None:
    (line,) = proposed(enum("'a'", "'b'"), enum(*present))
    assert NOTHING in line


def test_a_name_that_holds_a_line_break_stays_in_its_comment() -> None:
    found = CatalogObject("table", "", '"a\nDROP TABLE users;--"', "TABLE")
    lines = propose(Tenant("x\nDROP TABLE y;", "x"), [Difference(None, found)])
    text = "\n".join(lines)
    assert [line for line in text.splitlines() if not line.startswith(("--", "SET"))] == []


def test_a_column_that_may_not_be_null_is_told_to_need_values() -> None:
    column = CatalogObject("column", "users", "age", "integer")
    is_set = CatalogObject("not null", "users", "age", "NOT NULL")
    differences = [Difference(column, None), Difference(is_set, None)]
    lines = list(propose(Tenant("acme", "acme"), differences, ["ext"]))
    assert lines[2:] == [
        'SET search_path TO "acme", "ext", "pg_temp";',
        "-- column users.age: missing",
        "-- it is NOT NULL without a default: if the table has rows, fill the column first",
        "ALTER TABLE users ADD COLUMN age integer NOT NULL;",
    ]
