"""A fleet without tenants is no green deploy: it is refused, and the source is named."""

from __future__ import annotations

import pytest

from tenantmig.domain.tenant import EVERYONE
from tenantmig.errors import EmptyFleetError
from tests.fixtures.command import Project, untouched
from tests.fixtures.database import Database
from tests.fixtures.history import write_history
from tests.fixtures.rollouts import OpenFleet, stands

SOURCES = {
    "registry": ("", 'The registry (schema "tenantmig")'),
    "schemas": ("source_pattern = 'tenant\\_%'", "`schemas` (pattern 'tenant\\\\_%')"),
    "query": ("source_query = 'SELECT 1 AS name WHERE false'", "`source_query`"),
    "file": ("source_file = 'tenants.csv'", "tenants.csv"),
    "callable": ("source_callable = 'listing:nobody'", "listing:nobody"),
}


@pytest.mark.slow
def test_a_run_over_nobody_is_refused(three: Project, database: Database) -> None:
    everyone = (("downgrade", "r1", "--all", "--yes"), ("stamp", "r1", "--all"))
    with untouched(database):
        told = three.run("upgrade", "--json", expect=2).json["error"]
        assert told["type"] == "EmptyFleetError"
        for word in ("registry", database.name, "lists no tenant", "onboard NAME", "--allow-empty"):
            assert word in told["message"]
        for command in (("upgrade",), ("upgrade", "--dry-run"), *everyone):
            assert three.refuse(*command) == f"Error: {told['message']}"
        for reader in ("status", "plan", "drift"):
            assert "lists no tenant" in three.run(reader).out


@pytest.mark.parametrize("source", SOURCES)
def test_the_source_is_named(
    three: Project, open_fleet: OpenFleet, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    setting, named = SOURCES[source]
    (three.folder / "tenants.csv").write_text("# nobody yet\n")
    (three.folder / "listing.py").write_text("def nobody():\n    return []\n")
    monkeypatch.syspath_prepend(str(three.folder))
    three.settings(f"source = '{source}'\n{setting}\n")
    fleet = open_fleet()
    with pytest.raises(EmptyFleetError) as refused:
        fleet.upgrade()
    assert named in refused.value.message
    assert named in str(fleet.status().nobody)
    assert named in str(fleet.plan().nobody)


@pytest.mark.slow
def test_an_empty_fleet_may_be_allowed(three: Project, database: Database) -> None:
    assert named_in(three, "status") == named_in(three, "plan")
    assert "lists no tenant" in named_in(three, "plan")
    for command in (("upgrade",), ("downgrade", "r1", "--all", "--yes"), ("stamp", "r1", "--all")):
        report = three.run(*command, "--allow-empty", "--json").json
        assert (report["state"], report["counts"]) == ("complete", {})
    three.environment = {"TENANTMIG_ALLOW_EMPTY": "true"}
    assert three.run("upgrade").out.startswith("Run 4, upgrade to r3: complete; no tenants;")
    three.run("upgrade", "--dry-run")


def named_in(project: Project, reader: str) -> str:
    """What the JSON of a reader says of an empty fleet."""
    return str(project.run(reader, "--json").json["nobody"])


@pytest.mark.slow
def test_a_fleet_of_which_nobody_is_active_is_refused_too(
    open_fleet: OpenFleet, three: Project, database: Database
) -> None:
    three.run("onboard", "a", "b", "--to", "r1")
    with untouched(database):
        assert "--skip (2 active)" in three.refuse("upgrade", "--skip", "a", "--skip", "b")
    three.run("tenants", "suspend", "a", "b")
    with untouched(database):
        assert "(2 suspended)" in three.refuse("upgrade")
        with pytest.raises(EmptyFleetError, match="2 suspended"):
            open_fleet().downgrade("base", EVERYONE)
        for selection in (("--label", "tier=gold"), ("-t", "a*"), ("-t", "x*")):
            three.refuse("upgrade", *selection)  # whoever is named must be there
            three.refuse("upgrade", *selection, "--allow-empty")
        (three.folder / "empty.csv").write_text("")
        assert "names no tenant" in three.refuse("upgrade", "--from-file", "empty.csv")
    assert three.run("status", "--json").json["nobody"].endswith("(2 suspended).")
    three.run("upgrade", "-t", "a")
    assert stands(database, "a", "b") == {"a": "r3", "b": "r1"}
    assert three.run("status", "-t", "a", "--json").json["nobody"] is None
    assert open_fleet(allow_empty=True).upgrade().is_complete


@pytest.mark.slow
def test_the_shared_lineage_waits_for_it(three: Project, database: Database) -> None:
    """Alone it is a legal first deploy, said so."""
    script = ("s1", "op.execute('CREATE TABLE country ()')", "op.execute('DROP TABLE country')")
    folder = three.folder / "shared"
    shared = write_history(folder, script, environment="env_shared.py.txt")
    with three.ini.open("a") as ini:
        ini.write(f"\n[shared]\nscript_location = {shared}\n")
    database.execute("CREATE SCHEMA core")
    three.settings('shared_schema = "core"')
    with untouched(database):
        for lineage in ((), ("--lineage", "tenant")):
            assert "`upgrade --lineage shared`" in three.refuse("upgrade", *lineage)
    report = three.run("upgrade", "--lineage", "shared", "--json").json
    assert report["counts"] == {"upgraded": 1}
    three.run("downgrade", "base", "--lineage", "shared", "--yes")
    report = three.run("upgrade", "--allow-empty", "--json").json
    assert (report["counts"], report["shared"]["counts"]) == ({}, {"upgraded": 1})
