"""A run: a rollout carried out in waves, and written to the ledger.

Every operation that changes tenants goes through `carry_out`. It owns the order of work, the moment
when nothing more is begun, and every outcome; it knows nothing of terminals, and of Alembic only
the engine. All of it runs in the thread that called it, but for the attempts.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import psycopg

from tenantmig.domain.events import (
    AttemptFailed,
    CatalogsDiffer,
    FewerAtOnce,
    RunFinished,
    RunStarted,
    ScriptPrinted,
    ServerWarned,
    SharedLock,
    SlowBackup,
    WaveStarted,
)
from tenantmig.domain.failure import Phase
from tenantmig.domain.notices import WarningSum
from tenantmig.domain.outcome import Outcome, RunReport, RunState
from tenantmig.domain.plan import Leg, Path, Plan
from tenantmig.domain.stop_signal import StopSignal
from tenantmig.domain.tenant import Tenant
from tenantmig.domain.waves import chunks, first_to_go
from tenantmig.errors import OvertakenError, RunCutOffError, TenantmigError
from tenantmig.ledger import rights as ledger_rights
from tenantmig.ledger.activity import cancel_statements, is_full, live_onboardings, login_problem
from tenantmig.ledger.ledger import Ledger, RunClaim, session_name
from tenantmig.postgres.retry import Retry, is_connection_loss
from tenantmig.rollout import canary
from tenantmig.rollout.attempts import Attempts, RunFacts
from tenantmig.rollout.rollout import Rollout, RolloutOptions, WaveReport, decided
from tenantmig.rollout.settlement import Settlement
from tenantmig.rollout.tenant_work import TenantWork

STOP_WITHIN_S = 15.0
SWEEP_POLL_S = 0.2
VERIFIED_AT_ONCE = 100  # tenants, while others are worked on


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
            f"Run {claim.run} was cut off: {reason}. `tenantmig resume {claim.run}` goes on."
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
        self._began = time.monotonic()
        self._stopped: float | None = None
        self._works: list[TenantWork] = []
        self._deferred: list[TenantWork] = []
        self._wave = 0
        self._shortfall: str | None = None
        self._obstacles: dict[str, str] = {}
        self._warnings = WarningSum()
        self._settlement = Settlement(
            ledger, claim, signal, options.waves.budget, rollout.undo, options.on_event
        )

    def carry_out(self) -> RunReport:
        """Roll every tenant of the plan and finish the run in the ledger."""
        plan, pending = self.plan, first_to_go(_pending(self.plan))
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
        self._works = self._new_works(plan, pending)
        self._works = self._works or self._newcomers()
        self._settlement.expected = len(self._works)
        if self._works:
            with self.rollout.open_engine(parallel) as engine:
                self._settlement.engine = engine.name
                self._roll(
                    Attempts(engine, self._facts(), self.signal, parallel, self.options.backup)
                )
                self._obstacles = dict(engine.obstacles)
        self._settlement.settle_rest(self._works)
        return self._finish()

    def _facts(self) -> RunFacts:
        claim = self.claim
        return RunFacts(claim.run, claim.epoch, self.plan.moves, claim.server)

    def _new_works(self, plan: Plan, pending: Sequence[tuple[Tenant, Path]]) -> list[TenantWork]:
        legs = {id(group.path): group.legs for group in plan.groups}
        troubles = self.ledger.troubled_tenants()
        return [
            TenantWork(
                tenant,
                path,
                legs[id(path)] or (Leg(path),),
                Retry(self.options.retry, self.signal.event),
                attempts_before=before.attempts if before else 0,
                lost_xid=before.lost_xid if before else None,
                is_in_doubt=trouble is not None and trouble.outcome is Outcome.IN_DOUBT,
                trouble=trouble,
            )
            for tenant, path in pending
            for before in [self.rollout.before.get(tenant.name)]
            for trouble in [troubles.get(tenant.name)]
        ]

    # -- waves ------------------------------------------------------------------------------

    def _roll(self, attempts: Attempts) -> None:
        """Roll wave after wave.

        Tenants in trouble come behind the others, then those that met locks, then newcomers.
        """
        with attempts:
            try:
                rest = self._roll_canary(attempts)
                for some in (canary.healthy(rest), canary.in_trouble(rest)):
                    for works in chunks(some, self.options.waves.size):
                        if works and self._begin_wave():
                            self._roll_wave(attempts, works)
                self._roll_again(attempts)
                while newcomers := self._newcomers():
                    self._works += newcomers
                    self._settlement.expected = len(self._works)
                    self._wave += 1
                    self._roll_wave(attempts, newcomers)
                    self._roll_again(attempts)
            except BaseException:
                self.signal.interrupt()
                attempts.engine.close()
                raise

    def _roll_again(self, attempts: Attempts) -> None:
        """Try those again that kept meeting locks, behind all others."""
        again, self._deferred = self._deferred, []
        for work in again:
            work.is_last_try = True
        if not self.signal.is_set:
            self._roll_wave(attempts, again, is_new=False)

    def _roll_canary(self, attempts: Attempts) -> list[TenantWork]:
        """Roll wave 0 and return the others.

        A canary that is only locked, or fails as it did before, has a stand-in; so have those that
        were named, if none of them is to be rolled and none is at the target.
        """
        wanted, rest = self.options.waves.canary, list(self._works)
        known = {**self.rollout.before} | {o.tenant: o for o in self._settlement.outcomes}
        count = wanted.count or int(canary.is_unproved(wanted.names, known))
        while len(self._works) > 1 and not self.signal.is_set:
            named = [work for work in rest if work.tenant.name in wanted.names]
            others = canary.canary_order(canary.healthy(rest) or rest)
            first = named or others[:count]
            if not first:
                break
            rest = [work for work in rest if work not in first]
            self._roll_wave(attempts, first)
            stand_ins = [work for work in others if work not in first]
            is_judged = canary.has_failed if named else canary.has_failed_newly
            failed = next(filter(is_judged, first), None)
            if failed is not None:
                told = canary.describe_failure(failed, self.claim.run, stand_ins)
                self._settlement.stop_for_canary(told)
            if any(work.is_arrived for work in first):
                break
            if named:
                self.signal.stop(canary.describe_locked(self.claim.run, stand_ins))
        return rest

    def _begin_wave(self) -> bool:
        """Ask the gate, if a wave went before, and begin the next."""
        if self._settlement.names and self.options.gate is not None and not self.signal.is_set:
            told = WaveReport(self.claim.run, self._wave, self._settlement.counts)
            reason = self.options.gate(told, self.signal)
            if reason:
                self.signal.stop(reason)
        self._wave += 1
        return not self.signal.is_set

    def _roll_wave(
        self, attempts: Attempts, works: Sequence[TenantWork], *, is_new: bool = True
    ) -> None:
        """Bring a wave of tenants to the target, leg by leg.

        No concurrent leg runs while any tenant has a transactional one before it, nor beside one.
        """
        if is_new:
            for work in works:
                work.wave = self._wave
            names = tuple(work.tenant.name for work in works)
            self.options.on_event(WaveStarted(self._wave, names))
        going = list(works)
        while going and not self.signal.is_set:
            phase = min(work.next_leg.phase for work in going)
            batch = [work for work in going if work.next_leg.phase == phase]
            for work in batch:
                work.last = None
                work.is_heard.clear()
            for told in attempts.bring(batch):
                self._hear(attempts, told)
            self._verify(attempts)
            going = [work for work in going if not (work.is_arrived or work.has_failed)]

    def _verify(self, attempts: Attempts, least: int = 1) -> None:
        """Tell whose catalog is not that of the first tenants though the same SQL was sent."""
        try:
            differing = self.ledger.insist(
                lambda: attempts.engine.verify(self.ledger.connection, least)
            )
        except psycopg.Error as error:
            if least == 1 or is_connection_loss(error):
                raise
            return  # others are at work: it is tried again when they have ended
        if differing:
            self.options.on_event(CatalogsDiffer(tuple(differing)))

    def _newcomers(self) -> list[TenantWork]:
        """Return tenants that were onboarded meanwhile and are behind; wait for those in birth."""
        if self.rollout.sweep is None:
            return []
        patience = time.monotonic() + self.options.onboarding_wait_s
        while not self.signal.is_set:
            # first who is being born: who is active after that question is in the sweep
            unborn = live_onboardings(self.ledger, self.claim.run)
            known = {o.tenant for o in self._settlement.outcomes} | {
                w.tenant.name for w in self._works
            }
            plan = self.rollout.sweep(frozenset(known))
            if plan.tenants:
                self.ledger.write_intents(self.claim.run, plan, decided(plan))
                self._settlement.decide(plan, is_written=True)
            if plan.pending:
                return self._new_works(plan, _pending(plan))
            if not unborn:
                break
            if time.monotonic() > patience:
                self._shortfall = f'the onboarding of "{unborn[0]}" has not ended; run again'
                break
            self.signal.event.wait(SWEEP_POLL_S)
        return []

    # -- what the attempts tell ---------------------------------------------------------------

    def _hear(self, attempts: Attempts, told: Sequence[object]) -> None:
        """Take what the attempts tell, and look at the clock."""
        ended = []
        for one in told:
            match one:
                case TenantWork():
                    if one.is_deferred and one.has_failed and not one.is_last_try:
                        self._deferred.append(one)
                    elif one.is_arrived or one.has_failed:
                        ended.append(one)
                case AttemptFailed():
                    self.options.on_event(one)
                    if one.failure.phase is Phase.CONNECT:
                        self._look_at_refusal(attempts, one)
                case ServerWarned():
                    self._warnings.add(one.warnings)
                case SharedLock() | FewerAtOnce() | SlowBackup() | ScriptPrinted():
                    self.options.on_event(one)
        self._settlement.settle(ended)
        self._verify(attempts, VERIFIED_AT_ONCE)
        self._look_at_clock(attempts)

    def _look_at_refusal(self, attempts: Attempts, refused: AttemptFailed) -> None:
        """Ask on the connection that we have why there was no other."""
        problem = login_problem(self.ledger)
        if problem:
            self.signal.stop(problem)
        elif is_full(self.ledger, session_name(self.claim.run)):
            attempts.refuse(refused)

    def _look_at_clock(self, attempts: Attempts) -> None:
        now = time.monotonic()
        deadline = self.options.deadline_s
        if deadline is not None and now - self._began > deadline:
            self.signal.cancel(f"the deadline of {deadline:g} s passed")
        if self.signal.is_set and self.signal.is_cancelling:
            self._stopped = self._stopped or now
            cancel_statements(self.ledger, session_name(self.claim.run))
            if self.signal.is_urgent or now - self._stopped > STOP_WITHIN_S:
                attempts.engine.close()

    def _finish(self) -> RunReport:
        known = {**self.rollout.before} | {o.tenant: o for o in self._settlement.outcomes}
        is_done = all(outcome.outcome.is_at_target for outcome in known.values())
        state = RunState.COMPLETE if is_done else RunState.INCOMPLETE
        if self.signal.is_set and not is_done:
            state = self.signal.state
        reason = None if is_done else self._settlement.reason
        if self._shortfall and state is RunState.COMPLETE:
            state, reason = RunState.INCOMPLETE, self._shortfall
        warnings = self._warnings.warnings
        self.ledger.finish_run(self.claim, state, reason, self._obstacles, warnings)
        report = RunReport(
            run=self.claim.run,
            kind=self.plan.kind,
            target=self.plan.target,
            state=state,
            tenants=tuple(sorted(self._settlement.outcomes, key=lambda outcome: outcome.tenant)),
            started_at=self.claim.started_at,
            duration_s=round(time.monotonic() - self._began, 3),
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


def _pending(plan: Plan) -> list[tuple[Tenant, Path]]:
    return [(tenant, group.path) for group in plan.groups for tenant in group.tenants]
