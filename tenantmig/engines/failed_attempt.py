"""A failed attempt: what its error means for the tenant, with hints from what the session shows.

Knows one session and one error; whether the attempt is made again is decided elsewhere.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from tenantmig.domain.failure import Failure
from tenantmig.domain.plan import Assignment, RunKind
from tenantmig.engines.environment import WorkerOptions
from tenantmig.engines.hints import find_hint, say_taken
from tenantmig.errors import PartialRevisionError
from tenantmig.ledger.denial import find_denied
from tenantmig.ledger.parts import RevisionParts
from tenantmig.postgres.blockers import find_blockers
from tenantmig.postgres.diagnosis import explain, is_read_only
from tenantmig.postgres.session import TenantSession


def explain_attempt(
    error: BaseException,
    assignment: Assignment,
    options: WorkerOptions,
    session: TenantSession | None,
    parts: RevisionParts | None,
    running: str | None,
) -> Failure:
    """Explain the error that ended an attempt in its revision `running`."""
    if parts is not None and parts.is_reading_again and is_read_only(error):
        error = PartialRevisionError(
            "A SELECT of an earlier attempt also writes, so it cannot be run again."
        )
    if session is not None and parts is not None:
        parts.clear_after(session, error)
    failure = explain(error, session, options.session.url, running)
    with suppress(Exception):  # what is looked for hides nothing of what was found
        more = find_hint(error, session, options) + _find_cause(error, assignment, options, session)
        failure = replace(failure, message=failure.message + more)
    return failure


def _find_cause(
    error: BaseException,
    assignment: Assignment,
    options: WorkerOptions,
    session: TenantSession | None,
) -> str:
    if session is None or session.is_broken:
        return ""
    schema = assignment.tenant.schema
    denied = find_denied(error, session, schema, options.version_table)
    if assignment.kind is not RunKind.ONBOARD:
        denied += say_taken(error, assignment.tenant, options)
    return denied + find_blockers(error, session, schema, options.shared_schema)
