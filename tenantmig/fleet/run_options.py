"""Options of one run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tenantmig.domain.events import OnEvent, ignore
from tenantmig.domain.stop_signal import StopSignal


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Options of one run.

    `parallel` overrides the setting. `on_event` is called in the thread that started the run;
    `signal` stops the run from any thread. `skip_irreversible` leaves out tenants whose path
    includes a revision that cannot be downgraded.
    """

    parallel: int | Literal["auto"] | None = None
    on_event: OnEvent = ignore
    signal: StopSignal | None = None
    skip_irreversible: bool = False
    skip: tuple[str, ...] = ()
    """Tenants that a resumed run leaves out; `*` is a wildcard."""
    backup: Path | None = None
    """The folder to which each tenant schema is dumped before it is changed."""
    use_pool: bool = True
    """Onboarding may take a finished schema of the pool."""
