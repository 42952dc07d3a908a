"""A function whose body holds its schema's name: tenants whose names differ in length are alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenantmig.catalog.fingerprint import read_fingerprints
from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.history import write_history
from tests.fixtures.rollouts import OpenFleet, stands

NAMES = ["a", "id", "acme", "thing", "a_rather_long_name", "my-own.ten'ant"]
BODIES = {
    "qualified": "BEGIN RETURN (SELECT max(x.id) FROM {q}.thing x); END",
    "path": "BEGIN SET LOCAL search_path TO {q}, pg_temp; RETURN 1; END",
    "path2": "BEGIN SET LOCAL search_path = {q}; RETURN 1; END",
    "literal": "BEGIN RETURN (SELECT count(*) FROM pg_namespace n WHERE n.nspname = {l}); END",
    "regclass": "BEGIN RETURN (SELECT 1 WHERE to_regclass({l}) IS NULL AND 'it''s' <> 'id'); END",
    "plain": "DECLARE id int := 1; BEGIN SELECT id + 1.5 INTO id; RETURN id; /* acme */ END",
}
MAKE = """
schema = op.get_bind().execute(sa.text("SELECT current_schema()")).scalar()
op.execute("CREATE TABLE thing (id int)")
op.execute(f'CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS '
           f'$$SELECT max(id) FROM "{schema}".thing$$')
op.execute(f"COMMENT ON TABLE thing IS 'the things of {schema}'")
op.execute(f"CREATE VIEW seen AS SELECT '{schema}'::text AS at, id FROM thing")
op.execute(f"ALTER TABLE thing ADD at text DEFAULT '{schema}' CHECK (at <> '{schema} was here')")
"""


def make(database: Database, name: str, **changed: str) -> None:
    """A schema with a function of each of `BODIES`."""
    quoted = '"' + name.replace('"', '""') + '"'
    qualifier = name if name.isidentifier() else quoted
    literal = "'" + name.replace("'", "''") + "'"
    database.execute(f"CREATE SCHEMA {quoted}")
    for function, body in (BODIES | changed).items():
        text = body.format(q=qualifier, l=literal)
        database.execute(
            f"CREATE FUNCTION {quoted}.{function}() RETURNS bigint LANGUAGE plpgsql AS $_${text}$_$"
        )


def test_bodies_are_compared_with_the_name_taken_out(database: Database) -> None:
    for name in NAMES:
        make(database, name)
    others = {
        "other_table": {"qualified": BODIES["qualified"].replace("thing", "things")},
        "other_function": {"qualified": BODIES["qualified"].replace("max", "min")},
        "other_number": {"plain": BODIES["plain"].replace("1.5", "1.6")},
        "longer": {"literal": BODIES["literal"] + "; "},
    }
    for name, changed in others.items():
        make(database, name, **changed)
    with database.connect() as connection:
        found = read_fingerprints(connection, [*NAMES, *others])
    assert len({found[name] for name in NAMES}) == 1
    assert len(set(found.values())) == 1 + len(others)


@pytest.mark.parametrize("names", [("b", "acme", "a_rather_long_one", "thing", "id", "my tenant")])
def test_tenants_that_hold_their_name_are_replayed(
    tmp_path: Path, database: Database, open_fleet: OpenFleet, names: tuple[str, ...]
) -> None:
    plain = ("r2", "op.add_column('thing', sa.Column('b', sa.Integer))", "pass")
    history = write_history(tmp_path / "history", ("r1", MAKE), plain)
    Project(tmp_path, database.url, history)
    fleet = open_fleet(canary="0", names="wide")
    fleet.onboard(list(names), "r1")
    report = fleet.upgrade()
    assert report.counts == {"upgraded": len(names)}
    assert [t.engine for t in report.tenants].count("replay") == len(names) - 2
    assert not report.obstacles
    assert set(stands(database, *names).values()) == {"r2"}
