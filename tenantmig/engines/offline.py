"""What each revision of a history writes in Alembic's offline mode, with the lines it stands on.

Scripts run in a worker process, as in every engine, but no database is asked: what a script reads
is not there, and a script that reads is written as far as it comes.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TextIO, cast

from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, MigrationStep, RevisionStep
from alembic.script import Script

from tenantmig.domain.ini_error import say_error
from tenantmig.domain.plan import Heads, RunKind
from tenantmig.domain.tenant import PLACEHOLDER
from tenantmig.engines.environment import Unheard
from tenantmig.engines.hush import hush
from tenantmig.engines.workers import READ_TRIES, Workers
from tenantmig.errors import EnvironmentFileError, TenantmigError, WorkerDiedError
from tenantmig.history.alembic_config import alembic_config
from tenantmig.history.revisions import History


class Written(NamedTuple):
    """Text that a script wrote: one statement, or what one `op.execute()` was given."""

    line: int
    sql: str


@dataclass(frozen=True, slots=True)
class WrittenScript:
    """What the `upgrade()` or the `downgrade()` of one revision wrote, to its end or to `problem`.

    `problem_line` is the line of the script that could not be run offline.
    """

    written: tuple[Written, ...] = ()
    problem: str | None = None
    problem_line: int = 1


@dataclass(frozen=True, slots=True)
class WrittenRevision:
    """Both directions of one revision; an irreversible one has no way down.

    `parents` are the revisions that must be there before it, those it depends on included.
    """

    revision: str
    parents: tuple[str, ...]
    file: str
    irreversible: str | None
    upgrade: WrittenScript
    downgrade: WrittenScript


def write_history(
    ini: Path,
    deadline_s: float,
    redact: Callable[[str], str],
    vouched: Sequence[str] = (),
    x: Sequence[str] = (),
) -> tuple[WrittenRevision, ...]:
    """Return what all revisions write for a tenant called "tenant", from base to head.

    `redact` takes secrets out of what scripts say when they fail. A script that is not proved pure
    is not run (`vouched`: modules that the project answers for). `x` is what env.py and scripts see
    as `-x key=value`.

    Raises:
        EnvironmentFileError: env.py cannot be run offline, or the scripts do not end in time.
        HistoryError: the history is broken.
    """
    workers = Workers(1)
    try:
        written = workers.call(
            _write_history, ini, vouched, x, timeout_s=deadline_s, tries=READ_TRIES
        )
    except TimeoutError:
        raise EnvironmentFileError(
            f"The scripts were not written offline within {deadline_s:g} s; one of them "
            "does not end."
        ) from None
    except EnvironmentFileError as error:
        raise EnvironmentFileError(redact(error.message)) from None
    except WorkerDiedError as death:
        raise EnvironmentFileError(f"{death.message} It was writing the scripts offline.") from None
    finally:
        workers.close()
    return tuple(
        replace(each, upgrade=_told(each.upgrade, redact), downgrade=_told(each.downgrade, redact))
        for each in written
    )


def _told(script: WrittenScript, redact: Callable[[str], str]) -> WrittenScript:
    return replace(script, problem=redact(script.problem)) if script.problem else script


def _write_history(
    ini: Path, vouched: Sequence[str], x: Sequence[str]
) -> tuple[WrittenRevision, ...]:
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a script's print is not our result
    sys.stdout = sys.stderr = Unheard(sys.stderr)
    hush()
    history = History(ini, vouched=vouched)
    scripts = history.scripts()
    written: list[WrittenRevision] = []

    def migrations(_: Heads, __: MigrationContext) -> Iterable[RevisionStep]:
        """Give Alembic one step, a base, in which every script runs: it passes their arguments."""
        step = MigrationStep.upgrade_from_script(history.script.revision_map, scripts[0])

        @wraps(step.migration_fn)  # Alembic logs its name
        def write_all(**arguments: Any) -> None:
            written.extend(_write(history, script, buffer, arguments) for script in scripts)

        step.migration_fn = write_all
        return [step]

    config = alembic_config(ini, x=[f"tenant={PLACEHOLDER}", f"schema={PLACEHOLDER}", *x])
    buffer = _LineBuffer()
    config.output_buffer = cast("TextIO", buffer)
    if scripts:
        _run_env(history, config, migrations)
    if len(written) != len(scripts):
        raise EnvironmentFileError(
            "env.py ended without running the revisions; it must call "
            "context.run_migrations() offline too."
        )
    return tuple(written)


def _run_env(history: History, config: Any, migrations: Callable[..., Any]) -> None:
    options = {"as_sql": True, "starting_rev": None, "destination_rev": "heads", "tag": None}
    try:
        with EnvironmentContext(config, history.script, fn=migrations, **options):
            history.script.run_env()
    except TenantmigError:
        raise
    except Exception as error:  # noqa: BLE001  what it raises may not survive pickling
        raise EnvironmentFileError(
            f"env.py cannot be run offline: {type(error).__name__}: {say_error(error)}"
        ) from None


def _write(
    history: History, script: Script, buffer: _LineBuffer, arguments: dict[str, Any]
) -> WrittenRevision:
    irreversible = history.irreversible(script.revision)
    file = str(script.path)

    def listen(kind: RunKind) -> WrittenScript:
        impure = history.proofs.of(kind, script.revision).impure
        if impure:  # its code runs only where a tenant is migrated
            return WrittenScript(problem=f"not run, because it may do more than send SQL: {impure}")
        return buffer.listen(script.module, file, kind.value, arguments)

    return WrittenRevision(
        revision=script.revision,
        parents=tuple(script._all_down_revisions),  # noqa: SLF001  with depends_on
        file=file,
        irreversible=irreversible,
        upgrade=listen(RunKind.UPGRADE),
        downgrade=WrittenScript() if irreversible else listen(RunKind.DOWNGRADE),
    )


class _LineBuffer(io.TextIOBase):
    """Alembic's output: keeps what the script that runs writes, and from which of its lines.

    A directive writes before it returns, so the script's innermost frame stands on that line.
    """

    def __init__(self) -> None:
        self.file = ""
        self.written: list[Written] = []

    def write(self, text: str) -> int:
        """Keep a text, unless it is Alembic's own bookkeeping or env.py's."""
        frame = sys._getframe(1)  # noqa: SLF001  what traceback.walk_stack begins with
        line = next((n for f, n in traceback.walk_stack(frame) if self._is_script(f)), None)
        if line is not None:
            self.written.append(Written(line, text))
        return len(text)

    def _is_script(self, frame: Any) -> bool:
        return bool(frame.f_code.co_filename == self.file)

    def listen(
        self, module: ModuleType, file: str, direction: str, arguments: dict[str, Any]
    ) -> WrittenScript:
        """Run one direction of a script and return what it wrote."""
        self.file, self.written = module.__file__ or file, []
        try:
            getattr(module, direction)(**arguments)
        except (Exception, SystemExit) as error:  # noqa: BLE001  scripts raise anything
            reason = " ".join(f"{type(error).__name__}: {say_error(error)}".split())
            lines = [n for f, n in self._trace(error) if self._is_script(f)]
            return WrittenScript(tuple(self.written), reason, lines[-1] if lines else 1)
        finally:
            self.file = ""
        return WrittenScript(tuple(self.written))

    @staticmethod
    def _trace(error: BaseException) -> Iterator[tuple[Any, int]]:
        return traceback.walk_tb(error.__traceback__)
