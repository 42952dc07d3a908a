"""Resumption: which run is to be finished, and with which settings."""

from __future__ import annotations

from collections.abc import Mapping

from tenantmig.errors import SelectionError
from tenantmig.ledger import Ledger
from tenantmig.outcome import RunState
from tenantmig.plan import MOVES_FLEET, RunKind
from tenantmig.records import RunRecord
from tenantmig.settings import Settings, load_settings

RESUMABLE = MOVES_FLEET | {RunKind.OFFBOARD}


def find_run(ledger: Ledger, run: int | None) -> RunRecord:
    """Return the run to be finished: the one named, or the newest that moves the fleet.

    Raises:
        UnknownRunError: there is no such run.
        SelectionError: it is complete, or of a kind that is begun anew instead.
    """
    if run is None:
        run = _newest(ledger)
    record = ledger.record(run)
    report = record.report
    if report.kind not in RESUMABLE:
        raise SelectionError(
            f"Run {run} is of kind {report.kind}; run `tenantmig {report.kind}` again for the"
            " tenants that it did not bring along."
        )
    if report.state is RunState.COMPLETE:
        raise SelectionError(f"Run {run} is complete; there is nothing to resume.")
    return record


def _newest(ledger: Ledger) -> int:
    for report in ledger.runs(limit=1000):
        if report.kind in RESUMABLE and report.run is not None:
            if report.state is RunState.COMPLETE:
                raise SelectionError(
                    f"Run {report.run}, the newest, is complete; name the run to be resumed"
                    " (`tenantmig runs` lists them)."
                )
            return report.run
    raise SelectionError("There is no run yet that could be resumed.")


def settings_of(settings: Settings, record: RunRecord, given: Mapping[str, object]) -> Settings:
    """Return the settings with which a run is resumed: `given`, else those it was begun with.

    Raises:
        SettingsError: one of `given` cannot be used.
    """
    own = settings.model_dump(exclude_unset=True)
    stored = {
        name: record.options[name] for name in record.options if name in Settings.model_fields
    }
    flags = {name: value for name, value in given.items() if value is not None}
    return load_settings(**{**own, **stored, **flags})
