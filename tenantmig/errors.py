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
    """A setting cannot be used; correct the file, key or variable that the message names."""


class DatabaseUrlError(TenantmigError):
    """The database URL cannot be used; give one like postgresql://user@host:5432/name."""


class TenantNameError(TenantmigError):
    """The tenant name is not allowed."""


class UnknownTenantError(TenantmigError):
    """No such tenant; `tenantmig tenants list` shows those that exist."""


class TenantExistsError(TenantmigError):
    """The tenant already exists; nothing was touched."""


class TenantSchemaMissingError(TenantmigError):
    """The tenant schema does not exist; onboard the tenant, or correct the schema in its source."""


class TenantStateError(TenantmigError):
    """The current state of the tenant does not allow this."""


class SelectionError(TenantmigError):
    """No tenant is selected; use --tenant, --label, --from-file, --failed-in or --all."""


class EmptyFleetError(SelectionError):
    """The fleet has no tenants; if that is right, pass --allow-empty."""


class SourceError(TenantmigError):
    """The tenants cannot be read from their source."""


class HistoryError(TenantmigError):
    """The migration history is broken; no database was touched."""


class UnknownRevisionError(HistoryError):
    """The revision does not name exactly one script; `alembic history` lists them."""


class IrreversibleRevisionError(TenantmigError):
    """The revision cannot be downgraded."""


class OlderCodeError(HistoryError):
    """The code is older than the fleet's revision; deploy the newer code."""


class VersionTableError(TenantmigError):
    """The version table of the tenant schema cannot be trusted; nothing was run for this tenant."""


class ConnectError(TenantmigError):
    """The database cannot be reached."""


class UnsafeServerError(TenantmigError):
    """The server at this address cannot be migrated safely."""


class PoolerError(UnsafeServerError):
    """There is a connection pooler in front of the server; use the database's own (direct) URL."""


class StandbyError(UnsafeServerError):
    """The server is a read-only standby; use the primary's URL."""


class PrivilegeError(TenantmigError):
    """The role lacks a privilege that this command needs."""


class TenantLockedError(TenantmigError):
    """Another session is migrating this tenant; run again when that session has ended."""


class TenantSessionError(TenantmigError):
    """The session left its tenant schema; the transaction was rolled back."""


class PartialRevisionError(TenantmigError):
    """An attempt was cut off in a revision that is partly committed; it is not run again."""


class ForbiddenTextError(TenantmigError):
    """A script sends the text of a statement that ends or begins a transaction; it was not run."""


class ReadBackError(TenantmigError):
    """A check after the COMMIT found other data than was written; the result is in doubt."""


class DependentObjectsError(TenantmigError):
    """Objects outside the tenant schema depend on it; nothing was dropped."""


class ClientProgramError(TenantmigError):
    """A PostgreSQL program (pg_dump, pg_restore) is missing or failed."""


class BackupError(TenantmigError):
    """The tenant cannot be backed up; nothing was changed."""


class BackupFileError(TenantmigError):
    """The file is not a backup of one tenant; nothing was touched."""


class UnreadableScriptError(BackupFileError):
    """The script in this backup was not written by pg_dump; nothing was touched."""


class BackupRefusedError(BackupFileError):
    """The backup contains a statement that does not belong in it; nothing was touched."""


class UntrustedBackupError(BackupFileError):
    """Nothing proves that the backup is yours; if you know that it is, pass --trust-file."""


class RestoreError(TenantmigError):
    """The tenant was not restored; it is as it was before."""

    exit_code: ClassVar[int] = 3


class RestoreInDoubtError(RestoreError):
    """The connection was lost during the COMMIT of a restore; check the tenant before you retry."""


class LedgerError(TenantmigError):
    """The ledger cannot be used."""


class LedgerRowError(LedgerError):
    """A row of the ledger cannot be used; it is not as tenantmig wrote it."""


class FleetBusyError(TenantmigError):
    """Another run holds the fleet; nothing was touched."""

    exit_code: ClassVar[int] = 4


class OvertakenError(LedgerError):
    """Another driver took over the run; this driver stopped."""

    exit_code: ClassVar[int] = 4


class RunCutOffError(LedgerError):
    """The run was cut off; continue with `tenantmig resume`."""

    exit_code: ClassVar[int] = 3


class ServerChangedError(UnsafeServerError):
    """The run began on another server, or a standby was promoted since then."""


class UnknownRunError(LedgerError):
    """No such run; `tenantmig runs` lists them."""


class EnvironmentFileError(TenantmigError):
    """The env.py of the Alembic environment does not do what tenantmig needs."""


class EnvironmentDiedError(EnvironmentFileError):
    """The process that ran env.py died."""

    def __init__(self, message: str | None = None, *, has_ended_itself: bool = False) -> None:
        super().__init__(message)
        self.has_ended_itself = has_ended_itself
        """The code that ran there ended it; otherwise it was killed, or that is not known."""


class WorkerDiedError(TenantmigError):
    """A worker process died; its work was cut off."""

    def __init__(self, message: str | None = None, *, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        """Its exit code, negative for a signal; None if that is not known."""


class WorkerStartError(TenantmigError):
    """No worker process could be started."""


class SquawkError(TenantmigError):
    """Squawk is not installed, but lint needs it; run `pip install 'tenantmig[lint]'`."""


class ScratchError(TenantmigError):
    """The history cannot be run in a scratch schema; no tenant was touched."""


class NotTriedError(ScratchError):
    """A revision would change something outside its scratch schema; it was not tried."""


class NoBeginningError(ScratchError):
    """The history needs objects that it does not create, so it cannot run in an empty schema."""


class OutsideError(TenantmigError):
    """A script would change something outside the scratch schema in which it runs."""


class ScaffoldError(TenantmigError):
    """The project's files cannot be written."""


def sentence_of(error: BaseException) -> str:
    """Return the message of an exception on one line; add the type unless it is one of ours."""
    if isinstance(error, TenantmigError):
        return error.message
    return f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")


def irreversible(reason: str) -> NoReturn:
    """Refuse a downgrade: call this in the `downgrade()` of a revision that cannot be undone.

    Raises:
        IrreversibleRevisionError: always, with `reason`.
    """
    raise IrreversibleRevisionError(f"This revision cannot be downgraded: {reason}")
