"""Every error tenantmig raises on purpose. Owns the words; knows no database and no terminal.

The docstring of a class is its default message. A message says what happened, to whom, and what
to do.
"""

from __future__ import annotations

from typing import ClassVar, NoReturn


class TenantmigError(Exception):
    """tenantmig refused or failed; see the message."""

    exit_code: ClassVar[int] = 2

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip().splitlines()[0])

    @property
    def message(self) -> str:
        """The sentence a user reads."""
        return str(self.args[0])


class SettingsError(TenantmigError):
    """A setting cannot be read; correct the file, key or variable that the message names."""


class DatabaseUrlError(TenantmigError):
    """The database URL cannot be used; give one like postgresql://user@host:5432/name."""


class TenantNameError(TenantmigError):
    """The tenant name is not allowed."""


class UnknownTenantError(TenantmigError):
    """No such tenant; `tenantmig tenants list` shows those that exist."""


class TenantExistsError(TenantmigError):
    """The tenant exists already; nothing was touched."""


class TenantSchemaMissingError(TenantmigError):
    """The tenant schema does not exist; onboard the tenant, or correct the schema in its source."""


class TenantStateError(TenantmigError):
    """The tenant is in a state in which this cannot be done."""


class SelectionError(TenantmigError):
    """No tenant is selected; say --tenant, --label, --from-file, --failed-in or --all."""


class EmptyFleetError(SelectionError):
    """The fleet has no tenants; say --allow-empty if that is right."""


class SourceError(TenantmigError):
    """The tenants cannot be read from their source."""


class HistoryError(TenantmigError):
    """The migration history is broken; no database was touched."""


class UnknownRevisionError(HistoryError):
    """The revision does not name exactly one script; `alembic history` lists them."""


class IrreversibleRevisionError(TenantmigError):
    """The revision cannot be downgraded."""


class OlderCodeError(HistoryError):
    """The code is older than what the fleet is rolled to; deploy the newer one."""


class VersionTableError(TenantmigError):
    """The version table of the tenant schema cannot be trusted; nothing was run for this tenant."""


class ConnectError(TenantmigError):
    """The database cannot be reached."""


class UnsafeServerError(TenantmigError):
    """The server at this address cannot be migrated safely."""


class PoolerError(UnsafeServerError):
    """A connection pooler stands before the server; give the database's own (direct) URL."""


class StandbyError(UnsafeServerError):
    """The server is a standby and read-only; give the primary's URL."""


class PrivilegeError(TenantmigError):
    """The role lacks a privilege that this command needs."""


class TenantLockedError(TenantmigError):
    """Another session is migrating this tenant; run again when it has ended."""


class TenantSessionError(TenantmigError):
    """The session left its tenant schema; the transaction was rolled back."""


class PartialRevisionError(TenantmigError):
    """An attempt was cut off in a revision of which a part is committed; it is not run again."""


class ForbiddenTextError(TenantmigError):
    """A script sends a statement as text that ends or begins a transaction; it was not run."""


class ReadBackError(TenantmigError):
    """What was read back after the COMMIT is not what was written; nothing is claimed."""


class DependentObjectsError(TenantmigError):
    """Objects outside the tenant schema depend on it; nothing was dropped."""


class ClientProgramError(TenantmigError):
    """A program of PostgreSQL (pg_dump, pg_restore) is missing or failed."""


class BackupError(TenantmigError):
    """The tenant cannot be backed up; nothing was done to it."""


class BackupFileError(TenantmigError):
    """The file is not the backup of one tenant; nothing was touched."""


class UnreadableScriptError(BackupFileError):
    """The backup's script is none that pg_dump writes; nothing was touched."""


class BackupRefusedError(BackupFileError):
    """The backup holds a statement that is none of a tenant's backup; nothing was touched."""


class UntrustedBackupError(BackupFileError):
    """Nothing proves that the backup is one of yours; say --trust-file if you know it is."""


class RestoreError(TenantmigError):
    """The tenant was not restored; it is as it was before."""

    exit_code: ClassVar[int] = 3


class RestoreInDoubtError(RestoreError):
    """The connection was lost in the COMMIT of a restore; look at the tenant before you retry."""


class LedgerError(TenantmigError):
    """The ledger cannot be used."""


class LedgerRowError(LedgerError):
    """A row of the ledger cannot be used: it is not as tenantmig wrote it."""


class FleetBusyError(TenantmigError):
    """Another run holds the fleet; nothing was touched."""

    exit_code: ClassVar[int] = 4


class OvertakenError(LedgerError):
    """The run was taken over by another driver; this one stopped."""

    exit_code: ClassVar[int] = 4


class RunCutOffError(LedgerError):
    """The run was cut off; `tenantmig resume` goes on."""

    exit_code: ClassVar[int] = 3


class ServerChangedError(UnsafeServerError):
    """The server is not the one on which the run began: another server, or a promoted standby."""


class UnknownRunError(LedgerError):
    """No such run; `tenantmig runs` lists them."""


class EnvironmentFileError(TenantmigError):
    """The env.py of the Alembic environment does not do what tenantmig relies on."""


class EnvironmentDiedError(EnvironmentFileError):
    """The process that ran env.py died."""

    def __init__(self, message: str | None = None, *, has_ended_itself: bool = False) -> None:
        super().__init__(message)
        self.has_ended_itself = has_ended_itself
        """What ran there ended it; else somebody killed it, or that is not known."""


class WorkerDiedError(TenantmigError):
    """A worker process died; what it was doing was cut off."""

    def __init__(self, message: str | None = None, *, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        """Its exit code, negative for a signal; None if that is not known."""


class WorkerStartError(TenantmigError):
    """No worker process could be started."""


class SquawkError(TenantmigError):
    """Squawk is not installed, and lint needs it; run `pip install 'tenantmig[lint]'`."""


class ScratchError(TenantmigError):
    """The history cannot be run in a scratch schema; no tenant was touched."""


class NotTriedError(ScratchError):
    """A revision reaches out of a scratch schema, and so was not tried; nothing was changed."""


class NoBeginningError(ScratchError):
    """The history presumes what it does not make, and so cannot begin from nothing."""


class OutsideError(TenantmigError):
    """A script reaches out of the scratch schema in which it runs."""


class ScaffoldError(TenantmigError):
    """The project's files cannot be written."""


def sentence_of(error: BaseException) -> str:
    """Say on one line what an exception says: ours in its own words, another with its type."""
    if isinstance(error, TenantmigError):
        return error.message
    return f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")


def irreversible(reason: str) -> NoReturn:
    """Refuse to downgrade: call it in the `downgrade()` of a revision that cannot be undone.

    Raises:
        IrreversibleRevisionError: always, with `reason`.
    """
    raise IrreversibleRevisionError(f"This revision cannot be downgraded: {reason}")
