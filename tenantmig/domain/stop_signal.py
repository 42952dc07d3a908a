"""The stop signal: the word that nothing more is to be begun. May be given from any thread."""

from __future__ import annotations

import threading

from tenantmig.domain.outcome import RunState


class StopSignal:
    """Tells a run to begin nothing more, and why; usable from any thread."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.reason: str | None = None
        self.state = RunState.INCOMPLETE
        self.is_cancelling = False
        self.is_urgent = False

    def stop(self, reason: str) -> None:
        """Begin nothing more; running attempts finish. The first reason is kept."""
        if not self.event.is_set():
            self.reason = reason
            self.event.set()

    def cancel(self, reason: str) -> None:
        """Begin nothing more, and cancel the statements that are running on the server."""
        self.is_cancelling = True
        self.stop(reason)

    def interrupt(self, reason: str = "interrupted") -> None:
        """Do what Ctrl-C does: `cancel` the first time, end the engine at once the second time."""
        self.is_urgent = self.state is RunState.INTERRUPTED
        self.state = RunState.INTERRUPTED
        self.cancel(reason)

    @property
    def is_set(self) -> bool:
        """True once the run was told to stop."""
        return self.event.is_set()
