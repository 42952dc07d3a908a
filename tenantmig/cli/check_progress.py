"""What `check` tells while it runs: findings on stdout, a bar or lines on stderr."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tenantmig.cli.exits import CommandInterruptedError
from tenantmig.cli.printing import console
from tenantmig.fleet.check_report import Checked, RevisionCheck

LINE_EVERY_S = 10.0


class CheckProgress:
    """Keeps what was checked so far; on a terminal with a bar and the time that is left."""

    def __init__(self, tell: Callable[[RevisionCheck], None]) -> None:
        """`tell` prints a revision on stdout, if there is something to tell of it."""
        self.checked: list[Checked] = []
        self._tell = tell
        self._out = console(is_error=True)
        self._began = self._told = time.monotonic()
        self._bar: Progress | None = None
        if self._out.is_terminal:
            self._bar = Progress(
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("revisions"),
                TimeRemainingColumn(),
                console=self._out,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._bar.add_task("", total=None)
            self._bar.start()

    def __call__(self, event: Checked) -> None:
        """Take in one revision that was checked."""
        self.checked.append(event)
        self.pause()
        self._tell(event.found)
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=event.done, total=event.total)
            self._bar.start()
        elif time.monotonic() - self._told > LINE_EVERY_S:
            self._told = time.monotonic()
            left_s = (self._told - self._began) / event.done * (event.total - event.done)
            self._out.print(f"{event.done}/{event.total} revisions, about {_shown(left_s)} left")

    def pause(self) -> None:
        """Take the bar off the terminal."""
        if self._bar is not None:
            self._bar.stop()


def _shown(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds > 90 else f"{seconds:.0f} s"


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the block so that what was found is told.

    Raises:
        CommandInterruptedError: a signal came.
    """

    def on_signal(_: int, __: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, on_signal)
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise CommandInterruptedError from interrupt
    finally:
        signal.signal(signal.SIGTERM, before)
