"""Wordings: what PostgreSQL reads and renders otherwise says the same; nothing else does."""

from __future__ import annotations

import pytest

from tenantmig.catalog.wording import is_same

MADE = "CHECK (s::text = ANY (ARRAY['a'::character varying, 'b'::character varying]::text[]))"
READ = "CHECK (s::text = ANY (ARRAY['a'::character varying::text, 'b'::character varying::text]))"


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("constraint", MADE, READ),
        ("default", "ARRAY['a'::text]::text[]", "ARRAY['a'::text]"),
        ("default", "ARRAY[ARRAY[1, 2]]::bigint[]", "ARRAY[ARRAY[1::bigint, 2::bigint]]"),
        (
            "index",
            "CREATE INDEX i ON t USING btree (id) WHERE s = ANY (ARRAY['a', 'b']::text[])",
            "CREATE INDEX i ON t USING btree (id) WHERE s = ANY (ARRAY['a'::text, 'b'::text])",
        ),
        ("view", "SELECT ARRAY[1]::text[] AS a FROM t", "SELECT ARRAY[1::text] AS a FROM t"),
    ],
)
def test_a_cast_of_an_array_is_a_cast_of_its_elements(kind: str, one: str, other: str) -> None:
    assert is_same(kind, one, other)
    assert is_same(kind, other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (MADE, READ.replace("'b'", "'c'")),
        (MADE, READ.replace("::text]", "::name]")),
        (MADE, READ.replace("'a'::character varying::text, ", "")),
        ("CHECK (a = ARRAY[1]::int[])", "CHECK (b = ARRAY[1::int])"),
        ("no SQL ARRAY[", "nor this ARRAY["),
    ],
)
def test_another_meaning_is_another(one: str, other: str) -> None:
    assert not is_same("constraint", one, other)


def test_a_kind_that_is_no_sql_is_compared_as_text() -> None:
    assert not is_same("comment", "ARRAY[1]::text[]", "ARRAY[1::text]")
    assert is_same("comment", "ARRAY[", "ARRAY[")
