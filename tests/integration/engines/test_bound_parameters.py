"""Parameters that the server takes of no such statement: each way to run a script puts them in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tenantmig.domain.database_url import DatabaseUrl
from tenantmig.postgres.connection import SessionOptions
from tenantmig.settings import load_settings
from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.history import write_history

MAKE = ("r1", "op.create_table('note', sa.Column('id', sa.Integer), sa.Column('body', sa.Text))")
UTILITY = """say = lambda text_, **values: op.get_bind().execute(sa.text(text_), values)
say('COMMENT ON TABLE note IS :words', words="it's 100%: \\\\ ; $1 %s :x")
say('CREATE VIEW seen AS SELECT id, CAST(:n AS int) AS n, :f AS f FROM note WHERE id > :n',
    n=7, f=2.5)
say('CREATE MATERIALIZED VIEW kept AS SELECT :w AS w', w='a')
say("CREATE FUNCTION f() RETURNS text LANGUAGE sql AS :body", body="SELECT 'x;y'")
say('ALTER TABLE note ALTER COLUMN body SET DEFAULT :d', d="d'%")
say('CREATE TABLE made AS SELECT :n AS n', n=3)
say('INSERT INTO note VALUES (:i, :b); UPDATE note SET id = id + :i', i=5, b='two; COMMIT')
say('-- why\\n/* ; */ INSERT INTO note VALUES (:i, :b)', i=1, b='one')
say('CREATE INDEX ON note (id) WHERE body = ANY (:l)', l=['a', 'b'])
say("SET LOCAL statement_timeout = :t", t='77s')
op.bulk_insert(sa.table('note', sa.column('id'), sa.column('body')),
               [{'id': 21, 'body': '%'}, {'id': 22, 'body': None}])
op.execute(sa.text('COMMENT ON COLUMN note.body IS :w').bindparams(w='body'))"""
RAW = """cursor = op.get_bind().connection.cursor()
cursor.execute('COMMENT ON COLUMN note.id IS %s', ['raw %'])
cursor.executemany('CREATE VIEW v_raw AS SELECT %s AS a', [['once']])"""
OUTSIDE = """with op.get_context().autocommit_block():
    op.get_bind().execute(sa.text(
        'CREATE INDEX CONCURRENTLY ix ON note (id) WHERE body <> :b'), {'b': '%'})"""
HISTORY = (MAKE, ("r2", UTILITY), ("r3", RAW), ("r4", OUTSIDE))
STATE = """
    SELECT obj_description('{0}.note'::regclass), col_description('{0}.note'::regclass, 1),
           pg_get_viewdef('{0}.seen'::regclass), pg_get_viewdef('{0}.kept'::regclass),
           (SELECT prosrc FROM pg_proc WHERE pronamespace = '{0}'::regnamespace),
           (SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef
             WHERE adrelid = '{0}.note'::regclass),
           (SELECT array_agg((id, body) ORDER BY id) FROM {0}.note)::text,
           (SELECT string_agg(pg_get_indexdef(indexrelid), ',' ORDER BY indexrelid)
              FROM pg_index WHERE indrelid = '{0}.note'::regclass),
           (SELECT n FROM {0}.made)
"""


def _state(database: Database, schema: str) -> tuple[Any, ...]:
    row = database.fetch(STATE.format(schema))[0]
    return tuple(str(one).replace(schema, "*") for one in row)


@pytest.mark.slow
@pytest.mark.parametrize("bound", ["server", "client"])
def test_every_way_puts_them_in(tmp_path: Path, database: Database, bound: str) -> None:
    project = Project(tmp_path, database.url, write_history(tmp_path / "history", *HISTORY))
    project.settings(f'wave = 2\nbind_parameters = "{bound}"\n')
    names = ("a1", "b1", "c1", "d1", "e1")
    project.run("onboard", *names, "--to", "r1")
    project.alembic("-x", "tenant=e1", "upgrade", "head")
    told = project.run("upgrade", "--json").json
    assert told["counts"] == {"already_current": 1, "upgraded": 4}
    states = [_state(database, name) for name in names]
    assert states[0][0] == "it's 100%: \\ ; $1 %s :x"
    assert states[0][1] == "raw %"
    assert "7 AS n" in states[0][2]
    assert "2.5 AS f" in states[0][2]
    assert "'a'::text" in states[0][3]
    assert states[0][4:6] == ("SELECT 'x;y'", "'d''%'::text")
    assert states[0][6] == '{"(1,one)","(10,\\"two; COMMIT\\")","(21,%)","(22,)"}'
    assert "'%'::text" in states[0][7]
    assert states.count(states[0]) == len(states)
    obstacles = told["obstacles"]
    assert "r2" not in obstacles, obstacles
    project.run("onboard", "born")
    assert _state(database, "born") == states[0]


@pytest.mark.slow
def test_they_are_put_in_behind_the_wall(tmp_path: Path, database: Database) -> None:
    project = Project(tmp_path, database.url, write_history(tmp_path / "history", *HISTORY[:2]))
    project.run("onboard", "plain", "--to", "r2")
    owner = f"owner_of_{database.name}"
    database.execute(
        f'CREATE ROLE "{owner}"; GRANT CREATE ON DATABASE "{database.name}" TO "{owner}"'
    )
    try:
        project.settings(f'run_as = "schema_owner"\nonboard_owner = "{owner}"\n')
        project.run("onboard", "walled", "--to", "r2")
        walled, plain = _state(database, "walled"), _state(database, "plain")
        assert walled == plain
        project.run("check", "--json", expect=None)
    finally:
        project.run("offboard", "walled", "--yes")
        database.execute(f'DROP OWNED BY "{owner}"; DROP ROLE "{owner}"')


TUPLE = """op.execute("INSERT INTO note VALUES (1, 'a'), (2, 'b'), (3, 'c')")
op.get_bind().execute(sa.text("DELETE FROM note WHERE id IN :ids"), {'ids': (1, 3)})
op.get_bind().execute(sa.text("INSERT INTO note SELECT 9 WHERE :x IS NULL"), {'x': None})"""


@pytest.mark.slow
def test_psycopg2s_way_is_taken_where_the_url_names_it(tmp_path: Path, database: Database) -> None:
    history = write_history(tmp_path / "history", MAKE, ("r2", TUPLE))
    url = database.url.replace("postgresql://", "postgresql+psycopg2://")
    project = Project(tmp_path, url, history)
    project.run("onboard", "acme", "globex", "initech", "--to", "r1")
    project.run("upgrade")
    for name in ("acme", "globex", "initech"):
        rows = database.fetch(f"SELECT id FROM {name}.note ORDER BY id")
        assert rows == [(2,), (9,)]
    project.url = database.url
    project.run("onboard", "other", expect=3)
    settings = load_settings(config=project.ini, bind_parameters="server")
    options = SessionOptions.of(settings, DatabaseUrl.parse(url))
    assert not options.puts_in_all


KEPT = """with op.get_context().autocommit_block():
    op.get_bind().execute(sa.text('COMMENT ON TABLE note IS :w'), {'w': 'hunter2'})
    op.get_bind().execute(sa.text('INSERT INTO note VALUES (1, :w)'), {'w': 'hunter2'})
raise RuntimeError('not yet')"""


@pytest.mark.slow
@pytest.mark.parametrize("bound", ["server", "client"])
def test_the_journal_of_parts_keeps_no_values(
    tmp_path: Path, database: Database, bound: str
) -> None:
    history = write_history(tmp_path / "history", MAKE, ("r2", KEPT))
    project = Project(tmp_path, database.url, history)
    project.settings(f'bind_parameters = "{bound}"\n')
    project.run("onboard", "acme", "--to", "r1")
    project.run("upgrade", expect=3)
    told = database.fetch("SELECT statement FROM tenantmig.part ORDER BY position")
    assert [text for (text,) in told] == [
        "COMMENT ON TABLE note IS %(w)s",
        "INSERT INTO note VALUES (1, %(w)s)",
    ]
    write_history(tmp_path / "history", MAKE, ("r2", KEPT.replace("raise RuntimeError", "str")))
    project.run("resume")
    assert database.fetch("SELECT body FROM acme.note") == [("hunter2",)]
