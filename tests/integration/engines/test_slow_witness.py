"""A witness that takes long: the others wait for it, and a stop is heard meanwhile."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.history import write_history
from tests.fixtures.rollouts import ASLEEP, CREATE, OpenFleet, stands, wait_asleep

NAMES = ["a", "b", "c", "d", "e", "f"]
SLEEPS = """op.execute(\"\"\"DO $$ BEGIN
    PERFORM pg_sleep({seconds}); ALTER TABLE thing ADD b int;
END $$\"\"\")"""


def opened(folder: Path, database: Database, seconds: float) -> Project:
    """A project whose second revision takes so long, and is one that can be replayed."""
    slow = "r2", SLEEPS.format(seconds=seconds), "pass"
    return Project(folder, database.url, write_history(folder / "history", CREATE, slow))


@pytest.mark.slow
def test_others_wait_as_long_as_the_witness_works(
    tmp_path: Path, database: Database, open_fleet: OpenFleet
) -> None:
    opened(tmp_path, database, 3)
    fleet = open_fleet(canary="0", parallel=4)
    fleet.onboard(NAMES, "r1")
    report = fleet.upgrade()
    assert report.counts == {"upgraded": len(NAMES)}
    assert sorted(t.engine or "" for t in report.tenants) == ["alembic"] * 2 + ["replay"] * 4
    assert set(stands(database, *NAMES).values()) == {"r2"}


@pytest.mark.slow
@pytest.mark.parametrize("how", ["interrupt", "deadline"])
def test_a_stop_is_heard_by_those_that_wait(tmp_path: Path, database: Database, how: str) -> None:
    project = opened(tmp_path, database, 300)
    project.run("onboard", *NAMES, "--to", "r1")
    words = ["--deadline", "8s"] if how == "deadline" else []
    driver = project.start("upgrade", "--canary", "0", "-p", "4", "--json", *words)
    wait_asleep(database)
    if how == "interrupt":
        driver.send_signal(signal.SIGINT)
    result = project.finish(driver, expect=130 if how == "interrupt" else 3)
    assert len(result.json["tenants"]) == len(NAMES)
    tried = [tenant for tenant in result.json["tenants"] if tenant["attempts"]]
    assert len(tried) == 1  # the witness, and nobody else
    assert tried[0]["outcome"] == "interrupted"
    rest = {tenant["outcome"] for tenant in result.json["tenants"] if not tenant["attempts"]}
    assert rest == {"interrupted" if how == "interrupt" else "skipped"}
    assert not database.fetch(ASLEEP)
    assert set(stands(database, *NAMES).values()) == {"r1"}


@pytest.mark.slow
def test_who_waits_at_a_later_leg_is_told_where_the_first_one_brought_it(
    tmp_path: Path, database: Database
) -> None:
    block = "with op.get_context().autocommit_block():\n    op.execute('{}')"
    first = "r2", "op.execute('ALTER TABLE thing ADD b int')"
    later = "r3", block.format("SELECT pg_sleep(300)")
    project = Project(
        tmp_path, database.url, write_history(tmp_path / "history", CREATE, first, later)
    )
    project.run("onboard", *NAMES[:3], "--to", "r1")
    driver = project.start("upgrade", "--canary", "0", "-p", "3", "--json")
    wait_asleep(database)
    driver.send_signal(signal.SIGINT)
    told = project.finish(driver, expect=130).json["tenants"]
    assert [(tenant["attempts"], tenant["to"]) for tenant in told] == [(1, "r2")] * 3
    assert set(stands(database, *NAMES[:3]).values()) == {"r2"}
