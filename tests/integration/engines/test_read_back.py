"""What is told as done was read back after its COMMIT; so with plain Alembic and in scratch."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenantmig import Outcome, RunOptions, Selection
from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.history import write_history
from tests.fixtures.rollouts import OpenFleet, by_name

CREATE = ("r1", "op.execute('CREATE TABLE counter (n int)')", "op.execute('DROP TABLE counter')")
COMMITS = (
    "r2",
    """op.execute('INSERT INTO counter VALUES (1)')
op.get_bind().commit()
op.execute('CREATE TABLE other (id int)')""",
    "op.execute('DROP TABLE other')\nop.get_bind().commit()\nop.execute('TRUNCATE counter')",
)
AFTER = """from sqlalchemy import event
bind = op.get_bind()
def after(connection):
    connection.connection.driver_connection.pgconn.exec_({sql!r}.encode())
event.listen(bind, 'commit', lambda connection: after(connection), once=True)
op.execute('CREATE TABLE other (id int)')
"""
"""A script that has something done with its own COMMIT, below all that is watched."""
RAW = "op.get_bind().connection.driver_connection.pgconn.exec_(b'COMMIT')"
UNTRUE = {
    "moved": (
        "UPDATE {0}.alembic_version SET version_num = 'r1'",
        "the version table says r1, not r2",
    ),
    "emptied": ("DELETE FROM {0}.alembic_version", "the version table says base, not r2"),
    "gone": ("DROP TABLE {0}.alembic_version", "the version table no longer exists"),
    "strayed": ("SET search_path = pg_catalog", 'the session is in "pg_catalog"'),
    "unlocked": ("SELECT pg_advisory_unlock_all()", "the tenant's lock is no longer held"),
    "unwritten": (
        "UPDATE tenantmig.run_tenant SET to_revision = 'r1' WHERE tenant = '{0}'",
        "the journal says r1, not r2",
    ),
}


@pytest.fixture
def history(tmp_path: Path, database: Database) -> Path:
    folder = tmp_path / "history"
    Project(tmp_path, database.url, folder)
    return folder


@pytest.mark.slow
def test_what_does_not_agree_after_the_commit_is_in_doubt_and_never_done(
    database: Database, open_fleet: OpenFleet, history: Path
) -> None:
    texts = {name: text.format(name) for name, (text, _) in UNTRUE.items()}
    body = AFTER.replace("{sql!r}", "texts[bind.dialect.default_schema_name]")
    write_history(history, CREATE, ("r2", f"texts = {texts!r}\n{body}"))
    fleet = open_fleet(canary="0", max_failures="99", engine="alembic")
    fleet.onboard(sorted(UNTRUE), "r1")
    report = fleet.upgrade()
    found = by_name(report)
    for name, (_, words) in UNTRUE.items():
        assert found[name].outcome is Outcome.IN_DOUBT, name
        assert f"After the COMMIT, {words}" in str(found[name].error), name
    rows = database.fetch("SELECT tenant, outcome FROM tenantmig.run_tenant WHERE run = 2")
    assert dict(rows) == dict.fromkeys(UNTRUE, "in_doubt")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["stamp", "offboard", "onboard"])
def test_stamps_and_births_and_ends_are_read_back(
    database: Database, open_fleet: OpenFleet, history: Path, kind: str
) -> None:
    write_history(history, CREATE, ("r2", "pass"))
    fleet = open_fleet(attempts=1)
    fleet.onboard(["acme"], "r1")
    body = {
        "stamp": "UPDATE acme.alembic_version SET version_num = 'r1'",
        "offboard": "CREATE SCHEMA acme",
        "onboard": "UPDATE beta.alembic_version SET version_num = 'r1'",
    }[kind]
    tenant = "beta" if kind == "onboard" else "acme"
    database.execute(
        f"CREATE FUNCTION tenantmig.undo() RETURNS trigger LANGUAGE plpgsql AS"
        f" $f$ BEGIN {body}; RETURN NULL; END $f$"
    )
    database.execute(
        "CREATE CONSTRAINT TRIGGER undo AFTER UPDATE ON tenantmig.run_tenant DEFERRABLE INITIALLY"
        " DEFERRED FOR EACH ROW WHEN (NEW.outcome IN ('stamped', 'offboarded', 'onboarded'))"
        " EXECUTE FUNCTION tenantmig.undo()"
    )
    chosen = Selection(names=("acme",))
    report = {
        "stamp": lambda: fleet.stamp("r2", chosen),
        "offboard": lambda: fleet.offboard(chosen),
        "onboard": lambda: fleet.onboard(["beta"]),
    }[kind]()
    database.execute("DROP FUNCTION tenantmig.undo() CASCADE")
    found = by_name(report)[tenant]
    assert not found.outcome.is_at_target
    assert "After the COMMIT, the" in str(found.error)


@pytest.mark.slow
@pytest.mark.parametrize("after", ["", "DELETE FROM", "DROP TABLE IF EXISTS"])
def test_a_restore_is_read_back(
    database: Database, open_fleet: OpenFleet, history: Path, tmp_path: Path, after: str
) -> None:
    """Whatever the COMMIT itself set off."""
    write_history(history, CREATE, ("r2", "pass"))
    fleet = open_fleet(attempts=1)
    fleet.onboard(["acme"], "r1")
    away = fleet.offboard(Selection(names=("acme",)), RunOptions(backup=tmp_path / "dumps"))
    body = f"{after} acme.alembic_version" if after else "NULL"
    database.execute(
        f"CREATE FUNCTION tenantmig.undo() RETURNS trigger LANGUAGE plpgsql AS"
        f" $f$ BEGIN {body}; RETURN NULL; END $f$"
    )
    database.execute(
        "CREATE CONSTRAINT TRIGGER undo AFTER UPDATE ON tenantmig.run_tenant DEFERRABLE INITIALLY"
        " DEFERRED FOR EACH ROW WHEN (NEW.outcome = 'restored') EXECUTE FUNCTION tenantmig.undo()"
    )
    back = by_name(fleet.restore("acme", by_name(away)["acme"].backup or ""))["acme"]
    database.execute("DROP FUNCTION tenantmig.undo() CASCADE")
    if after:
        assert back.outcome is Outcome.IN_DOUBT
        assert "After the COMMIT, the version table" in str(back.error)
    else:
        assert back.outcome is Outcome.RESTORED


@pytest.mark.parametrize("name", ["acme", "Ünit %s:d"])
def test_plain_alembic_keeps_the_version_row_of_a_script_that_commits(
    tmp_path: Path, database: Database, history: Path, name: str
) -> None:
    write_history(history, CREATE, COMMITS)
    project = Project(tmp_path, database.url, history)
    project.settings('names = "wide"\n')
    database.execute(f'CREATE SCHEMA "{name}"')
    tenant = ("-x", f"tenant={name}", "-x", f"schema={name}")
    project.alembic(*tenant, "upgrade", "head")
    assert database.fetch(f'SELECT version_num FROM "{name}".alembic_version') == [("r2",)]
    assert database.fetch(f'SELECT n FROM "{name}".counter') == [(1,)]
    project.alembic(*tenant, "downgrade", "r1")
    assert database.fetch(f'SELECT version_num FROM "{name}".alembic_version') == [("r1",)]
    assert database.fetch(f'SELECT n FROM "{name}".counter') == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("op.execute('COMMIT')", "The script sends COMMIT as text"),
        (
            "op.execute('CREATE TABLE other (id int)')\n" + RAW,
            "ended the revision's",
        ),
        (
            AFTER.format(sql="UPDATE acme.alembic_version SET version_num = 'r0'"),
            "the version table says r0, not r2",
        ),
    ],
)
def test_plain_alembic_claims_no_more_than_there_is(
    tmp_path: Path, database: Database, history: Path, body: str, words: str
) -> None:
    write_history(history, CREATE, ("r2", body))
    project = Project(tmp_path, database.url, history)
    database.execute("CREATE SCHEMA acme")
    result = project.alembic("-x", "tenant=acme", "upgrade", "head", expect=None)
    assert result.code != 0
    assert words in result.out + result.err


@pytest.mark.slow
def test_a_scratch_schema_runs_scripts_that_commit_to_their_head(
    database: Database, open_fleet: OpenFleet, history: Path
) -> None:
    write_history(history, CREATE, COMMITS)
    report = open_fleet().check()
    assert (len(report.revisions), report.broken) == (2, ())


def test_a_tenant_with_an_odd_name_is_read_back(
    database: Database, open_fleet: OpenFleet, history: Path
) -> None:
    write_history(history, CREATE, COMMITS)
    fleet = open_fleet(names="wide", engine="alembic", attempts=1)
    for name in ('q"uo.te %s:d', "50 %(x)s {0}"):
        assert fleet.onboard([name]).counts == {"onboarded": 1}
        stamped = fleet.stamp("r1", Selection(names=(name,)))
        assert stamped.is_complete, stamped.tenants
        assert fleet.offboard(Selection(names=(name,))).is_complete
