"""Templates: what two recordings of a revision have in common, to be replayed for any tenant.

A template is the SQL of a revision with a gap wherever the tenant schema's name stands. Two
witnesses give one only if they sent the same otherwise; words are told apart by PostgreSQL's own
scanner, so that a schema called `id` or `users` never changes a column or a literal. Pure.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tenantmig.domain.plan import Heads, Memo, RunKind
from tenantmig.domain.recording import AUTOCOMMIT, Recording, Sent
from tenantmig.domain.tenant import Tenant
from tenantmig.postgres.parsing import UnreadableError, enum_name, parse, tokens
from tenantmig.postgres.sql import text

MOST_WITNESSES = 5
GAP = "\0"  # PostgreSQL allows no such character anywhere in SQL
SCHEMA = "\0schema\0"
"""The gap for the schema's name as a literal."""
QUALIFIED, PLAIN = "\0qualified\0", "\0plain\0"
"""The gaps for the schema's name inside a literal: as an identifier in quotes, and bare. The bare
one fits only a name that `is_plain`."""
SEPARATOR = "\n;\n"  # a statement may end with a comment
REPLAYED = frozenset(
    """
    Insert Update Delete Merge Create CreateTableAs CreateForeignTable CreateSchema CreateExtension
    CreateSeq CreateDomain CreateEnum CreateRange CompositeType Define CreateFunction CreatePolicy
    CreateTrig CreateStats CreateCast Index View Rule Drop Truncate Comment SecLabel Do Rename Lock
    Grant GrantRole RefreshMatView Notify ReplicaIdentity ConstraintsSet AlterTable AlterDomain
    AlterEnum AlterType AlterSeq AlterFunction AlterPolicy AlterStats AlterOwner AlterObjectSchema
    AlterObjectDepends AlterDefaultPrivileges AlterExtension AlterCollation
    """.split()  # noqa: SIM905  fifty quotes less
)
"""Statements that mean the same on any session, and end with their transaction."""
ALONE = frozenset(
    "insert update delete merge do alter_enum constraints_set variable_set".split()  # noqa: SIM905
)
"""After these, other DDL in the transaction may fail (pending triggers, unsafe enum values) or mean
something else (SET LOCAL)."""
MOMENTS = frozenset({"'now'", "'today'", "'tomorrow'", "'yesterday'"})
SAVEPOINT = "sa_savepoint_"  # SQLAlchemy numbers them
SAVEPOINTS = ("TRANS_STMT_SAVEPOINT", "TRANS_STMT_RELEASE")


_Key = tuple[RunKind, str]


class NotReplayable(Exception):  # noqa: N818  an answer, not an error
    """Why a revision goes through the alembic engine for each tenant."""


@dataclass(frozen=True, slots=True)
class Template:
    """The SQL of one revision for any tenant: a `GAP` stands where the schema's name belongs.

    `texts` are its stretches inside a transaction (even positions) and single statements outside
    one (odd positions).
    """

    revision: str
    direction: RunKind
    source: Heads
    target: Heads
    texts: tuple[str, ...]
    count: int
    """How many statements it has."""
    stands_alone: bool = False
    """It cannot share a transaction with another revision."""
    before: str | None = None
    after: str | None = None
    named: tuple[str, ...] = ()
    """Words that may be settings of no extension."""
    is_written: bool = False
    """Its script writes the schema's name by itself, and may not quote it."""
    memo: Memo = frozenset()
    """The types that Alembic remembers to have made in it."""
    pieces: tuple[tuple[str, ...], ...] = ()
    """The statements of each of `texts`, one by one."""


def template_of(first: Recording, second: Recording) -> Template:
    """Return what two witnesses of a revision have in common.

    Raises:
        NotReplayable: it differs by more than the tenant schema's name, or cannot be repeated.
    """
    _check_pair(first, second)
    if first.is_written and not (is_plain(first.schema) and is_plain(second.schema)):
        raise NotReplayable(
            "its script contains the schema's name, and one of the first tenants has a name "
            "that needs quotes"
        )
    words = _Words(first.schema, second.schema, is_written=first.is_written)
    stretches: list[list[str]] = [[]]
    kinds: set[str] = set()
    for sent, other in zip(first.statements, second.statements, strict=True):
        if sent[1:] != other[1:]:
            raise NotReplayable("a SELECT found rows in one of the first two tenants only")
        filled = words.with_gaps(sent, other)
        kinds |= check_statement(sent)
        if sent.is_outside:
            stretches += [[filled], []]
        elif sent.is_empty:
            stretches[-1].append(text("engines/replay_empty").format(select=filled))
        else:
            stretches[-1].append(filled)
    return Template(
        revision=first.revision,
        direction=first.direction,
        source=first.source,
        target=first.target,
        texts=tuple(SEPARATOR.join(stretch) for stretch in stretches),
        count=len(first.statements),
        stands_alone=len(stretches) > 1
        or not kinds.isdisjoint(ALONE)
        or any(map(_has_moment, first.statements)),
        before=first.before,
        after=first.after,
        named=tuple(sorted({*first.named, *second.named})),
        is_written=first.is_written,
        memo=first.memo,
        pieces=tuple(map(tuple, stretches)),
    )


def _check_pair(first: Recording, second: Recording) -> None:
    for recording in (first, second):
        if recording.obstacle:
            raise NotReplayable(recording.obstacle)
    for heads in (first.source, first.target):
        if len(heads) > 1:
            raise NotReplayable("the version table has several heads")
    if (first.source, first.target) != (second.source, second.target):
        raise NotReplayable("the first tenants took different paths")
    if len(first.statements) != len(second.statements):
        raise NotReplayable("the first tenants sent different numbers of statements")


def check_statement(sent: Sent) -> set[str]:
    """Return the kinds of statements in a text.

    Raises:
        NotReplayable: one would mean something else on a session that serves tenant after tenant:
            it changes the session or its transactions, or is no SQL that is known.
    """
    try:
        parsed = parse(sent.sql).stmts
    except UnreadableError as error:
        raise NotReplayable(f"it sends a statement that cannot be read ({error})") from error
    kinds = {raw.stmt.WhichOneof("node").removesuffix("_stmt") for raw in parsed}
    if sent.is_empty and kinds == {"select"} and len(parsed) == 1:
        return kinds
    if sent.is_outside and not kinds <= {"index", "drop"}:
        raise NotReplayable(AUTOCOMMIT)
    for raw in parsed:
        _check_node(getattr(raw.stmt, raw.stmt.WhichOneof("node")))
    return kinds


def _has_moment(sent: Sent) -> bool:
    """True for a default that the server works out: now() is one for a whole transaction."""
    words = [word.lower() for _, _, word in _tokens(sent.sql)]
    if not {"alter", "add"} <= set(words):
        return False
    after = [then for word, then in pairwise(words) if word == "default"]
    return any(then in MOMENTS or (then[0].isalpha() or then[0] == "(") for then in after)


def _check_node(node: Any) -> None:
    kind = str(node.DESCRIPTOR.name).removesuffix("Stmt")
    if kind == "Transaction" and enum_name(node, "kind") in SAVEPOINTS:
        return
    if kind == "VariableSet" and node.is_local:
        return
    if kind not in REPLAYED:
        raise NotReplayable(f"it sends a statement of the type {kind}")
    into = getattr(node, "into", None)
    relation = getattr(node, "relation", None) or getattr(into, "rel", None)
    if getattr(relation, "relpersistence", "p") == "t":
        raise NotReplayable("it creates a temporary table")


class _Words:
    """Finds where two statements differ, and whether it is only the name of each one's schema."""

    def __init__(self, first: str, second: str, *, is_written: bool = False) -> None:
        self.schemas = first, second
        self.is_written = is_written

    def with_gaps(self, first: Sent, second: Sent) -> str:
        """Return the statement with a gap for each name of the schema."""
        tokens, others = list(_tokens(first.sql)), list(_tokens(second.sql))
        if len(tokens) != len(others):
            raise NotReplayable("the first tenants sent different statements")
        raw, end, found = first.sql.encode(), 0, b""
        for (start, stop, word), (_, _, other) in zip(tokens, others, strict=True):
            if word == other or all(w.startswith(SAVEPOINT) for w in (word, other)):
                continue
            found += raw[end:start] + self._gap(word, other, is_guard=first.is_empty).encode()
            end = stop
        return (found + raw[end:]).decode()

    def _gap(self, word: str, other: str, *, is_guard: bool) -> str:
        if (_identifier(word), _identifier(other)) == self.schemas:
            return GAP
        # SQLAlchemy asks so whether a type or a table exists
        if (is_guard or self.is_written) and (word, other) == tuple(
            f"'{schema}'" for schema in self.schemas
        ):
            return SCHEMA
        raise NotReplayable(f"the first tenants differ: {_short(word)} and {_short(other)}")


def is_plain(name: str) -> bool:
    """True when a name means the same with quotes and without: no script can write it wrongly."""
    found = tokens(name) if name.isidentifier() and name.isascii() and name.islower() else []
    return len(found) == 1 and found[0].keyword_kind == 0


def is_for(template: Template, tenant: Tenant) -> bool:
    """True unless the template may write another name into SQL than the one of the schema."""
    if not template.is_written:
        return True
    return tenant.name == tenant.schema and is_plain(tenant.schema)


def _tokens(statement: str) -> Iterator[tuple[int, int, str]]:
    raw = statement.encode()
    for token in tokens(statement):
        yield token.start, token.end, raw[token.start : token.end].decode()


def _identifier(word: str) -> str | None:
    """Return the name that a word of SQL means, None if it is no name."""
    if word[:1] == '"':
        return word[1:-1].replace('""', '"')
    return word.lower() if word[:1].isalpha() or word[:1] == "_" else None


def _short(word: str) -> str:
    return word if len(word) <= 40 else word[:37] + "..."


class Templates:
    """What the witnesses of a run have told of its revisions. May be used from several threads."""

    def __init__(self) -> None:
        self._recordings: dict[_Key, list[Recording]] = {}
        self._templates: dict[_Key, Template] = {}
        self._guard = threading.Lock()
        self.obstacles: dict[str, str] = {}
        """Why each revision that is not replayable is not."""

    def add(self, recordings: Sequence[Recording]) -> None:
        """Take what a witness recorded."""
        with self._guard:
            for recording in recordings:
                self._add(recording)

    def _add(self, recording: Recording) -> None:
        key = recording.direction, recording.revision
        if key in self._templates or recording.revision in self.obstacles:
            return
        earlier = self._recordings.setdefault(key, [])
        catalogs = recording.before, recording.after
        alike = [
            r for r in earlier if (r.before, r.after) == catalogs and r.schema != recording.schema
        ]
        earlier.append(recording)
        try:
            if alike:
                self._templates[key] = template_of(alike[0], recording)
            elif recording.obstacle:
                raise NotReplayable(recording.obstacle)
            elif len(earlier) >= MOST_WITNESSES:
                raise NotReplayable(f"among {len(earlier)} tenants, no two have the same catalog")
        except NotReplayable as reason:
            self.obstacles[recording.revision] = str(reason)

    def refuse(self, revision: str, obstacle: str) -> None:
        """A revision is not replayed, whatever its recordings are."""
        with self._guard:
            self.obstacles.setdefault(revision, obstacle)

    def needs_witness(self, direction: RunKind, revisions: Sequence[str]) -> bool:
        """True while it is open for one of these revisions whether it can be replayed."""
        return any(
            (direction, revision) not in self._templates and revision not in self.obstacles
            for revision in revisions
        )

    def get(self, direction: RunKind, revision: str) -> Template | None:
        """Return the template of a revision, if it has one."""
        return self._templates.get((direction, revision))
