"""The auto engine: the first tenants by alembic, watched; the others by replay where that is right.

Decides revision by revision. Whatever replay could not do for a tenant, alembic does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import psycopg

from tenantmig.catalog.fingerprint import Outline, read_outlines
from tenantmig.domain.failure import Failure, FailureKind, Phase
from tenantmig.domain.notices import Warned
from tenantmig.domain.outcome import Attempt
from tenantmig.domain.plan import Assignment, Path, RunKind, show_heads
from tenantmig.engines import Engine
from tenantmig.engines.blueprints import BLUEPRINT, Blueprints
from tenantmig.engines.catalogs import Catalogs
from tenantmig.engines.replay import ReplayEngine
from tenantmig.engines.template import Template, Templates, is_for
from tenantmig.errors import TenantmigError
from tenantmig.history.proofs import HistoryProofs
from tenantmig.postgres.connection import in_catalog
from tenantmig.postgres.parsing import prepare

SMALL = 20_000  # rows of a tenant in which no statement takes long, whatever it does to all of them
TICK_S = 0.2  # how often who waits for a witness looks whether the run was stopped


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a leg: replayed from its templates, or, without any, by alembic."""

    path: Path
    templates: Sequence[Template] = ()


class AutoEngine(Engine):
    """Chooses between two engines.

    `witness` is an alembic engine with one worker; `open_alembic` opens one with all workers, when
    the first tenant needs it. `is_strict`: nobody but witnesses may go by alembic.
    """

    name = "auto"

    def __init__(
        self,
        witness: Engine,
        open_alembic: Callable[[], Engine],
        replay: ReplayEngine,
        proofs: Callable[[], HistoryProofs],
        *,
        is_strict: bool = False,
        blueprints: Blueprints | None = None,
    ) -> None:
        self.is_strict = is_strict
        self.blueprints = blueprints or Blueprints()
        self.witness = witness
        self.replay = replay
        self._proofs = proofs
        self.templates = Templates()
        self.catalogs = Catalogs(self._read_outlines)
        self._open_alembic = open_alembic
        self._alembic: Engine | None = None
        self._is_closed = False
        self._run: Assignment | None = None
        self._refused: set[str] = set()
        self._heeded: set[tuple[RunKind, tuple[str, ...]]] = set()
        self._witnessing = threading.Lock()
        self._stopping = threading.Event()
        self._guard = threading.Lock()

    @property
    def obstacles(self) -> Mapping[str, str]:
        """Why each revision that is not replayed is not, as far as it was tried."""
        return {**self.templates.obstacles, **self.blueprints.obstacles}

    def expect(self, schemas: Sequence[str]) -> None:
        """These tenants are next. The parser, which compares witnesses, loads while they work."""
        self.blueprints.expect(len(schemas))
        self.catalogs.expect(schemas)
        if len(schemas) > 1:
            threading.Thread(target=prepare, name="load the parser", daemon=True).start()

    def heed(self, stopping: threading.Event) -> None:
        """Who waits for a witness begins nothing once this is set."""
        self._stopping = stopping

    def verify(self, connection: psycopg.Connection, least: int = 1) -> Sequence[str]:
        """Return the replayed tenants whose catalog is not that of the witness."""
        return self.catalogs.verify(connection, least)

    def attempt(self, assignment: Assignment) -> Attempt:
        """Bring a tenant along its path by the fastest means that is right."""
        try:
            made = self._attempt(assignment)
        finally:
            self.replay.rest()
        if made.failure is not None:
            # some revisions may be committed: alembic reads where it stands, under its lock
            with self._guard:
                self._refused.add(assignment.tenant.name)
        if made.failure is not None and made.failure.phase is Phase.CONNECT:
            self.replay.hang_up_idle()
        return made

    def _attempt(self, assignment: Assignment) -> Attempt:
        self._run = assignment
        self._heed_proofs(assignment)
        born = self._by_blueprint(assignment)
        if born is not None:
            return born
        made = self._by_revisions(assignment)
        if made.failure is None and made.outcome is not None:
            self.blueprints.note(assignment)
        return made

    def _by_revisions(self, assignment: Assignment) -> Attempt:
        witnessed = self._be_first(assignment)
        if witnessed is not None:
            return witnessed
        stretches = list(self._stretches(assignment))
        first, is_small = stretches[0].templates, assignment.kind is RunKind.ONBOARD
        if first and not is_small:
            try:
                before = self.catalogs.before(assignment.tenant.schema)
            except (psycopg.Error, TenantmigError) as error:
                return self.replay.fail(error)
            if before is None or before.mark != first[0].before:
                return self._by_alembic(assignment)
            is_small = before.rows <= SMALL
        made = self._go(assignment, stretches, is_small=is_small)
        last = stretches[-1].templates
        if made.failure is None and last and not made.is_through:
            self.catalogs.replayed(assignment.tenant.schema, last[-1].after)
        return made

    def _go(
        self, assignment: Assignment, stretches: Sequence[Stretch], *, is_small: bool
    ) -> Attempt:
        made, warnings, memo = Attempt(), list[Warned](), assignment.memo
        printed: list[str] = []
        for stretch in stretches:
            part = replace(assignment, leg=stretch.path, memo=memo)
            if stretch.templates:
                made = self.replay.attempt(part, stretch.templates, is_small=is_small)
            else:
                made = self._by_alembic(part)
            warnings += made.warnings
            printed += made.printed
            if made.failure is None:
                memo = memo.union(made.memo, *(one.memo for one in stretch.templates))
            else:
                break
            if made.is_through:  # on the session of a revision that left something there
                break
        return replace(made, warnings=tuple(warnings), printed=tuple(printed), memo=memo)

    def _by_alembic(self, assignment: Assignment) -> Attempt:
        if self.is_strict:
            return Attempt(failure=self._not_replayed(assignment))
        with self._guard:
            if self._alembic is None and not self._is_closed:
                self._alembic = self._open_alembic()
            engine = self._alembic or self.witness
        self.replay.hang_up()  # a thread has one connection, here or in a worker
        # an idle worker keeps a connection only where this thread will not want one elsewhere
        releases = not self.obstacles.keys() >= set(assignment.path.revisions)
        return engine.attempt(replace(assignment, releases=releases))

    def _not_replayed(self, assignment: Assignment) -> Failure:
        for revision in assignment.stretch.revisions:
            if revision in self.obstacles:
                reason = f"revision {revision} cannot be replayed: {self.obstacles[revision]}"
                return Failure(FailureKind.RUN, f"{reason}; use --engine auto")
        reason = (
            "this tenant cannot be replayed: its catalog differs from that of the first "
            "tenants, or a replay failed"
        )
        return Failure(FailureKind.PERMANENT, f"{reason}; use --engine auto")

    def _heed_proofs(self, assignment: Assignment) -> None:
        """Replay nothing that is not proved, whatever the witnesses show."""
        path = assignment.kind, assignment.stretch.revisions
        if path in self._heeded:
            return
        for revision in assignment.stretch.revisions:
            obstacle = self._proofs().obstacle(assignment.kind, revision)
            if obstacle:
                self.templates.refuse(revision, obstacle)
        self._heeded.add(path)

    # -- births -----------------------------------------------------------------------------

    def _by_blueprint(self, assignment: Assignment) -> Attempt | None:
        """Carry a birth through in one text; None if that is not possible, or not worth its cost.

        Who comes while a blueprint is made waits for it, and hears a stop as for a witness.
        """
        path, tenant = assignment.stretch, assignment.tenant
        is_fit = assignment.kind is RunKind.ONBOARD and path == assignment.path and path.revisions
        if not is_fit or assignment.is_reading or assignment.lost_xid:
            return None
        if tenant.name in self._refused:
            return None
        is_replayed = all(self.templates.get(RunKind.ONBOARD, one) for one in path.revisions)
        while (found := self.blueprints.find(path, TICK_S, is_replayed=is_replayed)) is None:
            if self._is_closed or self._stopping.is_set():
                return Attempt()
        template = found.template
        if template is None or not is_for(template, tenant):
            return None
        made = self._go(assignment, [_replayed([template])], is_small=True)
        if made.failure is None:
            self.catalogs.replayed(tenant.schema, template.after)
        return replace(made, engine=BLUEPRINT)

    # -- witnesses ------------------------------------------------------------------------------

    def _is_open(self, assignment: Assignment) -> bool:
        path = assignment.stretch
        return self.templates.needs_witness(assignment.kind, path.revisions)

    def _be_first(self, assignment: Assignment) -> Attempt | None:
        """Go as a witness, one tenant at a time; None as soon as all is known of the path.

        Who comes meanwhile waits as long as the witness works: by alembic it would take as long. A
        stop while it waits is heard, but for who only finds out what an earlier attempt left.
        """
        while self._is_open(assignment):
            is_next = self._witnessing.acquire(timeout=TICK_S)
            try:
                is_stopped = self._is_closed or self._stopping.is_set()
                if is_stopped and not (is_next and assignment.is_reading):
                    return Attempt()
                if is_next and self._is_open(assignment):
                    return self._witness(assignment)
            finally:
                if is_next:
                    self._witnessing.release()
        return None

    def _witness(self, assignment: Assignment) -> Attempt:
        self.replay.hang_up()
        kind, revisions = assignment.kind, assignment.stretch.revisions
        formats = frozenset(r for r in revisions if self._proofs().of(kind, r).formats_tenant)
        witness = replace(assignment, is_witness=True, releases=True, formats=formats)
        made = self.witness.attempt(witness)
        # what a script changes in its process, those after it may have sent otherwise
        impure = [r for r in revisions if not self._proofs().of(kind, r).is_pure]
        known = revisions[: revisions.index(impure[0])] if impure else revisions
        self.templates.add([one for one in made.recordings if one.revision in known])
        return made

    def _read_outlines(self, schemas: Sequence[str]) -> Mapping[str, Outline]:
        assert self._run is not None
        connection = self.replay.connection(self._run)
        with in_catalog(connection):  # it may be bound to the tenant before
            return read_outlines(connection, schemas)

    # -- what is replayed -----------------------------------------------------------------------

    def _stretches(self, assignment: Assignment) -> Iterator[Stretch]:
        """Cut what is to be gone: replay, then from the first obstacle to the last by alembic."""
        path, kind = assignment.stretch, assignment.kind
        found = [self.templates.get(kind, revision) for revision in path.revisions]
        gaps = [i for i, template in enumerate(found) if template is None]
        first, last = (gaps[0], gaps[-1] + 1) if gaps else (len(found), len(found))
        if self._proofs().why_isolated(kind, path.revisions[first:last]):
            last = len(found)  # what a script keeps in its process, the next may use
        before = [t for t in found[:first] if t is not None]
        after = [t for t in found[last:] if t is not None]
        if not self._may_replay(assignment, before, after, is_whole=not gaps):
            yield Stretch(path)
            return
        if before:
            yield _replayed(before)
        if gaps:
            start = before[-1].target if before else path.source
            end = after[0].source if after else path.target
            destination = path.destination if end == path.target else show_heads(end) or "base"
            yield Stretch(Path(start, end, path.revisions[first:last], destination))
        if after:
            yield _replayed(after)

    def _may_replay(
        self,
        assignment: Assignment,
        before: Sequence[Template],
        after: Sequence[Template],
        *,
        is_whole: bool,
    ) -> bool:
        path = assignment.stretch
        if assignment.is_reading or assignment.lost_xid or not (before or after):
            return False
        if assignment.tenant.name in self._refused or self._is_unwritable(assignment):
            return False
        if before and before[0].source != path.source:
            return False
        if after and after[-1].target != path.target:
            return False
        joints = (*pairwise(before), *pairwise(after))
        if any(one.target != following.source for one, following in joints):
            return False  # recorded where tenants stood on other branches
        # a birth is one piece: nobody may come in between
        return is_whole or assignment.kind is not RunKind.ONBOARD

    def _is_unwritable(self, assignment: Assignment) -> bool:
        """True when a script that writes the tenant's name may write another than the schema's."""
        kind, tenant = assignment.kind, assignment.tenant
        found = [self.templates.get(kind, revision) for revision in assignment.stretch.revisions]
        return any(template is not None and not is_for(template, tenant) for template in found)

    def close(self) -> None:
        """End every connection and process; attempts in flight are cut off."""
        with self._guard:
            self._is_closed = True
        for engine in (self.witness, self.replay, self._alembic):
            if engine is not None:
                engine.close()


def _replayed(templates: Sequence[Template]) -> Stretch:
    target = templates[-1].target
    revisions = tuple(template.revision for template in templates)
    path = Path(templates[0].source, target, revisions, show_heads(target) or "base")
    return Stretch(path, templates)
