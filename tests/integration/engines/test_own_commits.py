"""Scripts that commit by themselves: as with plain Alembic, and journaled like a block."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from tenantmig import Outcome, Selection
from tests.fixtures.command import Project
from tests.fixtures.database import Database, fresh_database
from tests.fixtures.history import write_history
from tests.fixtures.oracles import catalog, content
from tests.fixtures.rollouts import OpenFleet, by_name
from tests.fixtures.server import AnyServer

CREATE = (
    "r1",
    """op.execute('CREATE TABLE thing (id int)')
op.execute('CREATE TABLE counter (n int)')
op.execute('INSERT INTO counter VALUES (0)')""",
)
COUNT = "op.execute('UPDATE counter SET n = n + 1')\n"
ADD = "op.add_column('thing', sa.Column('size', sa.Integer))\n"
COUNT_BESIDE = "bind.execute(sa.text('UPDATE counter SET n = n + 1'))\n"
FAILED, IN_DOUBT = Outcome.FAILED, Outcome.IN_DOUBT
AUTOCOMMIT = (
    "with bind.engine.connect().execution_options(isolation_level='AUTOCOMMIT') as other:\n"
    "    other.execute(sa.text('{}'))\n"
)
BESIDE = AUTOCOMMIT.format("CREATE INDEX CONCURRENTLY ix ON thing (id)")
SCRIPTS = {
    "commit": COUNT + "bind.commit()\n" + ADD,
    "commit_at_the_end": COUNT + ADD + "bind.commit()",
    "commit_at_the_start": "bind.commit()\n" + COUNT + ADD,
    "several": COUNT + "bind.commit()\n" + COUNT + "bind.commit()\nbind.commit()\n" + ADD,
    "through_the_context": COUNT + "op.get_context().connection.commit()\n" + ADD,
    "through_the_pool": COUNT + "bind.connection.commit()\n" + ADD,
    "through_the_driver": COUNT + "bind.connection.driver_connection.commit()\n" + ADD,
    "rollback": COUNT + "bind.rollback()\n" + ADD,
    "rollback_after_an_error": "try:\n    op.execute('SELECT 1/0')\nexcept sa.exc.DBAPIError:\n"
    "    bind.rollback()\n" + COUNT + ADD,
    "session": "from sqlalchemy.orm import Session\nsession = Session(bind=bind)\n"
    "session.execute(sa.text('UPDATE counter SET n = n + 1'))\nsession.commit()\n" + ADD,
    "session_after_a_commit": "from sqlalchemy.orm import Session\nbind.commit()\n"
    "session = Session(bind=bind)\nsession.execute(sa.text('UPDATE counter SET n = n + 1'))\n"
    "session.commit()\nsession.close()\n" + ADD,
    "savepoint": "with bind.begin_nested():\n    " + COUNT + ADD,
    "savepoint_undone": "with bind.begin_nested() as point:\n    "
    + COUNT
    + "    point.rollback()\n"
    + ADD,
    "begin_after_a_commit": "bind.commit()\nwith bind.begin():\n    " + COUNT + ADD,
    "block_after_a_commit": COUNT + "bind.commit()\nwith op.get_context().autocommit_block():\n"
    "    op.execute('CREATE INDEX CONCURRENTLY ix ON thing (id)')\n" + ADD,
    "block_after_a_commit_and_more": COUNT
    + "bind.commit()\n"
    + COUNT
    + "with op.get_context().autocommit_block():\n    "
    + COUNT
    + ADD,
    "index_beside": COUNT + "bind.commit()\n" + BESIDE + ADD,
    "index_beside_without_a_commit": BESIDE + COUNT + ADD,
    "index_beside_after_a_question": "bind.execute(sa.text('SELECT 1')).all()\n" + BESIDE + ADD,
    "rows_beside": COUNT + "bind.commit()\nwith bind.engine.begin() as other:\n"
    "    other.execute(sa.text('UPDATE counter SET n = n + 1'))\n" + ADD,
    "undone_beside": (
        "with bind.engine.connect() as other:\n"
        "    other.execute(sa.text('INSERT INTO thing VALUES (1)'))\nbind.commit()\n" + ADD
    ),
    "autocommit_to_the_end": COUNT + "bind.commit()\n"
    "bind.execution_options(isolation_level='AUTOCOMMIT')\n"
    "op.execute('CREATE INDEX CONCURRENTLY ix ON thing (id)')\n" + ADD,
}
NEXT = ("r3", COUNT + "op.execute('CREATE INDEX later ON thing (id)')")
"""What follows; without it plain Alembic loses the version row of a revision that committed."""
PLAIN_ENV = """
import sqlalchemy as sa
from alembic import context
url, schema = context.config.attributes["url"], context.config.attributes["schema"]
arguments = {"options": f"-csearch_path={schema}"}
engine = sa.create_engine(url, connect_args=arguments, poolclass=sa.NullPool)
with engine.connect() as connection:
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
"""


def script(bodies: dict[str, str]) -> str:
    """A revision that does for each tenant what stands under its name."""
    return (
        "bind = op.get_bind()\n"
        f"exec({bodies!r}[bind.dialect.default_schema_name], globals() | locals())"
    )


def write(folder: Path, bodies: dict[str, str], *more: tuple[str, str]) -> Path:
    """A history r1, r2 and more, whose r2 differs by tenant."""
    return write_history(folder / "history", CREATE, ("r2", script(bodies)), *more)


def by_plain_alembic(folder: Path, database: Database, names: Sequence[str]) -> set[str]:
    """Bring each tenant to head with Alembic and an env.py that knows nothing of tenantmig.

    Return those for which Alembic cannot: it holds on to the transaction that the script ended.
    """
    lost = set()
    (folder / "history" / "env.py").write_text(PLAIN_ENV)
    config = Config()
    config.set_main_option("script_location", str(folder / "history"))
    config.attributes["url"] = database.url.replace("postgresql://", "postgresql+psycopg://")
    for name in names:
        database.execute(f'CREATE SCHEMA "{name}"')
        config.attributes["schema"] = name
        try:
            command.upgrade(config, "head")
        except sa.exc.InvalidRequestError:
            lost.add(name)
    return lost


def versions(database: Database, name: str) -> list[tuple[str, ...]]:
    """The rows of a tenant's version table."""
    return database.fetch(f'SELECT version_num FROM "{name}".alembic_version')


def counted(database: Database, name: str = "acme") -> int:
    """How often the table `counter` was counted up."""
    return int(database.fetch(f'SELECT n FROM "{name}".counter')[0][0])


@pytest.mark.slow
@pytest.mark.parametrize("version", [16, 18])
def test_a_script_may_commit_as_with_plain_alembic(
    tmp_path: Path, request: pytest.FixtureRequest, open_fleet: OpenFleet, version: int
) -> None:
    database: Database = request.getfixturevalue("database" if version == 18 else "database16")
    Project(tmp_path, database.url, write(tmp_path, SCRIPTS, NEXT))
    settings = {"parallel": 2, "canary": "0", "max_failures": "99"}
    fleet = open_fleet(database_url=database.url, **settings)
    fleet.onboard(sorted(SCRIPTS), "r1")
    found = by_name(fleet.upgrade("r2"))
    assert {name: (t.outcome, t.error) for name, t in found.items()} == dict.fromkeys(
        SCRIPTS, (Outcome.UPGRADED, None)
    )
    assert all(versions(database, name) == [("r2",)] for name in SCRIPTS)
    assert fleet.upgrade().counts == {"upgraded": len(SCRIPTS)}
    fleet.close()
    assert database.fetch("SELECT * FROM tenantmig.part") == []
    server: AnyServer = request.getfixturevalue("server" if version == 18 else "server16")
    with fresh_database(server) as other:
        lost = by_plain_alembic(tmp_path, other, sorted(SCRIPTS))
        assert lost == {"block_after_a_commit_and_more"}
        with database.connect() as ours, other.connect() as plain:
            for name in SCRIPTS.keys() - lost:
                assert catalog(ours, name) == catalog(plain, name), name
                assert content(ours, name) == content(plain, name), name


@pytest.mark.parametrize("engine", ["alembic", "auto"])
def test_a_script_that_commits_is_never_replayed(
    tmp_path: Path, database: Database, open_fleet: OpenFleet, engine: str
) -> None:
    body = "op.get_bind().commit()\n" + COUNT
    history = write_history(tmp_path / "history", CREATE, ("r2", body))
    Project(tmp_path, database.url, history)
    fleet = open_fleet(engine=engine)
    names = [f"t{number}" for number in range(4)]
    fleet.onboard(names, "r1")
    found = by_name(fleet.upgrade())
    assert {t.engine for t in found.values()} == {"alembic"}
    assert [counted(database, name) for name in names] == [1] * 4


FAILING = {
    "committed": (COUNT + "bind.commit()\n" + ADD + "1/0", IN_DOUBT, 1),
    "nothing_written": ("op.execute('SELECT 1')\nbind.commit()\n" + COUNT + "1/0", FAILED, 0),
    "rolled_back": (COUNT + "bind.rollback()\n" + COUNT + "1/0", FAILED, 0),
    "by_the_driver": (
        COUNT + "bind.connection.driver_connection.commit()\n" + COUNT + "1/0",
        IN_DOUBT,
        1,
    ),
    "twice": ((COUNT + "bind.commit()\n") * 2 + "1/0", IN_DOUBT, 2),
    "rows_beside": (
        "with bind.engine.begin() as bind:\n    " + COUNT_BESIDE + "1/0",
        IN_DOUBT,
        1,
    ),
    "statement_beside": (AUTOCOMMIT.format("UPDATE counter SET n = n + 1") + "1/0", IN_DOUBT, 1),
    "refused_beside": (AUTOCOMMIT.format("UPDATE counter SET n = n / 0"), FAILED, 0),
    "index_refused_beside": (
        AUTOCOMMIT.format("CREATE UNIQUE INDEX CONCURRENTLY twice ON twins (id)"),
        FAILED,
        0,
    ),
    "caught_beside": (
        "try:\n    "
        + AUTOCOMMIT.format("UPDATE nothing SET n = 1").replace("\n", "\n    ")
        + "\nexcept sa.exc.DBAPIError:\n    pass\n1/0",
        FAILED,
        0,
    ),
    "held_by_itself": (
        COUNT + AUTOCOMMIT.format("ALTER TABLE counter ADD size int"),
        FAILED,
        0,
    ),
}


@pytest.mark.slow
def test_what_a_script_committed_before_it_failed_is_never_done_twice(
    tmp_path: Path, database: Database, open_fleet: OpenFleet
) -> None:
    first = (
        CREATE[1] + "\nop.execute('CREATE TABLE twins AS SELECT 1 AS id FROM (VALUES (1), (1)) v')"
    )
    bodies = {name: body for name, (body, _, _) in FAILING.items()}
    history = write_history(tmp_path / "history", ("r1", first), ("r2", script(bodies)))
    Project(tmp_path, database.url, history)
    fleet = open_fleet(canary="0", max_failures="99", attempts=1, lock_timeout="200ms")
    fleet.onboard(sorted(FAILING), "r1")
    wanted = {name: (outcome, count) for name, (_, outcome, count) in FAILING.items()}
    for _ in range(2):
        found = by_name(fleet.upgrade())
        told = {name: (t.outcome, counted(database, name)) for name, t in found.items()}
        assert told == wanted
        assert all(versions(database, name) == [("r1",)] for name in found)
    error = str(found["held_by_itself"].error)
    assert "must call op.get_bind().commit() first" in error


KILL = """import os, pathlib
once = pathlib.Path({once!r})
if not once.exists():
    once.touch()
    os.kill(os.getpid(), 9)
"""


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["alembic", "auto"])
def test_a_kill_after_a_commit_never_does_the_first_half_twice(
    tmp_path: Path, database: Database, open_fleet: OpenFleet, engine: str
) -> None:
    kill = KILL.format(once=str(tmp_path / "once"))
    bodies = {
        "a": COUNT + "bind.commit()\n" + kill + ADD,
        "b": AUTOCOMMIT.format("UPDATE counter SET n = n + 1") + kill + ADD,
        "c": "op.execute('CREATE TABLE IF NOT EXISTS half (id int)')\nbind.commit()\n"
        + kill
        + COUNT,
        "d": BESIDE + kill + COUNT,
    }
    history = write(tmp_path, bodies)
    Project(tmp_path, database.url, history)
    fleet = open_fleet(engine=engine, canary="0", max_failures="99", attempts=2)
    fleet.onboard(sorted(bodies), "r1")
    outcomes: dict[str, Outcome] = {}
    for name in bodies:
        (tmp_path / "once").unlink(missing_ok=True)
        outcomes |= {name: by_name(fleet.upgrade(selection=Selection(names=(name,))))[name].outcome}
    done = Outcome.UPGRADED
    assert outcomes == {"a": IN_DOUBT, "b": done, "c": done, "d": done}
    assert {name: counted(database, name) for name in bodies} == dict.fromkeys(bodies, 1)
