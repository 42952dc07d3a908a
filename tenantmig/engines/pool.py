"""Which engine carries out which kind of run, and how long its worker processes live.

An engine is imported when a run needs it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress

from tenantmig.domain.plan import RunKind
from tenantmig.domain.tenant import SCRATCH, Tenant
from tenantmig.engines import Engine
from tenantmig.engines.alembic import AlembicEngine
from tenantmig.engines.blueprints import Blueprints
from tenantmig.engines.environment import WorkerOptions
from tenantmig.engines.loaders import Libraries, Loader
from tenantmig.engines.loading import Load
from tenantmig.engines.workers import Workers
from tenantmig.errors import EnvironmentDiedError, EnvironmentFileError, TenantmigError
from tenantmig.history.proofs import HistoryProofs

NOBODY = Tenant(f"{SCRATCH}nobody", f"{SCRATCH}nobody")  # for whom env.py is run without a tenant
WITHOUT_SCRIPTS = frozenset({RunKind.STAMP, RunKind.OFFBOARD})


class EnginePool:
    """Opens an engine for a run, over worker processes of its own or over those that it keeps."""

    def __init__(
        self,
        options: WorkerOptions,
        proofs: Callable[[], HistoryProofs],
        kept_workers: int | None = None,
        choice: str = "auto",
        blueprints: Callable[[], Blueprints] = Blueprints,
    ) -> None:
        self.options = options
        self.proofs = proofs
        self.choice = choice
        self._blueprints = blueprints
        self.kept_workers = kept_workers or 2 * (os.cpu_count() or 1)
        self._kept: Workers | None = None
        self._is_keeping = False
        self._is_env_fit = False
        self._guard = threading.Lock()
        self._imports = Loader(self._find_imports, Libraries())
        self._history = Loader(self._find_history, self._imports)

    def require_fit_env(self, tenants: Sequence[Tenant]) -> None:
        """Make sure, once, that env.py loads and does what tenants need, as far as can be seen.

        Raises:
            EnvironmentFileError: with its file, the line and what to do.
        """
        problem = self.look_at_env(tenants)
        if problem is not None:
            raise EnvironmentFileError(f"{problem} Nothing was run.")

    def look_at_env(self, tenants: Sequence[Tenant]) -> str | None:
        """Say what keeps env.py from serving these tenants; None if nothing is known to.

        It is shown the first tenant, and the last one too before it is refused: what it does may
        depend on who is asked for.
        """
        if self._is_env_fit:
            return None
        named = [Tenant(tenant.name, tenant.schema) for tenant in tenants] or [NOBODY]
        shown = named[:1] if len(named) == 1 else [named[0], named[-1]]
        with self.alembic(1) as engine:
            for tenant in shown:
                problem = _look(engine, tenant)
                if problem is None:
                    self._is_env_fit = True
                    return None
        return problem

    def keep(self) -> None:
        """Keep `kept_workers` processes for all runs from the next one on, until `close`."""
        self._is_keeping = True

    def close(self) -> None:
        """End the worker processes that were kept."""
        with self._guard:
            self._is_keeping = False
            kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()
        _close(self._history, self._imports)

    @contextmanager
    def engine(self, kind: RunKind, workers: int) -> Iterator[Engine]:
        """The engine for a run of this kind, with room for `workers` tenants at once."""
        try:
            with self._engine(kind, workers) as engine:
                yield engine
        finally:
            if not self._is_keeping:
                _retire(self._history, self._imports)

    @contextmanager
    def _engine(self, kind: RunKind, workers: int) -> Iterator[Engine]:
        options = self.options
        if kind in WITHOUT_SCRIPTS:
            from tenantmig.engines.statements import StatementsEngine

            statements = StatementsEngine(options.session, options.ledger, options.version_table)
            with closing(statements) as engine:
                yield engine
        elif self.choice == "alembic":
            with self.alembic(workers) as engine:
                yield engine
        else:
            with self._auto(workers) as engine:
                yield engine

    @contextmanager
    def _auto(self, workers: int) -> Iterator[Engine]:
        from tenantmig.engines.auto import AutoEngine
        from tenantmig.engines.replay import ReplayEngine
        from tenantmig.engines.transactions import TextMaker

        options = self.options
        maker = TextMaker(
            options.ledger,
            options.version_table,
            options.session,
            is_registry_source=options.is_registry_source,
        )
        replay = ReplayEngine(options.session, maker, options.recycle_after)
        with ExitStack() as opened:
            witness = opened.enter_context(self.alembic(1))

            def alembic() -> Engine:
                return opened.enter_context(self.alembic(workers))

            is_strict = self.choice == "replay"
            auto = AutoEngine(
                witness,
                alembic,
                replay,
                self.proofs,
                is_strict=is_strict,
                blueprints=self._blueprints(),
            )
            yield opened.enter_context(closing(auto))

    @contextmanager
    def alembic(self, workers: int) -> Iterator[AlembicEngine]:
        """The alembic engine, over new worker processes or over the kept ones."""
        is_shared = self._is_keeping
        with (
            self._workers(workers) as lent,
            closing(AlembicEngine(self.options, lent, self.proofs, is_shared=is_shared)) as engine,
        ):
            yield engine

    @contextmanager
    def _workers(self, count: int) -> Iterator[Workers]:
        if self._is_keeping:
            with self._guard:
                self._kept = self._kept or Workers(self.kept_workers, self._history)
            yield self._kept
            return
        # to prove that the history can be loaded first takes longer than to load it once
        source = self._history if count > 1 else self._imports
        with closing(Workers(count, source)) as workers:
            yield workers

    def _find_imports(self) -> Load | None:
        with suppress(TenantmigError):  # the history cannot be loaded: whoever needs it says so
            imports = self.proofs().environment_imports
            return Load(self.options, imports) if imports else None
        return None

    def _find_history(self) -> Load | None:
        with suppress(TenantmigError):
            return None if self.proofs().loading else Load(self.options)
        return None


def _close(*loaders: Loader) -> None:
    for loader in loaders:
        loader.close()


def _retire(*loaders: Loader) -> None:
    for loader in loaders:
        loader.retire()


def _look(engine: AlembicEngine, tenant: Tenant) -> str | None:
    """Say what is wrong with env.py; nothing is known where somebody kills what looks at it."""
    try:
        return engine.look_at_env(tenant)
    except EnvironmentDiedError as death:
        return death.message if death.has_ended_itself else None
