"""Targets: which revisions the words of a target or a range name. Knows no tenant."""

from __future__ import annotations

import re
import warnings

from alembic.script import Script, ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util import CommandError

from tenantmig.domain.plan import Heads, RunKind
from tenantmig.errors import HistoryError, UnknownRevisionError
from tenantmig.history.history_errors import one_line


def resolve_target(script: ScriptDirectory, heads: Heads, target: str, kind: RunKind) -> str:
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
        raise UnknownRevisionError(unknown_target(target, f"not a target of {kind.value}"))
    if target == "head" and len(heads) > 1:
        raise HistoryError(
            f"The history has {len(heads)} heads ({', '.join(heads)})."
            " Join them with `alembic merge heads`, name one of them, or use `heads`."
        )
    if re.search(r"@(base|[+-]\d+)$", target):
        raise UnknownRevisionError(
            f"{target!r} depends on the revision of each tenant; use a revision id instead."
        )
    return ",".join(resolve(script, target)) or "base"


def resolve(script: ScriptDirectory, target: str) -> Heads:
    """Return the revisions that a word of Alembic names, sorted."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = script.get_revisions(target)
    except CommandError as error:
        raise UnknownRevisionError(unknown_target(target, error.__cause__ or error)) from error
    if any(one is None for one in found):
        raise UnknownRevisionError(unknown_target(target, "no such revision"))
    return tuple(sorted(one.revision for one in found))


def scripts_of(script: ScriptDirectory, heads: Heads, revision_range: str | None) -> list[Script]:
    """Return the scripts of a range in the order of upgrades; all of them without one.

    The range is what `alembic history -r` takes, both ends included: `A:B`, `A:`, `:B`, `-3:`;
    and a single revision.

    Raises:
        UnknownRevisionError: it names a revision that is not there.
    """
    base, colon, head = (":" if revision_range is None else revision_range).partition(":")
    if not colon:
        head = base = resolve_target(script, heads, base, RunKind.UPGRADE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = script.walk_revisions(base=base or "base", head=head or "heads")
            return list(found)[::-1]
    except (CommandError, RevisionError) as error:
        raise UnknownRevisionError(unknown_target(str(revision_range), error)) from error


def unknown_target(target: str, reason: object) -> str:
    """Say that a target names no revision, or several, and why."""
    return (
        f"{target!r} does not name exactly one revision ({one_line(reason)});"
        " `alembic history` lists them."
    )
