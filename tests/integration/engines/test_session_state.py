"""What a revision leaves on its session: there for later ones of the run, as with plain Alembic.

And for nobody else: not for the next tenant, and of our own limits not for the next revision.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tenantmig import Fleet
from tests.fixtures.command import Project
from tests.fixtures.database import Database, fresh_database
from tests.fixtures.history import write_history
from tests.fixtures.oracles import content
from tests.fixtures.rollouts import OpenFleet, by_name, reading
from tests.fixtures.server import AnyServer

NAMES = ["acme", "beta", "other"]
SPECIAL = "other"  # no witness; it has a row that the others do not have
BASE = """op.execute('CREATE TABLE users (id int, note text); CREATE TABLE poked (id int)')
op.execute('CREATE TABLE seen (what text, value text)')
op.execute('''CREATE FUNCTION leave() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM set_config('app.by_trigger', 'yes', false); RETURN NEW; END $$''')
op.execute('CREATE TRIGGER leaves BEFORE INSERT ON poked FOR EACH ROW EXECUTE FUNCTION leave()')"""


def seeing(expression: str) -> str:
    """A script that keeps what it sees."""
    return f"op.execute(\"INSERT INTO seen VALUES ('{{}}', {expression})\")"


class Leaving(NamedTuple):
    """A revision that leaves something, and the next, which sees it; its result if known."""

    leaves: str
    sees: str
    value: str | None = None
    is_left: bool = True


LEAVINGS = {
    "a setting": Leaving(
        "op.execute(\"SET datestyle = 'German'\")", seeing("'2020-01-02'::date::text"), "02.01.2020"
    ),
    "limits": Leaving(
        """op.execute("SET lock_timeout = 0")
op.execute("SET statement_timeout = '1h'; SET idle_in_transaction_session_timeout = 0")
op.execute("INSERT INTO seen VALUES ('own', current_setting('statement_timeout'))")""",
        seeing(
            "concat_ws(' ', current_setting('lock_timeout') = '0',"
            " current_setting('statement_timeout'),"
            " current_setting('idle_in_transaction_session_timeout'))"
        ),
        "f 15min 5min",
        is_left=False,
    ),
    "a scope": Leaving(
        """op.execute("DO $$ BEGIN PERFORM set_config('app.tenant', 'me', false); END $$")""",
        seeing("current_setting('app.tenant', true)"),
        "me",
    ),
    "a temporary table": Leaving(
        "op.execute('CREATE TEMP TABLE kept AS SELECT 42 AS n')",
        seeing("(SELECT n::text FROM pg_temp.kept)"),
        "42",
    ),
    "a setting of one tenant alone": Leaving(
        """if op.get_bind().execute(sa.text('SELECT count(*) FROM users')).scalar():
    op.execute("SET bytea_output = 'escape'")""",
        seeing("convert_to('a', 'UTF8')::text"),
        is_left=False,  # by the witnesses
    ),
    "triggers that are off": Leaving(
        "op.execute('SET session_replication_role = replica')",
        """op.execute('INSERT INTO poked VALUES (1)')
"""
        + seeing("coalesce(current_setting('app.by_trigger', true), '')"),
        "",
    ),
    "a prepared statement": Leaving(
        "op.execute(\"PREPARE p AS INSERT INTO seen VALUES ('{}', 'prepared')\")",
        "op.execute('EXECUTE p')",
        "prepared",
    ),
    "a setting before an autocommit_block": Leaving(
        "op.execute('SET transform_null_equals = on')",
        """with op.get_context().autocommit_block():
    op.execute('CREATE INDEX CONCURRENTLY ix ON users (id)')
"""
        + seeing("(SELECT (x = NULL)::text FROM (VALUES (NULL::text)) AS v (x))"),
        "true",
    ),
    "a setting of a trigger": Leaving(
        "op.execute('INSERT INTO poked VALUES (2)')",
        seeing("current_setting('app.by_trigger', true)"),
        "yes",
    ),
    "a setting whose name is put together": Leaving(
        """op.execute("SELECT set_config('app.' || 'scope', 'mine', false)")""",
        seeing("current_setting('app.scope', true)"),
        "mine",
    ),
    "the seed of random()": Leaving(
        "op.execute('SELECT setseed(0.5)')", seeing("random()::text")
    ),
    "a cursor": Leaving(
        "op.execute('DECLARE c CURSOR WITH HOLD FOR SELECT 7')",
        """op.execute("DO $$ DECLARE c refcursor := 'c'; n text; BEGIN FETCH c INTO n;"
           " INSERT INTO seen VALUES ('{}', n); END $$")""",
        "7",
    ),
    "a setting put back": Leaving(
        """op.execute("SET work_mem = '8MB'")
op.execute('RESET work_mem')""",
        seeing("current_setting('work_mem')"),
        is_left=False,
    ),
}  # fmt: skip


def history(folder: Path) -> Path:
    """r1, then two revisions for each way to leave something."""
    scripts = [("r1", BASE)]
    for number, (name, leaving) in enumerate(LEAVINGS.items(), 1):
        scripts += [
            (f"leaves{number}", leaving.leaves.replace("{}", name)),
            (f"sees{number}", leaving.sees.replace("{}", name)),
        ]
    return write_history(folder / "history", *scripts)


@pytest.fixture(params=["newest", "16"])
def version(request: pytest.FixtureRequest) -> AnyServer:
    """A server of each version."""
    name = "server" if request.param == "newest" else "server16"
    found: AnyServer = request.getfixturevalue(name)
    return found


@pytest.fixture
def databases(version: AnyServer) -> Iterator[list[Database]]:
    """One for each engine, and one for plain Alembic."""
    with ExitStack() as stack:
        yield [stack.enter_context(fresh_database(version)) for _ in range(3)]


def rows(database: Database, tenant: str) -> dict[str, list[str]]:
    with database.connect() as connection:
        return content(connection, tenant)


@pytest.mark.slow
def test_what_is_left_is_there_for_later_revisions_of_the_run(
    tmp_path: Path, databases: list[Database]
) -> None:
    """One run for each way to leave something, in both engines and with plain Alembic."""
    *ours, plain = databases
    alembic = Project(tmp_path, plain.url, history(tmp_path))
    with ExitStack() as stack:
        fleets = [
            stack.enter_context(
                Fleet.open(alembic.ini, database_url=database.url, parallel=1, engine=engine)
            )
            for database, engine in zip(ours, ("auto", "alembic"), strict=True)
        ]
        plain.execute(f"CREATE SCHEMA {SPECIAL}")
        alembic.alembic("-x", f"tenant={SPECIAL}", "upgrade", "r1")
        for fleet in fleets:
            assert fleet.onboard(NAMES, "r1").is_complete
        for database in databases:
            database.execute(f"INSERT INTO {SPECIAL}.users VALUES (3, 'more')")
        for number, (name, leaving) in enumerate(LEAVINGS.items(), 1):
            alembic.alembic("-x", f"tenant={SPECIAL}", "upgrade", f"sees{number}")
            for fleet, database in zip(fleets, ours, strict=True):
                report = fleet.upgrade(f"sees{number}")
                assert report.is_complete, [t.error for t in report.tenants]
                assert rows(database, SPECIAL) == rows(plain, SPECIAL), name
                if leaving.value is not None:
                    for tenant in NAMES:
                        kept = f"SELECT value FROM {tenant}.seen WHERE what = '{name}'"
                        assert database.fetch(kept) == [(leaving.value,)], (name, tenant)
                is_left = any("on the session" in why for why in report.obstacles.values())
                assert is_left is (leaving.is_left and database is ours[0]), name


@pytest.mark.slow
def test_what_is_left_never_reaches_the_next_tenant(
    tmp_path: Path, databases: list[Database], server: AnyServer
) -> None:
    """One connection replays for tenant after tenant; what differs is what their triggers do."""
    ours, *_ = databases
    leak = """op.execute('''CREATE OR REPLACE FUNCTION leave() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF EXISTS (SELECT FROM users) THEN
        PERFORM set_config('app.leak', 'me', false), set_config('datestyle', 'German', false),
                set_config('lock_timeout', '0', false), set_config('statement_timeout', '0', false),
                pg_advisory_lock(77), nextval('counted');
        CREATE TEMP TABLE kept AS SELECT 1 AS n;
        LISTEN news;
    END IF;
    RETURN NEW; END $$''')
op.execute('CREATE SEQUENCE counted')
op.execute('INSERT INTO poked VALUES (1)')"""  # noqa: E501
    look = """op.execute('''INSERT INTO seen VALUES (current_setting('datestyle'), concat_ws(' ',
    current_setting('app.leak', true) IS NOT NULL, to_regclass('pg_temp.kept') IS NOT NULL,
    (SELECT count(*) FROM pg_listening_channels()), current_setting('lock_timeout') = '0',
    current_setting('statement_timeout'),
    (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 77)))''')"""
    scripts = write_history(tmp_path / "history", ("r1", BASE), ("r2", look), ("r3", leak))
    Project(tmp_path, ours.url, scripts)
    names = ["acme", "beta", "leaky", "next1", "next2"]
    with Fleet.open(tmp_path / "alembic.ini", database_url=ours.url, parallel=1) as fleet:
        assert fleet.onboard(names, "r1").is_complete
        ours.execute("INSERT INTO leaky.users VALUES (1)")
        report = fleet.upgrade("r3")
    assert report.is_complete
    engines = [tenant.engine for tenant in sorted(report.tenants, key=lambda one: one.tenant)]
    assert engines == ["alembic"] * 2 + ["replay"] * 3, report.obstacles
    for name in names:
        found = ours.fetch(f"SELECT what, value FROM {name}.seen")
        assert found == [("ISO, MDY", "f f 0 f 15min 0")], name


LITERAL = "op.execute(r\"INSERT INTO seen VALUES ('path', 'C:\\new')\")"
SAYS = """op.execute('''CREATE OR REPLACE FUNCTION leave() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM users) THEN SET standard_conforming_strings = off; END IF;
    RETURN NEW; END $$''')
op.execute('''CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON poked DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION leave()''')
op.execute('INSERT INTO poked VALUES (1)')"""


@pytest.mark.slow
@pytest.mark.parametrize("when", ["at once", "at a COMMIT", "in the end"])
def test_no_tenant_says_how_the_texts_of_others_are_read(
    when: str, tmp_path: Path, databases: list[Database]
) -> None:
    """A text is read as a whole before it sets anything, by what the session says at that moment.

    In the tenant that says otherwise the next revision is read so, as with plain Alembic; if it
    says so at a COMMIT, in the middle of a replay, the tenant fails.
    """
    ours, plain, *_ = databases
    pokes = "INSERT INTO poked VALUES (2)" if when == "at once" else "UPDATE poked SET id = 2"
    history = [("r1", f"{BASE}\n{SAYS}"), ("r2", LITERAL), ("r3", f"op.execute('{pokes}')")]
    if when != "in the end":
        history.append(("r4", LITERAL))
    scripts = write_history(tmp_path / "history", *history)
    project = Project(tmp_path, plain.url, scripts)
    names = ["acme", "beta", "other1", "other2", "zeta"]
    settings = {"parallel": 1, "max_failures": "100%"}
    for database in (plain, ours):
        with Fleet.open(tmp_path / "alembic.ini", database_url=database.url, **settings) as fleet:
            assert fleet.onboard(names, "r1").is_complete
            for name in ("other1", "other2"):
                database.execute(f"INSERT INTO {name}.users VALUES (1)")
            if database is ours:
                report = by_name(fleet.upgrade())
    assert report["zeta"].engine == "replay"
    for name in names:
        project.alembic("-x", f"tenant={name}", "upgrade", "head")
        kept = f"SELECT value FROM {name}.seen ORDER BY ctid"
        found, right = ours.fetch(kept), plain.fetch(kept)
        if when == "at a COMMIT" and name.startswith("other"):
            assert report[name].outcome == "failed"
            assert "standard_conforming_strings" in str(report[name].error)
            assert report[name].to_revision == "r3"
            assert found == right[:1]
        else:
            assert report[name].outcome == "upgraded"
            assert found == right
    assert set(right) == {("C:\\new",)}


@pytest.mark.slow
def test_a_script_that_changes_how_literals_are_read_is_not_replayed(
    tmp_path: Path, databases: list[Database]
) -> None:
    ours, plain, *_ = databases
    script = f"""op.execute('DO $$ BEGIN SET standard_conforming_strings = off; END $$')
{LITERAL}
op.execute('DO $$ BEGIN RESET standard_conforming_strings; END $$')
{LITERAL}"""
    scripts = write_history(tmp_path / "history", ("r1", BASE), ("r2", script), ("r3", LITERAL))
    project = Project(tmp_path, plain.url, scripts)
    names = ["acme", "beta", "zeta"]
    for database in (plain, ours):
        with Fleet.open(tmp_path / "alembic.ini", database_url=database.url, parallel=1) as fleet:
            assert fleet.onboard(names, "r1").is_complete
            if database is ours:
                report = fleet.upgrade()
                assert report.is_complete
                assert "how the server reads" in report.obstacles["r2"]
                assert "r3" not in report.obstacles
    for name in names:
        project.alembic("-x", f"tenant={name}", "upgrade", "head")
        kept = f"SELECT value FROM {name}.seen ORDER BY ctid"
        assert ours.fetch(kept) == plain.fetch(kept)
        assert ours.fetch(kept) == [("C:\new",), ("C:\\new",), ("C:\\new",)]


def test_between_two_revisions_of_a_replay_the_limits_come_back(
    tmp_path: Path, database: Database, open_fleet: OpenFleet
) -> None:
    """A trigger in one tenant sets others; the witnesses saw none of that."""
    setting = """op.execute('''CREATE OR REPLACE FUNCTION leave() RETURNS trigger
LANGUAGE plpgsql AS $$ BEGIN IF EXISTS (SELECT FROM users) THEN
    PERFORM set_config(name || '_timeout', '0', false)
    FROM unnest('{lock,statement,idle_in_transaction_session}'::text[]) AS name; END IF;
RETURN NEW; END $$''')
op.execute('INSERT INTO poked VALUES (1)')"""
    look = """op.execute('''INSERT INTO seen VALUES (current_setting('statement_timeout'),
    concat(current_setting('idle_in_transaction_session_timeout'),
           current_setting('lock_timeout') = '0'))''')"""
    write_history(tmp_path / "history", ("r1", BASE), ("r2", setting), ("r3", look))
    Project(tmp_path, database.url, tmp_path / "history")
    fleet = open_fleet()
    assert fleet.onboard(NAMES, "r1").is_complete
    database.execute(f"INSERT INTO {SPECIAL}.users VALUES (1)")
    report = fleet.upgrade()
    assert by_name(report)[SPECIAL].engine == "replay", report.obstacles
    for name in NAMES:
        assert database.fetch(f"SELECT what, value FROM {name}.seen") == [("15min", "5minf")], name


@pytest.mark.parametrize("engine", ["auto", "alembic"])
def test_no_second_attempt_is_made_without_what_was_left(
    engine: str, tmp_path: Path, database: Database, open_fleet: OpenFleet
) -> None:
    """The next session would not have it: the tenant has failed, as with plain Alembic."""
    write_history(
        tmp_path / "history",
        ("r1", BASE),
        ("r2", "op.execute(\"SET datestyle = 'German'\")"),
        ("r3", "op.execute('ALTER TABLE users ADD d text DEFAULT current_date')"),
    )
    Project(tmp_path, database.url, tmp_path / "history")
    fleet = open_fleet(engine=engine, lock_timeout=0.2)
    assert fleet.onboard(NAMES, "r1").is_complete
    with reading(database, f"{SPECIAL}.users"):
        report = by_name(fleet.upgrade())[SPECIAL]
    assert (report.outcome, report.attempts, report.to_revision) == ("failed", 1, "r2")
    assert "SET DateStyle (revision r2)" in str(report.error)
    assert fleet.upgrade().is_complete


@pytest.mark.slow
def test_what_a_replay_leaves_for_alembic_is_told(
    tmp_path: Path, database: Database, open_fleet: OpenFleet
) -> None:
    """A trigger set something in one tenant alone, and the next revision is no replay's."""
    setting = """op.execute('''CREATE OR REPLACE FUNCTION leave() RETURNS trigger
LANGUAGE plpgsql AS $$ BEGIN IF EXISTS (SELECT FROM users) THEN
    PERFORM set_config('datestyle', 'German', false); END IF; RETURN NEW; END $$''')
op.execute('INSERT INTO poked VALUES (1)')"""
    impure = "op.get_bind().execute(sa.text('SELECT count(*) FROM users')).scalar()"
    scripts = write_history(
        tmp_path / "history", ("r1", BASE), ("r2", setting), ("r3", impure), ("r4", "pass")
    )
    Project(tmp_path, database.url, scripts)
    fleet = open_fleet()
    names = ["acme", "beta", "delta", SPECIAL]
    assert fleet.onboard(names, "r1").is_complete
    database.execute(f"INSERT INTO {SPECIAL}.users VALUES (1)")
    report = by_name(fleet.upgrade())
    assert [report[name].outcome for name in names] == ["upgraded"] * 3 + ["failed"]
    assert (report[SPECIAL].to_revision, report[SPECIAL].attempts) == ("r2", 1)
    assert "SET DateStyle" in str(report[SPECIAL].error)
    assert fleet.upgrade().is_complete


def test_a_version_that_changes_with_the_commit_is_in_doubt(
    tmp_path: Path, databases: list[Database]
) -> None:
    """The COMMIT is acknowledged, and a deferred trigger has put the version back."""
    ours, *_ = databases
    back = """op.execute('''CREATE FUNCTION back() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF EXISTS (SELECT FROM users) AND NEW.version_num <> 'r1' THEN
        UPDATE alembic_version SET version_num = 'r1';
    END IF; RETURN NULL; END $$''')
op.execute('CREATE CONSTRAINT TRIGGER back AFTER UPDATE ON alembic_version'
           ' DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION back()')"""
    plain = "op.execute('ALTER TABLE poked ADD n int')"
    scripts = write_history(tmp_path / "history", ("r1", BASE + "\n" + back), ("r2", plain))
    Project(tmp_path, ours.url, scripts)
    with Fleet.open(tmp_path / "alembic.ini", database_url=ours.url, parallel=1) as fleet:
        assert fleet.onboard(NAMES, "r1").is_complete
        ours.execute(f"INSERT INTO {SPECIAL}.users VALUES (1)")
        report = by_name(fleet.upgrade())
    outcomes = Counter(tenant.outcome.value for tenant in report.values())
    assert outcomes == {"upgraded": 2, "in_doubt": 1}
    assert report[SPECIAL].engine == "replay"
    assert "'r1', 'r2', 'upgraded'" in str(report[SPECIAL].error)


def test_plain_alembic_has_the_limits_again_at_each_revision(
    tmp_path: Path, database: Database
) -> None:
    """By the callback that env.py of `tenantmig init` has."""
    limits = LEAVINGS["limits"]
    scripts = write_history(
        tmp_path / "history", ("r1", BASE), ("r2", limits.leaves), ("r3", limits.sees)
    )
    project = Project(tmp_path, database.url, scripts)
    database.execute("CREATE SCHEMA acme")
    project.alembic("-x", "tenant=acme", "upgrade", "head")
    assert database.fetch("SELECT value FROM acme.seen") == [("1h",), ("f 15min 5min",)]
