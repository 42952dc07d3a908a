"""Reading what the ledger has on a run; what its row does not say rightly is refused.

Knows the columns of the named queries; asks no database.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tenantmig.domain.lineage import Lineage
from tenantmig.domain.notices import Warned
from tenantmig.domain.outcome import RunReport, RunState, UnreadableRun
from tenantmig.domain.plan import RunKind
from tenantmig.errors import LedgerRowError
from tenantmig.ledger.rows import Row
from tenantmig.ledger.tenant_rows import TenantRecord


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What the ledger has on a run beside its report."""

    report: RunReport
    direction: RunKind
    is_fleetwide: bool
    options: Mapping[str, Any]
    server: str | None
    tenants: tuple[TenantRecord, ...] = ()


def name_run(row: Any) -> str:
    """Say which run a row is of."""
    return f"Run {row.id} in the ledger"


def read_run(row: Any) -> RunReport | UnreadableRun:
    """Read a run without its tenants, or say why its row cannot be used."""
    try:
        return read_report(row, Row(row.facts, name_run(row)))
    except LedgerRowError as error:
        return UnreadableRun(row.id, error.message)


def read_report(row: Any, facts: Row) -> RunReport:
    """Read a run without its tenants."""
    options, started = facts.mapping("options"), facts.time("started_at")
    ended = facts.optional_time("finished_at") or datetime.fromisoformat(row.now)
    run = facts.optional_id("id")
    state = facts.one_of("state", RunState)
    lineage = Row(json.dumps(options), facts.what).optional_one_of("lineage", Lineage)
    return RunReport(
        run=run,
        kind=facts.one_of("kind", RunKind),
        target=facts.required("target"),
        state=RunState.INTERRUPTED if row.is_cut_off else state,
        tenants=(),
        started_at=started,
        duration_s=(ended - started).total_seconds(),
        reason=facts.optional_text("reason"),
        undoes=facts.optional_id("undoes"),
        obstacles=_obstacles(options.get("obstacles")),
        warnings=tuple(_warnings(options.get("warnings"))),
        lineage=lineage or Lineage.TENANT,
    )


def _obstacles(found: object) -> dict[str, str]:
    if not isinstance(found, dict):
        return {}
    return {revision: why for revision, why in found.items() if isinstance(why, str)}


def _warnings(found: object) -> Iterator[Warned]:
    """Read the warnings of a run; one that is not as we wrote it is left out."""
    for one in found if isinstance(found, list) else ():
        with suppress(LedgerRowError):
            facts = Row(json.dumps(one), "A warning")
            yield Warned(
                facts.optional_text("revision") or "",
                facts.optional_text("sqlstate") or "",
                facts.optional_text("message") or "",
                facts.number("count"),
                facts.number("tenants"),
                facts.optional_text("example") or "",
            )
