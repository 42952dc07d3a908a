"""Which engine carries out which kind of run, and how long it lives."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

from tenantmig.engines import Engine
from tenantmig.engines.alembic import AlembicEngine
from tenantmig.engines.statements import StatementsEngine
from tenantmig.engines.worker import WorkerOptions
from tenantmig.plan import RunKind

WITHOUT_SCRIPTS = frozenset({RunKind.STAMP, RunKind.OFFBOARD})


class EnginePool:
    """Opens an engine for a run, or lends the one that it keeps from run to run."""

    def __init__(self, options: WorkerOptions, kept_workers: int | None = None) -> None:
        self.options = options
        self.kept_workers = kept_workers
        self._kept: AlembicEngine | None = None
        self._is_keeping = False
        self._guard = threading.Lock()

    def keep(self) -> None:
        """Keep the worker processes of the next run, and of those after it, until `close`."""
        self._is_keeping = True

    def close(self) -> None:
        """End the worker processes that were kept."""
        with self._guard:
            self._is_keeping = False
            if self._kept is not None:
                self._kept.close()
            self._kept = None

    @contextmanager
    def engine(self, kind: RunKind, workers: int) -> Iterator[Engine]:
        """The engine for a run of this kind, with room for `workers` tenants at once."""
        options = self.options
        if kind in WITHOUT_SCRIPTS:
            statements = StatementsEngine(options.session, options.ledger, options.version_table)
            with closing(statements) as engine:
                yield engine
        else:
            with self.alembic(workers) as engine:
                yield engine

    @contextmanager
    def alembic(self, workers: int) -> Iterator[AlembicEngine]:
        """The alembic engine, new or kept."""
        if not self._is_keeping:
            with closing(AlembicEngine(self.options, workers)) as engine:
                yield engine
            return
        with self._guard:
            if self._kept is None or self._kept.is_closed:
                self._kept = AlembicEngine(self.options, self.kept_workers or workers)
        yield self._kept
