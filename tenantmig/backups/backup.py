"""Backups: one file a tenant, taken before something is taken away from it. Owns the files' names.

A tenant schema is dumped with all that lies in it, with owners and grants. What does not lie in a
schema is not in its dump: large objects (they belong to the database), roles, extensions (one that
lives in the tenant schema makes a restore impossible, and a drop is refused), publications that
name its tables, and what other schemas hold.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path
from threading import Event
from typing import IO, Any
from urllib.parse import quote

import psycopg

from tenantmig.backups.backup_file import check_backup
from tenantmig.backups.client_programs import ClientPrograms
from tenantmig.backups.connecting import Connecting
from tenantmig.backups.dump import Tell, dump, ignore
from tenantmig.backups.proof import hash_file, write_signature
from tenantmig.backups.recorded_hash import prepare_record, record_hash
from tenantmig.backups.running_program import Limits
from tenantmig.domain.tenant import Tenant
from tenantmig.errors import BackupError, TenantmigError
from tenantmig.ledger.claim import session_name
from tenantmig.postgres.connection import SessionOptions, connect

Record = Callable[[str, int, Tenant], None]


class Backups:
    """The backups in one folder. `write` may be called from any number of threads.

    `deadline_s` is the longest that one tenant may take; default: the statement timeout. With `key`
    each file is signed; `record` is told the SHA-256 of each before it gets its name.
    """

    def __init__(
        self,
        folder: Path,
        programs: ClientPrograms,
        options: SessionOptions,
        *,
        deadline_s: float | None = None,
        stop: Event | None = None,
        key: str | None = None,
        record: Record | None = None,
    ) -> None:
        self.folder = folder.absolute()
        self.programs = programs
        self.options = options
        self.deadline_s = options.statement_timeout_s if deadline_s is None else deadline_s
        self.stop = stop
        self.key = key
        self.record = record

    def check(self) -> None:
        """Make the folder if it is missing, and make sure that files can be written to it.

        Raises:
            BackupError: they cannot.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder) as trial:
                trial.write(b"\0" * 8192)
                trial.flush()
                os.fsync(trial.fileno())
        except OSError as error:
            raise BackupError(
                f"Backups cannot be written to {self.folder}: {error.strerror}."
                " Nothing was touched."
            ) from error

    def write(self, run: int, tenant: Tenant, tell: Tell = ignore) -> Path:
        """Dump a tenant schema, read the dump to its end, and return the file it then is in.

        No file is ever overwritten: a second backup of a tenant in the same run (after a retry,
        which may find the tenant at another revision) is `…+2.dump`. Only its owner can read it.
        `tell` gets the reason if the whole catalog was read for it, which a large fleet makes slow.

        Locks: ACCESS SHARE on the tenant's tables, waited for at most `lock_timeout`. Not the
        tenant's advisory lock: a caller who changes the tenant next holds that.
        Raises:
            BackupError: naming the tenant; no file of the final name is left.
        """
        name = f"run{run}-{quote(tenant.name, safe='')}"
        limits = Limits.within(self.deadline_s, self.stop)
        try:
            with self._partial(f"{name}.dump.partial") as (path, file):
                self._dump(run, tenant, path, limits, tell)
                check_backup(self.programs, path, tenant.schema, limits)
                os.fsync(file.fileno())
                digest = hash_file(path)
                if self.record is not None:
                    self.record(digest, run, tenant)
                return self._keep(path, name, digest)
        except (TenantmigError, OSError) as error:
            reason = error.message if isinstance(error, TenantmigError) else error.strerror
            raise BackupError(
                f'The tenant "{tenant.name}" cannot be backed up, and nothing was changed: {reason}'
            ) from error

    def _dump(self, run: int, tenant: Tenant, path: Path, limits: Limits, tell: Tell) -> None:
        options = self.options
        connecting = Connecting(options.url, session_name(run), options.connect_timeout_s)
        dump(self.programs, tenant.schema, path, connecting, limits, options.lock_timeout_s, tell)

    @contextmanager
    def _partial(self, name: str) -> Iterator[tuple[Path, IO[bytes]]]:
        """Hand out an empty file of this name, which is gone after an error.

        What a killed process left of that name is used again; what another one writes, never.
        """
        path = self.folder / name
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                is_ours = os.path.samestat(os.fstat(descriptor), path.stat())
            except (BlockingIOError, FileNotFoundError):
                is_ours = False
            if not is_ours:
                raise BackupError(f"Another process is writing {path}.")
            file.truncate()
            try:
                yield path, file
            except BaseException:
                with suppress(OSError):
                    path.unlink()
                raise

    def _keep(self, partial: Path, name: str, digest: str) -> Path:
        """Give a finished file its final name, or the next one that is free (`+` is in no name).

        Whoever holds the partial file is alone with its names.
        """
        suffixes = ("" if number == 1 else f"+{number}" for number in count(1))
        names = (self.folder / f"{name}{suffix}.dump" for suffix in suffixes)
        final = next(path for path in names if not path.exists())
        if self.key is not None:
            write_signature(final, digest, self.key)
        partial.rename(final)
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return final


def ledger_record(
    connection: psycopg.Connection[Any], options: SessionOptions, ledger: str
) -> Record | None:
    """Return what lets the ledger know a backup; None if the role may not make its table there.

    It opens a connection for each: several threads take backups.
    """
    if not prepare_record(connection, ledger):
        return None

    def record(digest: str, run: int, tenant: Tenant) -> None:
        try:
            with closing(connect(options)) as own:
                record_hash(own, ledger, digest, run, tenant.name)
        except psycopg.Error as error:
            reason = options.url.redact(str(error))
            raise BackupError(f"the ledger cannot record the backup: {reason}") from error

    return record
