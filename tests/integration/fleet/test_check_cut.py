"""`check` that is cut off keeps what it found, and does not begin the history anew each time."""

from __future__ import annotations

import signal
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tenantmig import Fleet
from tenantmig.drift.scratch import Scratch
from tenantmig.errors import ScratchError
from tenantmig.fleet.check_report import Checked, Downgrade
from tenantmig.fleet.driver import Driver
from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.history import write_history
from tests.fixtures.models import with_models
from tests.fixtures.rollouts import wait_asleep

SCRATCHES = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'tenantmig_scratch%'"
SEEDED = """op.execute("CREATE TABLE kind (id int, word text DEFAULT 'x')")
op.execute("INSERT INTO kind (id) VALUES (1)")"""
ENUM = """op.execute("CREATE TYPE mood AS ENUM ('glad')")
op.execute("CREATE TABLE thing (id int, mood mood)")"""
LEAVES = "its downgrade does not restore the catalog from before the revision"
FUNCTION = "CREATE OR REPLACE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT {}'"
DEPENDS = "op.get_bind().execute(sa.text('SELECT id FROM kind')).one()"


def run(*statements: str) -> str:
    return "\n".join(f'op.execute("{text}")' for text in statements)


BROKEN = (
    ("r02", ENUM, run("DROP TABLE thing")),  # forgets the type
    ("r03", run("ALTER TABLE thing ADD a int"), run("SELECT 1/0")),
    ("r04", run("CREATE INDEX i ON thing (a)", "ALTER TABLE thing ALTER a SET DEFAULT 1")),
    ("r05", run(FUNCTION.format(1)), run(FUNCTION.format(2))),
    ("r06", run("ALTER TABLE kind ALTER word TYPE varchar(9)")),
    ("r07", run("CREATE TABLE IF NOT EXISTS more (id int REFERENCES public.shared)")),
    ("r08", run("ALTER TABLE thing ADD UNIQUE (a)"), run("DROP INDEX IF EXISTS no")),
)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[AbstractContextManager[Scratch]]:
    """Every scratch schema that is asked for."""
    made: list[AbstractContextManager[Scratch]] = []
    plain = Driver.scratch

    def scratch(driver: Driver) -> AbstractContextManager[Scratch]:
        made.append(plain(driver))
        return made[-1]

    monkeypatch.setattr(Driver, "scratch", scratch)
    return made


@pytest.mark.slow
def test_a_downgrade_that_does_not_lead_back_costs_no_new_schema_unless_rows_are_lacking(
    tmp_path: Path, database: Database, counted: list[AbstractContextManager[Scratch]]
) -> None:
    database.execute("CREATE TABLE public.shared (id int PRIMARY KEY)")
    database.allow_public("shared", "shared[]", "shared_pkey")
    history = write_history(
        tmp_path / "history",
        ("r01", SEEDED, run("DROP TABLE kind")),
        *BROKEN,
        ("r10", run("CREATE TABLE last ()"), run("DROP TABLE last, kind")),  # one of r01's
        ("r11", DEPENDS),  # would fail where `kind` is made again without its row
        ("r12", run("CREATE TABLE end_of_it ()"), run("DROP TABLE end_of_it")),
    )
    seen: list[Checked] = []
    ini = Project(tmp_path, database.url, history).ini
    with Fleet.open(ini, database_url=database.url) as fleet:
        report = fleet.check(watch=seen.append)
        found = {one.revision: one.downgrade for one in report.revisions}
        assert {name for name, kind in found.items() if kind is Downgrade.BROKEN} == {
            *(revision for revision, *_ in BROKEN),
            "r10",
        }
        assert all(found[sound] is Downgrade.SOUND for sound in ("r01", "r11", "r12"))
        assert [(one.found, one.done, one.total) for one in seen] == [
            (one, n, 11) for n, one in enumerate(report.revisions, 1)
        ]
        # one more for r10; r06 and its kind are levelled
        assert len(counted) == 2, [one.reason for one in report.revisions]
        later = fleet.check("r11")
        assert [one.revision for one in later.revisions] == ["r11", "r12"]
        assert later.is_clean
        assert len(counted) == 3
    assert database.fetch(SCRATCHES) == []


@pytest.mark.slow
def test_what_was_found_is_told_although_a_revision_fails_later(
    tmp_path: Path, database: Database
) -> None:
    history = write_history(
        tmp_path / "history",
        ("r01", SEEDED, run("DROP TABLE kind")),
        BROKEN[0],
        ("r03", run("SELECT 1/0")),
        ("r04", "pass"),
    )
    project = Project(tmp_path, database.url, history)
    result = project.run("check", expect=2)
    assert result.out.splitlines() == [
        f"r02: broken: {LEAVES}: enum mood is left",
        "Downgrades of 2 revisions: 1 sound, 1 broken",
        "2 of 4 revisions were checked; the check was interrupted",
    ]
    assert result.error.startswith("Error: The history cannot be run in an empty schema: revision")
    told = project.run("check", "--json", expect=2).json
    assert [one["downgrade"] for one in told["revisions"]] == ["sound", "broken"]
    assert (told["is_complete"], told["is_clean"], told["total"]) == (False, False, 4)
    assert told["error"]["type"] == "ScratchError"
    # a failure in a levelled schema counts only if it comes in a new one too
    with (
        Fleet.open(project.ini, database_url=database.url) as fleet,
        pytest.raises(ScratchError, match="r03: division by zero"),
    ):
        fleet.check()


def test_what_was_found_is_told_although_the_models_cannot_be_compared(
    tmp_path: Path, database: Database
) -> None:
    first = ("r01", SEEDED, run("DROP TABLE kind"))
    project = with_models(tmp_path, database, first, options="include_object=lambda *_: 1 / 0,")
    told = project.run("check", "--json", expect=2).json
    assert [one["downgrade"] for one in told["revisions"]] == ["sound"]
    assert told["error"]["type"] == "EnvironmentFileError"
    assert not told["is_complete"]
    assert "1 of 1 revisions were checked; the models were" in project.run("check", expect=2).out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_was_found_is_told_although_it_is_interrupted(
    tmp_path: Path, database: Database, number: signal.Signals
) -> None:
    history = write_history(
        tmp_path / "history",
        ("r01", SEEDED, run("DROP TABLE kind")),
        ("r02", run("SELECT pg_sleep(120)")),
    )
    command = Project(tmp_path, database.url, history).start("check", "--json")
    wait_asleep(database)
    command.send_signal(number)
    told = Project.finish(command, expect=130).json
    assert [one["revision"] for one in told["revisions"]] == ["r01"]
    assert told["error"]["type"] == "Interrupted"


@pytest.mark.slow
def test_a_shipped_history_is_green_with_a_baseline_and_only_for_what_was_accepted(
    tmp_path: Path, database: Database
) -> None:
    first = ("r01", SEEDED, run("DROP TABLE kind"))
    project = with_models(tmp_path, database, first, BROKEN[0])
    file = tmp_path / "check-baseline.toml"
    project.run("check", expect=5)
    told = project.run("check", "--json", "--accept", 'shipped in "1.0"').json
    assert len(told["changes"]) == 3  # two tables, which no model has, and the type
    result = project.run("check")
    assert f"r02: broken: {LEAVES}: enum mood is left (accepted: shipped in" in result.out
    # another finding of the same revision counts, and what is not found any more is told
    script = project.script_location / "versions" / "r02.py"
    script.write_text(script.read_text().replace("DROP TABLE thing", "SELECT 1"))
    told = project.run("check", "--json", expect=5).json
    assert [one["accepted"] for one in told["revisions"]] == [None, None]
    assert told["stale"] == [f"r02: {LEAVES}: enum mood is left"]
    assert (told["changes"], len(told["accepted_changes"])) == ([], 3)
    script.write_text(script.read_text().replace("SELECT 1", "DROP TABLE thing"))
    file.write_text(file.read_text().replace("shipped in", "since"))
    assert project.run("check", "--json").json["revisions"][1]["accepted"] == 'since "1.0"'
    file.write_text('[[accepted]]\nrevision = "r02"\nfinding = "x"\n')
    assert "Give the reason why it is accepted" in project.refuse("check")
    assert "cannot be read" in project.refuse("check", "--baseline", "nowhere.toml")
