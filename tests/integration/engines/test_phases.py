"""Concurrent revisions are a phase of their own, and what locks a shared table goes one by one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tenantmig import Fleet, RunOptions, Selection
from tenantmig.domain.events import SharedLock
from tests.fixtures.command import Project
from tests.fixtures.database import INVALID_INDEXES, Database
from tests.fixtures.history import write_history
from tests.fixtures.processes import wait_until
from tests.fixtures.rollouts import Events, OpenFleet, by_name, kill, outcomes, stands

pytestmark = pytest.mark.usefixtures("project")
EVERYONE = Selection(is_all=True)
CREATE = (
    "r1",
    (
        "op.execute('CREATE TABLE thing (id int)')\n"
        "op.execute('CREATE TABLE counter (n int)')\n"
        "op.execute('INSERT INTO counter VALUES (0)')\n"
        "op.execute(\"CREATE TYPE mood AS ENUM ('sad')\")"
    ),
    "pass",
)
KILL_ONCE = """    import os, pathlib
    if not pathlib.Path(__file__).with_name('mended').exists():
        os.kill(os.getpid(), 9)
"""
"""The last lines of an autocommit_block that kill the worker, until it is mended."""
WAITING = """
    SELECT FROM pg_stat_activity
    WHERE application_name LIKE 'tenantmig%%' AND wait_event_type = 'Lock'
"""
BUILDING = "SELECT FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting for%%'"


def in_block(*lines: str) -> str:
    """An autocommit_block of these statements of Python."""
    return "with op.get_context().autocommit_block():\n" + "".join(f"    {x}\n" for x in lines)


INDEX = in_block(
    "op.create_index('ix_thing', 'thing', ['id'], postgresql_concurrently=True, if_not_exists=True)"
)
NO_INDEX = in_block("op.drop_index('ix_thing', 'thing', postgresql_concurrently=True)")


def write(folder: Path, upgrade: str, downgrade: str = "pass") -> None:
    """Write a history r1, r2 whose second revision is the one in question."""
    write_history(folder / "history", CREATE, ("r2", upgrade, downgrade))


def mend(folder: Path) -> None:
    """Let KILL_ONCE kill nobody any more."""
    (folder / "history" / "versions" / "mended").touch()


@pytest.fixture
def project(tmp_path: Path, database: Database) -> Project:
    """The project of tmp_path/history, which the test writes."""
    return Project(tmp_path, database.url, tmp_path / "history")


def fleet_of(open_fleet: OpenFleet, **settings: object) -> Fleet:
    """A fleet that waits long for locks: a build that meets one stays where it is."""
    return open_fleet(**{"lock_timeout": "60s", "canary": "0", "attempts": 1} | settings)


@contextmanager
def writing(database: Database, table: str) -> Iterator[None]:
    """Keep a write to a table open: an index that is built meanwhile waits for it, INVALID."""
    writer = database.connect()
    writer.autocommit = False
    writer.execute(f"INSERT INTO {table} VALUES (1)".encode())
    try:
        yield
    finally:
        writer.close()


def index_oid(database: Database, schema: str, *, is_valid: bool) -> int:
    """The one index `ix_thing` of a tenant schema."""
    rows = database.fetch(
        "SELECT indexrelid FROM pg_index JOIN pg_class AS c ON c.oid = indexrelid"
        " WHERE relname = 'ix_thing' AND relnamespace = %s::regnamespace AND indisvalid = %s",
        [schema, is_valid],
    )
    assert len(rows) == 1
    return int(rows[0][0])


# -- phases -------------------------------------------------------------------------------------


def spans(notes: Path) -> dict[str, list[tuple[float, float]]]:
    """When each revision ran for each tenant, by revision."""
    found: dict[str, list[tuple[float, float]]] = {}
    for line in notes.read_text().splitlines():
        revision, began, ended = line.split()
        found.setdefault(revision, []).append((float(began), float(ended)))
    return found


def noted(notes: Path, revision: str, body: str) -> str:
    """A revision that notes when it ran."""
    return (
        f"import time\nbegan = time.monotonic()\n{body}\ntime.sleep(0.3)\n"
        f"with open({str(notes)!r}, 'a') as notes:\n"
        f"    notes.write(f'{revision} {{began}} {{time.monotonic()}}\\n')"
    )


@pytest.mark.slow
def test_no_transactional_revision_runs_beside_a_concurrent_one(
    tmp_path: Path, project: Project, open_fleet: OpenFleet
) -> None:
    """Two tenants need all of r2 to r4, two begin at the concurrent r3."""
    notes = tmp_path / "notes"
    write_history(
        project.script_location,
        CREATE,
        ("r2", noted(notes, "r2", "op.execute('ALTER TABLE thing ADD b int')")),
        ("r3", noted(notes, "r3", INDEX)),
        ("r4", noted(notes, "r4", "op.execute('ALTER TABLE thing ADD d int')")),
    )
    fleet = fleet_of(open_fleet, parallel=3)
    fleet.onboard(["a", "b"], "r1")
    fleet.onboard(["c", "d"], "r2")
    notes.unlink()
    assert fleet.upgrade().counts == {"upgraded": 4}
    found = spans(notes)
    assert {revision: len(ran) for revision, ran in found.items()} == {"r2": 2, "r3": 4, "r4": 4}
    for began, ended in found["r3"]:
        for other_began, other_ended in found["r2"] + found["r4"]:
            assert ended <= other_began or other_ended <= began


def test_phases_of_a_downgrade(tmp_path: Path, open_fleet: OpenFleet, database: Database) -> None:
    write(tmp_path, INDEX, NO_INDEX)
    fleet = fleet_of(open_fleet, parallel=2)
    fleet.onboard(["a", "b"])
    assert fleet.downgrade("r1", EVERYONE).is_complete
    assert database.fetch("SELECT FROM pg_class WHERE relname = 'ix_thing'") == []


# -- indexes ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("again", ["resume", "upgrade"])
def test_an_invalid_index_of_a_killed_driver_is_rebuilt(
    tmp_path: Path, project: Project, open_fleet: OpenFleet, database: Database, again: str
) -> None:
    write(tmp_path, INDEX)
    fleet = fleet_of(open_fleet)
    fleet.onboard(["a"], "r1")
    with writing(database, "a.thing"):
        driver = project.start("upgrade", "--lock-timeout", "60s")
        wait_until(lambda: len(database.fetch(BUILDING)) == 1, "the build waits", 60)
        kill(driver)
        wait_until(lambda: database.fetch(BUILDING) == [], "the build has ended", 30)
    left = index_oid(database, "a", is_valid=False)
    report = fleet.resume() if again == "resume" else fleet.upgrade()
    assert report.counts == {"upgraded": 1}
    assert index_oid(database, "a", is_valid=True) != left
    assert stands(database, "a") == {"a": "r2"}
    assert database.fetch("SELECT FROM tenantmig.part") == []


def test_an_invalid_index_of_a_terminated_backend_is_rebuilt_in_the_same_run(
    tmp_path: Path, open_fleet: OpenFleet, database: Database
) -> None:
    write(tmp_path, INDEX)
    fleet = fleet_of(open_fleet, attempts=2)
    fleet.onboard(["a"], "r1")
    left: list[int] = []

    def end_the_build() -> None:
        with writing(database, "a.thing"):
            gate.set()
            wait_until(lambda: len(database.fetch(BUILDING)) == 1, "the build waits", 60)
            left.append(index_oid(database, "a", is_valid=False))
            build = "(SELECT pid FROM pg_stat_progress_create_index)"
            database.execute(f"SELECT pg_terminate_backend({build}, 10000)")

    gate = threading.Event()
    ending = threading.Thread(target=end_the_build)
    ending.start()
    gate.wait(30)
    report = fleet.upgrade()
    ending.join(60)
    assert (report.counts, report.tenants[0].attempts) == ({"upgraded": 1}, 2)
    assert index_oid(database, "a", is_valid=True) != left[0]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["auto", "alembic"])
def test_attempts_are_counted_and_not_legs(
    project: Project, open_fleet: OpenFleet, database: Database, engine: str
) -> None:
    alters = [f"op.execute('ALTER TABLE thing ADD {what}')" for what in ("b int", "UNIQUE (id)")]
    write_history(
        project.script_location, CREATE, ("r2", alters[0]), ("r3", INDEX), ("r4", alters[1])
    )
    fleet = fleet_of(open_fleet, engine=engine, max_failures="1")
    fleet.onboard(["a", "b", "c", "d"], "r1")
    database.execute("INSERT INTO a.thing VALUES (1), (1)")
    tenants = by_name(fleet.upgrade())
    found = {name: (one.outcome.value, one.attempts) for name, one in tenants.items()}
    assert found == dict.fromkeys("bcd", ("upgraded", 1)) | {"a": ("failed", 1)}
    assert fleet.run(2).tenants[0].to_revision == "r3"
    database.execute("DELETE FROM a.thing")
    resumed = by_name(fleet.resume())["a"]
    assert (resumed.outcome.value, resumed.attempts) == ("upgraded", 2)


@pytest.mark.slow
@pytest.mark.parametrize("is_noted", [True, False])
def test_a_valid_index_of_an_attempt_that_was_cut_off_is_not_built_again(
    tmp_path: Path, open_fleet: OpenFleet, database: Database, is_noted: bool
) -> None:
    """Also if the attempt was cut off before it noted that the index is done."""
    write(tmp_path, INDEX + KILL_ONCE)
    fleet = fleet_of(open_fleet)
    fleet.onboard(["a"], "r1")
    assert not fleet.upgrade().is_complete
    built = index_oid(database, "a", is_valid=True)
    database.execute("UPDATE tenantmig.part SET is_done = %s WHERE statement ~ 'INDEX'", [is_noted])
    mend(tmp_path)
    assert fleet.resume().counts == {"upgraded": 1}
    assert index_oid(database, "a", is_valid=True) == built


@pytest.mark.slow
def test_a_unique_index_over_duplicates_fails_and_leaves_nothing(
    tmp_path: Path, open_fleet: OpenFleet, database: Database
) -> None:
    write(tmp_path, INDEX.replace("['id'],", "['id'], unique=True,"))
    fleet = fleet_of(open_fleet, attempts=3)
    fleet.onboard(["a"], "r1")
    database.execute("INSERT INTO a.thing VALUES (1), (1)")
    report = fleet.upgrade()
    failed = report.tenants[0]
    assert (failed.outcome, failed.sqlstate, failed.attempts) == ("failed", "23505", 1)
    assert database.fetch(INVALID_INDEXES) == []
    assert database.fetch("SELECT FROM pg_class WHERE relname = 'ix_thing'") == []
    assert fleet.status().summary["in_doubt"] == 0
    database.execute("DELETE FROM a.thing")
    assert fleet.resume().counts == {"upgraded": 1}


@pytest.mark.slow
def test_a_dropped_index_that_was_cut_off_is_dropped_by_resume(
    tmp_path: Path, project: Project, open_fleet: OpenFleet, database: Database
) -> None:
    write(tmp_path, INDEX, NO_INDEX)
    fleet = fleet_of(open_fleet)
    fleet.onboard(["a"])
    with writing(database, "a.thing"):
        driver = project.start("downgrade", "r1", "--all", "--yes", "--lock-timeout", "60s")
        wait_until(lambda: len(database.fetch(INVALID_INDEXES)) == 1, "the drop waits", 60)
        kill(driver)
        wait_until(lambda: database.fetch(WAITING) == [], "the drop has ended", 30)
    assert len(database.fetch(INVALID_INDEXES)) == 1
    assert fleet.resume().counts == {"downgraded": 1}
    assert database.fetch("SELECT FROM pg_class WHERE relname = 'ix_thing'") == []


# -- other statements ---------------------------------------------------------------------------


@pytest.mark.slow
def test_an_update_that_was_cut_off_is_never_run_again(
    tmp_path: Path, open_fleet: OpenFleet, database: Database
) -> None:
    """The server undid it, but a driver whose connection is gone cannot know."""
    slow = "UPDATE counter SET n = n + 1 WHERE pg_sleep(300) IS NOT NULL"
    write(tmp_path, in_block(f"op.execute('{slow}')"))
    fleet = fleet_of(open_fleet, attempts=3)
    fleet.onboard(["a"], "r1")
    asleep = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'"

    def end_the_update() -> None:
        wait_until(lambda: len(database.fetch(asleep)) == 1, "the update runs", 60)
        database.execute(f"SELECT pg_terminate_backend(({asleep}))")

    ending = threading.Thread(target=end_the_update)
    ending.start()
    report = fleet.upgrade()
    ending.join(60)
    assert outcomes(report) == {"a": "in_doubt"}
    assert "it is not known whether it ran" in str(report.tenants[0].error)
    assert fleet.status().summary["in_doubt"] == 1
    again = fleet.resume()
    assert outcomes(again) == {"a": "in_doubt"}
    assert outcomes(fleet.upgrade()) == {"a": "in_doubt"}
    assert database.fetch("SELECT n FROM a.counter") == [(0,)]
    assert stands(database, "a") == {"a": "r1"}


@pytest.mark.slow
def test_an_update_that_is_done_is_not_run_again_by_resume(
    tmp_path: Path, open_fleet: OpenFleet, database: Database
) -> None:
    write(tmp_path, in_block("op.execute('UPDATE counter SET n = n + 1')") + KILL_ONCE)
    fleet = fleet_of(open_fleet)
    fleet.onboard(["a"], "r1")
    assert not fleet.upgrade().is_complete
    mend(tmp_path)
    assert fleet.resume().counts == {"upgraded": 1}
    assert database.fetch("SELECT n FROM a.counter") == [(1,)]


@pytest.mark.slow
def test_an_enum_value_that_is_there_is_settled(
    tmp_path: Path, open_fleet: OpenFleet, database: Database
) -> None:
    write(tmp_path, in_block("op.execute(\"ALTER TYPE mood ADD VALUE 'fine'\")") + KILL_ONCE)
    fleet = fleet_of(open_fleet)
    fleet.onboard(["a"], "r1")
    assert not fleet.upgrade().is_complete
    # as if the attempt had been cut off before it noted that the value is there
    database.execute("UPDATE tenantmig.part SET is_done = false")
    mend(tmp_path)
    assert fleet.resume().counts == {"upgraded": 1}
    labels = "SELECT enumlabel::text FROM pg_enum ORDER BY enumsortorder"
    assert database.fetch(labels) == [("sad",), ("fine",)]


BATCHES = """
def next_batch():
    if pathlib.Path(__file__).with_name('mended').exists() or rows('b IS NOT NULL') < 30:
        some = "UPDATE thing SET b = 1 WHERE id IN (SELECT id FROM thing WHERE b IS NULL LIMIT 10)"
        return op.get_bind().execute(sa.text(some)).rowcount
    os.kill(os.getpid(), 9)
def rows(condition):
    with op.get_bind().engine.connect() as other:
        return other.execute(sa.text('SELECT count(*) FROM thing WHERE ' + condition)).scalar()
import os, pathlib
with op.get_context().autocommit_block():
    while next_batch():
        pass
"""


@pytest.mark.slow
def test_a_backfill_in_batches_that_was_cut_off_is_not_taken_for_done(
    tmp_path: Path, open_fleet: OpenFleet, database: Database
) -> None:
    """What is left out as done tells the script nothing: it must not take that for nothing."""
    write_history(
        tmp_path / "history",
        CREATE,
        ("r2", "op.execute('ALTER TABLE thing ADD b int')"),
        ("r3", BATCHES),
    )
    fleet = fleet_of(open_fleet)
    fleet.onboard(["a"], "r2")
    database.execute("INSERT INTO a.thing SELECT generate_series(1, 100)")
    left = "SELECT count(*) FROM a.thing WHERE b IS NULL"
    assert not fleet.upgrade().is_complete
    assert database.fetch(left) == [(70,)]
    mend(tmp_path)
    report = fleet.resume()
    if outcomes(report) == {"a": "upgraded"}:
        assert database.fetch(left) == [(0,)]
    else:
        assert outcomes(report) == {"a": "in_doubt"}
        assert stands(database, "a") == {"a": "r2"}


# -- shared tables --------------------------------------------------------------------------------

REFERS = "op.execute('ALTER TABLE thing ADD FOREIGN KEY (id) REFERENCES public.countries')"
ON_COUNTRIES = """
    SELECT count(DISTINCT pid) FROM pg_locks
    WHERE relation = 'public.countries'::regclass AND mode = 'ShareRowExclusiveLock'
"""


@pytest.mark.slow
def test_a_revision_that_locks_a_shared_table_goes_one_tenant_at_a_time(
    tmp_path: Path, open_fleet: OpenFleet, database: Database
) -> None:
    database.execute("CREATE TABLE public.countries (id int PRIMARY KEY)")
    database.allow_public("countries", "countries_pkey", "countries[]")
    write(tmp_path, REFERS + "\nop.execute('SELECT pg_sleep(0.5)')")
    fleet, events = fleet_of(open_fleet, canary="1", parallel=3), Events()
    fleet.onboard(list("abcdef"), "r1")
    seen, done = set(), threading.Event()

    def look() -> None:
        with database.connect() as connection:
            while not done.is_set():
                row = connection.execute(ON_COUNTRIES.encode()).fetchone()
                seen.add(row[0] if row else None)

    looking = threading.Thread(target=look)
    looking.start()
    report = fleet.upgrade(options=RunOptions(on_event=events))
    done.set()
    looking.join(30)
    assert report.counts == {"upgraded": 6}
    assert [e for e in events if isinstance(e, SharedLock)] == [
        SharedLock("r2", "public.countries")
    ]
    assert seen == {0, 1}  # nobody even waited for it
    assert {tenant.attempts for tenant in by_name(report).values()} == {1}


def test_a_revision_that_locks_only_the_tenants_own_goes_many_at_a_time(
    tmp_path: Path, open_fleet: OpenFleet
) -> None:
    write(tmp_path, "op.execute('ALTER TABLE thing ADD b int')")
    fleet, events = fleet_of(open_fleet, canary="1", parallel=2), Events()
    fleet.onboard(["a", "b", "c"], "r1")
    assert fleet.upgrade(options=RunOptions(on_event=events)).is_complete
    assert not [event for event in events if isinstance(event, SharedLock)]
