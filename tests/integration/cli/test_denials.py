"""What a role may lack beside the table of docs/guides/roles-and-grants.md, and its roles."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.fixtures.command import Project
from tests.fixtures.grants import PAGE, Row, Stage, read_rows
from tests.fixtures.history import write_revision
from tests.fixtures.in_process import Ask

ROWS = {row.command: row for row in read_rows()}
STATUS, UPGRADE = ROWS["tenantmig status"], ROWS["tenantmig upgrade -t acme"]
SQL = re.compile(r"```sql\n(.*?)```", re.DOTALL)
BEFORE_SALTS = (
    "DELETE FROM tenantmig.ledger_version WHERE version = 4;"
    "ALTER TABLE tenantmig.ledger_version DROP COLUMN lock_salt"
)


def granted(stage: Stage, row: Row) -> Project:
    """Give the visitor what a row says."""
    stage.grant(row.grants, row)
    return stage.as_visitor()


@pytest.mark.slow
def test_membership_must_be_inherited(stage: Stage) -> None:
    """And the statement in the error is the remedy."""
    if stage.database.fetch("SHOW server_version_num")[0][0] < "160000":
        without, wanted = (
            f"ALTER ROLE {stage.visitor} NOINHERIT",
            f"ALTER ROLE {stage.visitor} INHERIT",
        )
    else:
        without = f"GRANT {stage.landlord} TO {stage.visitor} WITH INHERIT FALSE"
        wanted = f"GRANT {stage.landlord} TO {stage.visitor} WITH INHERIT TRUE"
    visitor = granted(stage, UPGRADE)
    stage.database.execute(without)
    with stage.untouched(stage.ledger):
        said = visitor.run("upgrade", "-t", "acme", expect=3).out
    assert wanted in said
    stage.database.execute(wanted)
    visitor.run("upgrade", "-t", "acme")


def test_nobody_is_told_to_become_a_superuser(stage: Stage) -> None:
    stage.database.execute(
        "GRANT USAGE, CREATE ON SCHEMA acme TO PUBLIC; GRANT ALL ON acme.alembic_version TO PUBLIC;"
        "ALTER TABLE acme.thing OWNER TO CURRENT_USER"
    )
    visitor = granted(stage, UPGRADE)
    said = visitor.run("upgrade", "-t", "acme", expect=3).err
    assert "must be owner of table thing; its owner is a superuser" in said
    assert "GRANT postgres" not in said


@pytest.mark.slow
def test_a_role_that_only_reads(stage: Stage, ask: Ask) -> None:
    """Readers do not write; a run is refused before it begins, also with every grant."""
    visitor = granted(stage, UPGRADE)
    stage.grant(STATUS.grants, STATUS)
    stage.database.execute(f"ALTER ROLE {stage.visitor} SET default_transaction_read_only = on")
    with stage.untouched():
        for command in ("status", "plan", "runs", "tenants list"):
            ask(visitor, *command.split())
        for command in ("upgrade -t acme", "stamp r2 -t acme", "rollback 2 --yes", "resume 3",
                        "tenants suspend acme"):  # fmt: skip
            said = ask(visitor, *command.split(), expect=2).error
            assert "default_transaction_read_only is on" in said


@pytest.mark.slow
def test_a_reader_of_an_older_ledger(stage: Stage, ask: Ask) -> None:
    """Only its owner can bring it to this version; everybody else is told who that is."""
    stage.database.execute(BEFORE_SALTS)
    visitor = granted(stage, STATUS)
    with stage.untouched():
        for command in ("status", "runs", "upgrade"):
            said = ask(visitor, command, expect=2).error
            assert "has version 3" in said
            assert stage.keeper in said
    stage.database.execute(f"GRANT {stage.keeper} TO {stage.visitor}")
    ask(visitor, "status")
    stage.database.execute(f"REVOKE {stage.keeper} FROM {stage.visitor}")
    ask(visitor, "status")


def test_a_ledger_of_another_name(stage: Stage, ask: Ask) -> None:
    """The name in the statement is quoted where it must be."""
    visitor = granted(stage, STATUS)
    stage.database.execute(
        f"REVOKE ALL ON tenantmig.part FROM {stage.visitor};"
        'ALTER SCHEMA tenantmig RENAME TO "The ledger"'
    )
    visitor.environment = {"TENANTMIG_LEDGER_SCHEMA": "The ledger"}
    said = ask(visitor, "status", expect=2).error
    (statement,) = re.findall(r"GRANT .*?;", said)
    stage.database.execute(statement)
    ask(visitor, "status")


def test_a_refusal_in_json(stage: Stage, ask: Ask) -> None:
    error = ask(stage.as_visitor(), "status", "--json", expect=2).json["error"]
    assert error["type"] == "ConnectError"
    assert f'GRANT CONNECT ON DATABASE "{stage.database.name}"' in error["message"]
    visitor = granted(stage, STATUS)
    stage.revoke(STATUS.grants[1:2], STATUS)
    assert ask(visitor, "status", "--json", expect=2).json["error"]["type"] == "PrivilegeError"
    stage.grant(STATUS.grants[1:2], STATUS)
    stage.database.execute(f"REVOKE USAGE ON SCHEMA acme FROM {stage.visitor}")
    found = {t["tenant"]: t for t in ask(visitor, "status", "--json", expect=3).json["tenants"]}
    assert found["beta"]["standing"] == "at_head"
    assert f"GRANT USAGE ON SCHEMA acme TO {stage.visitor};" in found["acme"]["problem"]


def test_rights_on_columns_are_enough(stage: Stage, ask: Ask) -> None:
    row = ROWS["tenantmig runs"]
    visitor = granted(stage, row)
    stage.database.execute(
        f"REVOKE ALL ON tenantmig.ledger_version FROM {stage.visitor};"
        f"GRANT SELECT (version, lock_salt) ON tenantmig.ledger_version TO {stage.visitor}"
    )
    ask(visitor, "runs")


def test_another_source_needs_the_same_and_its_own(stage: Stage, ask: Ask) -> None:
    """The registry says which tenants are half made, whatever lists them."""
    visitor = granted(stage, STATUS)
    query = "SELECT relname AS name FROM elsewhere.list"
    visitor.environment |= {"TENANTMIG_SOURCE": "query", "TENANTMIG_SOURCE_QUERY": query}
    stage.database.execute(
        "CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.list (relname text);"
        "INSERT INTO elsewhere.list VALUES ('beta')"
    )
    said = ask(visitor, "status", expect=2).error
    assert "`source_query` failed: permission denied for schema elsewhere" in said
    stage.database.execute(
        f"GRANT USAGE ON SCHEMA elsewhere TO {stage.visitor};"
        f"GRANT SELECT ON elsewhere.list TO {stage.visitor}"
    )
    assert "1 tenant, 1 at head" in ask(visitor, "status").out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "wanted"),
    [
        ("CREATE TEMP TABLE t (id int)", "GRANT TEMP ON DATABASE {database} TO {visitor}"),
        ("CREATE TABLE other.t (id int)", "GRANT USAGE ON SCHEMA other TO {visitor}"),
        ("ALTER TABLE foreigners ADD x int", "GRANT {keeper} TO {visitor}"),
    ],
)
def test_what_a_script_lacks(stage: Stage, tmp_path: Path, script: str, wanted: str) -> None:
    """By tenantmig and by plain Alembic, with what was done before rolled back."""
    stage.database.execute(
        f"CREATE SCHEMA other; CREATE TABLE acme.foreigners (id int);"
        f"ALTER TABLE acme.foreigners OWNER TO {stage.keeper}"
    )
    history = tmp_path / "history"
    shutil.copytree(stage.project.script_location, history)
    write_revision(
        history, "r4", "r3", f"op.execute('CREATE TABLE first (id int)')\nop.execute('{script}')"
    )
    granted(stage, UPGRADE)
    visitor = Project(tmp_path, stage.as_visitor().url, history)
    names = {"database": stage.database.name, "visitor": stage.visitor, "keeper": stage.keeper}
    said = visitor.run("upgrade", "-t", "acme", expect=3).err
    assert wanted.format(**names) in said
    assert stage.database.fetch("SELECT version_num FROM acme.alembic_version") == [("r3",)]
    result = visitor.alembic("-x", "tenant=acme", "upgrade", "head", expect=255)
    assert wanted.format(**names) in result.out + result.err
    assert "Traceback" not in result.err
    assert stage.database.fetch("SELECT to_regclass('acme.first')") == [(None,)]


@pytest.mark.slow
def test_what_the_holder_of_a_lock_does_is_told_with_pg_read_all_stats(stage: Stage) -> None:
    visitor = granted(stage, UPGRADE)
    visitor.environment |= {"TENANTMIG_TENANT_LOCK_TIMEOUT": "200ms", "TENANTMIG_ATTEMPTS": "1"}
    salt = stage.database.fetch("SELECT lock_salt FROM tenantmig.ledger_version WHERE version = 4")
    lock = "SELECT pg_advisory_lock(hashtextextended('tenantmig.tenant:acme', %s))"
    with psycopg.connect(stage.database.url, autocommit=True) as holder:
        holder.execute(lock, [salt[0][0]])
        assert "idle since" not in visitor.run("upgrade", "-t", "acme", expect=3).err
        stage.database.execute(f"GRANT pg_read_all_stats TO {stage.visitor}")
        assert "idle since" in visitor.run("upgrade", "-t", "acme", expect=3).err


# -- the roles that the page proposes ----------------------------------------------------------


@pytest.fixture
def roles(stage: Stage) -> Iterator[dict[str, Project]]:
    """The three roles of the page, made by its own statements under names of this test."""
    number = stage.visitor.removeprefix("visitor_")
    names = {f"fleet_{role}": f"{role}_{number}" for role in ("reader", "onboarder", "operator")}
    names |= {"ledger_owner": stage.keeper, " app ": f" {stage.database.name} "}
    made = {}
    try:
        named = re.compile("|".join(names))
        for text in SQL.findall(PAGE.read_text()):
            stage.database.execute(named.sub(lambda found: names[found[0]], text))
        stage.database.execute(f"GRANT {stage.landlord} TO operator_{number}, onboarder_{number}")
        for role in ("reader", "onboarder", "operator"):
            stage.visitor = f"{role}_{number}"
            made[role] = stage.as_visitor()
        yield made
    finally:
        stage.visitor = f"visitor_{number}"
        for role in ("reader", "operator", "onboarder"):
            stage.database.execute(
                f"DROP OWNED BY {role}_{number} CASCADE; DROP ROLE {role}_{number}"
            )


@pytest.mark.slow
def test_the_roles_of_the_page(roles: dict[str, Project], stage: Stage) -> None:
    reader, operator, onboarder = (roles[role] for role in ("reader", "operator", "onboarder"))
    for command in ("status", "plan", "runs", "show 3", "tenants list", "upgrade --dry-run"):
        for role in (reader, operator):
            role.run(*command.split())
    with stage.untouched():
        for command in ("upgrade", "stamp r2 -t acme", "onboard gamma", "offboard acme --yes",
                        "rollback 2 --yes", "tenants suspend acme"):  # fmt: skip
            assert "GRANT " in reader.refuse(*command.split())
    onboarder.run("onboard", "gamma", "--to", "r1")
    operator.run("upgrade")
    operator.run("downgrade", "r2", "-t", "gamma", "--yes")
    operator.run("rollback", "2", "--yes")
    found = reader.run("status", expect=3).out
    assert "gamma: revision unknown: the version table cannot be read" in found
    again = SQL.findall(PAGE.read_text())[3].replace(
        "fleet_reader", stage.visitor.replace("operator", "reader")
    )
    stage.database.execute(again)
    reader.run("status")
    onboarder.run("offboard", "gamma", "--yes")
