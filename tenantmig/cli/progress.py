"""Progress on stderr: a bar on a terminal, plain lines elsewhere. Only told of events."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from tenantmig.cli.printing import console
from tenantmig.cli.render import SHOWN, failure_line, undertaking
from tenantmig.domain.counting import counted
from tenantmig.domain.events import (
    AttemptFailed,
    CatalogsDiffer,
    Event,
    FewerAtOnce,
    RunStarted,
    ScriptPrinted,
    SharedLock,
    SlowBackup,
    TenantFinished,
    WaveStarted,
)
from tenantmig.domain.outcome import Outcome
from tenantmig.domain.stop_signal import StopSignal
from tenantmig.fleet.run_options import RunOptions

LINE_EVERY_S = 2.0


class Reporter:
    """Turns events into a bar or into lines."""

    def __init__(self) -> None:
        self._out = console(is_error=True)
        self._is_terminal = self._out.is_terminal
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._failed = 0
        self._printed: set[str] = set()
        self._began = self._told = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Take one event of a run."""
        match event:
            case RunStarted():
                self._start(event)
            case WaveStarted():
                self._tell_wave(event)
            case CatalogsDiffer() | SharedLock() | FewerAtOnce() | SlowBackup():
                self._line(_sentence(event))
            case AttemptFailed():
                last = "trying again after the other tenants" if event.is_deferred else "retrying"
                self._line(
                    f"{event.tenant}: attempt {event.attempt} failed,"
                    f" {last}: {event.failure.message}"
                )
            case ScriptPrinted():
                self._tell_printed(event)
            case TenantFinished():
                self._finish(event)

    def close(self) -> None:
        """Take the bar off the terminal."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _start(self, event: RunStarted) -> None:
        self._line(
            f"Run {event.run}: {undertaking(event.kind, event.target, event.lineage)},"
            f" {event.pending} of {counted(event.tenants, 'tenant')}, {event.parallel} at once"
        )
        if not (self._is_terminal and event.pending):
            return
        self._bar = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:.1f} tenants/s"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[failed]} failed"),
            console=self._out,
            transient=True,
        )
        self._task = self._bar.add_task("", total=event.pending, rate=0.0, failed=0)
        self._bar.start()

    def _tell_wave(self, event: WaveStarted) -> None:
        if event.wave == 0:
            self._line(f"canary: {', '.join(event.tenants)}")
        elif event.wave > 1:
            self._line(f"wave {event.wave}: {counted(len(event.tenants), 'tenant')}")

    def _tell_printed(self, event: ScriptPrinted) -> None:
        """Tell what scripts printed, equal lines once."""
        for line in event.lines:
            if line not in self._printed:
                self._printed.add(line)
                self._line(f"{event.tenant}: {line}")

    def _finish(self, event: TenantFinished) -> None:
        outcome = event.outcome
        if outcome.outcome in {Outcome.FAILED, Outcome.IN_DOUBT}:
            self._failed += 1
            if self._failed <= SHOWN:
                self._line(failure_line(outcome))
            elif self._failed == SHOWN + 1:
                self._line("further failures are in the report")
        now = time.monotonic()
        rate = event.done / max(now - self._began, 0.001)
        if self._bar is not None:
            self._bar.update(self._task, completed=event.done, rate=rate, failed=self._failed)
        elif event.done == event.pending or now - self._told > LINE_EVERY_S:
            self._told = now
            done = f"{event.done}/{counted(event.pending, 'tenant')}"
            self._line(f"{done}, {rate:.1f}/s, {self._failed} failed")

    def _line(self, text: str) -> None:
        out = self._bar.console if self._bar is not None else self._out
        out.print(text)


def _sentence(event: CatalogsDiffer | SharedLock | FewerAtOnce | SlowBackup) -> str:
    match event:
        case CatalogsDiffer():
            return (
                f"the catalogs of {counted(len(event.schemas), 'schema')} differed from "
                "those of the first tenants before the same SQL ran, and still differ: "
                f"{', '.join(event.schemas[:SHOWN])}"
            )
        case SharedLock():
            return (
                f"revision {event.revision} locks {event.table}, which tenants share: from "
                "here on one tenant at a time"
            )
        case FewerAtOnce():
            return f"from here on {event.parallel} at once: {event.reason}"
    return (
        f"{event.tenant}: its backup had to read the catalog of the whole database, which "
        f"is slow: {event.reason}"
    )


@contextmanager
def reported(options: RunOptions = RunOptions()) -> Iterator[RunOptions]:  # noqa: B008  frozen
    """Run options with progress on stderr, and Ctrl-C and SIGTERM as words to stop."""
    stop, reporter = StopSignal(), Reporter()

    def on_signal(number: int, _: FrameType | None) -> None:
        # in a thread of its own: the handler may have interrupted the holder of the same lock
        reason = f"interrupted by {signal.Signals(number).name}"
        threading.Thread(target=stop.interrupt, args=[reason]).start()

    watched = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, on_signal) for number in watched}
    try:
        yield replace(options, on_event=reporter, signal=stop)
    finally:
        reporter.close()
        for number, handler in before.items():
            signal.signal(number, handler)
        sys.stderr.flush()
