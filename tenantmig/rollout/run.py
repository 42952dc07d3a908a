"""A run: a rollout carried out in waves, and written to the ledger.

Every operation that changes tenants goes through `carry_out`. It owns the order of work, the moment
when nothing more is begun, and every outcome; it knows nothing of terminals, and of Alembic only
the engine. All of it runs in the thread that called it, but for the attempts.
"""

from __future__ import annotations

import time
from dataclasses import replace

import psycopg

from tenantmig.domain.events import RunFinished, RunStarted
from tenantmig.domain.outcome import RunReport, RunState
from tenantmig.domain.stop_signal import StopSignal
from tenantmig.domain.waves import chunks, first_to_go
from tenantmig.errors import OvertakenError, RunCutOffError, TenantmigError
from tenantmig.ledger import rights as ledger_rights
from tenantmig.ledger.claim import RunClaim
from tenantmig.ledger.ledger import Ledger
from tenantmig.rollout import canary
from tenantmig.rollout.attempts import Attempts, RunFacts
from tenantmig.rollout.hearing import Hearing
from tenantmig.rollout.rollout import Rollout, RolloutOptions, decided
from tenantmig.rollout.roster import Roster, pending_of
from tenantmig.rollout.settlement import Settlement
from tenantmig.rollout.waves_at_work import Waves


def carry_out(
    rollout: Rollout,
    ledger: Ledger,
    options: RolloutOptions,
    signal: StopSignal | None = None,
) -> RunReport:
    """Do what a plan says, tenant by tenant, and report it.

    Locks: each tenant's advisory lock while it is worked on; the run's own in the ledger.
    Idempotent: yes; a tenant at its target is left alone.
    Raises:
        FleetBusyError: another run moves the fleet; nothing was touched.
        PrivilegeError, LedgerError: the ledger cannot be made or read; nothing was touched.
        OvertakenError: another driver has taken the run over.
        RunCutOffError: the ledger could not be written any more.
    """
    plan = rollout.plan
    ledger.create()
    ledger_rights.require(ledger, ledger_rights.needs_of_run(plan))
    if rollout.resumed is None:
        claim = ledger.begin_run(plan, decided(plan), options.stored, rollout.check)
    else:
        claim = ledger.take_over(rollout.resumed, plan.kind, options.stored)
    try:
        return _Running(rollout, ledger, options, signal or StopSignal(), claim).carry_out()
    except OvertakenError:
        raise
    except (psycopg.Error, TenantmigError) as error:
        notes = [note for note in getattr(error, "__notes__", ()) if note]
        reason = "; ".join([" ".join(str(error).split()).rstrip("."), *notes])
        raise RunCutOffError(
            f"Run {claim.run} was cut off: {reason}. Continue with: tenantmig resume {claim.run}"
        ) from error


class _Running:
    """A run while it is carried out."""

    def __init__(
        self,
        rollout: Rollout,
        ledger: Ledger,
        options: RolloutOptions,
        signal: StopSignal,
        claim: RunClaim,
    ) -> None:
        self.rollout = rollout
        self.plan = rollout.plan
        self.ledger = ledger
        self.options = options
        self.signal = signal
        self.claim = claim
        self._obstacles: dict[str, str] = {}
        self._settlement = Settlement(
            ledger, claim, signal, options.waves.budget, rollout.undo, options.on_event
        )
        self._hearing = Hearing(ledger, claim, options, signal, self._settlement)
        self._roster = Roster(rollout, ledger, claim, options, signal, self._settlement)
        self._waves = Waves(claim.run, options, signal, self._hearing, rollout.before)

    def carry_out(self) -> RunReport:
        """Roll every tenant of the plan and finish the run in the ledger."""
        plan, pending = self.plan, first_to_go(pending_of(self.plan))
        parallel = max(1, min(self.options.parallel, len(pending)))
        started = RunStarted(
            self.claim.run,
            plan.kind,
            plan.target,
            plan.tenants,
            len(pending),
            parallel,
            plan.lineage,
        )
        self.options.on_event(started)
        self._settlement.decide(plan, is_written=self.rollout.resumed is None)
        self._roster.begin(pending)
        if self._roster.works:
            with self.rollout.open_engine(parallel) as engine:
                self._settlement.engine = engine.name
                self._roll(
                    Attempts(engine, self._facts(), self.signal, parallel, self.options.backup)
                )
                self._obstacles = dict(engine.obstacles)
        self._settlement.settle_rest(self._roster.works)
        return self._finish()

    def _facts(self) -> RunFacts:
        claim = self.claim
        return RunFacts(claim.run, claim.epoch, self.plan.moves, claim.server)

    def _roll(self, attempts: Attempts) -> None:
        """Roll wave after wave.

        Tenants in trouble come behind the others, then those that met locks, then newcomers.
        """
        waves = self._waves
        with attempts:
            try:
                rest = waves.roll_canary(attempts, self._roster.works)
                for some in (canary.healthy(rest), canary.in_trouble(rest)):
                    for works in chunks(some, self.options.waves.size):
                        if works and waves.begin_wave():
                            waves.roll_wave(attempts, works)
                waves.roll_again(attempts)
                while newcomers := self._roster.add_newcomers():
                    waves.number += 1
                    waves.roll_wave(attempts, newcomers)
                    waves.roll_again(attempts)
            except BaseException:
                self.signal.interrupt()
                attempts.engine.close()
                raise

    def _finish(self) -> RunReport:
        known = {**self.rollout.before} | {o.tenant: o for o in self._settlement.outcomes}
        is_done = all(outcome.outcome.is_at_target for outcome in known.values())
        state = RunState.COMPLETE if is_done else RunState.INCOMPLETE
        if self.signal.is_set and not is_done:
            state = self.signal.state
        reason = None if is_done else self._settlement.reason
        if self._roster.shortfall and state is RunState.COMPLETE:
            state, reason = RunState.INCOMPLETE, self._roster.shortfall
        warnings = self._hearing.warnings.warnings
        self.ledger.finish_run(self.claim, state, reason, self._obstacles, warnings)
        report = RunReport(
            run=self.claim.run,
            kind=self.plan.kind,
            target=self.plan.target,
            state=state,
            tenants=tuple(sorted(self._settlement.outcomes, key=lambda outcome: outcome.tenant)),
            started_at=self.claim.started_at,
            duration_s=round(time.monotonic() - self._hearing.began, 3),
            reason=reason,
            undoes=self.plan.undoes,
            obstacles=self._obstacles,
            warnings=warnings,
            lineage=self.plan.lineage,
        )
        if self.rollout.resumed is not None:  # what earlier drivers did belongs to it
            told = self.ledger.run(self.claim.run)
            report = replace(report, tenants=told.tenants, problems=told.problems)
        self.options.on_event(RunFinished(report))
        return report
