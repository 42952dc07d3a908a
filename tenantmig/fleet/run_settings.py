"""How the settings have a rollout carried out: in parallel, in waves, with a gate and backups.

Knows settings and options; plans nothing and begins nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenantmig.backups.backup import Backups, ledger_record
from tenantmig.backups.client_programs import ClientPrograms
from tenantmig.backups.found_programs import find_programs
from tenantmig.domain.lineage import Lineage
from tenantmig.domain.plan import MOVES_FLEET, Plan, RunKind
from tenantmig.domain.tenant import Tenant
from tenantmig.domain.waves import Canary, FailureBudget, WavePolicy
from tenantmig.errors import SelectionError
from tenantmig.fleet.run_options import RunOptions
from tenantmig.ledger import rights as ledger_rights
from tenantmig.ledger.ledger import Ledger
from tenantmig.postgres.capacity import default_parallel
from tenantmig.postgres.connection import SessionOptions
from tenantmig.postgres.retry import RetryPolicy
from tenantmig.rollout import refusals
from tenantmig.rollout.attempts import Backup
from tenantmig.rollout.gate import CommandGate
from tenantmig.rollout.rollout import Rollout, RolloutOptions
from tenantmig.settings import Settings

STORED = (
    *("engine", "parallel", "attempts", "lock_timeout", "statement_timeout", "deadline"),
    *("canary", "wave", "max_failures", "gate", "x"),
)
"""The settings that a run keeps in the ledger, for `resume`."""


@dataclass(frozen=True, slots=True)
class RunSettings:
    """The settings of one fleet, as its runs need them."""

    settings: Settings
    lineage: Lineage
    session_options: SessionOptions
    discover: Callable[[Ledger], list[Tenant]]

    def of(self, rollout: Rollout, ledger: Ledger, options: RunOptions) -> RolloutOptions:
        """Return how a rollout is carried out; what does not fit is refused."""
        settings, plan = self.settings, rollout.plan
        is_rolled = plan.kind in MOVES_FLEET and self.lineage is Lineage.TENANT
        return RolloutOptions(
            parallel=self._parallel(plan, ledger, options),
            retry=RetryPolicy(settings.attempts, reconnect_s=settings.reconnect_timeout),
            deadline_s=settings.deadline,
            waves=self._waves(rollout) if is_rolled else WavePolicy(),
            gate=self._gate() if is_rolled else None,
            backup=self._backup(ledger, options.backup) if options.backup else None,
            stored=self._stored(options),
            on_event=options.on_event,
        )

    def _parallel(self, plan: Plan, ledger: Ledger, options: RunOptions) -> int:
        """How many tenants at once the run begins with; the server may refuse some of them."""
        wanted = options.parallel or self.settings.parallel
        if not isinstance(wanted, str):
            return wanted
        if plan.pending <= 1:
            return 1
        tenants = [tenant for group in plan.groups for tenant in group.tenants]
        alike = self.discover(ledger) if plan.kind is RunKind.ONBOARD else tenants
        return default_parallel(ledger.connection, plan.pending, [t.schema for t in alike])

    def _waves(self, rollout: Rollout) -> WavePolicy:
        asked, canary = self.settings, Canary.parse(self.settings.canary)
        refusals.refuse_unknown_canary(canary, rollout)
        return WavePolicy(canary, asked.wave, FailureBudget.parse(asked.max_failures))

    def _gate(self) -> Callable[..., str | None] | None:
        asked = self.settings
        if not asked.gate:
            return None
        return CommandGate.of(asked.gate, asked.gate_timeout, asked.gate_environment)

    def programs(self, ledger: Ledger) -> ClientPrograms:
        """Find pg_dump and pg_restore that fit the server."""
        version = ledger.connection.info.server_version
        return find_programs(self.settings.client_programs, version)

    def _backup(self, ledger: Ledger, folder: Path) -> Backup:
        if self.lineage is Lineage.SHARED:
            raise SelectionError(
                "--backup dumps tenant schemas only; dump the shared schema with pg_dump. "
                "Nothing was touched."
            )
        record = ledger_record(ledger.connection, self.session_options, ledger.schema)
        if record is not None:
            ledger_rights.require(ledger, ledger_rights.NOTED)
        backups = Backups(
            folder,
            self.programs(ledger),
            self.session_options,
            deadline_s=self.settings.attempt_timeout,
            key=self.settings.signing_key,
            record=record,
        )
        backups.check()
        return lambda run, tenant, tell: str(backups.write(run, tenant, tell))

    def _stored(self, options: RunOptions) -> Mapping[str, Any]:
        kept = {name: getattr(self.settings, name) for name in STORED}
        backup = str(options.backup.absolute()) if options.backup else None
        kept |= {"skip_irreversible": options.skip_irreversible, "backup": backup}
        return kept | {"lineage": self.lineage.value}
