"""`rollback RUN` undoes what one run did: the tenants it moved, each to where it was, no other."""

from __future__ import annotations

import pytest

from tenantmig import Fleet, RunOptions, RunReport, RunState, Selection
from tenantmig.domain.plan import RunKind
from tenantmig.errors import IrreversibleRevisionError, SelectionError
from tests.fixtures.command import Project, untouched
from tests.fixtures.database import Database
from tests.fixtures.history import write_history
from tests.fixtures.rollouts import (
    CREATE,
    OpenFleet,
    adding,
    by_name,
    kill_asleep,
    mend,
    outcomes,
    poison,
    put_to_sleep,
    stands,
    wake,
)

pytestmark = pytest.mark.usefixtures("three")
EVERYONE = Selection(is_all=True)
FOR_GOOD = (
    "r3",
    "op.execute('SELECT 1')",
    "from tenantmig import irreversible\nirreversible('rows went')",
)


def only(*names: str) -> Selection:
    """These tenants."""
    return Selection(names=names)


def run_of(report: RunReport) -> int:
    """The number of a run."""
    assert report.run is not None
    return report.run


@pytest.mark.core
def test_exactly_the_moved_tenants_go_back_each_to_where_it_was(
    open_fleet: OpenFleet, database: Database
) -> None:
    fleet = open_fleet(canary="0", max_failures="9")
    fleet.onboard(["from_r1", "failed"], "r1")
    fleet.onboard(["from_r2"], "r2")
    fleet.onboard(["was_there"], "r3")
    fleet.onboard(["not_selected"], "r1")
    poison(database, "failed")
    upgrade = fleet.upgrade(selection=Selection(is_all=True, skip=("not_selected",)))
    assert upgrade.counts == {"upgraded": 2, "already_current": 1, "failed": 1}
    mend(database, "failed")
    with untouched(database, besides=["tenantmig", "from_r1", "from_r2"]):
        report = fleet.rollback(run_of(upgrade))
    assert (report.kind, report.undoes) == (RunKind.ROLLBACK, upgrade.run)
    assert report.state is RunState.COMPLETE
    assert outcomes(report) == {"from_r1": "downgraded", "from_r2": "downgraded"}
    assert stands(database, "from_r1", "from_r2", "was_there", "failed", "not_selected") == {
        "from_r1": "r1",
        "from_r2": "r2",
        "was_there": "r3",
        "failed": "r1",
        "not_selected": "r1",
    }
    assert fleet.run(run_of(report)) == report or fleet.run(run_of(report)).counts == report.counts


@pytest.mark.slow
def test_a_tenant_that_stopped_half_way_goes_back_too(
    three: Project, open_fleet: OpenFleet, database: Database
) -> None:
    harmless = ("r2", "op.execute('SELECT 1')", "op.execute('SELECT 2')")
    write_history(three.script_location, CREATE, harmless, adding("r3", "c"))
    fleet = open_fleet(canary="0", max_failures="9")
    fleet.onboard(["a", "b"], "r1")
    poison(database, "a")
    upgrade = fleet.upgrade()
    assert stands(database, "a", "b") == {"a": "r2", "b": "r3"}
    mend(database, "a")
    assert fleet.rollback(run_of(upgrade)).counts == {"downgraded": 2}
    assert stands(database, "a", "b") == {"a": "r1", "b": "r1"}


def test_a_tenant_that_was_moved_since_is_refused_by_name_and_the_others_go(
    open_fleet: OpenFleet, database: Database
) -> None:
    fleet = open_fleet()
    fleet.onboard(["a", "b"], "r1")
    upgrade = fleet.upgrade("r2")
    fleet.upgrade(selection=only("a"))
    report = fleet.rollback(run_of(upgrade))
    assert outcomes(report) == {"a": "failed", "b": "downgraded"}
    assert "it is at r3, not at r2" in str(by_name(report)["a"].error)
    assert stands(database, "a", "b") == {"a": "r3", "b": "r1"}


def test_a_tenant_that_is_back_already_is_left_alone(
    open_fleet: OpenFleet, database: Database
) -> None:
    fleet = open_fleet()
    fleet.onboard(["a", "b"], "r1")
    upgrade = fleet.upgrade("r2")
    fleet.downgrade("r1", only("a"))
    with untouched(database, besides=["tenantmig", "b"]):
        report = fleet.rollback(run_of(upgrade))
    assert outcomes(report) == {"a": "already_current", "b": "downgraded"}


def test_a_run_that_began_at_base_goes_back_to_base(
    open_fleet: OpenFleet, database: Database
) -> None:
    fleet = open_fleet()
    fleet.onboard(["a"], "base")
    upgrade = fleet.upgrade()
    assert fleet.rollback(run_of(upgrade)).counts == {"downgraded": 1}
    assert stands(database, "a") == {"a": None}


def test_rollback_of_a_downgrade(open_fleet: OpenFleet, database: Database) -> None:
    fleet = open_fleet()
    fleet.onboard(["a"], "r3")
    fleet.onboard(["b"], "r2")
    downgrade = fleet.downgrade("r1", EVERYONE)
    report = fleet.rollback(run_of(downgrade))
    assert outcomes(report) == {"a": "upgraded", "b": "upgraded"}
    assert stands(database, "a", "b") == {"a": "r3", "b": "r2"}


def test_rollback_of_a_stamp_runs_nothing(open_fleet: OpenFleet, database: Database) -> None:
    fleet = open_fleet()
    fleet.onboard(["a", "b"], "r1")
    stamp = fleet.stamp("r3", only("a"))
    report = fleet.rollback(run_of(stamp))
    assert outcomes(report) == {"a": "stamped"}
    assert stands(database, "a", "b") == {"a": "r1", "b": "r1"}


@pytest.mark.slow
def test_rollback_of_a_rollback(open_fleet: OpenFleet, database: Database) -> None:
    fleet = open_fleet()
    fleet.onboard(["a"], "r1")
    fleet.onboard(["b"], "r2")
    upgrade = fleet.upgrade()
    back = fleet.rollback(run_of(upgrade))
    assert fleet.rollback(run_of(back)).counts == {"upgraded": 2}
    assert stands(database, "a", "b") == {"a": "r3", "b": "r3"}


def test_what_cannot_be_rolled_back_is_refused(open_fleet: OpenFleet) -> None:
    fleet = open_fleet()
    onboarding = fleet.onboard(["a"])
    with pytest.raises(SelectionError, match=r"of kind onboard.*`tenantmig offboard NAME --yes`"):
        fleet.rollback(run_of(onboarding))
    nothing = fleet.upgrade()
    with pytest.raises(SelectionError, match="changed no tenant"):
        fleet.rollback(run_of(nothing))


@pytest.mark.slow
def test_a_rollback_that_was_killed_is_resumed(three: Project, database: Database) -> None:
    three.run("onboard", "a", "--to", "r2")
    three.run("onboard", "b", "c", "--to", "r1")
    three.run("upgrade")
    put_to_sleep(database, "b")
    kill_asleep(three, database, "rollback", "3", "--canary", "a", "-p", "1", "--yes")
    wake(database, "b")
    with untouched(database, besides=["tenantmig", "b", "c"]):
        report = three.run("resume", "--json", "--yes").json
    assert (report["run"], report["kind"], report["counts"]) == (4, "rollback", {"downgraded": 3})
    assert stands(database, *"abc") == {"a": "r2", "b": "r1", "c": "r1"}


def test_an_offboarded_tenant_is_named_and_the_others_go(
    open_fleet: OpenFleet, database: Database
) -> None:
    fleet = open_fleet()
    fleet.onboard(["a", "b"], "r1")
    upgrade = fleet.upgrade()
    fleet.offboard(only("a"))
    report = fleet.rollback(run_of(upgrade))
    assert outcomes(report) == {"a": "failed", "b": "downgraded"}
    assert "this tenant no longer exists" in str(by_name(report)["a"].error)


@pytest.mark.slow
def test_a_tenant_onboarded_anew_under_the_same_name_is_not_taken_for_the_old_one(
    open_fleet: OpenFleet, database: Database
) -> None:
    """It never was at r1: going back there would be nobody's wish."""
    fleet = open_fleet()
    fleet.onboard(["a", "b"], "r1")
    upgrade = fleet.upgrade()
    fleet.offboard(only("a"))
    fleet.onboard(["a"])
    with untouched(database, besides=["tenantmig", "b"]):
        report = fleet.rollback(run_of(upgrade))
    assert outcomes(report) == {"a": "failed", "b": "downgraded"}


# -- irreversible -----------------------------------------------------------------------------


@pytest.fixture
def marked(three: Project, open_fleet: OpenFleet) -> Fleet:
    """r3 cannot be undone; `old` is beyond it, `new` at r2."""
    write_history(three.script_location, CREATE, adding("r2", "b"), FOR_GOOD)
    fleet = open_fleet(canary="0", max_failures="9")
    fleet.onboard(["new", "old"], "r1")
    fleet.upgrade("r2", only("new"))
    fleet.upgrade("r3", only("old"))
    return fleet


@pytest.mark.slow
def test_an_irreversible_revision_is_refused_before_anything_is_touched(
    marked: Fleet, database: Database
) -> None:
    runs = len(marked.runs())
    with untouched(database), pytest.raises(IrreversibleRevisionError) as refused:
        marked.downgrade("r1", EVERYONE)
    for word in ("r3", "old", "rows went", "--skip-irreversible", "Nothing was touched"):
        assert word in refused.value.message
    assert "new" not in refused.value.message
    with untouched(database), pytest.raises(IrreversibleRevisionError, match=r"r3.*old"):
        marked.rollback(runs)  # the newest run, which moved `old`
    assert len(marked.runs()) == runs


@pytest.mark.slow
def test_those_that_would_pass_it_can_be_left(marked: Fleet, database: Database) -> None:
    with untouched(database, besides=["tenantmig", "new"]):
        report = marked.downgrade("r1", EVERYONE, RunOptions(skip_irreversible=True))
    assert outcomes(report) == {"new": "downgraded", "old": "skipped"}
    assert report.state is RunState.INCOMPLETE
    left = by_name(report)["old"]
    assert (left.from_revision, left.to_revision) == ("r3", "r3")
    assert "r3 is irreversible" in str(left.error)
    resumed = marked.resume(run_of(report))  # it goes on as it was begun
    assert outcomes(resumed) == {"new": "downgraded", "old": "skipped"}


@pytest.fixture
def moved(three: Project, open_fleet: OpenFleet) -> tuple[Fleet, int]:
    """r2 and r4 cannot be undone, each for its own reason; a run moved `a` over both."""
    lost = ("r2", *FOR_GOOD[1:])
    also = ("r4", FOR_GOOD[1], FOR_GOOD[2].replace("rows", "columns"))
    write_history(three.script_location, CREATE, lost, adding("r3", "c"), also, adding("r5", "d"))
    fleet = open_fleet(canary="0", max_failures="9")
    fleet.onboard(["a", "there"], "r1")
    fleet.onboard(["b"], "r3")
    fleet.onboard(["free"], "r4")
    fleet.upgrade("r5", only("there"))
    return fleet, run_of(fleet.upgrade("r5"))


SKIPPED = {"a": "skipped", "b": "skipped", "free": "downgraded"}


@pytest.mark.slow
def test_a_rollback_that_leaves_tenants_says_so(
    moved: tuple[Fleet, int], database: Database
) -> None:
    fleet, run = moved
    plan = fleet.plan_rollback(run, RunOptions(skip_irreversible=True))
    assert [problem.tenant.name for problem in plan.left_out] == ["a", "b"]
    with untouched(database, besides=["tenantmig", "free"]):
        report = fleet.rollback(run, RunOptions(skip_irreversible=True))
    assert (report.state, outcomes(report)) == (RunState.INCOMPLETE, SKIPPED)
    assert "r4 is irreversible" in str(by_name(report)["a"].error)
    assert stands(database, "a", "b", "free") == {"a": "r5", "b": "r5", "free": "r4"}
    assert outcomes(fleet.run(run_of(report))) == SKIPPED
    with untouched(database, besides=["tenantmig"]):
        resumed = fleet.resume(run_of(report))
    assert (resumed.state, outcomes(resumed)) == (RunState.INCOMPLETE, SKIPPED)


def test_a_rollback_that_leaves_every_tenant_is_not_complete(
    marked: Fleet, database: Database
) -> None:
    with untouched(database, besides=["tenantmig"]):
        report = marked.rollback(len(marked.runs()), RunOptions(skip_irreversible=True))
    assert (report.state, outcomes(report)) == (RunState.INCOMPLETE, {"old": "skipped"})


@pytest.mark.slow
def test_a_rollback_that_was_killed_is_resumed_with_what_it_left(
    three: Project, database: Database
) -> None:
    """The command: its dry runs, its JSON and its exit code."""
    write_history(three.script_location, CREATE, ("r2", *FOR_GOOD[1:]), adding("r3", "c"))
    three.run("onboard", "a", "--to", "r1")
    three.run("onboard", "b", "--to", "r2")
    three.run("upgrade")
    words = ("rollback", "3", "--skip-irreversible")
    assert "1 tenant to change, 0 at the target, 1 skipped" in (three.run(*words, "--dry-run").out)
    put_to_sleep(database, "b")
    kill_asleep(three, database, *words, "--yes")
    wake(database, "b")
    planned = three.run("resume", "--dry-run", "--json").json
    assert [left["tenant"] for left in planned["left_out"]] == ["a"]
    assert [group["tenants"] for group in planned["groups"]] == [["b"]]
    report = three.run("resume", "--yes", "--json", expect=3).json
    assert (report["state"], report["counts"]) == ("incomplete", {"downgraded": 1, "skipped": 1})
    assert "a: skipped at r3: revision r2 is irreversible" in three.run("show", "4").out
    assert stands(database, "a", "b") == {"a": "r3", "b": "r2"}


@pytest.mark.slow
def test_the_command_says_the_same(three: Project, database: Database) -> None:
    write_history(three.script_location, CREATE, adding("r2", "b"), FOR_GOOD)
    three.run("onboard", "a", "--to", "r1")
    three.run("onboard", "b", "--to", "r2")
    three.run("upgrade", "-t", "a", "r2")
    three.run("upgrade", "-t", "b")
    with untouched(database):
        error = three.refuse("downgrade", "r1", "--all", "--yes")
        assert "r3" in error
        assert "b." in error
        assert "r3" in three.refuse("rollback", "4", "--yes")
        assert "r3" in three.refuse("downgrade", "r1", "--all", "--dry-run")
    report = three.run(
        "downgrade", "r1", "--all", "--yes", "--skip-irreversible", "--json", expect=3
    )
    assert report.json["counts"] == {"downgraded": 1, "skipped": 1}


@pytest.mark.slow
def test_an_irreversible_revision_that_is_not_passed_is_no_matter(
    marked: Fleet, database: Database
) -> None:
    assert marked.downgrade("r1", only("new")).is_complete
