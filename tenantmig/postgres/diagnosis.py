"""Diagnosis: what an exception raised during an attempt means. Owns no table (`failure` does)."""

from __future__ import annotations

import configparser
import traceback
from pathlib import Path

import psycopg
import sqlalchemy as sa

from tenantmig.domain.database_url import DatabaseUrl
from tenantmig.domain.failure import LOCKED, Failure, FailureKind, Phase, classify
from tenantmig.domain.ini_error import say_ini_error
from tenantmig.errors import (
    ConnectError,
    OvertakenError,
    PartialRevisionError,
    ReadBackError,
    RestoreInDoubtError,
    TenantLockedError,
    TenantmigError,
    UnsafeServerError,
)
from tenantmig.postgres.psycopg2_hint import hint_psycopg2
from tenantmig.postgres.session import TenantSession

INSUFFICIENT_PRIVILEGE = "42501"
BESIDE = (
    " (the script opened another connection, and that one waited; if the revision itself "
    "holds the lock, the script must call op.get_bind().commit() first)"
)
HIDDEN_ROWS = (
    " (row-level security would hide rows of this table from the migrator, and the revision "
    "would change only the others. Run it as a role with BYPASSRLS, or remove FORCE ROW "
    'LEVEL SECURITY from the table. If this is intended, set row_security = "on")'
)
AS_OWNER = (
    ' (it ran as "{}", the owner of the tenant schema, because of run_as = "schema_owner": '
    "grant that role what the script needs, or do this part as another role)"
)
KINDS: dict[type[TenantmigError], FailureKind] = {
    TenantLockedError: FailureKind.LOCKED,
    PartialRevisionError: FailureKind.IN_DOUBT,
    ReadBackError: FailureKind.IN_DOUBT,
    RestoreInDoubtError: FailureKind.IN_DOUBT,
    ConnectError: FailureKind.TRANSIENT,
    OvertakenError: FailureKind.RUN,
    UnsafeServerError: FailureKind.RUN,
}


def explain(
    error: BaseException,
    session: TenantSession | None,
    url: DatabaseUrl,
    revision: str | None = None,
) -> Failure:
    """Say what an exception raised during an attempt means, without secrets or parameters.

    `revision` is the one whose script was running, if any.
    """
    origin = origin_of(error, is_broken=session is not None and session.is_broken)
    phase = session.phase if session else Phase.CONNECT
    kind, sqlstate = FailureKind.PERMANENT, None
    if isinstance(origin, psycopg.Error):
        kind, sqlstate = _classify(origin, session, phase), origin.sqlstate
        message = origin.diag.message_primary or str(origin) or type(origin).__name__
        message += f" ({origin.diag.message_hint})" if origin.diag.message_hint else ""
        message += HIDDEN_ROWS if is_hiding_rows(origin) else ""
        if session is not None and session.owner and origin.sqlstate == INSUFFICIENT_PRIVILEGE:
            message += AS_OWNER.format(session.owner)
        is_beside = session is not None and session.is_beside
        message += BESIDE if is_beside and origin.sqlstate in LOCKED else ""
    elif isinstance(origin, TenantmigError):
        message = origin.message
        kind = next((k for error, k in KINDS.items() if isinstance(origin, error)), kind)
        phase = Phase.CONNECT if isinstance(origin, ConnectError) else phase
    elif isinstance(origin, configparser.Error):  # env.py read a value of the ini, and it quotes it
        message = f"{type(origin).__name__}: {say_ini_error(origin)}{_where(origin)}"
    else:
        message = f"{type(origin).__name__}: {origin}{_where(origin)}"
    message += hint_psycopg2(error, origin)
    if session is not None and session.is_partial:
        message += (
            " (part of the revision is committed: everything in or before an "
            "autocommit_block, or before a commit() of the script)"
        )
    where = f"revision {revision}: " if revision else ""
    return Failure(kind, url.redact(where + message), phase, sqlstate)


def origin_of(error: BaseException, *, is_broken: bool = False) -> BaseException | None:
    """Find what psycopg raised; on a broken connection also behind what was raised on the way out.

    Leaving an autocommit_block on a lost connection raises a PendingRollbackError of its own.
    """
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, sa.exc.DBAPIError):
            return found.orig
        if isinstance(found, psycopg.Error | TenantmigError) or not is_broken:
            return found
        found = found.__cause__ or found.__context__
    return error


def is_hiding_rows(error: BaseException) -> bool:
    """True when a statement was refused because a policy would hide rows from it.

    The error has no name of its own; its text is in the server's language.
    """
    origin = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    if not isinstance(origin, psycopg.errors.InsufficientPrivilege):
        return False
    return origin.diag.source_function == "check_enable_rls"


def is_denied(error: BaseException) -> bool:
    """True when the server denied the role something."""
    origin = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    return isinstance(origin, psycopg.errors.InsufficientPrivilege)


def is_read_only(error: BaseException) -> bool:
    """True when a statement was refused because it writes in a read-only transaction."""
    origin = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    return isinstance(origin, psycopg.errors.ReadOnlySqlTransaction)


def _where(error: BaseException | None) -> str:
    """Name the last line of a script that an exception passed through, or nothing."""
    frames = traceback.extract_tb(error.__traceback__ if error else None)
    ours = str(Path(__file__).parents[1])
    for frame in reversed(frames):
        if "site-packages" not in frame.filename and not frame.filename.startswith((ours, "<")):
            return f" ({Path(frame.filename).name}, line {frame.lineno})"
    return ""


def _classify(error: psycopg.Error, session: TenantSession | None, phase: Phase) -> FailureKind:
    is_ours = isinstance(error, psycopg.ProgrammingError) and error.sqlstate is None
    if is_ours and not (session is not None and session.is_broken):
        return FailureKind.PERMANENT  # psycopg refused to send it: no connection was lost
    is_race = error.sqlstate == "XX000" and "tuple concurrently" in str(error.diag.message_primary)
    return classify(
        phase,
        error.sqlstate,
        is_broken=session is None or session.is_broken,
        is_catalog=is_race or error.diag.schema_name == "pg_catalog",
    )
