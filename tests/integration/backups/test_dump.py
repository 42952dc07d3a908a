"""Dumps through the relay: what pg_dump writes by itself, without reading the other tenants."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from psycopg.pq.abc import PGresult

from tenantmig import Fleet, RunOptions, Selection
from tenantmig.backups.backup import Backups
from tenantmig.backups.client_programs import ClientPrograms
from tenantmig.backups.connecting import Connecting
from tenantmig.backups.dump import literal_pattern
from tenantmig.backups.dump_relay import DumpRelay
from tenantmig.backups.dump_scope import DumpScope
from tenantmig.backups.dump_wire import Wire
from tenantmig.backups.running_program import Limits
from tenantmig.cli.progress import Reporter
from tenantmig.domain.database_url import DatabaseUrl
from tenantmig.domain.events import Event, SlowBackup
from tenantmig.domain.tenant import Tenant
from tenantmig.errors import BackupError, ClientProgramError
from tenantmig.postgres.connection import SessionOptions
from tests.fixtures.client_programs import programs_for, wrapped
from tests.fixtures.command import Project
from tests.fixtures.database import Database
from tests.fixtures.every_kind import BACK, IN_PG_CATALOG, KINDS, LEFT_OUT, SHARED
from tests.fixtures.history import write_history
from tests.fixtures.processes import wait_until
from tests.fixtures.sample_schema import ODD_NAMES, SAMPLE, build

ACME = Tenant("acme", "acme")


@pytest.fixture
def programs(database: Database) -> ClientPrograms:
    return programs_for(database.url)


@pytest.fixture
def role(database: Database) -> Iterator[str]:
    name = f"other_{database.name}"
    database.execute(f"CREATE ROLE {name}")
    yield name
    database.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


@pytest.fixture
def stranger(database: Database) -> str:
    """Another tenant; its names tell whatever is asked of it."""
    build(database.connect(), "stranger", SAMPLE.replace("users", "stranger_users"))
    return "stranger"


def build_all(database: Database, role: str, schemas: list[str], sample: str = SAMPLE) -> None:
    connection = database.connect()
    build(connection, "shared", SHARED)
    connection.execute("CREATE FOREIGN DATA WRAPPER none; CREATE SERVER elsewhere FOREIGN DATA"
                       " WRAPPER none")  # fmt: skip
    for number, schema in enumerate(schemas):
        quoted = '"' + schema.replace('"', '""') + '"'
        kinds = (KINDS.replace("{schema}", quoted).replace("{role}", role)
                 .replace("{number}", str(number)))  # fmt: skip
        build(connection, schema, sample)
        build(connection, schema, kinds)


def connecting(database: Database) -> Connecting:
    return Connecting(DatabaseUrl.parse(database.url), "tenantmig test")


def script(database: Database, programs: ClientPrograms, schema: str, *, is_relayed: bool) -> str:
    """What pg_dump writes as SQL, but the word of \\restrict, a new one each time."""
    arguments = (f"--schema={literal_pattern(schema)}", "--strict-names", "--encoding=UTF8")
    limits = Limits.within(120)
    if is_relayed:
        with DumpRelay(connecting(database), schema) as relay:
            text = programs.run("pg_dump", *arguments, connecting=relay.connecting, limits=limits)
        assert (relay.problem, relay.is_refused) == (None, False)
    else:
        text = programs.run("pg_dump", *arguments, connecting=connecting(database), limits=limits)
    return re.sub(r"\\(un)?restrict .*", "", text.decode())


@pytest.mark.slow
@pytest.mark.parametrize("version", ["16", "18"])
def test_a_dump_is_what_pg_dump_writes_by_itself(
    request: pytest.FixtureRequest, version: str
) -> None:
    database: Database = request.getfixturevalue("database16" if version == "16" else "database")
    role = f"other_{database.name}"
    database.execute(f"CREATE ROLE {role}")
    try:
        schemas = ["acme", "beta", *ODD_NAMES]
        build_all(database, role, schemas)
        database.execute(BACK.replace("{schema}", "acme"))
        programs = programs_for(database.url)
        for schema in (*schemas, "shared", "public"):
            found, expected = (
                script(database, programs, schema, is_relayed=way) for way in (True, False)
            )
            assert found == expected
    finally:
        database.execute(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")


def test_pg_dump_does_not_hear_of_other_tenants(
    database: Database, programs: ClientPrograms, stranger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(database.connect(), "acme", SAMPLE)
    oids = database.fetch(
        "SELECT oid::text FROM pg_class WHERE relnamespace = %s::regnamespace", [stranger]
    )
    heard: set[bytes] = set()
    spread = Wire.result

    def listen(self: Wire, result: PGresult) -> None:
        cells = ((row, column) for row in range(result.ntuples) for column in range(result.nfields))
        heard.update(result.get_value(row, column) or b"" for row, column in cells)
        spread(self, result)

    monkeypatch.setattr(Wire, "result", listen)
    assert "CREATE TABLE acme.users" in script(database, programs, "acme", is_relayed=True)
    assert b"acme" in heard
    assert not [text for text in heard if b"stranger" in text]
    assert not heard & {oid.encode() for (oid,) in oids}


def test_a_tenant_cannot_stand_in_the_way_of_the_relay(
    database: Database, programs: ClientPrograms
) -> None:
    """Its operator fits better than PostgreSQL's, and its schema is on the path of the role."""
    connection = database.connect()
    build(
        connection,
        "acme",
        f"{SAMPLE}; CREATE FUNCTION trap(oid, oid) RETURNS boolean LANGUAGE plpgsql"
        " AS 'BEGIN RAISE EXCEPTION ''trap''; END'; CREATE OPERATOR = (LEFTARG = oid,"
        " RIGHTARG = oid, FUNCTION = trap)",
    )
    connection.execute(f'ALTER DATABASE "{database.name}" SET search_path = acme, pg_catalog')
    try:
        with DumpRelay(connecting(database), "acme") as relay:
            assert relay.is_worth_it
        assert "FUNCTION acme.trap" in script(database, programs, "acme", is_relayed=True)
    finally:
        connection.execute("SET search_path = pg_catalog")
        connection.execute(f'ALTER DATABASE "{database.name}" RESET search_path')


def test_what_lies_in_pg_catalog_and_is_not_of_initdb_is_seen(
    database: Database, programs: ClientPrograms
) -> None:
    """PostgreSQL notes no dependency on that schema."""
    build(database.connect(), "acme", IN_PG_CATALOG)
    found, expected = (script(database, programs, "acme", is_relayed=way) for way in (True, False))
    assert found == expected
    assert 'own_text COLLATE pg_catalog."POSIX"' in found


# -- what takes the slow way ----------------------------------------------------------------


class Folder:
    """Backups of one database into a folder, with what they tell and how often pg_dump ran."""

    def __init__(self, database: Database, path: Path, programs: ClientPrograms) -> None:
        counted = 'echo "$PGHOST" >> "$0.hosts"; exec "$REAL" "$@"'
        self.programs = wrapped(programs, path / "bin", pg_dump=counted)
        options = SessionOptions(DatabaseUrl.parse(database.url), lock_timeout_s=0.2)
        self.backups = Backups(path / "backups", self.programs, options)
        self.backups.check()
        self.told: list[str] = []

    def save(self) -> str:
        """Back up, and return the script of what was saved."""
        file = self.backups.write(1, ACME, self.told.append)
        printed = self.programs.run("pg_restore", "-f", "-", str(file), limits=Limits.within(60))
        return printed.decode()

    @property
    def is_relayed(self) -> list[bool]:
        """For each time that pg_dump ran: whether it asked a relay."""
        hosts = (self.programs.folder / "pg_dump.hosts").read_text().splitlines()
        return ["tenantmig-" in host for host in hosts]


@pytest.fixture
def folder(database: Database, tmp_path: Path, programs: ClientPrograms) -> Folder:
    build(database.connect(), "acme", SAMPLE)
    return Folder(database, tmp_path, programs)


def test_a_dump_through_the_relay_tells_nothing(folder: Folder) -> None:
    assert "CREATE TABLE acme.users" in folder.save()
    assert folder.is_relayed == [True]
    assert folder.told == []


@pytest.mark.slow
def test_what_pg_dump_leaves_out_is_not_missed(
    database: Database, folder: Folder, role: str
) -> None:
    """Or each backup of such a tenant would read the whole catalog, for nothing."""
    build_all(database, role, ["acme"], sample="")
    build(database.connect(), "acme", LEFT_OUT)
    assert "CREATE TABLE acme.city" in folder.save()
    assert folder.is_relayed == [True]
    assert folder.told == []


@pytest.mark.slow
@pytest.mark.parametrize("hidden", ["users", "tickets", "v", "mv"])
def test_an_object_that_the_relay_would_hide_is_noticed(
    database: Database, folder: Folder, monkeypatch: pytest.MonkeyPatch, hidden: str
) -> None:
    [(oid,)] = database.fetch("SELECT %s::regclass::oid::text", [f"acme.{hidden}"])
    narrow = DumpScope.narrow

    def hide(self: DumpScope, question: str) -> str:
        return re.sub(rf"\b{oid},|,{oid}\b", "", narrow(self, question))

    monkeypatch.setattr(DumpScope, "narrow", hide)
    assert re.search(rf"CREATE [A-Z ]+ acme\.{hidden}\b", folder.save())
    assert folder.is_relayed == [True, False]
    assert len(folder.told) == 1


@pytest.mark.parametrize(
    ("instead", "reason"),
    [("SELECT nonsense", "nonsense"), ("SELECT 1 WHERE false", ""), ("LISTEN; SELECT", "syntax")],
)
def test_a_question_that_was_spoilt_is_asked_by_pg_dump_itself(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, instead: str, reason: str
) -> None:
    narrow = DumpScope.narrow

    def spoil(self: DumpScope, question: str) -> str:
        return instead if "FROM pg_class c" in question else narrow(self, question)

    monkeypatch.setattr(DumpScope, "narrow", spoil)
    assert "CREATE TABLE acme.users" in folder.save()
    assert folder.is_relayed == [True, False]
    assert [reason in told for told in folder.told] == [True]


@pytest.mark.slow
def test_a_run_tells_of_a_slow_backup(
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    create = ("r1", "op.execute('CREATE TABLE thing (id int)')", "op.execute('DROP TABLE thing')")
    project = Project(tmp_path, database.url, write_history(tmp_path / "history", create))
    reporter, told = Reporter(), list[Event]()

    def on_event(event: Event) -> None:
        told.append(event)
        reporter(event)

    options = RunOptions(backup=tmp_path / "backups", on_event=on_event)
    with Fleet.open(project.ini, database_url=database.url) as fleet:
        fleet.onboard(["acme", "beta"])
        fleet.downgrade("base", Selection(names=("acme",)), options)
        assert not [event for event in told if isinstance(event, SlowBackup)]
        monkeypatch.setattr(DumpScope, "narrow", lambda *_: "SELECT nonsense")
        report = fleet.downgrade("base", Selection(names=("beta",)), options)
    slow = [event for event in told if isinstance(event, SlowBackup)]
    assert [(event.tenant, "nonsense" in event.reason) for event in slow] == [("beta", True)]
    assert report.counts == {"downgraded": 1}
    assert (
        "beta: its backup had to read the catalog of the whole database" in capsys.readouterr().err
    )


def test_what_the_relay_does_not_know_is_refused(database: Database) -> None:
    build(database.connect(), "acme", SAMPLE)
    with DumpRelay(connecting(database), "acme") as relay:
        given = relay.connecting.parameters
        with pytest.raises(psycopg.OperationalError):  # the "extended query" protocol
            psycopg.connect(**given).execute("SELECT %s", [1])  # type: ignore[arg-type]
        assert relay._thread is not None
        relay._thread.join(10)
        assert relay.problem is not None
        assert "of the unknown type" in relay.problem


def test_a_relay_without_a_place_for_its_socket_is_told(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / ("long" * 50)
    place.mkdir()
    monkeypatch.setattr("tenantmig.backups.dump_relay._private_folder", lambda: place)
    assert "CREATE TABLE acme.users" in folder.save()
    assert folder.is_relayed == [False]
    assert ["no socket can be created" in told for told in folder.told] == [True]
    assert not place.exists()


def test_what_the_server_refuses_is_not_asked_again(database: Database, folder: Folder) -> None:
    with database.connect() as holder, holder.transaction():
        holder.execute("LOCK TABLE acme.users IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(BackupError, match="pg_dump: error"):
            folder.save()
    assert folder.is_relayed == [True]
    assert folder.told == []


def test_a_large_tenant_is_dumped_without_the_relay(database: Database, folder: Folder) -> None:
    database.execute(
        "CREATE TABLE acme.large AS SELECT repeat('x', 1000) FROM generate_series(1, 20000);"
        " ANALYZE acme.large"
    )
    assert "CREATE TABLE acme.large" in folder.save()
    assert folder.is_relayed == [False]
    assert folder.told == []


# -- how it ends ----------------------------------------------------------------------------


def test_a_dump_that_is_stopped_while_it_waits_leaves_nothing(
    database: Database, programs: ClientPrograms
) -> None:
    build(database.connect(), "acme", SAMPLE)
    stop = threading.Event()
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND database IS NOT NULL"
    with database.connect() as holder, holder.transaction():
        holder.execute("LOCK TABLE acme.users IN ACCESS EXCLUSIVE MODE")
        with DumpRelay(connecting(database), "acme") as relay:
            folder = Path(relay.connecting.parameters["host"])
            assert oct(folder.stat().st_mode & 0o777) == "0o700"

            def stop_when_waiting() -> None:
                wait_until(lambda: database.fetch(waiting) == [(1,)], "pg_dump does not wait")
                stop.set()

            stopper = threading.Thread(target=stop_when_waiting)
            stopper.start()
            with pytest.raises(ClientProgramError, match="stopped"):
                programs.run(
                    "pg_dump", "--schema=acme", connecting=relay.connecting,
                    limits=Limits.within(60, stop),
                )  # fmt: skip
            stopper.join()
        wait_until(lambda: database.fetch(waiting) == [(0,)], "its statement is still there")
    assert not folder.exists()


@pytest.mark.slow
def test_rows_come_through_the_relay_as_they_are(
    database: Database, programs: ClientPrograms
) -> None:
    build(
        database.connect(),
        "acme",
        "CREATE TABLE wide AS SELECT n, repeat(E'\\\\\\t\\n\\r\\b\\f\\v é', n % 5000) AS text,"
        " decode(repeat('00ff', n % 9), 'hex') AS bytes, NULL::int AS nothing"
        " FROM generate_series(1, 3000) AS n; CREATE TABLE none (); CREATE TABLE empty (a int)",
    )
    found, expected = (script(database, programs, "acme", is_relayed=way) for way in (True, False))
    assert found == expected


def test_a_server_that_ends_the_session_fails_the_dump(
    database: Database, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow, ended = DumpScope.narrow, threading.Event()

    def end(self: DumpScope, question: str) -> str:
        if "FROM pg_class c" in question and not ended.is_set():
            ended.set()
            database.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'tenantmig run 1'"
            )
        return narrow(self, question)

    monkeypatch.setattr(DumpScope, "narrow", end)
    with suppress(BackupError):
        assert "CREATE TABLE acme.users" in folder.save()
    assert folder.is_relayed[0]
