"""What no tenant can survive ends the run at once, with the reason (F19, F21, F22).

A full disk, a server that became read-only, another server behind the address, a login that was
revoked. What concerns one tenant alone, as a right on its tables, ends with that tenant.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.fixtures.command import Project
from tests.fixtures.database import Database, fresh_database
from tests.fixtures.faults import BYSTANDER, COUNT, TENANTS, TWO
from tests.fixtures.goldens import DdlLog
from tests.fixtures.holds import CONCURRENT_R3, HELD_R2, fleet_of, held, held_backends
from tests.fixtures.processes import give, server_user, wait_until
from tests.fixtures.promises import SECRET, Promises
from tests.fixtures.proxy import Proxy
from tests.fixtures.server import Server

AT_ONCE = ("--canary", "0")
ONE_BY_ONE = ("--canary", "0", "-p", "1")
SIZE_MB = 48
FILLING = (
    "r2",
    (
        "op.execute('ALTER TABLE thing ADD size int')\n"
        "op.execute('CREATE TABLE heap (id int, filler text) TABLESPACE small')\n"
        "op.execute(\"INSERT INTO heap SELECT n, repeat('x', 500)"
        ' FROM generate_series(1, 6000) n")\n'
        f"{COUNT}"
    ),
)


@contextmanager
def small_disk() -> Iterator[Path]:
    """Mount a small file system that the server may write to."""
    folder = Path(tempfile.mkdtemp(prefix="small-disk-"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        folder.rmdir()
        pytest.fail(f"this test mounts a tmpfs, as root, and cannot: {done.stderr}", pytrace=False)
    try:
        give(folder, server_user())
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()


@contextmanager
def ballast(folder: Path, spare_bytes: int = 300_000) -> Iterator[None]:
    """Fill a disk but for a rest."""
    file = folder / "ballast"
    free = os.statvfs(folder)
    with file.open("wb") as written:
        os.posix_fallocate(written.fileno(), 0, free.f_bavail * free.f_bsize - spare_bytes)
    try:
        yield
    finally:
        file.unlink()


def test_the_disk_is_full(
    tmp_path: Path, victim: Server, victim_database: Database, promises: Promises
) -> None:
    before = len(victim.log_text())
    with small_disk() as folder:
        victim.execute_admin(f"CREATE TABLESPACE small LOCATION '{folder}'")
        try:
            fleet = fleet_of(tmp_path, victim_database, FILLING, CONCURRENT_R3)
            with promises.watch(
                fleet, victim_database, touched=TENANTS, old="r1", new="r3", converging=["resume"]
            ) as watch:
                with ballast(folder):
                    report = watch.run("upgrade", *ONE_BY_ONE, expect=3).json
                assert set(watch.versions().values()) == {"r1"}
        finally:
            schemas = ", ".join(f'"{name.replace(chr(34), chr(34) * 2)}"' for name in TENANTS)
            victim_database.execute(f"DROP SCHEMA {schemas} CASCADE")
            victim.execute_admin("DROP TABLESPACE small")
    assert report["counts"] == {"failed": 1, "skipped": len(TENANTS) - 1}
    failed = next(row for row in report["tenants"] if row["outcome"] == "failed")
    assert (failed["sqlstate"], failed["attempts"]) == ("53100", 1)
    assert "No space left on device" in report["reason"]
    lines = [line for line in victim.log_text()[before:].splitlines() if " 53100 ERROR" in line]
    assert ["tenantmig" in line for line in lines] == [True]


@contextmanager
def read_only(server: Server) -> Iterator[None]:
    """Let every transaction that begins on a server be read-only."""
    _configure(server, "ALTER SYSTEM SET default_transaction_read_only = on", "on")
    try:
        yield
    finally:
        # ALTER SYSTEM writes a file, and is allowed
        _configure(server, "ALTER SYSTEM RESET default_transaction_read_only", "off")


def _configure(server: Server, statement: str, becomes: str) -> None:
    server.execute_admin(statement)
    server.execute_admin("SELECT pg_reload_conf()")
    shown = "SHOW default_transaction_read_only"
    wait_until(lambda: server.execute_admin(shown) == [(becomes,)], "not reloaded")


def test_a_server_that_is_read_only_from_the_start(
    tmp_path: Path, victim: Server, victim_database: Database, promises: Promises
) -> None:
    fleet = fleet_of(tmp_path, victim_database, HELD_R2, CONCURRENT_R3)
    with promises.watch(fleet, victim_database, touched=TENANTS, old="r1", new="r3") as watch:
        with read_only(victim):
            error = watch.run("upgrade", expect={2, 3}).json["error"]
        assert "read-only" in error["message"]
        assert set(watch.versions().values()) == {"r1"}
        assert watch.outcomes() == {}


def test_a_server_becomes_read_only(
    tmp_path: Path, victim: Server, victim_database: Database, promises: Promises
) -> None:
    """The ledger cannot be written any more either: the command says so, and what to do."""
    before = len(victim.log_text())
    fleet = fleet_of(tmp_path, victim_database, HELD_R2, CONCURRENT_R3)
    with promises.watch(
        fleet,
        victim_database,
        touched=TENANTS,
        old="r1",
        new="r3",
        between=["r2"],
        converging=["resume"],
    ) as watch:
        with ExitStack() as standstill:
            with held(victim_database):
                driver = watch.start("upgrade", *AT_ONCE)
                held_backends(victim_database, 2)
                standstill.enter_context(read_only(victim))
            error = watch.finish(driver, expect=3).json["error"]
        assert "read-only" in error["message"]
        assert "resume" in error["message"]
        untouched = [name for name, version in watch.versions().items() if version == "r1"]
        assert len(untouched) >= len(TENANTS) - 2
    lines = victim.log_text()[before:].splitlines()
    assert any(" 25006 ERROR" in line and "tenantmig" in line for line in lines)


def test_a_standby_is_refused(
    tmp_path: Path, victim: Server, victim_database: Database, promises: Promises
) -> None:
    fleet = fleet_of(tmp_path, victim_database, HELD_R2, CONCURRENT_R3)
    primary = fleet.url
    with promises.watch(fleet, victim_database, touched=TENANTS, old="r1", new="r3") as watch:
        with victim.standby() as standby:
            fleet.url = standby.url(victim_database.name, user="postgres", password=SECRET)
            for command in (["upgrade"], ["resume"], ["rollback", "1"], ["onboard", "new"]):
                error = watch.run(*command, expect=2).json["error"]
                assert error["type"] == "StandbyError"
        fleet.url = primary
        assert watch.outcomes() == {}


def test_the_address_is_switched_to_a_promoted_standby(tmp_path: Path, promises: Promises) -> None:
    """COMMITs that the old primary acknowledged may be lost there: nobody goes on as if not."""
    with (
        Server(18) as primary,
        fresh_database(primary) as database,
        primary.standby() as standby,
        Proxy(primary) as proxy,
    ):
        fleet = fleet_of(tmp_path, database, HELD_R2, CONCURRENT_R3)
        fleet.url = proxy.url(database.name, SECRET)
        with promises.watch(
            fleet,
            database,
            touched=TENANTS,
            old="r1",
            new="r3",
            between=["r2"],
            converging=["resume"],
        ) as watch:
            with held(database):
                driver = watch.start("upgrade", *AT_ONCE)
                held_backends(database, 2)
                position = database.fetch("SELECT pg_current_wal_flush_lsn()")[0][0]
                arrived = f"SELECT pg_last_wal_replay_lsn() >= '{position}'"
                wait_until(lambda: standby.execute_admin(arrived) == [(True,)], "it lags", 60)
                standby.promote()
                proxy.lead_to(standby)
                result = watch.finish(driver, expect=3)
            watch.database = Database(standby, database.name)
            watch.log = DdlLog(watch.database)
            assert "timeline" in result.out
            assert "/2" in result.out  # the new one
            assert set(watch.versions().values()) == {"r1"}
        watch.database.close_connections()
        timeline = "SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)"
        assert standby.execute_admin(timeline) == [("00000002",)]
        on_old = database.fetch(f'SELECT version_num FROM "{TENANTS[0]}".alembic_version')
        assert on_old == [("r1",)]


@pytest.fixture
def clerks_fleet(tmp_path: Path, victim: Server, victim_database: Database, clerk: str) -> Project:
    """A fleet that belongs to that role."""
    url = victim.url(victim_database.name, user=clerk, password=SECRET)
    return fleet_of(tmp_path, victim_database, HELD_R2, CONCURRENT_R3, url=url)


def test_the_login_is_revoked(
    clerks_fleet: Project,
    clerk: str,
    victim: Server,
    victim_database: Database,
    promises: Promises,
) -> None:
    """Its sessions are ended and no new one is let in: nothing is waited for."""
    before = len(victim.log_text())
    with promises.watch(
        clerks_fleet,
        victim_database,
        touched=TENANTS,
        old="r1",
        new="r3",
        owner=clerk,
        converging=["resume"],
        deadline_s=50,  # less than the wait for a server that restarts
    ) as watch:
        with held(victim_database):
            driver = watch.start("upgrade", *AT_ONCE)
            pids = held_backends(victim_database, 2)
            victim.execute_admin(f"ALTER ROLE {clerk} NOLOGIN")
            victim.execute_admin(
                f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE pid IN"
                f" ({', '.join(map(str, pids))})"
            )
            result = watch.finish(driver, expect=3)
        victim.execute_admin(f"ALTER ROLE {clerk} LOGIN")
        watch.deadline_s = 90
        assert "log in" in result.out
        assert clerk in result.out
        assert set(watch.versions().values()) == {"r1"}
    assert " 28000 FATAL" in victim.log_text()[before:]


def test_the_login_is_revoked_and_every_session_ended(
    clerks_fleet: Project,
    clerk: str,
    victim: Server,
    victim_database: Database,
    promises: Promises,
) -> None:
    """The control connection is gone as well: the ledger cannot be written, and that is said."""
    before = len(victim.log_text())
    clerks_fleet.settings(f'{TWO}reconnect_timeout = "5s"\n')
    with promises.watch(
        clerks_fleet,
        victim_database,
        touched=TENANTS,
        old="r1",
        new="r3",
        owner=clerk,
        converging=["resume"],
    ) as watch:
        with held(victim_database):
            driver = watch.start("upgrade", *AT_ONCE)
            held_backends(victim_database, 2)
            victim.execute_admin(f"ALTER ROLE {clerk} NOLOGIN")
            victim.execute_admin(
                # the control connection first: else the run may end on it by itself
                "SELECT pg_terminate_backend(pid, 10000) FROM ("
                f"SELECT pid FROM pg_stat_activity WHERE usename = '{clerk}'"
                " ORDER BY application_name) AS session"
            )
            result = watch.finish(driver, expect=3)
        victim.execute_admin(f"ALTER ROLE {clerk} LOGIN")
        assert "not permitted to log in" in result.json["error"]["message"]
        assert set(watch.versions().values()) == {"r1"}
    assert " 28000 FATAL" in victim.log_text()[before:]


def test_rights_on_one_tenant_are_revoked(
    clerks_fleet: Project,
    clerk: str,
    victim: Server,
    victim_database: Database,
    promises: Promises,
) -> None:
    """42501 is that tenant's alone, whose turn comes after it was revoked."""
    before = len(victim.log_text())
    poor = TENANTS[-1]
    with promises.watch(
        clerks_fleet,
        victim_database,
        touched=TENANTS,
        old="r1",
        new="r3",
        owner=clerk,
        between=["r2"],
    ) as watch:
        with held(victim_database):
            options = ("--engine", "auto", "--max-failures", "1")
            driver = watch.start("upgrade", *ONE_BY_ONE, *options)
            held_backends(victim_database)
            assert watch.versions()[poor] == "r1"
            victim_database.execute(f'ALTER TABLE "{poor}".thing OWNER TO postgres')
        report = watch.finish(driver, expect=3).json
        victim_database.execute(f'ALTER TABLE "{poor}".thing OWNER TO {clerk}')
    rows = {row["tenant"]: row for row in report["tenants"]}
    assert (rows[poor]["outcome"], rows[poor]["sqlstate"]) == ("failed", "42501")
    assert rows[poor]["attempts"] == 2  # by replay first, then by alembic, which has the last word
    assert report["counts"] == {"upgraded": len(TENANTS) - 1, "failed": 1}
    assert " 42501 ERROR" in victim.log_text()[before:]
    bystander = victim_database.fetch(f"SELECT version_num FROM {BYSTANDER}.alembic_version")
    assert bystander == [("r1",)]
