"""What is wrong in one tenant or in one row of the ledger is the problem of that one alone."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.corruption import damage
from tests.fixtures.command import Project, Result
from tests.fixtures.database import Database, fresh_database
from tests.fixtures.history import write_history
from tests.fixtures.hostile import assert_harmless
from tests.fixtures.in_process import Ask
from tests.fixtures.rollouts import CREATE, adding, mend, poison, stands
from tests.fixtures.server import AnyServer

CASES = int(os.environ.get("CORRUPTIONS", "8"))
SEED = int(os.environ.get("CORRUPTION_SEED", "11"))
KEYLESS = (
    "ALTER TABLE acme.alembic_version DROP CONSTRAINT alembic_version_pkc,"
    " ALTER version_num DROP NOT NULL"
)
TEXT = "ALTER TABLE acme.alembic_version ALTER version_num TYPE text"
LOOSE = (
    "ALTER TABLE tenantmig.tenant DROP CONSTRAINT tenant_pkey, DROP CONSTRAINT tenant_schema_key,"
    " DROP CONSTRAINT tenant_state_check, ALTER schema DROP NOT NULL"
)
ACME = "SELECT * FROM tenantmig.tenant WHERE name = 'acme'"
TENANTS = ("acme", "beta", "ceta", "delta")
SETTINGS = (
    'canary = "0"\nmax_failures = "100%"\nparallel = 2\nattempts = 1\nreconnect_timeout = "1s"\n'
    'tenant_lock_timeout = "1s"\nattempt_timeout = "30s"\n'
)
LEFT_OPEN = """
    INSERT INTO tenantmig.doubt (run, tenant, sqlstate, error, lost_xid)
    VALUES (2, 'delta', '08006', 'lost', '5');
    INSERT INTO tenantmig.part (schema, revision, direction, position, statement, is_done)
    VALUES ('ceta', 'r3', 'upgrade', 1, 'SELECT 1', true);
"""
READERS = (
    ("status",), ("status", "--json"), ("plan",), ("runs",), ("runs", "--json"), ("show", "2"),
    ("show", "2", "--json"), ("show", "delta"), ("status", "-t", "delta", "--json"),
    ("tenants", "list"), ("upgrade", "--dry-run"),
    ("resume", "--dry-run"), ("resume", "2", "--dry-run", "--json"), ("rollback", "2", "--dry-run"),
)  # fmt: skip
WRITERS = (
    ("upgrade",), ("upgrade", "--json"), ("resume",), ("resume", "2", "--json"),
    ("rollback", "2", "--yes"), ("drift",), ("onboard", "late"), ("stamp", "r2", "--all"),
    ("downgrade", "r1", "--all", "--yes"), ("offboard", "acme", "--yes"),
    ("tenants", "suspend", "acme"), ("tenants", "label", "acme", "--label", "a=b"),
)  # fmt: skip


@pytest.fixture(scope="module")
def template(
    server: AnyServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Database, Path]]:
    """Four tenants, a run that brought them in and one that failed for the last of them."""
    folder = tmp_path_factory.mktemp("damaged")
    history = write_history(folder / "history", CREATE, adding("r2", "b"), adding("r3", "c"))
    with fresh_database(server) as database:
        project = Project(folder, database.url, history)
        project.settings(SETTINGS)
        project.run("onboard", *TENANTS, "--to", "r1")
        poison(database, "delta")
        project.run("upgrade", "r2", expect=3)
        mend(database, "delta")
        yield database, history


@pytest.fixture
def fleet(
    template: tuple[Database, Path], tmp_path: Path, server: AnyServer
) -> Iterator[tuple[Project, Database]]:
    """A copy of that fleet."""
    source, history = template
    with fresh_database(server, source.name) as database:
        project = Project(tmp_path, database.url, history)
        project.settings(SETTINGS)
        yield project, database


def _assert_told(command: tuple[str, ...], result: Result) -> None:
    """A command must end in words, whatever it found."""
    code, out, err = result.code, result.out, result.err
    assert code in {0, 2, 3, 4, 5}, (command, code, out, err)
    assert "Traceback" not in out + err, (command, err)
    assert_harmless(out)
    assert_harmless(err)
    if code == 2 and "--json" not in command:
        assert len(err.strip().splitlines()) >= 1, command


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_damage_at_random_is_told_in_words(
    part: int,
    template: tuple[Database, Path],
    tmp_path: Path,
    server: AnyServer,
    ask: Ask,
) -> None:
    source, history = template
    for case in range(part, CASES, 4):
        rng = random.Random(f"{SEED}:{case}")  # noqa: S311  not cryptography
        with fresh_database(server, source.name) as database:
            project = Project(tmp_path, database.url, history)
            project.settings(SETTINGS)
            if rng.random() < 0.5:
                database.execute(LEFT_OPEN)
            done = damage(database, rng, TENANTS)
            try:
                for reader in READERS:
                    _assert_told(reader, ask(project, *reader, expect=None))
                writer = rng.choice(WRITERS)
                _assert_told(writer, project.run(*writer, expect=None))
            except BaseException as error:
                error.add_note(f"case {SEED}:{case}, damaged by {done}")
                raise


# -- what is wrong in one place stays there --------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damaged", "told"),
    [
        (f"{KEYLESS}; UPDATE acme.alembic_version SET version_num = NULL", "contains NULL"),
        (f"{KEYLESS}; INSERT INTO acme.alembic_version VALUES ('r2')", "the same revision twice"),
        ("UPDATE acme.alembic_version SET version_num = ''", "an empty string"),
        (f"{TEXT}; UPDATE acme.alembic_version SET version_num = repeat('x', 9999)", "too long"),
        ("UPDATE acme.alembic_version SET version_num = 'r9'", "'r9', which is not in"),
        ("ALTER TABLE acme.alembic_version ALTER version_num TYPE int USING 5", "'5', which"),
        ("UPDATE tenantmig.tenant SET labels = '[]' WHERE name = 'acme'", "its labels is []"),
        (f"{LOOSE}; UPDATE tenantmig.tenant SET state = 'florp' WHERE name = 'acme'", '"florp"'),
        (f"{LOOSE}; UPDATE tenantmig.tenant SET schema = NULL WHERE name = 'acme'", "is NULL"),
        (f"{LOOSE}; INSERT INTO tenantmig.tenant {ACME}", "several rows"),
        ("UPDATE tenantmig.tenant SET schema = 'gone' WHERE name = 'acme'", "does not exist"),
    ],
)  # fmt: skip
def test_a_tenant_that_is_wrong_keeps_nobody(
    damaged: str, told: str, fleet: tuple[Project, Database], ask: Ask
) -> None:
    project, database = fleet
    database.execute(damaged)
    status = {t["tenant"]: t for t in ask(project, "status", "--json").json["tenants"]}
    assert (status["acme"]["standing"], told in status["acme"]["problem"]) == ("unknown", True)
    assert {status[name]["standing"] for name in ("beta", "ceta")} == {"behind"}
    plan = ask(project, "plan", "--json").json
    assert [p["tenant"] for p in plan["problems"]] == ["acme"]
    report = project.run("upgrade", "--json", expect=3).json
    outcomes = {t["tenant"]: t["outcome"] for t in report["tenants"]}
    assert outcomes == {"acme": "failed"} | dict.fromkeys(TENANTS[1:], "upgraded")
    assert stands(database, *TENANTS[1:]) == dict.fromkeys(TENANTS[1:], "r3")


@pytest.mark.slow
def test_a_stamp_is_needed_where_a_version_table_is_wrong(
    fleet: tuple[Project, Database],
) -> None:
    project, database = fleet
    database.execute("UPDATE acme.alembic_version SET version_num = ''")
    assert project.run("upgrade", "-t", "acme", "--json", expect=None).json["state"] != "complete"
    project.run("stamp", "r2", "-t", "acme")
    assert project.run("upgrade", "--json").json["state"] == "complete"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("kind", "'florp'", 'its kind is "florp", which this version of tenantmig does not know'),
        ("options", "'[]'", "its options is []"),
        ("options", """'{"lineage": "florp"}'""", 'its lineage is "florp"'),
        ("started_at", "'infinity'", 'its started_at is "infinity", which is not a time'),
        ("target", "''", 'its target is ""'),
    ],
)
def test_a_run_that_is_wrong_is_told_among_the_others(
    column: str, value: str, told: str, fleet: tuple[Project, Database], ask: Ask
) -> None:
    project, database = fleet
    database.execute(f"UPDATE tenantmig.run SET {column} = {value} WHERE id = 2")
    runs = ask(project, "runs", "--json").json
    assert [run["run"] for run in runs["runs"]] == [1]
    assert [run["run"] for run in runs["unreadable"]] == ["2"]
    assert told in ask(project, "runs").out
    for command in (("show", "2"), ("resume", "2", "--dry-run"), ("resume", "--dry-run")):
        assert told in ask(project, *command, expect=2).error
    assert "Run 2" in ask(project, "rollback", "2", "--yes", expect=2).error
    assert {group["from"] for group in ask(project, "plan", "--json").json["groups"]} == {
        "r1",
        "r2",
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("column", "value"),
    [("outcome", "'florp'"), ("from_revision", "''"), ("attempts", "-1"), ("duration_s", "'NaN'")],
)
def test_a_row_that_is_wrong_is_no_ground_to_move_a_tenant(
    column: str, value: str, fleet: tuple[Project, Database], ask: Ask
) -> None:
    project, database = fleet
    database.execute(f"UPDATE tenantmig.run_tenant SET {column} = {value} WHERE tenant = 'acme'")
    shown = {t["tenant"]: t for t in ask(project, "show", "2", "--json").json["tenants"]}
    assert shown["acme"]["outcome"] == "in_doubt"
    assert f"its {column} is" in shown["acme"]["error"]
    report = project.run("rollback", "2", "--yes", "--json", expect=3).json
    outcomes = {t["tenant"]: t["outcome"] for t in report["tenants"]}
    assert outcomes == {"acme": "failed", "beta": "downgraded", "ceta": "downgraded"}
    assert stands(database, "acme", "beta") == {"acme": "r2", "beta": "r1"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damaged", "told"),
    [
        ("INSERT INTO tenantmig.ledger_version VALUES (99)", "has version 99"),
        ("DELETE FROM tenantmig.ledger_version", "says nothing, which is not a version"),
        ("UPDATE tenantmig.ledger_version SET version = -version", "which is not a version"),
        ("DROP TABLE tenantmig.ledger_version", "has no table ledger_version"),
        ("DROP TABLE tenantmig.tenant", "does not exist"),
        ("ALTER TABLE tenantmig.run_tenant RENAME tenant TO customer", "does not exist"),
        ("ALTER TABLE tenantmig.ledger_version ALTER version TYPE text USING 'x' || version",
         "'x1', 'x2'"),
    ],
)  # fmt: skip
def test_a_ledger_that_is_not_ours_is_refused_in_words(
    damaged: str, told: str, fleet: tuple[Project, Database], ask: Ask
) -> None:
    project, database = fleet
    database.execute(damaged)
    for command in ("status", "upgrade"):
        assert told in ask(project, command, expect=2).error
    assert stands(database, "acme") == {"acme": "r2"}
