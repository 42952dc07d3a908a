"""The pool: finished schemas, given to new tenants; what keeps one from being given out."""

from __future__ import annotations

import threading

import pytest

from tenantmig import Fleet, TenantOutcome
from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.history import write_history
from tests.fixtures.rollouts import CREATE, OpenFleet, adding, stands

MEMBERS = "SELECT schema FROM tenantmig.pool_member ORDER BY schema"
SCHEMAS = r"SELECT nspname FROM pg_namespace WHERE nspname LIKE 'tenantmig\_pool\_%'"
MADE = """
op.execute('CREATE TABLE thing (id int, made timestamptz DEFAULT now())')
op.execute('CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$SELECT 1$$')
op.execute('INSERT INTO thing VALUES (1)')
"""
ROWS = ("r1", MADE, "pass")


def members(database: Database) -> list[str]:
    return [schema for (schema,) in database.fetch(MEMBERS)]


def onboarded(fleet: Fleet, name: str) -> TenantOutcome:
    report = fleet.onboard([name])
    assert report.is_complete, report
    return report.tenants[0]


def test_a_sign_up_gets_a_finished_schema(
    three: Project, database: Database, open_fleet: OpenFleet
) -> None:
    fleet = open_fleet(pool=2)
    report = fleet.fill_pool()
    assert (report.ready, report.added, report.reason) == (2, 2, None)
    assert fleet.tenants() == []
    before = members(database)
    born = onboarded(fleet, "acme")
    assert (born.engine, born.to_revision, born.attempts) == ("pool", "r3", 1)
    assert stands(database, "acme") == {"acme": "r3"}
    assert [t.name for t in fleet.tenants()] == ["acme"]
    assert len(members(database)) == 1
    assert set(members(database)) < set(before)
    told = fleet.runs(1)[0]
    assert fleet.run(told.run or 0).tenants[0].engine == "pool"
    assert onboarded(fleet, "beta").engine == "pool"
    assert onboarded(fleet, "gamma").engine in {"alembic", "replay"}
    assert {t.name for t in fleet.tenants()} == {"acme", "beta", "gamma"}
    assert not three.run("drift", "--json", expect=0).err
    assert fleet.status().summary["tenants"] == 3


def test_one_that_is_behind_is_not_given_out(
    three: Project, database: Database, open_fleet: OpenFleet
) -> None:
    fleet = open_fleet(pool=2)
    fleet.fill_pool()
    for schema in members(database):
        database.execute(f"UPDATE {schema}.alembic_version SET version_num = 'r2'")
    assert onboarded(fleet, "acme").engine != "pool"
    assert stands(database, "acme") == {"acme": "r3"}
    assert {m.problem for m in fleet.pool().members} == {"it is at r2"}


@pytest.mark.parametrize("does", ["fill", "drain", "onboard"])
def test_a_row_that_names_another_schema_takes_nothing_away(
    three: Project, database: Database, open_fleet: OpenFleet, does: str
) -> None:
    """A damaged ledger may call a tenant's schema a member: it is not dropped, nor renamed."""
    fleet = open_fleet(pool=2)
    onboarded(fleet, "acme")
    database.execute("CREATE SCHEMA other; CREATE TABLE other.kept ()")
    fleet.fill_pool()
    row = "schema = '{0}', stamp = tenantmig.pool_stamp('{0}')"
    for member, schema in zip(members(database), ("acme", "other"), strict=True):
        change = f"UPDATE tenantmig.pool_member SET {row.format(schema)} WHERE schema = '{member}'"
        database.execute(change)
    told = "the ledger names a schema that is none of the pool's"
    assert {m.problem for m in fleet.pool().members} == {told}
    if does == "onboard":
        assert onboarded(fleet, "beta").engine != "pool"
    else:
        report = fleet.fill_pool() if does == "fill" else fleet.drain_pool()
        # the two that no row names any more are dropped as well
        assert (report.dropped, report.ready) == (4, 2 if does == "fill" else 0)
    assert stands(database, "acme") == {"acme": "r3"}
    assert database.fetch("SELECT to_regclass('other.kept') IS NOT NULL") == [(True,)]


def test_one_that_somebody_changed_is_not_given_out(
    three: Project, database: Database, open_fleet: OpenFleet
) -> None:
    fleet = open_fleet(pool=2)
    fleet.fill_pool()
    for schema in members(database):
        database.execute(f"ALTER TABLE {schema}.thing ADD extra int")
    assert onboarded(fleet, "acme").engine != "pool"
    told = fleet.fill_pool()
    assert (told.ready, told.dropped, told.added) == (2, 2, 2)
    for schema in members(database):
        database.execute(f"COMMENT ON TABLE {schema}.thing IS 'touched'")
    assert onboarded(fleet, "beta").engine != "pool"


def test_a_changed_script_makes_them_stale(
    three: Project, database: Database, open_fleet: OpenFleet
) -> None:
    open_fleet(pool=1).fill_pool()
    write_history(three.script_location, CREATE, adding("r2", "b"), adding("r3", "d"))
    fleet = open_fleet(pool=1)
    assert "changed" in (fleet.pool().members[0].problem or "")
    assert onboarded(fleet, "acme").engine != "pool"


def test_a_new_head_makes_them_stale_and_an_upgrade_refills(
    three: Project, database: Database
) -> None:
    three.settings("pool = 1\n")
    three.run("onboard", "acme")
    assert len(members(database)) == 1
    write_history(
        three.script_location, CREATE, adding("r2", "b"), adding("r3", "c"), adding("r4", "d")
    )
    three.run("upgrade", "--no-pool")
    told = three.run("pool", "--json").json
    assert [m["problem"] for m in told["schemas"]] == ["it is at r3, not at r4"]
    three.run("upgrade")
    told = three.run("pool", "--json").json
    assert (told["ready"], told["schemas"][0]["revision"]) == (1, "r4")
    born = three.run("onboard", "beta", "--json").json
    assert born["tenants"][0]["engine"] == "pool"
    assert three.run("status", "--json").json["summary"]["tenants"] == 2
    assert three.run("pool", "drain", "--json").json["schemas"] == []
    assert database.fetch(SCHEMAS) == []


def test_rows_of_the_history_may_be_there(
    three: Project, database: Database, open_fleet: OpenFleet
) -> None:
    write_history(three.script_location, ROWS, adding("r2", "b"), adding("r3", "c"))
    fleet = open_fleet(pool=1)
    assert fleet.fill_pool().ready == 1
    assert onboarded(fleet, "acme").engine == "pool"
    assert database.fetch("SELECT id FROM acme.thing") == [(1,)]


TRIGGER = """
op.execute('''CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN NEW.name := {}; RETURN NEW; END$$''')
op.execute('CREATE TRIGGER t BEFORE INSERT ON thing FOR EACH ROW EXECUTE FUNCTION f()')
op.execute('INSERT INTO thing (id) VALUES (1)')
"""
FUNCTION = "op.execute('CREATE FUNCTION f() RETURNS int LANGUAGE sql {} AS $$SELECT 1$$')\n"
COMMENT = """op.execute('''DO $$BEGIN EXECUTE format('COMMENT ON FUNCTION f() IS %L', split_part(
    pg_get_functiondef('f'::regproc), '.', 1)); END$$''')
"""
SPELLED = {
    "a function's path": (FUNCTION.format("SET search_path FROM CURRENT"), "function f()"),
    "asked on the server": (
        'op.execute("INSERT INTO thing (name) SELECT current_schema()")',
        "current_schema",
    ),
    "a row that a trigger wrote": (
        TRIGGER.format("TG_TABLE_SCHEMA"),
        "a row of the table thing holds the schema's own name",
    ),
    "a row made from the name": (
        TRIGGER.format("md5(TG_TABLE_SCHEMA)"),
        "rows of the table thing differ between two new schemas",
    ),
    "a comment": (FUNCTION.format("") + COMMENT, "the comment on function"),
    "somewhere else": (
        "op.execute('CREATE OR REPLACE VIEW public.of_a_tenant AS SELECT 1 AS one')",
        "cannot be proved",
    ),
    "python": (
        "op.execute(f\"COMMENT ON TABLE thing IS '{op.get_context().version_table_schema}'\")",
        "revision r2",
    ),
}


@pytest.mark.parametrize("what", SPELLED)
def test_a_history_that_spells_the_name_has_no_pool(
    three: Project, database: Database, open_fleet: OpenFleet, what: str
) -> None:
    script, reason = SPELLED[what]
    table = ("r1", "op.execute('CREATE TABLE thing (id int, name text)')", "pass")
    write_history(three.script_location, table, ("r2", script, "pass"))
    fleet = open_fleet(pool=1)
    database.allow_public("of_a_tenant")
    told = fleet.fill_pool()
    assert told.ready == 0
    assert reason in (told.reason or ""), told
    assert told.reason
    assert members(database) == []
    assert database.fetch(SCHEMAS) == []
    assert onboarded(fleet, "acme").engine != "pool"


@pytest.mark.parametrize(
    "setting", [{"onboard_owner": "{name}_owner"}, {"birth": "somewhere:function"}]
)
def test_settings_that_depend_on_the_tenant(
    three: Project, open_fleet: OpenFleet, setting: dict[str, str]
) -> None:
    told = open_fleet(pool=1, **setting).fill_pool()
    assert told.ready == 0
    assert next(iter(setting)) in (told.reason or "")


def test_two_at_once_get_two(three: Project, database: Database, open_fleet: OpenFleet) -> None:
    fleets = [open_fleet(pool=6), open_fleet(pool=6)]
    fleets[0].fill_pool()
    outcomes: list[TenantOutcome] = []

    def sign_up(number: int) -> None:
        outcomes.append(onboarded(fleets[number % 2], f"acme_{number}"))

    threads = [threading.Thread(target=sign_up, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [o.engine for o in outcomes] == ["pool"] * 6
    assert members(database) == []
    names = [f"acme_{n}" for n in range(6)]
    assert stands(database, *names) == dict.fromkeys(names, "r3")
