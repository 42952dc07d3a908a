"""What the server warns of stands in the run's report, once a revision, by either engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenantmig import Fleet, RunReport
from tenantmig.domain.notices import Warned
from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.history import write_history
from tests.fixtures.rollouts import CREATE, OpenFleet, adding, poison

LONG = "long_" * 14
UP = f"""
op.execute("CREATE TABLE {LONG} ()")
op.execute("CREATE TABLE IF NOT EXISTS thing ()")  # a NOTICE that is no warning
op.execute('''DO $$ BEGIN RAISE WARNING 'made in "%"', current_schema(); END $$''')
"""
SAYS = ("r2", UP, f"op.execute('DROP TABLE {LONG}')")
APART = """
with op.get_context().autocommit_block():
    op.execute("DO $$ BEGIN RAISE WARNING 'apart'; END $$")
"""


@pytest.fixture
def history(tmp_path: Path, three: Project) -> Project:
    """r2 makes a table whose name is cut, and warns with the tenant's schema."""
    write_history(three.script_location, CREATE, SAYS, adding("r3", "c"))
    return three


@pytest.mark.slow
@pytest.mark.parametrize("way", ["upgrade", "onboard"])
def test_a_warning_is_told_once_with_how_many_tenants(
    way: str, history: Project, open_fleet: OpenFleet
) -> None:
    fleet = open_fleet(engine="alembic")
    report = brought(fleet, way)
    cut, made = report.warnings
    assert (cut.revision, cut.sqlstate, cut.tenants, cut.example) == ("r2", "42622", 4, "a")
    assert LONG in cut.message
    assert made == Warned("r2", "01000", 'made in "<tenant>"', 4, 4, "a")
    assert report.run is not None
    assert fleet.run(report.run).warnings == report.warnings


@pytest.mark.slow
@pytest.mark.parametrize("way", ["upgrade", "onboard"])
def test_a_replay_tells_it_of_the_same_revision(
    way: str, three: Project, open_fleet: OpenFleet
) -> None:
    """It sends several revisions in one transaction."""
    cut = ("r2", f"op.execute('CREATE TABLE {LONG} ()')", f"op.execute('DROP TABLE {LONG}')")
    more = ("r3", "op.execute('CREATE TABLE more ()')", "op.execute('DROP TABLE more')")
    write_history(three.script_location, CREATE, cut, more)
    report = brought(open_fleet(), way)
    assert {tenant.engine for tenant in report.tenants} == {"alembic", "replay"}
    (told,) = report.warnings
    assert (told.revision, told.sqlstate, told.tenants, told.count) == ("r2", "42622", 4, 4)


def brought(fleet: Fleet, way: str) -> RunReport:
    """Bring four tenants to the head."""
    if way == "upgrade":
        fleet.onboard([*"abcd"], "r1")
        report = fleet.upgrade()
    else:
        report = fleet.onboard([*"abcd"])
    assert report.is_complete
    return report


@pytest.mark.slow
def test_the_command_tells_them(history: Project, database: Database) -> None:
    """Also those of a tenant that failed later, and of an autocommit_block."""
    write_history(history.script_location, CREATE, SAYS, adding("r3", "c"), ("r4", APART))
    history.run("onboard", "a", "b", "--to", "r1")
    poison(database, "b")
    result = history.run("upgrade", "--canary", "a", "--json", expect=3)
    found = {w["revision"]: w["tenants"] for w in result.json["warnings"]}
    assert found == {"r2": 2, "r4": 1}
    shown = history.run("show", "2")
    line = 'warning [01000] in revision r2, 2 tenants (for example a): made in "<tenant>"'
    assert shown.out.count(line) == 1
    assert history.run("show", "2", "--json").json["warnings"] == result.json["warnings"]
    assert history.run("show", "1", "--json").json["warnings"] == []
