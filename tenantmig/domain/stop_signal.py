"""The stop signal: the word that nothing more is to be begun. May be given from any thread."""

from __future__ import annotations

import threading

from tenantmig.domain.outcome import RunState


class StopSignal:
    """The word that nothing more is to be begun, and why; may be given from any thread."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.reason: str | None = None
        self.state = RunState.INCOMPLETE
        self.is_cancelling = False
        self.is_urgent = False

    def stop(self, reason: str) -> None:
        """Begin nothing more; what is in flight ends by itself. The first reason stands."""
        if not self.event.is_set():
            self.reason = reason
            self.event.set()

    def cancel(self, reason: str) -> None:
        """Begin nothing more and cancel what is in flight on the server."""
        self.is_cancelling = True
        self.stop(reason)

    def interrupt(self, reason: str = "interrupted") -> None:
        """Do as a first Ctrl-C asks: `cancel`; asked again, end the engine at once."""
        self.is_urgent = self.state is RunState.INTERRUPTED
        self.state = RunState.INTERRUPTED
        self.cancel(reason)

    @property
    def is_set(self) -> bool:
        """True once the word was given."""
        return self.event.is_set()
