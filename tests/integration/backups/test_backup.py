"""Backups: the right schema and no other, whole or not at all, with no secret anywhere."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path
from urllib.parse import unquote

import pytest

from tenantmig.backups.backup import Backups
from tenantmig.backups.backup_file import read_backup
from tenantmig.backups.client_programs import ClientPrograms
from tenantmig.backups.connecting import Connecting
from tenantmig.backups.found_programs import find_programs
from tenantmig.backups.running_program import Limits
from tenantmig.domain.database_url import DatabaseUrl
from tenantmig.domain.tenant import Tenant
from tenantmig.errors import BackupError, BackupFileError, ClientProgramError
from tenantmig.postgres.connection import SessionOptions
from tests.fixtures.client_programs import arguments, embedded_programs, programs_for, wrapped
from tests.fixtures.database import Database
from tests.fixtures.oracles import untouched_mark
from tests.fixtures.processes import wait_until
from tests.fixtures.sample_schema import ODD_NAMES, SAMPLE, build
from tests.fixtures.server import Server

SMALL = """
    CREATE TABLE t (a int);
    CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
    INSERT INTO alembic_version VALUES ('a1');
"""
PATTERNS = ["a_b", "axb", "a*b", "a?b", "A_B", "a.b", "a|b", "(a_b)", "a$b", '"a_b"', "-n", "%"]
SECRET = "p@ss w:rd'%41"  # noqa: S105  a password of no server


@pytest.fixture
def programs(database: Database) -> ClientPrograms:
    return programs_for(database.url)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backups"


def backups(
    database: Database,
    folder: Path,
    programs: ClientPrograms,
    *,
    url: str | None = None,
    lock_timeout_s: float = 2.0,
    deadline_s: float | None = None,
    stop: threading.Event | None = None,
) -> Backups:
    options = SessionOptions(DatabaseUrl.parse(url or database.url), lock_timeout_s=lock_timeout_s)
    made = Backups(folder, programs, options, deadline_s=deadline_s, stop=stop)
    made.check()
    return made


def limits() -> Limits:
    return Limits.within(60)


@pytest.fixture
def acme(database: Database) -> Tenant:
    build(database.connect(), "acme", SAMPLE)
    return Tenant("acme", "acme")


@pytest.fixture
def dump(database: Database, folder: Path, programs: ClientPrograms, acme: Tenant) -> Path:
    return backups(database, folder, programs).write(7, acme)


# -- what is written ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["acme", "x" * 63, *ODD_NAMES])
def test_a_backup_holds_the_tenant_and_says_so(
    database: Database, folder: Path, programs: ClientPrograms, name: str
) -> None:
    connection = database.connect()
    build(connection, name, SAMPLE)
    before = untouched_mark(connection)
    file = backups(database, folder, programs).write(7, Tenant(name, name))
    assert unquote(file.name) == f"run7-{name}.dump"
    facts = read_backup(programs, file, "alembic_version", limits())
    assert (facts.schema, facts.heads) == (name, ("a1",))
    assert untouched_mark(connection) == before
    assert list(folder.iterdir()) == [file]


def test_a_name_that_is_a_pattern_means_one_schema(
    database: Database, folder: Path, programs: ClientPrograms
) -> None:
    connection = database.connect()
    for name in PATTERNS:
        build(connection, name, SMALL)
    written = backups(database, folder, programs)
    files = {name: written.write(1, Tenant(name, name)) for name in PATTERNS}
    found = {
        name: read_backup(programs, file, "alembic_version", limits()).schema
        for name, file in files.items()
    }
    assert found == {name: name for name in PATTERNS}
    assert len(set(files.values())) == len(PATTERNS)
    assert {file.parent for file in files.values()} == {folder}


def test_a_name_with_slashes_stays_in_the_folder(
    database: Database, folder: Path, programs: ClientPrograms
) -> None:
    build(database.connect(), "acme", SMALL)
    tenant = Tenant("../../etc/é" + "/" * 50, "acme")
    file = backups(database, folder, programs).write(1, tenant)
    assert file.parent == folder
    assert unquote(file.name) == f"run1-{tenant.name}.dump"


def test_only_its_owner_can_read_a_backup(dump: Path) -> None:
    assert oct(dump.stat().st_mode & 0o777) == "0o600"
    assert oct(dump.parent.stat().st_mode & 0o777) == "0o700"


def test_no_backup_is_overwritten(
    database: Database, folder: Path, programs: ClientPrograms, dump: Path
) -> None:
    first = dump.read_bytes()
    database.execute("UPDATE acme.alembic_version SET version_num = 'b2'")
    written = backups(database, folder, programs)
    again = [written.write(7, Tenant("acme", "acme")).name for _ in range(2)]
    assert again == ["run7-acme+2.dump", "run7-acme+3.dump"]
    assert dump.read_bytes() == first
    second = folder / again[0]
    assert read_backup(programs, second, "alembic_version", limits()).heads == ("b2",)


@pytest.mark.parametrize(
    ("statements", "heads"),
    [
        ("DELETE FROM acme.alembic_version", ()),
        ("INSERT INTO acme.alembic_version VALUES ('0z')", ("0z", "a1")),
        ("DROP TABLE acme.alembic_version", None),
        ("ALTER TABLE acme.alembic_version ADD COLUMN at date DEFAULT '2020-01-01'", ("a1",)),
    ],
)
def test_the_revisions_of_a_backup_are_read(
    database: Database,
    folder: Path,
    programs: ClientPrograms,
    acme: Tenant,
    statements: str,
    heads: tuple[str, ...] | None,
) -> None:
    database.execute(statements)
    file = backups(database, folder, programs).write(1, acme)
    assert read_backup(programs, file, "alembic_version", limits()).heads == heads


def test_an_owner_who_is_no_superuser_can_back_up(
    database: Database, folder: Path, programs: ClientPrograms
) -> None:
    role = f"owner_{database.name}"
    database.execute(f"CREATE ROLE {role} LOGIN; CREATE SCHEMA acme AUTHORIZATION {role}")
    try:
        with database.connect() as connection:
            connection.execute(f"SET ROLE {role}".encode())
            connection.execute(f"SET search_path = acme; {SMALL}".encode())
        url = database.server.url(database.name, user=role)
        file = backups(database, folder, programs, url=url).write(1, Tenant("acme", "acme"))
        assert read_backup(programs, file, "alembic_version", limits()).heads == ("a1",)
    finally:
        database.execute(f"DROP SCHEMA acme CASCADE; DROP ROLE {role}")


# -- what fails -----------------------------------------------------------------------------


def test_a_missing_schema_fails_and_names_the_tenant(
    database: Database, folder: Path, programs: ClientPrograms
) -> None:
    build(database.connect(), "acme_x", SMALL)
    with pytest.raises(BackupError, match=r'"acme corp" cannot be backed up.*no matching schemas'):
        backups(database, folder, programs).write(1, Tenant("acme corp", "acme%"))
    assert list(folder.iterdir()) == []


def test_a_locked_table_is_waited_for_as_long_as_lock_timeout(
    database: Database, folder: Path, programs: ClientPrograms, acme: Tenant
) -> None:
    written = backups(database, folder, programs, lock_timeout_s=0.2, deadline_s=60)
    with database.connect() as holder, holder.transaction():
        holder.execute("LOCK TABLE acme.users IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(BackupError, match=r'"acme" cannot be backed up.*pg_dump') as failed:
            written.write(1, acme)
        assert "was ended" not in failed.value.message  # by its own limit, not by ours
    assert list(folder.iterdir()) == []
    assert written.write(1, acme).is_file()


@pytest.mark.parametrize(
    "script",
    [
        'cd "$BACKUPS"; "$REAL" "$@"; truncate -s 3000 *.partial',  # ends well nevertheless
        'cd "$BACKUPS"; "$REAL" "$@"; truncate -s -1 *.partial',
        '"$REAL" "$@"; exit 1',
        "kill -9 $$",
        "echo not a dump",
    ],
)
def test_a_dump_that_cannot_be_read_keeps_no_final_name(
    database: Database,
    folder: Path,
    tmp_path: Path,
    programs: ClientPrograms,
    acme: Tenant,
    script: str,
) -> None:
    broken = wrapped(programs, tmp_path / "bin", pg_dump=f"BACKUPS={folder}; {script}")
    with pytest.raises(BackupError, match='The tenant "acme" cannot be backed up'):
        backups(database, folder, broken).write(1, acme)
    assert list(folder.iterdir()) == []


def test_a_killed_process_leaves_nothing_in_the_way(
    database: Database, folder: Path, programs: ClientPrograms, acme: Tenant
) -> None:
    written = backups(database, folder, programs)
    (folder / "run1-acme.dump.partial").write_bytes(b"x" * 100_000)
    file = written.write(1, acme)
    assert list(folder.iterdir()) == [file]
    assert read_backup(programs, file, "alembic_version", limits()).schema == "acme"


@pytest.mark.parametrize("how", ["stop", "deadline"])
def test_a_dump_can_be_ended(
    database: Database,
    folder: Path,
    tmp_path: Path,
    programs: ClientPrograms,
    acme: Tenant,
    how: str,
) -> None:
    pid = tmp_path / "pid"
    slow = wrapped(programs, tmp_path / "bin", pg_dump=f"echo $$ > {pid}; exec sleep 600")
    stop = threading.Event()
    written = backups(database, folder, slow, stop=stop, deadline_s=None if how == "stop" else 0.5)

    def stop_when_begun() -> None:
        wait_until(lambda: pid.exists() and bool(pid.read_text()), "not begun")
        if how == "stop":
            stop.set()

    stopper = threading.Thread(target=stop_when_begun)
    stopper.start()
    with pytest.raises(BackupError, match="stopped" if how == "stop" else r"longer than 0\.5 s"):
        written.write(1, acme)
    stopper.join()
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()
    assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_refused_before_anything(
    database: Database, tmp_path: Path, programs: ClientPrograms
) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(BackupError, match="Nothing was touched"):
            backups(database, folder, programs)


# -- files that are no backup of one tenant -------------------------------------------------


@pytest.mark.parametrize("part", [0, 4, 100, 0.5, 0.9, -1])
def test_a_truncated_file_is_refused(dump: Path, programs: ClientPrograms, part: float) -> None:
    data = dump.read_bytes()
    end = int(part) if part in {0, 4, 100, -1} else int(len(data) * part)
    dump.write_bytes(data[:end])
    with pytest.raises(BackupFileError, match=r"cannot be read as a backup"):
        read_backup(programs, dump, "alembic_version", limits())


def test_a_damaged_file_is_refused(
    database: Database, folder: Path, programs: ClientPrograms, acme: Tenant
) -> None:
    database.execute("CREATE TABLE acme.big AS SELECT md5(n::text) FROM generate_series(1, 9999) n")
    dump = backups(database, folder, programs).write(1, acme)
    data = bytearray(dump.read_bytes())
    data[len(data) // 2] ^= 0xFF
    dump.write_bytes(data)
    with pytest.raises(BackupFileError, match="cannot be read as a backup"):
        read_backup(programs, dump, "alembic_version", limits())


FOREIGN = {
    "two schemas": (["-Fc", "-n", "acme", "-n", "beta"], "2 schemas"),
    "another's table": (["-Fc", "-t", "public.countries", "-n", "acme"], "schemas"),
    "no schema": (["-Fc", "-t", "public.countries"], "0 schemas"),
    "a whole database": (["-Fc", "-N", "beta"], "it holds .*countries"),
    "SQL": (["-Fp", "-n", "acme"], "cannot be read"),
    "tar": (["-Ft", "-n", "acme"], "cannot be read"),
    "a folder": (["-Fd", "-n", "acme"], "cannot be read"),
}


@pytest.mark.parametrize(("options", "reason"), FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_file_is_refused(
    database: Database, tmp_path: Path, programs: ClientPrograms, options: list[str], reason: str
) -> None:
    connection = database.connect()
    build(connection, "acme", SMALL)
    build(connection, "beta", SMALL)
    build(connection, "public", "CREATE TABLE countries (id int)")
    database.allow_public("countries")
    file = tmp_path / "foreign"
    command = [str(programs.folder / "pg_dump"), *options, "-f", str(file), database.url]
    subprocess.run(command, check=True)
    with pytest.raises(BackupFileError, match=reason):
        read_backup(programs, file, "alembic_version", limits())


def test_a_missing_file_is_refused(tmp_path: Path, programs: ClientPrograms) -> None:
    with pytest.raises(BackupFileError, match=r"-none.*cannot be read as a backup"):
        read_backup(programs, tmp_path / "-none", "alembic_version", limits())


# -- secrets --------------------------------------------------------------------------------


def _with_password(database: Database) -> str:
    return database.server.url(database.name, user="postgres", password=SECRET)


def test_pg_dump_is_told_no_secret(
    database: Database,
    folder: Path,
    tmp_path: Path,
    programs: ClientPrograms,
    acme: Tenant,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGPASSWORD", SECRET)
    recording = wrapped(programs, tmp_path / "bin", pg_dump='env > "$0.env"; exec "$REAL" "$@"')
    url = _with_password(database) + "?keepalives_idle=17"
    backups(database, folder, recording, url=url).write(3, acme)
    given = arguments(recording) + (tmp_path / "bin" / "pg_dump.env").read_text()
    assert SECRET not in given
    assert "p%40ss" not in given
    assert "keepalives_idle" not in given
    assert "PGAPPNAME=tenantmig run 3\n" in given


def test_no_secret_stands_in_an_argument(database: Database, tmp_path: Path) -> None:
    recording = wrapped(embedded_programs(18), tmp_path / "bin", pg_dump='env > "$0.env"')
    url = DatabaseUrl.parse(_with_password(database) + "?keepalives_idle=17")
    recording.run("pg_dump", connecting=Connecting(url, "tenantmig run 3"), limits=limits())
    given = arguments(recording)
    assert "keepalives_idle=17" in given
    assert SECRET not in given
    assert "p%40ss" not in given
    variables = (tmp_path / "bin" / "pg_dump.env").read_text()
    assert f"PGPASSWORD={SECRET}\n" in variables
    assert "PGAPPNAME=tenantmig run 3\n" in variables


def test_no_secret_stands_in_an_error(
    database: Database, folder: Path, tmp_path: Path, programs: ClientPrograms, acme: Tenant
) -> None:
    telling = 'echo "fatal: $PGPASSWORD is\nwrong" >&2; exit 1'
    broken = wrapped(programs, tmp_path / "bin", pg_dump=telling)
    with pytest.raises(BackupError) as failed:
        backups(database, folder, broken, url=_with_password(database)).write(1, acme)
    assert "fatal: *** is wrong" in failed.value.message
    error: BaseException | None = failed.value
    while error is not None:
        assert SECRET not in str(error)
        error = error.__cause__


def test_a_wrong_password_is_an_error_on_one_line(folder: Path, tmp_path: Path) -> None:
    connecting = Connecting(DatabaseUrl.parse(f"postgresql://u:{'x' * 9}@127.0.0.1:1/db"), "t")
    with pytest.raises(ClientProgramError) as failed:
        embedded_programs(18).run("pg_dump", limits=limits(), connecting=connecting)
    assert "\n" not in failed.value.message
    assert "x" * 9 not in failed.value.message


def test_a_service_does_not_override_the_url() -> None:
    url = DatabaseUrl.parse("postgresql://u:secret@h:5433/db?service=prod&options=-c%20a.b%3D1")
    connecting = Connecting(url, "tenantmig")
    assert set(connecting.environment) == {
        "PGPASSWORD", "PGAPPNAME", "PGOPTIONS", "PGCLIENTENCODING"
    }  # fmt: skip
    assert connecting.environment["PGOPTIONS"].startswith("-c a.b=1 -c client_connection")
    for word in ("service=prod", "host=h", "port=5433", "dbname=db", "user=u"):
        assert word in connecting.arguments[1]
    assert "secret" not in connecting.arguments[1]


# -- which programs -------------------------------------------------------------------------


@pytest.fixture
def without_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A PATH of one empty folder and what a shell script needs."""
    (tmp_path / "path").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}{os.pathsep}/nonexistent")
    return tmp_path / "path"


def _fake(folder: Path, version: str, *programs: str) -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    for program in programs or ("pg_dump", "pg_restore"):
        (folder / program).write_text(f"#!/bin/sh\necho '{program} (PostgreSQL) {version}'\n")
        (folder / program).chmod(0o755)
    return folder


def test_the_first_programs_that_are_new_enough_are_taken(
    without_path: Path, tmp_path: Path
) -> None:
    configured = _fake(tmp_path / "own", "18.1")
    _fake(without_path, "15.18 (Debian 15.18-0+deb12u1)")
    assert find_programs(configured, 160004).folder == configured
    assert find_programs(None, 150002) == ClientPrograms(without_path, 15)
    assert find_programs(None, 160004) == embedded_programs(16)
    assert find_programs(None, 180000) == embedded_programs(18)
    _fake(without_path, "17beta1", "pg_restore")
    assert find_programs(None, 160004) == embedded_programs(16)  # pg_dump is still too old


def test_nothing_new_enough_is_refused_with_what_was_looked_for(
    without_path: Path, tmp_path: Path
) -> None:
    _fake(without_path, "15.18")
    with pytest.raises(ClientProgramError, match=r"PostgreSQL 19 or newer.*version 15.*version 18"):
        find_programs(None, 190000)
    with pytest.raises(ClientProgramError, match=r"version 14\)\. .*Set client_programs"):
        find_programs(_fake(tmp_path / "own", "14.2"), 160000)  # what is configured is not left
    with pytest.raises(ClientProgramError, match="no pg_dump"):
        find_programs(tmp_path, 160000)


def test_a_hanging_program_is_ended(tmp_path: Path) -> None:
    folder = _fake(tmp_path / "own", "18")
    (folder / "pg_restore").write_text("#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 0.1; done\n")
    began = time.monotonic()
    with pytest.raises(ClientProgramError, match="pg_restore was ended: it took longer than 1 s"):
        ClientPrograms(folder, 18).run("pg_restore", limits=Limits.within(1))
    assert time.monotonic() - began < 60


def test_programs_of_18_back_up_a_server_of_16(
    database16: Database, folder: Path, server16: Server
) -> None:
    build(database16.connect(), "acme", SAMPLE)
    programs = embedded_programs(18)
    file = backups(database16, folder, programs).write(1, Tenant("acme", "acme"))
    assert read_backup(programs, file, "alembic_version", limits()).schema == "acme"
    older = embedded_programs(16)
    with pytest.raises(BackupFileError, match="unsupported version"):
        read_backup(older, file, "alembic_version", limits())
