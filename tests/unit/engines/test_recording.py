"""Recordings: what two witnesses have in common, word by word."""

from __future__ import annotations

import pytest

from tenantmig.domain.plan import RunKind
from tenantmig.domain.recording import Recording, Sent
from tenantmig.engines.template import (
    GAP,
    MOST_WITNESSES,
    SCHEMA,
    NotReplayable,
    Templates,
    template_of,
)


def recording(schema: str, *statements: str | Sent, **facts: object) -> Recording:
    """A recording of the upgrade r1 -> r2."""
    sent = tuple(Sent(s) if isinstance(s, str) else s for s in statements)
    given: dict[str, object] = {"before": "b", "after": "a"} | facts
    return Recording("r2", RunKind.UPGRADE, schema, ("r1",), ("r2",), sent, **given)  # type: ignore[arg-type]


def texts(schema: str, other: str, statement: str) -> tuple[str, ...]:
    """The template of a statement in which `{}` is the schema."""
    quoted = [
        name if name.islower() and " " not in name else f'"{name}"' for name in (schema, other)
    ]
    first, second = (
        recording(n, statement.format(q)) for n, q in zip((schema, other), quoted, strict=True)
    )
    return template_of(first, second).texts


@pytest.mark.parametrize(
    ("schema", "statement"),
    [
        ("id", "CREATE TABLE {}.users (id int, note text DEFAULT 'id users')"),
        ("users", "UPDATE {}.users SET note = users.note WHERE users.id = 1"),
        ("public_", "COMMENT ON TABLE {}.public_ IS 'public_' -- of public_"),
        ("data", "ALTER TABLE {}.data ADD data int"),
        ("Ac me", "INSERT INTO {}.users VALUES ('100% %(x)s :y', E'\\n')"),
        ("acme", "CREATE FUNCTION {}.f() RETURNS int LANGUAGE sql AS $$ SELECT 1 FROM acme; $$"),
    ],
)
def test_only_the_name_of_the_schema_is_a_gap(schema: str, statement: str) -> None:
    assert texts(schema, "other", statement) == (statement.format(GAP),)


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ("ALTER TABLE a.t ADD x_a int", "ALTER TABLE b.t ADD x_b int", "x_a and x_b"),
        ("UPDATE t SET n = 'a'", "UPDATE t SET n = 'b'", "'a' and 'b'"),
        ("UPDATE t SET n = 1", "UPDATE t SET n = 2", "1 and 2"),
        ("UPDATE a.t SET n = 1", "UPDATE b.t SET n = 1 WHERE true", "different statements"),
        ("UPDATE a.t SET n = 1", "UPDATE a.t SET n = b.n", "different statements"),
        ("SET work_mem = 1", "SET work_mem = 1", "type VariableSet"),
        ("COMMIT", "COMMIT", "type Transaction"),
        ("CALL p()", "CALL p()", "type Call"),
        ("CREATE TEMP TABLE t ()", "CREATE TEMP TABLE t ()", "temporary"),
        ("nonsense", "nonsense", "cannot be read"),
    ],
)
def test_what_is_no_template(first: str, second: str, reason: str) -> None:
    with pytest.raises(NotReplayable, match=reason):
        template_of(recording("a", first), recording("b", second))


def test_a_select_that_found_nothing_becomes_a_check() -> None:
    select = "SELECT FROM pg_type JOIN pg_namespace ON true WHERE nspname = '{0}' AND {0}.f() = 1"
    pair = [recording(name, Sent(select.format(name), is_empty=True)) for name in ("a", "b")]
    (text,) = template_of(*pair).texts
    assert (
        f"EXISTS (\nSELECT FROM pg_type JOIN pg_namespace ON true WHERE nspname = {SCHEMA}" in text
    )
    assert f"{GAP}.f()" in text


def test_a_block_outside_a_transaction_stands_alone() -> None:
    index = "CREATE INDEX CONCURRENTLY i ON t (n)"
    pair = [
        recording(name, "UPDATE t SET n = 1", Sent(index, is_outside=True), "TRUNCATE t")
        for name in ("a", "b")
    ]
    assert template_of(*pair).texts == ("UPDATE t SET n = 1", index, "TRUNCATE t")
    vacuum = [recording(name, Sent("VACUUM t", is_outside=True)) for name in ("a", "b")]
    with pytest.raises(NotReplayable, match="autocommit_block"):
        template_of(*vacuum)


@pytest.mark.parametrize(
    ("statement", "stands_alone"),
    [
        ("ALTER TABLE t ADD n int", False),
        ("CREATE TYPE mood AS ENUM ('sad')", False),
        ("CREATE TABLE t AS SELECT 1 AS n", False),
        ("ALTER TYPE mood ADD VALUE 'fine'", True),
        ("SET LOCAL ROLE clerk", True),
        ("SET CONSTRAINTS ALL DEFERRED", True),
        ("INSERT INTO t VALUES (1)", True),
        ("WITH gone AS (DELETE FROM t RETURNING n) UPDATE t SET n = 1", True),
        ("DO $$ BEGIN END $$", True),
        ("MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE", True),
        (Sent("CREATE INDEX CONCURRENTLY i ON t (n)", is_outside=True), True),
    ],
)
def test_who_may_share_a_transaction(statement: str | Sent, stands_alone: bool) -> None:
    pair = [recording(name, "ALTER TABLE t ADD a int", statement) for name in ("a", "b")]
    assert template_of(*pair).stands_alone is stands_alone


def test_witnesses_of_one_catalog_are_compared() -> None:
    templates = Templates()
    templates.add([recording("a", "TRUNCATE t", before="drifted")])
    templates.add([recording("b", "TRUNCATE t")])
    assert templates.needs_witness(RunKind.UPGRADE, ["r2"])
    templates.add([recording("c", "TRUNCATE t")])
    assert not templates.needs_witness(RunKind.UPGRADE, ["r2"])
    assert templates.get(RunKind.UPGRADE, "r2") is not None
    assert templates.get(RunKind.DOWNGRADE, "r2") is None


def test_a_fleet_without_two_alike_is_not_replayed() -> None:
    templates = Templates()
    for number in range(MOST_WITNESSES):
        assert templates.needs_witness(RunKind.UPGRADE, ["r2"])
        templates.add([recording(f"t{number}", "TRUNCATE t", before=str(number))])
    assert not templates.needs_witness(RunKind.UPGRADE, ["r2"])
    assert "the same catalog" in templates.obstacles["r2"]


def test_an_obstacle_is_known_from_the_first_witness() -> None:
    templates = Templates()
    templates.add([recording("a", obstacle="one of its statements returns rows")])
    assert templates.obstacles == {"r2": "one of its statements returns rows"}
    assert not templates.needs_witness(RunKind.UPGRADE, ["r2"])
