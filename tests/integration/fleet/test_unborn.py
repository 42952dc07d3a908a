"""A tenant that the source lists and nobody has onboarded: `status` says so, and counts it not."""

from __future__ import annotations

from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.in_process import Ask

LISTED = "Listed but not onboarded yet (`tenantmig onboard NAME`): "


def test_who_waits_for_an_onboarding_is_named(three: Project, ask: Ask) -> None:
    three.settings('source = "file"\nsource_file = "tenants.csv"\n')
    file = three.folder / "tenants.csv"
    file.write_text("acme\nbeta\n")
    three.run("onboard", "acme", "beta")
    assert LISTED not in ask(three, "status").out
    ghosts = [f"ghost{n:02}" for n in range(12)]
    file.write_text("\n".join(["acme", "beta", *ghosts]))
    told = " ".join(ask(three, "status").out.split())
    assert f"{LISTED}{', '.join(ghosts[:10])} and 2 more" in told
    assert "2 tenants, 2 at head" in told
    found = ask(three, "status", "--json").json
    assert (found["unborn"], found["summary"]["tenants"]) == (ghosts, 2)
    one = ask(three, "status", "-t", "acme", "--json").json
    assert one["unborn"] == []


def test_an_onboarding_that_was_cut_off_is_named(
    three: Project, database: Database, ask: Ask
) -> None:
    three.run("onboard", "acme", "beta")
    database.execute("UPDATE tenantmig.tenant SET state = 'onboarding' WHERE name = 'beta'")
    assert f"{LISTED}beta" in " ".join(ask(three, "status").out.split())
