"""What a run tells while it runs: the door for an application's callback (`OnEvent`)."""

from tenantmig.domain.events import (
    AttemptFailed,
    CatalogsDiffer,
    Event,
    FewerAtOnce,
    OnEvent,
    RunFinished,
    RunStarted,
    ScriptPrinted,
    ServerWarned,
    SharedLock,
    SlowBackup,
    TenantFinished,
    WaveStarted,
    ignore,
)

__all__ = [
    "AttemptFailed",
    "CatalogsDiffer",
    "Event",
    "FewerAtOnce",
    "OnEvent",
    "RunFinished",
    "RunStarted",
    "ScriptPrinted",
    "ServerWarned",
    "SharedLock",
    "SlowBackup",
    "TenantFinished",
    "WaveStarted",
    "ignore",
]
