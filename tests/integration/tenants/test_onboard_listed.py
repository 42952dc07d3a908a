"""The schema of a new tenant is the one that the source lists; another one is refused."""

from __future__ import annotations

import pytest

from tenantmig.domain.database_url import DatabaseUrl
from tenantmig.domain.tenant import Tenant
from tenantmig.errors import SourceError
from tenantmig.ledger.ledger import Ledger
from tenantmig.postgres.connection import SessionOptions, connect
from tenantmig.tenants import births
from tests.fixtures.command import Project, untouched
from tests.fixtures.database import Database
from tests.fixtures.in_process import Ask
from tests.fixtures.rollouts import OpenFleet, stands

ROWS = {"Stark Industries": "tenant_stark", "Acme": "tenant_acme", "plain": "plain"}
LISTING = f"""
from tenantmig.domain.tenant import Tenant


def listing():
    return {list(ROWS.items())!r}


def elsewhere():
    return [Tenant("Acme", "tenant_acme", "another")]
"""
SOURCES = {
    "query": "SELECT name, schema_name AS schema FROM public.account",
    "file": "tenants.csv",
    "callable": "listed_tenants:listing",
}
REFUSED: dict[tuple[str, ...], tuple[str, ...]] = {
    ("Acme", "--schema", "other"): (
        'lists the tenant "Acme" with the schema "tenant_acme", not "other"',
        "leave out --schema",
        "Nothing was touched",
    ),
    ("Acme", "--schema", "Acme"): ('with the schema "tenant_acme", not "Acme"',),
    ("tenant_acme",): ('the schema of the tenant "Acme": use that name', "Nothing was touched"),
    ("acme",): ('does not list the tenant "acme"', 'it lists "Acme"'),
    ("Wayne", "Acme"): ('does not list the tenant "Wayne"', "add it to the source first"),
    ("Acme", "--schema", ""): ("--schema is empty",),
}


@pytest.fixture
def fleet_of(three: Project, database: Database, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The project of r1, r2, r3, whose tenants a table, a file and a function list alike."""
    database.allow_public("account")
    database.execute("CREATE TABLE public.account (name text, schema_name text)")
    for name, schema in ROWS.items():
        database.execute("INSERT INTO public.account VALUES (%s, %s)", [name, schema])
    lines = [f"{name},{schema}\n" for name, schema in ROWS.items()]
    (three.folder / "tenants.csv").write_text("".join(lines))
    (three.folder / "listed_tenants.py").write_text(LISTING)
    monkeypatch.syspath_prepend(str(three.folder))
    return three


def use(project: Project, source: str, value: str) -> None:
    key = "source_pattern" if source == "schemas" else f"source_{source}"
    project.settings(f"names = 'wide'\nsource = '{source}'\n{key} = '{value}'\n")


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES)
def test_the_schema_comes_from_the_source(
    fleet_of: Project, database: Database, ask: Ask, open_fleet: OpenFleet, source: str
) -> None:
    use(fleet_of, source, SOURCES[source])
    (fleet_of.folder / "new.csv").write_text("Acme\nplain,plain\n")
    dry = ("--dry-run", "--json")
    with untouched(database):
        for command in (
            ("Stark Industries", "--from-file", "new.csv"),
            ("Stark Industries", "Acme", "plain"),
        ):
            told = ask(fleet_of, "onboard", *command, *dry).json
            (group,) = told["groups"]
            assert set(group["tenants"]) == set(ROWS)
        plan = open_fleet().plan_onboarding([*ROWS])
        assert {t.name: t.schema for t in plan.groups[0].tenants} == ROWS
        ask(fleet_of, "onboard", "Acme", "--schema", "tenant_acme", *dry)
        for arguments, words in REFUSED.items():
            refused = ask(fleet_of, "onboard", *arguments, expect=2).error
            for word in words:
                assert word in refused
        with pytest.raises(SourceError, match='the schema "tenant_acme", not "Acme"'):
            open_fleet().plan_onboarding([Tenant("Acme", "Acme")])


def test_a_row_of_another_database_is_refused(
    fleet_of: Project, database: Database, ask: Ask
) -> None:
    use(fleet_of, "callable", "listed_tenants:elsewhere")
    with untouched(database):
        refused = ask(fleet_of, "onboard", "Acme", expect=2).error
    assert f'in the database "another", but this is "{database.name}"' in refused


def test_the_source_schemas_knows_no_other_name(
    fleet_of: Project, database: Database, ask: Ask
) -> None:
    use(fleet_of, "schemas", r"tenant\_%")
    with untouched(database):
        ask(fleet_of, "onboard", "tenant_acme", "--dry-run")
        refused = ask(fleet_of, "onboard", "Acme", "--schema", "tenant_acme", expect=2).error
        assert "a tenant has the name of its schema" in refused
        assert "would not list" in ask(fleet_of, "onboard", "Acme", expect=2).error


@pytest.mark.slow
def test_several_at_once_are_born_where_the_source_has_them(
    fleet_of: Project, database: Database
) -> None:
    use(fleet_of, "query", SOURCES["query"])
    born = fleet_of.run("onboard", "Stark Industries", "Acme", "--json").json
    assert born["counts"] == {"onboarded": 2}
    assert stands(database, "tenant_stark", "tenant_acme") == dict.fromkeys(
        ("tenant_stark", "tenant_acme"), "r3"
    )
    assert "already" in fleet_of.refuse("onboard", "Acme")


def begin_onboarding(database: Database) -> None:
    """Leave behind what an onboarding does that is killed at once: acme, in t_1."""
    options = SessionOptions(DatabaseUrl.parse(database.url))
    ledger = Ledger(lambda: connect(options), "tenantmig")
    ledger.create()
    births.begin_onboarding(ledger.connection, "tenantmig", Tenant("acme", "t_1"))
    ledger.close()


@pytest.mark.slow
def test_an_onboarding_that_was_cut_off_keeps_its_schema(
    three: Project, database: Database, ask: Ask, open_fleet: OpenFleet
) -> None:
    begin_onboarding(database)
    with untouched(database):
        refused = ask(three, "onboard", "acme", "--schema", "acme", expect=2).error
    assert 'with the schema "t_1" was interrupted' in refused
    assert "leave out --schema" in refused
    assert open_fleet().onboard(["acme"]).is_complete
    assert stands(database, "t_1") == {"t_1": "r3"}


@pytest.mark.slow
@pytest.mark.parametrize("way", ["onboard", "offboard"])
def test_one_cut_off_that_is_listed_with_another_schema_is_led_out(
    three: Project, database: Database, ask: Ask, way: str
) -> None:
    begin_onboarding(database)
    listed = three.folder / "tenants.csv"
    listed.write_text("acme,t_2\n")
    use(three, "file", "tenants.csv")
    with untouched(database):
        refused = ask(three, "onboard", "acme", expect=2).error
    assert "list it with \"t_1\" in the source 'file' again and onboard it, or" in refused
    assert 'offboard NAME --yes` and only then list it with "t_2"' in refused
    listed.write_text("acme,t_1\n")
    born = "t_1"
    if way == "offboard":
        three.run("offboard", "acme", "--yes")
        listed.write_text("acme,t_2\n")
        born = "t_2"
    three.run("onboard", "acme")
    assert stands(database, born) == {born: "r3"}
    left = database.fetch("SELECT nspname FROM pg_namespace WHERE nspname LIKE 't\\__'")
    assert left == [(born,)]
