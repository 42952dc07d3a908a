"""What a caller may say about one run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tenantmig.domain.events import OnEvent, ignore
from tenantmig.domain.stop_signal import StopSignal


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a caller may say about one run.

    `parallel` stands above the setting. `on_event` is called in the thread that started the run;
    `signal` stops the run from any thread. `skip_irreversible` leaves tenants where they are whose
    way back passes a revision that cannot be undone.
    """

    parallel: int | Literal["auto"] | None = None
    on_event: OnEvent = ignore
    signal: StopSignal | None = None
    skip_irreversible: bool = False
    skip: tuple[str, ...] = ()
    """Tenants that a resumed run leaves as they are; `*` is a wildcard."""
    backup: Path | None = None
    """Where each tenant schema is dumped to before it is changed."""
