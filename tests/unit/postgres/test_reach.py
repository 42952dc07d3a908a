"""What a statement would do that no rollback takes back, read without a database."""

from __future__ import annotations

import pytest

from tenantmig.postgres.reach import INSIDE, Reach, may_grant, reach

BODY = "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN {}; END $$"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("INSERT INTO thing VALUES (1)", None),
        ("SELECT CASE WHEN true THEN 1 END", None),
        ("SAVEPOINT a", None),
        ("ROLLBACK TO a", None),
        ("RELEASE a", None),
        (BODY.format("setval('x', 1)"), None),
        ("COMMENT ON TABLE thing IS 'COMMIT; dblink()'", None),
        ("COMMIT", "sends COMMIT as text"),
        ("INSERT INTO thing VALUES (1); end", "sends COMMIT as text"),
        ("PREPARE TRANSACTION 'x'", "sends PREPARE as text"),
        ("not read at all; commit;", "sends a text that ends its transaction"),
        ("not read at all but begin and end", None),
        ("COPY thing FROM PROGRAM 'true'", "lets COPY write a file or run a program on the server"),
        ("COPY thing TO '/tmp/x'", "lets COPY write a file or run a program on the server"),
        ("COPY thing FROM STDIN", None),
        ("ANALYZE", "runs VACUUM or ANALYZE on the whole database"),
        ("ANALYZE thing", None),
        ("SELECT dblink_exec('', 'x')", "calls dblink_exec(), which takes effect immediately"),
        (
            "DO $$ BEGIN PERFORM pg_reload_conf(); END $$",
            "calls pg_reload_conf(), which takes effect immediately",
        ),
        (
            "update pg_catalog.pg_attribute SET atttypmod = 5",
            "writes to the system catalog pg_attribute",
        ),
        ("INSERT INTO pg_temp.x VALUES (1)", None),
        ("SELECT setval(%(name)s, 1)", "calls setval() without naming the sequence"),
        ("SELECT setval(x, 1) FROM y", "calls setval() without naming the sequence"),
    ],
)
def test_what_is_refused_before_it_is_run(text: str, fault: str | None) -> None:
    assert reach(text, is_autocommit=False).fault == fault


def test_sequences_are_named() -> None:
    text = (
        "SELECT setval('a', 1), setval(pg_get_serial_sequence('t', 'id')::regclass, max(id)) FROM t"
    )
    assert reach(text, is_autocommit=False) == Reach(sequences=(("a",), ("t", "id")))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("CREATE INDEX CONCURRENTLY i ON s.thing (id)", (("s", "thing"),)),
        ("DROP INDEX CONCURRENTLY IF EXISTS a, s.b", (("", "a"), ("s", "b"))),
        ("REINDEX TABLE CONCURRENTLY thing", (("", "thing"),)),
        ("REINDEX TABLE thing", ()),
        ("VACUUM FULL a, b", (("", "a"), ("", "b"))),
        ("ANALYZE a", ()),
        ("ALTER TABLE p DETACH PARTITION c CONCURRENTLY", (("", "p"), ("", "c"))),
        ("ALTER TABLE p DETACH PARTITION c", ()),
        ("ALTER TYPE mood ADD VALUE '100%%'", ()),
    ],
)
def test_what_cannot_be_in_a_transaction(text: str, names: tuple[tuple[str, str], ...]) -> None:
    assert reach(text, is_autocommit=True) == (Reach(alone=names) if names else INSIDE)


@pytest.mark.parametrize("text", ["GRANT SELECT ON a TO b", "DROP OWNED BY a", "DO $$ $$"])
def test_what_may_change_privileges(text: str) -> None:
    assert may_grant(text)
    assert not may_grant("INSERT INTO granted VALUES (1)")
