"""Paths: which revisions lead from where a tenant stands to a target, and Alembic's steps there.

Knows the scripts' graph alone; what a script does is not looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util import CommandError

from tenantmig.domain.plan import Heads, RunKind, show_heads
from tenantmig.domain.plan import Path as RevisionPath
from tenantmig.errors import UnknownRevisionError
from tenantmig.history.applied import ancestors
from tenantmig.history.heads import ExactStep, follow, read_heads
from tenantmig.history.history_errors import one_line

MigrationsFunction = Callable[[Heads, MigrationContext | None], Iterable[ExactStep]]


def find_path(script: ScriptDirectory, kind: RunKind, source: Heads, target: str) -> RevisionPath:
    """Return the revisions from `source` to `target`, relative targets counted from `source`.

    For an upgrade a `source` beyond the target gives an empty path that stays where it is.

    Raises:
        UnknownRevisionError: the target cannot be reached from there.
    """
    if "," in target and kind is RunKind.DOWNGRADE:
        return find_exact_path(script, kind, source, read_heads(target))
    if target[:1] in "+-" and len(source) > 1:
        raise UnknownRevisionError(
            f"{target} is ambiguous from {show_heads(source)}; use a revision id instead"
        )
    try:
        steps = list(find_steps(script, kind, target)(source, None))
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


def find_exact_path(
    script: ScriptDirectory, kind: RunKind, source: Heads, target: Heads
) -> RevisionPath:
    """Return the path over what one of two places has and the other has not.

    Alembic has no name for most of such ways: over a merge, or back on one of two branches.
    Downgrades come in the reverse order of the upgrades; a stamp passes no revision.

    Raises:
        UnknownRevisionError: a revision is gone from the history, or no such path leads there.
    """
    is_down, shown = kind is RunKind.DOWNGRADE, show_heads(target) or "base"
    target = tuple(sorted(target))
    way = f"there is no {kind.value} from {show_heads(source) or 'base'} to exactly {shown}"
    gone = [revision for revision in (*source, *target) if not knows(script, revision)]
    if gone:
        raise UnknownRevisionError(f"{way}: revision {gone[0]!r} is not in this history")
    if kind is RunKind.STAMP:
        return RevisionPath(source, target, (), shown)
    above, below = (source, target) if is_down else (target, source)
    if not ancestors(script, below) <= ancestors(script, above):
        raise UnknownRevisionError(f"{way}: each has revisions that the other lacks")
    scripts = script.iterate_revisions(above, below, implicit_base=True)
    passed = [one.revision for one in scripts]
    revisions = tuple(passed if is_down else reversed(passed))
    path = RevisionPath(source, target, revisions, shown)
    if find_places(script, kind, path)[-1] != target:
        raise UnknownRevisionError(f"{way}: its version rows would differ")
    return path


def find_steps(script: ScriptDirectory, kind: RunKind, target: str) -> MigrationsFunction:
    """Return the function that gives Alembic the steps to `target` from where it stands."""
    aim = read_heads(target) if "," in target else target
    is_down = kind is RunKind.DOWNGRADE
    find = script._downgrade_revs if is_down else script._upgrade_revs  # noqa: SLF001  what alembic.command calls

    def steps(heads: Heads, context: MigrationContext | None) -> Iterable[ExactStep]:
        found = [str(step.revision.revision) for step in find(aim, heads)]  # type: ignore[arg-type]
        return find_exact_steps(script, kind, found)(heads, context)

    return steps


def find_exact_steps(
    script: ScriptDirectory, kind: RunKind, revisions: Sequence[str]
) -> MigrationsFunction:
    """Return the function that gives Alembic these revisions, in this order, and no others."""
    scripts = [script.get_revision(revision) for revision in revisions]
    is_upgrade, known = kind is not RunKind.DOWNGRADE, script.revision_map

    def steps(_: Heads, __: MigrationContext | None) -> Iterable[ExactStep]:
        return [ExactStep(known, one, is_upgrade) for one in scripts if one]

    return steps


def find_places(script: ScriptDirectory, kind: RunKind, path: RevisionPath) -> Sequence[Heads]:
    """Return where a path comes past, its ends included."""
    steps = find_exact_steps(script, kind, path.revisions)(path.source, None)
    return follow(steps, path.source)


def knows(script: ScriptDirectory, revision: str) -> bool:
    """True when the history has a revision of exactly this id."""
    return revision in script.revision_map._revision_map  # noqa: SLF001  no prefixes
