"""`resume` finishes a run that was cut off or left tenants behind, as it was meant."""

from __future__ import annotations

import pytest

from tenantmig import Outcome, RunOptions, RunState, Selection
from tenantmig.errors import SelectionError, UnknownRunError
from tests.fixtures.command import Project, untouched
from tests.fixtures.database import Database
from tests.fixtures.history import write_history
from tests.fixtures.in_process import Ask
from tests.fixtures.rollouts import (
    CREATE,
    Events,
    OpenFleet,
    adding,
    by_name,
    kill_asleep,
    mend,
    outcomes,
    poison,
    put_to_sleep,
    reading,
    stands,
    wait_asleep,
    wake,
)

pytestmark = pytest.mark.usefixtures("three")
EVERYONE = Selection(is_all=True)


@pytest.mark.slow
def test_a_mended_tenant_arrives_and_nothing_is_run_for_those_that_are_done(
    open_fleet: OpenFleet, database: Database
) -> None:
    fleet = open_fleet(canary="0", max_failures="3")
    fleet.onboard(["a", "b", "c"], "r1")
    poison(database, "b")
    first = fleet.upgrade("r2")
    assert outcomes(first) == {"a": "upgraded", "b": "failed", "c": "upgraded"}
    mend(database, "b")
    with untouched(database, besides=["tenantmig", "b"]):
        report = fleet.resume(first.run)
    assert (report.run, report.kind, report.target) == (first.run, first.kind, "r2")
    assert report.state is RunState.COMPLETE
    assert report.counts == {"upgraded": 3}  # those of the whole run
    assert by_name(report)["b"].attempts == 2
    assert by_name(report)["b"].error is None
    assert fleet.run(first.run or 0).counts == report.counts
    assert [run.run for run in fleet.runs()] == [first.run, 1]


@pytest.mark.slow
def test_what_still_fails_stays_in_the_run(open_fleet: OpenFleet, database: Database) -> None:
    fleet = open_fleet(canary="0", max_failures="3")
    fleet.onboard(["a", "b"], "r1")
    poison(database, "b")
    fleet.upgrade()
    report = fleet.resume()
    assert (report.state, outcomes(report)) == (
        RunState.INCOMPLETE,
        {"a": "upgraded", "b": "failed"},
    )
    mend(database, "b")
    assert fleet.resume().is_complete


@pytest.mark.slow
def test_a_run_whose_driver_was_killed(three: Project, database: Database) -> None:
    three.run("onboard", *"abcd", "--to", "r1")
    put_to_sleep(database, "b")
    kill_asleep(three, database, "upgrade", "-p", "1")
    shown = three.run("show", "2", "--json").json
    assert shown["state"] == "interrupted"
    assert stands(database, *"abcd") == {"a": "r3", "b": "r1", "c": "r1", "d": "r1"}
    wake(database, "b")
    with untouched(database, besides=["tenantmig", "b", "c", "d"]):
        report = three.run("resume", "--json").json
    assert (report["run"], report["state"]) == (2, "complete")
    assert report["counts"] == {"upgraded": 4}
    assert stands(database, *"abcd") == dict.fromkeys("abcd", "r3")


@pytest.mark.slow
def test_the_target_is_that_of_the_run(
    three: Project, open_fleet: OpenFleet, database: Database
) -> None:
    fleet = open_fleet(canary="0", max_failures="3")
    fleet.onboard(["a", "b"], "r1")
    poison(database, "b")
    fleet.upgrade("head")
    mend(database, "b")
    write_history(
        three.script_location, CREATE, adding("r2", "b"), adding("r3", "c"), adding("r4", "d")
    )
    later = open_fleet()
    assert later.history.heads == ("r4",)
    assert later.resume().is_complete
    assert stands(database, "a", "b") == {"a": "r3", "b": "r3"}


@pytest.mark.slow
def test_a_relative_downgrade_never_goes_down_twice(
    open_fleet: OpenFleet, database: Database
) -> None:
    fleet = open_fleet(canary="0", max_failures="3")
    fleet.onboard(["a", "b"])
    fleet.onboard(["c"], "r2")
    poison(database, "b")
    report = fleet.downgrade("-1", EVERYONE)
    assert outcomes(report) == {"a": "downgraded", "b": "failed", "c": "downgraded"}
    mend(database, "b")
    assert fleet.resume().counts == {"downgraded": 3}
    assert stands(database, *"abc") == {"a": "r2", "b": "r2", "c": "r1"}


@pytest.mark.slow
def test_a_relative_downgrade_that_stopped_half_way_goes_on_to_where_it_was_meant(
    three: Project, open_fleet: OpenFleet, database: Database
) -> None:
    """r3 is undone already when the way back from r2 fails."""
    harmless = ("r3", "op.execute('SELECT 1')", "op.execute('SELECT 2')")
    write_history(three.script_location, CREATE, adding("r2", "b"), harmless)
    fleet = open_fleet()
    fleet.onboard(["a"])
    poison(database, "a")
    report = fleet.downgrade("-2", EVERYONE)
    assert (by_name(report)["a"].outcome, by_name(report)["a"].to_revision) == ("failed", "r2")
    mend(database, "a")
    resumed = by_name(fleet.resume())["a"]
    assert (resumed.outcome, resumed.from_revision) == (Outcome.DOWNGRADED, "r3")
    assert stands(database, "a") == {"a": "r1"}


@pytest.mark.slow
def test_a_relative_upgrade_never_goes_up_twice(open_fleet: OpenFleet, database: Database) -> None:
    fleet = open_fleet(canary="0", max_failures="3")
    fleet.onboard(["a", "b"], "r1")
    poison(database, "b")
    fleet.upgrade("+1")
    mend(database, "b")
    assert fleet.resume().counts == {"upgraded": 2}
    assert stands(database, "a", "b") == {"a": "r2", "b": "r2"}


@pytest.mark.slow
def test_a_run_goes_on_with_its_own_options(open_fleet: OpenFleet, database: Database) -> None:
    fleet = open_fleet(canary="a", wave=2, attempts=1)
    fleet.onboard(list("abcdef"), "r1")
    poison(database, "a")
    fleet.upgrade()
    mend(database, "a")
    events = Events()
    other = open_fleet(canary="0", wave=9)
    assert other.resume(options=RunOptions(on_event=events)).is_complete
    assert events.waves == [(0, ("a",)), (1, ("b", "c")), (2, ("d", "e")), (3, ("f",))]


@pytest.mark.slow
def test_settings_that_are_given_now_win(open_fleet: OpenFleet, database: Database) -> None:
    fleet = open_fleet(canary="a", wave=2)
    fleet.onboard(list("abcde"), "r1")
    poison(database, "a")
    fleet.upgrade()
    mend(database, "a")
    events = Events()
    given = {"canary": "0", "wave": 3, "attempts": None}
    assert fleet.resume(options=RunOptions(on_event=events), given=given).is_complete
    assert events.waves == [(1, ("b", "c", "d")), (2, ("e",)), (3, ("a",))]


@pytest.mark.slow
def test_flags_of_the_command_win(three: Project, database: Database) -> None:
    three.run("onboard", "a", "b", "--to", "r1")
    poison(database, "a")
    flags = ("--lock-timeout", "700ms", "--attempts", "1", "--json")
    three.run("upgrade", "--canary", "a", *flags, expect=3)
    mend(database, "a")
    with reading(database, "a.thing"):
        report = three.run("resume", "2", "--canary", "0", "--json", expect=3).json
    locked = report["tenants"][0]
    assert (locked["sqlstate"], locked["attempts"]) == ("55P03", 3)  # one, and one again at the end
    assert report["tenants"][1]["outcome"] == "upgraded"


@pytest.mark.slow
def test_without_a_run_it_is_the_newest(open_fleet: OpenFleet, database: Database) -> None:
    fleet = open_fleet(canary="0", max_failures="3")
    fleet.onboard(["a", "b"], "r1")
    poison(database, "a")
    older = fleet.upgrade("r2")
    newer = fleet.upgrade("r3")
    mend(database, "a")
    fleet.onboard(["c"])  # an onboarding is no run that one resumes
    report = fleet.resume()
    assert (report.run, report.is_complete) == (newer.run, True)
    with pytest.raises(SelectionError, match=f"Run {newer.run}, the newest, is complete"):
        fleet.resume()
    with pytest.raises(SelectionError, match="is complete; there is nothing to resume"):
        fleet.resume(newer.run)
    assert outcomes(fleet.resume(older.run))["a"] == "already_current"


@pytest.mark.slow
def test_a_run_that_could_move_nobody_is_not_the_newest(
    three: Project, open_fleet: OpenFleet, database: Database, ask: Ask
) -> None:
    fleet = open_fleet(canary="0", max_failures="3")
    fleet.onboard(["a", "b"], "r1")
    poison(database, "a")
    first = fleet.upgrade("r2")
    # nobody is below r1, and r3 is below nobody: these runs have nothing to go on with
    for target in ("r2", "r3"):
        refused = fleet.downgrade(target, Selection(names=("a",)))
        assert (refused.state, refused.counts) == (RunState.INCOMPLETE, {"failed": 1})
    mend(database, "a")
    assert "upgrade to r2" in ask(three, "resume", "--dry-run").out.lower()
    assert (fleet.resume().run, fleet.run(first.run or 0).is_complete) == (first.run, True)
    with pytest.raises(SelectionError, match=f"Run {first.run}, the newest, is complete"):
        fleet.resume()
    assert outcomes(fleet.resume(refused.run)) == {"a": "failed"}  # by its number it may be tried


@pytest.mark.slow
def test_a_downgrade_beyond_base_is_refused_before_the_run(
    three: Project, open_fleet: OpenFleet, database: Database, ask: Ask
) -> None:
    fleet = open_fleet()
    fleet.onboard(["a"], "r3")
    fleet.onboard(["b"], "r1")
    fleet.onboard(["c"], "base")
    runs = len(fleet.runs())
    down = ("downgrade", "-2", "-t", "a", "-t", "b", "-t", "c", "--yes")
    with untouched(database):
        for command in (down, (*down, "--dry-run"), (*down, "--json")):
            said = ask(three, *command, expect=2)
            told = said.json["error"]["message"] if "--json" in command else said.error
            assert '"b" (at r1: 1 revision above base), "c" (at base)' in told
            assert "A downgrade by -2 is impossible for 2 tenants" in told
            assert "--skip" in told
        assert '"a" (at r3: 3 revisions' in ask(three, "downgrade", "-99", "--all", expect=2).err
    assert len(fleet.runs()) == runs
    assert outcomes(fleet.downgrade("-2", Selection(names=("a",)))) == {"a": "downgraded"}


@pytest.mark.slow
def test_an_upgrade_beyond_head_is_refused_before_the_run(
    three: Project, open_fleet: OpenFleet, database: Database, ask: Ask
) -> None:
    fleet = open_fleet()
    fleet.onboard(["a"], "r3")
    fleet.onboard(["b"], "r2")
    fleet.onboard(["c"], "base")
    runs = len(fleet.runs())
    with untouched(database):
        for command in (("upgrade", "+2"), ("upgrade", "+2", "--dry-run")):
            told = ask(three, *command, expect=2).error
            assert '"a" (at r3, the head), "b" (at r2: 1 revision below head)' in told
            assert "An upgrade by +2 is impossible for 2 tenants" in told
            assert "`head` is the last" in told
        assert "impossible for 1 tenant:" in ask(three, "upgrade", "+1", expect=2).error
        assert ask(three, "plan", "+2", "--json").json["groups"]
    assert len(fleet.runs()) == runs
    skipped = Selection(is_all=True, skip=("a",))
    assert outcomes(fleet.upgrade("+1", skipped)) == {"b": "upgraded", "c": "upgraded"}


@pytest.mark.slow
def test_what_cannot_be_resumed_is_refused_with_advice(
    open_fleet: OpenFleet, database: Database
) -> None:
    fleet = open_fleet()
    with pytest.raises(SelectionError, match="There is no run to resume"):
        fleet.resume()
    fleet.onboard(["a"])
    with pytest.raises(SelectionError, match="There is no run to resume"):
        fleet.resume()
    with pytest.raises(
        SelectionError, match=r"kind onboard and cannot be resumed. Run `tenantmig onboard` again"
    ):
        fleet.resume(1)
    with pytest.raises(UnknownRunError, match="no run 7"):
        fleet.resume(7)


@pytest.mark.slow
def test_a_second_driver_is_refused_while_the_first_lives(
    three: Project, database: Database
) -> None:
    three.run("onboard", "a", "--to", "r1")
    put_to_sleep(database, "a")
    driver = three.start("upgrade")
    try:
        wait_asleep(database)
        for arguments in (["resume"], ["resume", "2"]):
            error = three.refuse(*arguments, expect=4)
            assert "Run 2 (upgrade" in error
            assert "r3" in error
            assert f"(pid {driver.pid})" in error
            assert "since 20" in error
        refused = three.run("resume", "--json", expect=4).json["error"]
        assert refused["type"] == "FleetBusyError"
    finally:
        driver.terminate()
        driver.communicate(timeout=60)
    wake(database, "a")
    assert three.run("resume", "--json").json["counts"] == {"upgraded": 1}


@pytest.mark.slow
def test_a_tenant_that_was_moved_meanwhile_is_done(
    open_fleet: OpenFleet, database: Database
) -> None:
    fleet = open_fleet(canary="0", max_failures="3")
    fleet.onboard(["a", "b"], "r1")
    poison(database, "a")
    first = fleet.upgrade()
    mend(database, "a")
    fleet.upgrade(selection=Selection(names=("a",)))
    with untouched(database, besides=["tenantmig"]):
        report = fleet.resume(first.run)
    assert outcomes(report) == {"a": "already_current", "b": "upgraded"}


@pytest.mark.slow
def test_a_tenant_that_was_offboarded_meanwhile_is_named_and_keeps_no_other(
    open_fleet: OpenFleet, database: Database
) -> None:
    fleet = open_fleet(canary="0", max_failures="3")
    fleet.onboard(["a", "b"], "r1")
    poison(database, "a", "b")
    first = fleet.upgrade()
    fleet.offboard(Selection(names=("a",)))
    mend(database, "b")
    report = fleet.resume(first.run)
    assert outcomes(report) == {"a": "failed", "b": "upgraded"}
    assert "this tenant no longer exists" in str(by_name(report)["a"].error)


@pytest.mark.slow
def test_a_dry_run_shows_the_rest_and_does_nothing(three: Project, database: Database) -> None:
    three.run("onboard", "a", "b", "--to", "r1")
    poison(database, "b")
    three.run("upgrade", expect=3)
    with untouched(database):
        plan = three.run("resume", "--dry-run", "--json").json
    assert [group["tenants"] for group in plan["groups"]] == [["b"]]
