"""The migration history: Alembic's scripts, checked as a whole before any database is touched, and
the paths through them. Knows no tenant and no connection."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from itertools import groupby
from pathlib import Path

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util import CommandError

from tenantmig.domain.counting import counted
from tenantmig.domain.lineage import Lineage
from tenantmig.domain.plan import Heads, Leg, RunKind, show_heads
from tenantmig.domain.plan import Path as RevisionPath
from tenantmig.domain.recording import AUTOCOMMIT
from tenantmig.errors import HistoryError, UnknownRevisionError, VersionTableError
from tenantmig.history.alembic_config import alembic_config, refuse_shadow
from tenantmig.history.heads import ExactStep, follow, read_heads
from tenantmig.history.history_errors import history_errors, one_line
from tenantmig.history.proofs import HistoryProofs
from tenantmig.history.row_changes import may_write_rows
from tenantmig.history.script_source import (
    extensions_made,
    has_autocommit_block,
    irreversible_reason,
)

MigrationsFunction = Callable[[Heads, MigrationContext | None], Iterable[ExactStep]]


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
                    f"The revision id {revision!r} has {len(revision)} characters, and the version"
                    f" column has room for {length}; give it a shorter one, or set version_length ="
                    f" {len(revision)} and widen the columns that there are."
                )

    def forget_scripts(self) -> None:
        """Load every script again, when the next one is asked for."""
        self.script = ScriptDirectory.from_config(self._config)

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
        if kind is RunKind.DOWNGRADE and re.fullmatch(r"-\d+", target):
            return target
        if kind is RunKind.UPGRADE and re.fullmatch(r"\+\d+", target):
            return target
        if target in {"base", "heads"}:
            return target
        if not target or target[0] in "+-":
            raise UnknownRevisionError(_unknown(target, f"not a target of {kind.value}"))
        if target == "head" and len(self.heads) > 1:
            raise HistoryError(
                f"The history has {len(self.heads)} heads ({', '.join(self.heads)});"
                " join them with `alembic merge heads`, name one of them, or say `heads`."
            )
        if re.search(r"@(base|[+-]\d+)$", target):
            raise UnknownRevisionError(
                f"{target!r} depends on where each tenant stands; name a revision id instead."
            )
        return ",".join(self._resolve(target)) or "base"

    def _resolve(self, target: str) -> Heads:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = self.script.get_revisions(target)
        except CommandError as error:
            raise UnknownRevisionError(_unknown(target, error.__cause__ or error)) from error
        if any(script is None for script in found):
            raise UnknownRevisionError(_unknown(target, "no such revision"))
        return tuple(sorted(script.revision for script in found))

    def check_heads(self, heads: Heads) -> None:
        """Make sure that the rows of a version table are a possible state of this history.

        Raises:
            VersionTableError: a row names an unknown revision, or one row's revision is an
                ancestor of another's.
        """
        for revision in self.unknown(heads):
            raise VersionTableError(
                f"the version table names revision {revision!r}, which is not in this history"
            )
        for revision in heads:
            others = [head for head in heads if head != revision]
            if others and revision in self._ancestors(others):
                raise VersionTableError(
                    f"the version table has {counted(len(heads), 'row')} ({', '.join(heads)}),"
                    f" and {revision} is an ancestor of another row"
                )

    def unknown(self, heads: Heads) -> Heads:
        """Return those that are no revision of this history, by their whole id."""
        known = self.script.revision_map._revision_map  # noqa: SLF001  no prefixes
        found = {revision: known.get(revision) for revision in heads}
        return tuple(h for h, script in found.items() if script is None or script.revision != h)

    def _ancestors(self, heads: Sequence[str]) -> set[str]:
        # one by one: of several, Alembic refuses those that overlap
        each = (self.script.iterate_revisions(revision, "base") for revision in heads)
        return {script.revision for scripts in each for script in scripts}

    def is_applied(self, revision: str, heads: Heads) -> bool:
        """True when a tenant whose version table says `heads` has had this revision."""
        return revision in heads or revision in self._ancestors(heads)

    def applied(self, heads: Heads) -> frozenset[str]:
        """Return every revision that a tenant has had whose version table says `heads`."""
        return frozenset(self._ancestors(heads))

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
        if "," in target and kind is RunKind.DOWNGRADE:
            return self.exact_path(kind, source, read_heads(target))
        if target[:1] in "+-" and len(source) > 1:
            raise UnknownRevisionError(
                f"{target} is ambiguous from {show_heads(source)}; name a revision id instead"
            )
        try:
            steps = list(self.steps(kind, target)(source, None))
        except (CommandError, RevisionError) as error:
            where = show_heads(source) or "base"
            raise UnknownRevisionError(
                f"there is no {kind.value} from {where} to {target}: {one_line(error)}"
            ) from error
        except AttributeError as error:  # a script without upgrade() or downgrade()
            raise UnknownRevisionError(f"a script is incomplete: {one_line(error)}") from error
        reached = follow(steps, source)[-1]
        revisions = tuple(step.revision.revision for step in steps)
        destination = (show_heads(reached) or "base") if target[:1] in "+-" else target
        return RevisionPath(source, reached, revisions, destination)

    def exact_path(self, kind: RunKind, source: Heads, target: Heads) -> RevisionPath:
        """Return the path over what one of two places has and the other has not.

        Alembic has no name for most of such ways: over a merge, or back on one of two branches.
        Downgrades come in the reverse order of the upgrades; a stamp passes no revision.

        Raises:
            UnknownRevisionError: a revision is gone from the history, or no such path leads there.
        """
        is_down, shown = kind is RunKind.DOWNGRADE, show_heads(target) or "base"
        target = tuple(sorted(target))
        way = f"there is no {kind.value} from {show_heads(source) or 'base'} to exactly {shown}"
        gone = [revision for revision in (*source, *target) if not self.knows(revision)]
        if gone:
            raise UnknownRevisionError(f"{way}: revision {gone[0]!r} is not in this history")
        if kind is RunKind.STAMP:
            return RevisionPath(source, target, (), shown)
        above, below = (source, target) if is_down else (target, source)
        if not self.applied(below) <= self.applied(above):
            raise UnknownRevisionError(f"{way}: each has revisions that the other has not")
        scripts = self.script.iterate_revisions(above, below, implicit_base=True)
        passed = [script.revision for script in scripts]
        revisions = tuple(passed if is_down else reversed(passed))
        path = RevisionPath(source, target, revisions, shown)
        if self._places(kind, path)[-1] != target:
            raise UnknownRevisionError(f"{way}: its version rows would be others")
        return path

    def rest(self, kind: RunKind, path: RevisionPath, heads: Heads) -> tuple[str, ...] | None:
        """Return what is left of a path for a tenant that is somewhere on it; None beside it."""
        places = self._places(kind, path)
        here = tuple(sorted(heads))
        return path.revisions[places.index(here) :] if here in places else None

    def _places(self, kind: RunKind, path: RevisionPath) -> Sequence[Heads]:
        """Return where a path comes past, its ends included."""
        key = kind, path
        if key not in self._known_places:
            steps = self.exact_steps(kind, path.revisions)(path.source, None)
            self._known_places[key] = follow(steps, path.source)
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
        base, colon, head = (":" if revision_range is None else revision_range).partition(":")
        if not colon:
            head = base = self.target(base)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = self.script.walk_revisions(base=base or "base", head=head or "heads")
                return list(found)[::-1]
        except (CommandError, RevisionError) as error:
            raise UnknownRevisionError(_unknown(str(revision_range), error)) from error

    def knows(self, revision: str) -> bool:
        """True when the history has a revision of exactly this id."""
        return revision in self.script.revision_map._revision_map  # noqa: SLF001  no prefixes

    def stamp_path(self, source: Heads, target: str) -> RevisionPath:
        """Return the path of a stamp: from anywhere to `target`, over no revision."""
        heads = () if target == "base" else self._resolve(target)
        return RevisionPath(source, heads, (), target)

    def steps(self, kind: RunKind, target: str) -> MigrationsFunction:
        """Return the function that gives Alembic the steps to `target` from where it stands."""
        script, aim = self.script, read_heads(target) if "," in target else target
        is_down = kind is RunKind.DOWNGRADE
        find = script._downgrade_revs if is_down else script._upgrade_revs  # noqa: SLF001  what alembic.command calls

        def steps(heads: Heads, context: MigrationContext | None) -> Iterable[ExactStep]:
            found = [str(step.revision.revision) for step in find(aim, heads)]  # type: ignore[arg-type]
            return self.exact_steps(kind, found)(heads, context)

        return steps

    def exact_steps(self, kind: RunKind, revisions: Sequence[str]) -> MigrationsFunction:
        """Return the function that gives Alembic these revisions, in this order, and no others."""
        scripts = [self.script.get_revision(revision) for revision in revisions]
        is_upgrade, known = kind is not RunKind.DOWNGRADE, self.script.revision_map

        def steps(_: Heads, __: MigrationContext | None) -> Iterable[ExactStep]:
            return [ExactStep(known, script, is_upgrade) for script in scripts if script]

        return steps


def _roots(config: Config) -> tuple[str, ...]:
    """Return the folders that scripts import from, before those of Python itself."""
    return tuple(config.get_prepend_sys_paths_list() or ())


def _unknown(target: str, reason: object) -> str:
    return (
        f"{target!r} does not name exactly one revision ({one_line(reason)});"
        " `alembic history` lists them."
    )
