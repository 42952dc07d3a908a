"""Waves at work: the canary, the waves after it, and the tenants that are tried again at last.

Owns which wave a tenant is rolled in and whether the next one begins; what is told meanwhile goes
to the hearing, and outcomes to the settlement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tenantmig.domain.events import (
    WaveStarted,
)
from tenantmig.domain.outcome import TenantOutcome
from tenantmig.domain.stop_signal import StopSignal
from tenantmig.rollout import canary
from tenantmig.rollout.attempts import Attempts
from tenantmig.rollout.hearing import Hearing
from tenantmig.rollout.rollout import RolloutOptions, WaveReport
from tenantmig.rollout.tenant_work import TenantWork


class Waves:
    """The waves of one run."""

    def __init__(
        self,
        run: int,
        options: RolloutOptions,
        signal: StopSignal,
        hearing: Hearing,
        before: Mapping[str, TenantOutcome],
    ) -> None:
        self.run = run
        self.options = options
        self.signal = signal
        self.settlement = hearing.settlement
        self.before = before
        self.number = 0
        self._hearing = hearing

    def roll_again(self, attempts: Attempts) -> None:
        """Try those again that kept meeting locks, behind all others."""
        again, self._hearing.deferred = self._hearing.deferred, []
        for work in again:
            work.is_last_try = True
        if not self.signal.is_set:
            self.roll_wave(attempts, again, is_new=False)

    def roll_canary(self, attempts: Attempts, works: Sequence[TenantWork]) -> list[TenantWork]:
        """Roll wave 0 and return the others.

        A canary that is only locked, or fails as it did before, has a stand-in; so have those that
        were named, if none of them is to be rolled and none is at the target.
        """
        wanted, rest = self.options.waves.canary, list(works)
        known = {**self.before} | {o.tenant: o for o in self.settlement.outcomes}
        count = wanted.count or int(canary.is_unproved(wanted.names, known))
        while len(works) > 1 and not self.signal.is_set:
            named = [work for work in rest if work.tenant.name in wanted.names]
            others = canary.canary_order(canary.healthy(rest) or rest)
            first = named or others[:count]
            if not first:
                break
            rest = [work for work in rest if work not in first]
            self.roll_wave(attempts, first)
            stand_ins = [work for work in others if work not in first]
            is_judged = canary.has_failed if named else canary.has_failed_newly
            failed = next(filter(is_judged, first), None)
            if failed is not None:
                told = canary.describe_failure(failed, self.run, stand_ins)
                self.settlement.stop_for_canary(told)
            if any(work.is_arrived for work in first):
                break
            if named:
                self.signal.stop(canary.describe_locked(self.run, stand_ins))
        return rest

    def begin_wave(self) -> bool:
        """Ask the gate, if a wave went before, and begin the next."""
        if self.settlement.names and self.options.gate is not None and not self.signal.is_set:
            told = WaveReport(self.run, self.number, self.settlement.counts)
            reason = self.options.gate(told, self.signal)
            if reason:
                self.signal.stop(reason)
        self.number += 1
        return not self.signal.is_set

    def roll_wave(
        self, attempts: Attempts, works: Sequence[TenantWork], *, is_new: bool = True
    ) -> None:
        """Bring a wave of tenants to the target, leg by leg.

        No concurrent leg runs while any tenant has a transactional one before it, nor beside one.
        """
        if is_new:
            for work in works:
                work.wave = self.number
            names = tuple(work.tenant.name for work in works)
            self.options.on_event(WaveStarted(self.number, names))
        going = list(works)
        while going and not self.signal.is_set:
            phase = min(work.next_leg.phase for work in going)
            batch = [work for work in going if work.next_leg.phase == phase]
            for work in batch:
                work.last = None
                work.is_heard.clear()
            for told in attempts.bring(batch):
                self._hearing.hear(attempts, told)
            self._hearing.verify(attempts)
            going = [work for work in going if not (work.is_arrived or work.has_failed)]
