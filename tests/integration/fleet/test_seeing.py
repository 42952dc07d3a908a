"""What the readers show: order, names, one tenant's life, failures, whole dates, JSON's version."""

from __future__ import annotations

import re

import pytest

from tenantmig import Selection
from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.history import write_history
from tests.fixtures.in_process import Ask
from tests.fixtures.rollouts import OpenFleet, mend, poison

ADD = """
    DO $$ BEGIN
        FOR n IN 1..{0} LOOP
            EXECUTE format('CREATE SCHEMA t%s', n);
            EXECUTE format('CREATE TABLE t%s.alembic_version (version_num varchar(32))', n);
            EXECUTE format('INSERT INTO t%s.alembic_version VALUES (''r1'')', n);
            INSERT INTO tenantmig.tenant (name, schema, state)
            VALUES ('t' || n, 't' || n, 'active');
        END LOOP;
    END $$
"""
MOMENT = re.compile(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d")


def first_words(text: str) -> list[str]:
    return [line.split()[0] for line in text.splitlines() if line.strip()]


@pytest.mark.slow
def test_status_is_in_the_order_of_the_history_and_names_who_is_behind(
    three: Project, open_fleet: OpenFleet, database: Database, ask: Ask
) -> None:
    fleet = open_fleet()
    fleet.onboard(["a", "b"])
    fleet.onboard(["c"], "r2")
    fleet.onboard(["d"], "base")
    database.execute(ADD.format(12))
    out = ask(three, "status").out
    assert "16 tenants, 2 at head, 14 behind" in out
    assert first_words(out)[1:6] == ["revision", "base", "r1", "r2", "r3"]
    named = "Behind: c, d, t1, t10, t11, t12, t2, t3, t4, t5 and 4 more: tenantmig status --behind"
    assert named in out
    whole = ask(three, "status", "--behind").out
    assert "Behind:" not in whole
    rows = [line.split() for line in whole.splitlines() if line.startswith(("c ", "t9 "))]
    assert rows == [["c", "r2", "1", "behind"], ["t9", "r1", "2", "behind"]]
    found = ask(three, "status", "--behind", "--json").json
    assert (found["version"], len(found["tenants"]), found["summary"]["tenants"]) == (1, 14, 16)
    assert "Behind: c\n" in ask(three, "status", "-t", "a", "-t", "c").out
    database.execute("UPDATE a.alembic_version SET version_num = 'a0'")
    database.execute("UPDATE b.alembic_version SET version_num = 'a0'")
    assert first_words(ask(three, "status").out)[1:6] == ["revision", "base", "r1", "r2", "a0"]


@pytest.mark.slow
def test_one_tenants_life(
    three: Project,
    open_fleet: OpenFleet,
    database: Database,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    fleet = open_fleet(canary="0", max_failures="9")
    fleet.onboard(["a", "b"], "r1")
    fleet.set_labels(Selection(names=("a",)), {"plan": "gold"})
    poison(database, "a")
    fleet.upgrade("r2")
    failed = ask(three, "show", "2", "--failed")
    assert "\nb " not in failed.out
    assert "a: failed at r1: revision r2" in failed.out
    assert [t["tenant"] for t in ask(three, "show", "2", "--failed", "--json").json["tenants"]] == [
        "a"
    ]
    mend(database, "a")
    fleet.upgrade("r2", Selection(names=("a",)))
    for command in (("status", "-t", "a"), ("show", "a")):
        told = ask(three, *command).out
        assert told.splitlines()[0] == 'a: schema "a", active, plan=gold'
        assert "behind at r2, 1 revision pending" in told
        rows = [line for line in told.splitlines() if MOMENT.search(line)]
        assert [row.split()[0] for row in rows] == ["3", "2", "1"]
        assert "upgraded" in rows[0]
        assert "run 2: failed: revision r2" in told
    life = ask(three, "show", "a", "--json").json
    assert (life["version"], life["status"]["revision"]) == (1, "r2")
    assert [(run["run"], run["kind"], run["outcome"]) for run in life["runs"]] == [
        (3, "upgrade", "upgraded"),
        (2, "upgrade", "failed"),
        (1, "onboard", "onboarded"),
    ]
    one = ask(three, "status", "-t", "a", "--json").json
    assert (one["runs"], one["tenants"]) == (life["runs"], [life["status"]])
    assert "runs" not in ask(three, "status", "-t", "a*", "--json").json
    assert [r["run"] for r in ask(three, "show", "a", "--failed", "--json").json["runs"]] == [2]
    listed = ask(three, "runs").out
    assert len(MOMENT.findall(listed)) == 3
    assert 'There is no tenant "nobody"' in ask(three, "show", "nobody", expect=2).error
    fleet.offboard(Selection(names=("a",)))
    gone = ask(three, "show", "a").out
    assert gone.startswith("a: this tenant no longer exists")
    assert "offboard" in gone


@pytest.mark.slow
def test_dates_stay_whole_beside_long_names(
    three: Project,
    open_fleet: OpenFleet,
    database: Database,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    open_fleet().onboard(["a"])
    long = "0123456789abcdef" * 4
    database.execute(f"UPDATE tenantmig.run SET target = '{long}', reason = '{'why ' * 40}'")
    database.execute(
        f"UPDATE tenantmig.run_tenant SET from_revision = '{long}', to_revision = 'r3'"
    )
    for command in (("runs",), ("show", "a"), ("status", "-t", "a")):
        out = ask(three, *command).out
        assert MOMENT.search(out), out
        folded = re.sub(r"\s", "", "".join(out.splitlines()))
        assert "0123456789abcdef" in folded or "0123" in out


@pytest.mark.slow
def test_every_json_has_its_version(three: Project, open_fleet: OpenFleet, ask: Ask) -> None:
    open_fleet().onboard(["a"], "r1")
    commands: tuple[tuple[int, tuple[str, ...]], ...] = (
        (0, ("status",)),
        (0, ("plan",)),
        (0, ("runs",)),
        (0, ("show", "1")),
        (0, ("show", "a")),
        (0, ("tenants", "list")),
        (0, ("upgrade", "--dry-run")),
        (2, ("upgrade", "nothing")),
        (2, ("show", "9")),
    )
    for expected, command in commands:
        told = ask(three, *command, "--json", expect=expected).json
        assert next(iter(told)) == "version", command
        assert told["version"] == 1


@pytest.mark.slow
def test_the_sql_of_a_plan_as_json(three: Project, open_fleet: OpenFleet, ask: Ask) -> None:
    write_history(three.script_location, ("r1", "op.execute('CREATE TABLE thing (id int)')"))
    for name in ("r2", "r3"):
        (three.script_location / "versions" / f"{name}.py").unlink()
    open_fleet().onboard(["a", "b"], "base")
    plan = three.run("plan", "--sql", "--json").json
    assert (plan["version"], plan["kind"], plan["pending"]) == (1, "upgrade", 2)
    (one,) = plan["sql"]
    assert (one["lineage"], one["from"], one["to"]) == ("tenant", None, "r1")
    assert (one["tenants"], one["written_for"]) == (["a", "b"], "a")
    assert "CREATE TABLE thing (id int)" in one["sql"]
    assert "sql" not in ask(three, "plan", "--json").json
