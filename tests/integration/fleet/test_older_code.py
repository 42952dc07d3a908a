"""Code that is older than the fleet says so; what is wrong with one tenant stays with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
import pytest

from tenantmig import Selection
from tenantmig.domain.plan import Heads, Path, RunKind
from tenantmig.errors import OlderCodeError
from tenantmig.history.revisions import History
from tenantmig.postgres import version_rows
from tests.fixtures.command import Project, untouched
from tests.fixtures.database import Database
from tests.fixtures.history import write_history
from tests.fixtures.in_process import Ask
from tests.fixtures.rollouts import OpenFleet, outcomes, poison


def standings(ask: Ask, project: Project, *command: str) -> dict[str, str]:
    found = ask(project, "status", *command, "--json").json
    return {one["tenant"]: one["standing"] for one in found["tenants"]}


@pytest.mark.slow
def test_tenants_ahead_of_the_code_are_told_and_an_upgrade_is_refused(
    three: Project, open_fleet: OpenFleet, database: Database, ask: Ask
) -> None:
    fleet = open_fleet(canary="0")
    fleet.onboard(["a"], "r2")
    fleet.onboard(["b", "e"], "r1")
    poison(database, "b")
    failed = fleet.upgrade("r2")
    fleet.upgrade("r3", Selection(names=("a",)))
    (three.script_location / "versions" / "r3.py").unlink()
    old = open_fleet(canary="0", max_failures="9")
    with untouched(database):
        status = ask(three, "status")
        assert "3 tenants, 1 at head, 0 behind, 1 ahead, 1 failed" in status.out
        assert "a: ahead at r3: it is ahead of this code: the version table names" in status.out
        assert standings(ask, three, "-t", "a") == {"a": "ahead"}
        plan = ask(three, "plan", "--json").json
        assert [(p["tenant"], p["ahead"]) for p in plan["problems"]] == [("a", True)]
        upgrades = (("upgrade",), ("upgrade", "r2", "--dry-run"), ("upgrade", "+1"))
        for command in (*upgrades, ("upgrade", "-t", "a")):
            error = ask(three, *command, expect=2).error
            assert "older than the fleet: 1 tenant (a) is at revision r3, which is not" in error
            assert "--skip" in error
        with pytest.raises(OlderCodeError):
            old.upgrade()
    assert outcomes(old.upgrade(selection=Selection(is_all=True, skip=("a",))))["e"] != "skipped"
    assert outcomes(old.resume(failed.run))["b"] == "failed"


@pytest.mark.slow
def test_a_shared_lineage_ahead_is_refused_by_a_dry_run_too(
    three: Project, database: Database, ask: Ask
) -> None:
    shared = write_history(
        three.folder / "shared", ("s1", "pass"), ("s2", "pass"), environment="env_shared.py.txt"
    )
    with three.ini.open("a") as ini:
        ini.write(f"\n[shared]\nscript_location = {shared}\npath_separator = os\n")
    database.execute("CREATE SCHEMA core")
    three.settings('shared_schema = "core"')
    three.run("onboard", "a", "--to", "r1")
    three.run("upgrade", "r2")
    (shared / "versions" / "s2.py").unlink()
    with untouched(database):
        for more in ((), ("--dry-run",)):
            error = ask(three, "upgrade", *more, expect=2).error
            assert "the shared lineage is at revision s2, which is not in this history" in error


@pytest.mark.slow
def test_a_revision_that_nobody_knows_is_the_problem_of_that_tenant(
    three: Project, open_fleet: OpenFleet, database: Database, ask: Ask
) -> None:
    fleet = open_fleet()
    fleet.onboard(["a", "b", "c", "d"], "r1")
    database.execute("UPDATE a.alembic_version SET version_num = 'strange'")
    assert standings(ask, three)["a"] == "unknown"
    assert outcomes(fleet.upgrade("r2")) == {"a": "failed"} | dict.fromkeys("bcd", "upgraded")
    # that run has read it, and brought nobody there
    assert standings(ask, three)["a"] == "unknown"
    # a stamp from there moves the tenant, and proves nothing of where it was
    database.execute("UPDATE b.alembic_version SET version_num = 'strange'")
    assert standings(ask, three) == dict.fromkeys("ab", "ahead") | dict.fromkeys("cd", "behind")


@pytest.mark.slow
def test_where_a_tenant_is_is_not_told_if_it_was_not_read(
    three: Project, open_fleet: OpenFleet, database: Database, ask: Ask
) -> None:
    names = ["bare", "emptied", "gone", "null", "rows", "sound", "viewed"]
    open_fleet().onboard(names, "r2")
    open_fleet().onboard(["based"], "base")
    database.execute("""
        DROP TABLE bare.alembic_version;
        DELETE FROM emptied.alembic_version;
        DROP SCHEMA gone CASCADE;
        ALTER TABLE "null".alembic_version DROP CONSTRAINT alembic_version_pkc;
        ALTER TABLE "null".alembic_version ALTER version_num DROP NOT NULL;
        UPDATE "null".alembic_version SET version_num = NULL;
        INSERT INTO rows.alembic_version VALUES ('r1');
        ALTER TABLE viewed.alembic_version RENAME COLUMN version_num TO number;
    """)
    shown = ask(three, "status").out
    for name in ("bare", "emptied", "gone", "null", "viewed"):
        assert f"{name}: revision unknown: " in shown
    assert "rows: unknown at r1,r2: the version table has 2 rows" in shown
    assert "at base" not in shown
    assert [line.split() for line in shown.splitlines() if line.startswith("base")] == [
        ["base", "1"]  # the one that is there
    ]
    found = ask(three, "status", "--json").json
    assert found["summary"] == {
        "tenants": 8,
        "at_head": 0,
        "behind": 2,
        "ahead": 0,
        "failed": 0,
        "in_doubt": 0,
        "unknown": 6,
    }


@pytest.mark.slow
def test_no_tenant_ends_a_command_for_the_fleet(
    three: Project,
    open_fleet: OpenFleet,
    database: Database,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    open_fleet().onboard(["a", "b", "c", "d", "e"], "r2")
    database.execute("INSERT INTO a.alembic_version VALUES ('r1'), ('r3')")
    database.execute("UPDATE d.alembic_version SET version_num = 'r1'")
    read_rows, path = version_rows._read_rows, History.path

    def read(connection: psycopg.Connection, schemas: Sequence[str], table: str) -> Any:
        if "c" in schemas:
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
        return read_rows(connection, schemas, table)

    def find(history: History, kind: RunKind, source: Heads, target: str) -> Path:
        if source == ("r1",):
            raise ZeroDivisionError("a bug of ours")
        return path(history, kind, source, target)

    monkeypatch.setattr(version_rows, "_read_rows", read)
    monkeypatch.setattr(History, "path", find)
    problems = {
        "a": "the version table has 3 rows (r1, r2, r3), and r1 is an ancestor of another row",
        "c": "the version table cannot be read: UnicodeDecodeError",
        "d": "ZeroDivisionError: a bug of ours",
    }
    found = ask(three, "status", "--json").json["tenants"]
    assert {one["tenant"]: one["standing"] for one in found} == {
        **dict.fromkeys("acd", "unknown"),
        **dict.fromkeys("be", "behind"),
    }
    told = {p["tenant"]: p["error"] for p in ask(three, "plan", "--json").json["problems"]}
    assert told.keys() == problems.keys()
    assert all(told[name].startswith(problem) for name, problem in problems.items())
    assert "tenants to change" in ask(three, "plan").out
    assert outcomes(open_fleet().upgrade()) == {
        **dict.fromkeys("acd", "failed"),
        **dict.fromkeys("be", "upgraded"),
    }


@pytest.mark.slow
def test_overlapping_rows_keep_no_other_tenant_from_drift_and_adoption(
    three: Project, open_fleet: OpenFleet, database: Database, ask: Ask
) -> None:
    open_fleet().onboard(["a", "b"], "r3")
    database.execute("INSERT INTO a.alembic_version VALUES ('r1'), ('r2')")
    found = {one["tenant"]: one for one in ask(three, "drift", "--json", expect=3).json["tenants"]}
    assert "has 3 rows" in found["a"]["problem"]
    assert (found["b"]["problem"], found["b"]["drifted"]) == (None, False)
    database.execute("DELETE FROM tenantmig.tenant")
    adopted = ask(three, "tenants", "adopt", "a", "b", "--json", expect=3).json["tenants"]
    assert [(one["schema"], one["adopted"]) for one in adopted] == [("a", False), ("b", True)]
