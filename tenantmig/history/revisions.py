"""The migration history: Alembic's scripts, checked as a whole before any database is touched, and
the paths through them. Knows no tenant and no connection."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cached_property
from itertools import groupby
from pathlib import Path

from alembic.config import Config
from alembic.script import Script, ScriptDirectory

from tenantmig.domain.lineage import Lineage
from tenantmig.domain.plan import Heads, Leg, RunKind, show_heads
from tenantmig.domain.plan import Path as RevisionPath
from tenantmig.domain.recording import AUTOCOMMIT
from tenantmig.errors import HistoryError
from tenantmig.history.alembic_config import alembic_config, refuse_shadow
from tenantmig.history.applied import ancestors, check_heads, unknown
from tenantmig.history.history_errors import history_errors
from tenantmig.history.paths import (
    MigrationsFunction,
    find_exact_path,
    find_exact_steps,
    find_path,
    find_places,
    find_steps,
    knows,
)
from tenantmig.history.proofs import HistoryProofs
from tenantmig.history.row_changes import may_write_rows
from tenantmig.history.script_literals import extensions_made
from tenantmig.history.script_source import has_autocommit_block, irreversible_reason
from tenantmig.history.targets import resolve, resolve_target, scripts_of


class History:
    """The revisions of one lineage, loaded once and known to be sound."""

    def __init__(
        self,
        ini: Path,
        lineage: Lineage = Lineage.TENANT,
        vouched: Sequence[str] = (),
        shared_section: str = Lineage.SHARED.section,
    ) -> None:
        """Load every script; `vouched` are modules that the project answers for (see `purity`).

        Raises:
            SettingsError: the ini cannot be read.
            HistoryError: a script cannot be loaded, a revision id stands twice, a parent is
                missing, or revisions form a cycle; the file or revision is named.
        """
        self.ini = ini
        self.vouched = tuple(vouched)
        config = alembic_config(ini, lineage, shared_section=shared_section)
        with history_errors():
            refuse_shadow(config)
            self._config = config
            self.script = ScriptDirectory.from_config(config)
            self.heads: Heads = tuple(sorted(self.script.get_heads()))
            self._known_places: dict[tuple[RunKind, RevisionPath], Sequence[Heads]] = {}
            self.script.get_bases()

    def check_lengths(self, length: int) -> None:
        """Make sure that each revision id fits into a version column of so many characters.

        Raises:
            HistoryError: naming the first that does not, and what to do.
        """
        for revision in self.revisions:
            if len(revision) > length:
                raise HistoryError(
                    f"The revision id {revision!r} has {len(revision)} characters, but the "
                    f"version column holds only {length}. Give it a shorter id, or set "
                    f"version_length = {len(revision)} and widen the existing columns."
                )

    def forget_scripts(self) -> None:
        """Load every script again, when the next one is asked for."""
        self.script = ScriptDirectory.from_config(self._config)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of all scripts and of env.py."""
        scripts = [Path(script.path) for script in self.script.walk_revisions()]
        return (*sorted(scripts), Path(self.script.env_py_location))

    @cached_property
    def proofs(self) -> HistoryProofs:
        """What is proved of each revision, without running it."""
        return HistoryProofs(
            self.script,
            _roots(self._config),
            self.vouched,
        )

    def target(self, target: str, kind: RunKind = RunKind.UPGRADE) -> str:
        """Return `target` with abbreviations and `head` resolved; a relative one stays relative.

        Raises:
            UnknownRevisionError: it names no revision or several.
            HistoryError: it is `head` and the history has several heads.
        """
        return resolve_target(self.script, self.heads, target, kind)

    def check_heads(self, heads: Heads) -> None:
        """Make sure that the rows of a version table are a possible state of this history.

        Raises:
            VersionTableError: a row names an unknown revision, or one row's revision is an
                ancestor of another's.
        """
        check_heads(self.script, heads)

    def unknown(self, heads: Heads) -> Heads:
        """Return those that are no revision of this history, by their whole id."""
        return unknown(self.script, heads)

    def is_applied(self, revision: str, heads: Heads) -> bool:
        """True when a tenant whose version table says `heads` has had this revision."""
        return revision in heads or revision in ancestors(self.script, heads)

    def applied(self, heads: Heads) -> frozenset[str]:
        """Return every revision that a tenant has had whose version table says `heads`."""
        return frozenset(ancestors(self.script, heads))

    @property
    def revisions(self) -> tuple[str, ...]:
        """Every revision, none before those that it stands on."""
        scripts = list(self.script.walk_revisions())
        return tuple(script.revision for script in reversed(scripts))

    def path(self, kind: RunKind, source: Heads, target: str) -> RevisionPath:
        """Return the revisions from `source` to `target`, relative targets counted from `source`.

        For an upgrade a `source` beyond the target gives an empty path that stays where it is.

        Raises:
            UnknownRevisionError: the target cannot be reached from there.
        """
        return find_path(self.script, kind, source, target)

    def exact_path(self, kind: RunKind, source: Heads, target: Heads) -> RevisionPath:
        """Return the path over what one of two places has and the other has not.

        Alembic has no name for most of such ways: over a merge, or back on one of two branches.
        Downgrades come in the reverse order of the upgrades; a stamp passes no revision.

        Raises:
            UnknownRevisionError: a revision is gone from the history, or no such path leads there.
        """
        return find_exact_path(self.script, kind, source, target)

    def rest(self, kind: RunKind, path: RevisionPath, heads: Heads) -> tuple[str, ...] | None:
        """Return what is left of a path for a tenant that is somewhere on it; None beside it."""
        places = self._places(kind, path)
        here = tuple(sorted(heads))
        return path.revisions[places.index(here) :] if here in places else None

    def _places(self, kind: RunKind, path: RevisionPath) -> Sequence[Heads]:
        """Return where a path comes past, its ends included."""
        key = kind, path
        if key not in self._known_places:
            self._known_places[key] = find_places(self.script, kind, path)
        return self._known_places[key]

    def legs(self, kind: RunKind, path: RevisionPath) -> tuple[Leg, ...]:
        """Cut a path where it goes from transactional to concurrent revisions, or back.

        One with a revision that is not proved pure is left whole.
        """
        runs = [(flag, tuple(g)) for flag, g in groupby(path.revisions, self._is_concurrent)]
        if len(runs) < 2:
            return (Leg(path, any(flag for flag, _ in runs)),)
        if self.proofs.why_isolated(kind, path.revisions):
            return (Leg(path, is_concurrent=True, is_whole=True),)
        places, at, legs = self._places(kind, path), 0, []
        for flag, revisions in runs:
            end = at + len(revisions)
            is_last = end == len(path.revisions)
            destination = path.destination if is_last else show_heads(places[end]) or "base"
            legs.append(Leg(RevisionPath(places[at], places[end], revisions, destination), flag))
            at = end
        return tuple(legs)

    def _is_concurrent(self, revision: str) -> bool:
        return has_autocommit_block(self._file(revision))

    def obstacle(self, revision: str, kind: RunKind = RunKind.UPGRADE) -> str | None:
        """Say why a revision cannot be replayed, as far as its script shows, or None."""
        if self._is_concurrent(revision):
            return AUTOCOMMIT
        return self.proofs.obstacle(kind, revision)

    def extensions(self) -> dict[str, str]:
        """Return the extensions that the scripts' texts create, each with its first revision."""
        found: dict[str, str] = {}
        for revision in self.revisions:
            for name in extensions_made(self._file(revision)):
                found.setdefault(name, revision)
        return found

    def row_writers(self, heads: Heads) -> tuple[str, ...]:
        """Return the applied revisions that may have written rows (see `row_changes`), in order."""
        applied = self.applied(heads)
        return tuple(r for r in self.revisions if r in applied and may_write_rows(self._file(r)))

    def irreversible(self, revision: str) -> str | None:
        """Say why a revision can never be downgraded, or None."""
        return irreversible_reason(self._file(revision))

    def _file(self, revision: str) -> str:
        script = self.script.get_revision(revision)
        assert script is not None
        return str(script.path)

    def scripts(self, revision_range: str | None = None) -> list[Script]:
        """Return the scripts of a range in the order of upgrades; all of them without one.

        The range is what `alembic history -r` takes, both ends included: `A:B`, `A:`, `:B`, `-3:`;
        and a single revision.

        Raises:
            UnknownRevisionError: it names a revision that is not there.
        """
        return scripts_of(self.script, self.heads, revision_range)

    def knows(self, revision: str) -> bool:
        """True when the history has a revision of exactly this id."""
        return knows(self.script, revision)

    def stamp_path(self, source: Heads, target: str) -> RevisionPath:
        """Return the path of a stamp: from anywhere to `target`, over no revision."""
        heads = () if target == "base" else resolve(self.script, target)
        return RevisionPath(source, heads, (), target)

    def steps(self, kind: RunKind, target: str) -> MigrationsFunction:
        """Return the function that gives Alembic the steps to `target` from where it stands."""
        return find_steps(self.script, kind, target)

    def exact_steps(self, kind: RunKind, revisions: Sequence[str]) -> MigrationsFunction:
        """Return the function that gives Alembic these revisions, in this order, and no others."""
        return find_exact_steps(self.script, kind, revisions)


def _roots(config: Config) -> tuple[str, ...]:
    """Return the folders that scripts import from, before those of Python itself."""
    with warnings.catch_warnings():
        # of an ini without path_separator: Alembic tells it where it loads the history
        warnings.simplefilter("ignore", DeprecationWarning)
        return tuple(config.get_prepend_sys_paths_list() or ())
