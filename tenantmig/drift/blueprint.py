"""Blueprints: the finished schema of a birth as one text, made from two births, proved by a third.

Two scratch schemas are born by the chain, watched, and read. What both have in common becomes a
template of the whole birth. It is given out only after a third schema was made of it, whose name
needs quotes if the text allows that, and is equal to the first: catalog, owners and grants, rows,
sequences, and each word that pg_dump writes of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace

import psycopg
from psycopg import sql

from tenantmig.backups.client_programs import ClientPrograms
from tenantmig.catalog.catalog import CatalogReader
from tenantmig.catalog.fingerprint import read_fingerprints
from tenantmig.domain.plan import Path, RunKind
from tenantmig.domain.tenant import PLACEHOLDER, SCRATCH
from tenantmig.drift.blueprint_reading import BirthReader, Born, Rows
from tenantmig.drift.blueprint_rows import CommonRows
from tenantmig.drift.blueprint_text import CommonText
from tenantmig.drift.reference import Reference
from tenantmig.drift.scratch import Scratch, open_scratch
from tenantmig.engines.birth_witness import BirthSeen
from tenantmig.engines.blueprints import BLUEPRINT
from tenantmig.engines.template import SEPARATOR, NotReplayable, Template
from tenantmig.engines.transactions import named_for
from tenantmig.errors import TenantmigError
from tenantmig.history.proofs import HistoryProofs
from tenantmig.postgres.connection import SessionOptions, connect, in_catalog
from tenantmig.postgres.version_writing import write_version

BODIES = "SET LOCAL check_function_bodies = off"  # a function may come before what it names
ANY_SCRATCH = re.compile(SCRATCH + "[0-9a-f]{12}")
WEIRD = " \"'Ö"
WAITING = ("REFERENCES", "VIEW", "POLICY")
"""Words of statements that may wait for somebody: what they make points at other schemas."""


@dataclass(frozen=True, slots=True)
class Blueprint:
    """The template of a whole birth, and what was seen of one of which it was made."""

    template: Template
    seen: BirthSeen


@dataclass(frozen=True, slots=True)
class BlueprintMaker:
    """Makes blueprints, each at the cost of two births by the chain and three dumps."""

    options: SessionOptions
    version_table: str
    deadline_s: float
    proofs: Callable[[], HistoryProofs]
    scratch: Callable[[], AbstractContextManager[Scratch]]
    catalogs: Callable[[], AbstractContextManager[CatalogReader]]
    programs: Callable[[int], ClientPrograms]

    def make(self, path: Path) -> Blueprint:
        """Return the proved blueprint of a birth along a path.

        Raises:
            NotReplayable: there is none that is right; with the reason.
        """
        try:
            return self._make(path)
        except NotReplayable as error:
            reason = str(error)
        except TenantmigError as error:
            reason = error.message.rstrip(".")
        except psycopg.Error as error:
            reason = self.options.url.redact(str(error))
        raise NotReplayable(ANY_SCRATCH.sub(PLACEHOLDER, reason))

    def _make(self, path: Path) -> Blueprint:
        if len(path.target) != 1:
            raise NotReplayable("the version table has several heads")
        formats = self._proved(path)
        with self.scratch() as one, self.scratch() as other:
            with ThreadPoolExecutor(2) as threads:
                first, second = threads.map(
                    lambda scratch: self._born(scratch, path, formats), (one, other)
                )
            made = _Common(first, second).template(one.connection, path, is_written=bool(formats))
            self._prove(made, first, one.connection)
            with in_catalog(one.connection):
                found = read_fingerprints(one.connection, [first.schema]).get(first.schema)
        return Blueprint(replace(made, after=found), first.seen)

    def _proved(self, path: Path) -> frozenset[str]:
        """Heed what is proved of the scripts; return those that write the tenant's name."""
        for revision in path.revisions:
            obstacle = self.proofs().obstacle(RunKind.ONBOARD, revision)
            if obstacle:
                raise NotReplayable(f"revision {revision}: {obstacle}")
        of = self.proofs().of
        return frozenset(r for r in path.revisions if of(RunKind.ONBOARD, r).formats_tenant)

    def _born(self, scratch: Scratch, path: Path, formats: frozenset[str]) -> Born:
        connection = scratch.connection
        begun = _clock(connection)
        seen = scratch.bear_watched(path.revisions, formats)
        obstacle = seen.unsure if isinstance(seen, BirthSeen) else seen.message
        if not isinstance(seen, BirthSeen) or obstacle:
            raise NotReplayable(obstacle or "")
        reader = self._reader(connection)
        born = reader.read(connection, scratch.schema, begun, _clock(connection))
        return replace(born, seen=seen)

    def _reader(self, connection: psycopg.Connection) -> BirthReader:
        programs = self.programs(connection.info.server_version)
        return BirthReader(programs, self.options, self.version_table, self.deadline_s)

    # -- the proof ----------------------------------------------------------------------------

    def _prove(self, made: Template, first: Born, connection: psycopg.Connection) -> None:
        """Make a schema of the text and compare it with one that the chain made.

        Raises:
            NotReplayable: they are not equal.
        """
        try:
            with open_scratch(self.options, "" if made.is_written else WEIRD) as (mine, schema):
                begun = _clock(mine)
                self._bear(made, schema)
                third = self._reader(mine).read(mine, schema, begun, _clock(mine))
                again = _Common(first, third).template(
                    connection, _path_of(made), is_written=made.is_written
                )
                if again.texts != made.texts:
                    raise NotReplayable("their texts differ")
                if _held(mine, third) != _held(connection, first):
                    raise NotReplayable("materialized views hold other rows")
                self._compare(made, first, schema)
        except NotReplayable as reason:
            raise NotReplayable(f"a schema made of its text is another one: {reason}") from reason

    def _compare(self, made: Template, first: Born, schema: str) -> None:
        with self.catalogs() as reader:
            reference = Reference(made.target, reader.catalog(first.schema), first.schema)
            mark, found = reader.marks([schema])[schema], reader.catalog(schema)
        if isinstance(mark, str):
            raise NotReplayable(mark)
        expected = reference.of(schema, mark.quoted)
        if found != expected:
            wrong = sorted({k for k in {*found, *expected} if found.get(k) != expected.get(k)})
            raise NotReplayable(f"{' '.join(wrong[0]).strip()} differs")

    def _bear(self, made: Template, schema: str) -> None:
        """Make a scratch schema of a blueprint, as a birth does."""
        with closing(connect(self.options, (schema,))) as session, session.transaction():
            write_version(session, schema, self.version_table, made.target)
            session.execute(
                sql.SQL("SET LOCAL search_path = {}").format(_path(self.options, schema))
            )
            session.execute(named_for(made.texts[0], schema).encode())


@dataclass(frozen=True, slots=True)
class _Common:
    """What two finished schemas have in common."""

    first: Born
    second: Born

    def template(self, connection: psycopg.Connection, path: Path, *, is_written: bool) -> Template:
        """Return the text of both.

        Raises:
            NotReplayable: they differ.
        """
        text = CommonText(self.first.schema, self.second.schema)
        pieces = [BODIES, *self._pieces(text, CommonRows(connection, self.first, self.second))]
        if _numbers(self.first) != _numbers(self.second):
            raise NotReplayable("two births have different columns")
        return Template(
            revision=BLUEPRINT,
            direction=RunKind.ONBOARD,
            source=(),
            target=path.target,
            texts=(SEPARATOR.join(pieces),),
            count=1 + sum(any(word in piece for word in WAITING) for piece in pieces),
            is_written=is_written or text.is_written,
            pieces=(tuple(pieces),),
        )

    def _pieces(self, text: CommonText, rows: CommonRows) -> Iterator[str]:
        mine, theirs = self.first.parts, self.second.parts
        if len(mine) != len(theirs):
            raise NotReplayable("two births have different numbers of objects")
        for part, other in zip(mine, theirs, strict=True):
            if isinstance(part, Rows) and isinstance(other, Rows):
                yield from rows.of(part, other, text.of(part.table, other.table))
            elif isinstance(part, str) and isinstance(other, str):
                yield text.of(part, other)
            else:
                raise NotReplayable("two births have different objects")


def _path(options: SessionOptions, schema: str) -> sql.Composable:
    names = (schema, *options.extension_schemas, "pg_temp")
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _path_of(made: Template) -> Path:
    return Path(made.source, made.target, (BLUEPRINT,), BLUEPRINT)


def _clock(connection: psycopg.Connection) -> object:
    row = connection.execute("SELECT pg_catalog.clock_timestamp()").fetchone()
    assert row is not None
    return row[0]


def _numbers(born: Born) -> list[tuple[str, int, str]]:
    """The columns of a schema, in their order."""
    return [(one.relation, one.number, one.name) for one in born.columns]


def _held(connection: psycopg.Connection, born: Born) -> dict[str, list[str]]:
    """The rows of materialized views, which no dump holds."""
    views = {one.relation for one in born.columns if one.kind == "m"}
    found = {}
    with in_catalog(connection):
        for view in sorted(views):
            of = sql.SQL("SELECT (x.*)::pg_catalog.text FROM {} AS x ORDER BY 1")
            rows = connection.execute(of.format(sql.Identifier(born.schema, view)))
            found[view] = [text for (text,) in rows]
    return found
