"""The SQL of the replay engine: a path's transactions, with gaps for what differs by tenant. Pure.

Made once for a path; a tenant costs a few replacements. A gap holds a NUL character, which
PostgreSQL allows nowhere in SQL, so that filling gaps can never touch anything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from tenantmig.outcome import DONE
from tenantmig.plan import Assignment, Heads, RunKind, show_heads
from tenantmig.recording import GAP, SCHEMA, SEPARATOR, Template
from tenantmig.sql import text

NAME, LABELS, ATTEMPT = "\0name\0", "\0labels\0", "\0attempt\0"
"""Gaps for literals, beside those of a recording."""
OURS = 2  # statements of a transaction beside those of its revision


@dataclass(frozen=True, slots=True)
class Texts:
    """What is sent for one tenant of a path, one text a round trip.

    There is one text unless a statement must run outside a transaction. `statements` is the most
    that one text holds.
    """

    texts: tuple[str, ...]
    statements: int

    def render(self, assignment: Assignment) -> list[str]:
        """Fill the gaps for one tenant."""
        tenant = assignment.tenant
        filled = {
            SCHEMA: _literal(tenant.schema),
            NAME: _literal(tenant.name),
            LABELS: _literal(Jsonb(dict(tenant.labels))),
            ATTEMPT: str(assignment.attempt),
            GAP: sql.Identifier(tenant.schema).as_string(),  # last: the others hold its character
        }
        return [_filled(one, filled) for one in self.texts]


@dataclass(frozen=True, slots=True)
class TextMaker:
    """Puts a path's templates into transactions.

    `is_registry_source` says that an onboarded tenant is kept in the registry.
    """

    ledger: str
    version_table: str
    extension_schemas: tuple[str, ...]
    lock_timeout_s: float
    is_registry_source: bool

    def make(self, assignment: Assignment, templates: Sequence[Template]) -> Texts:
        """Return the texts for a path whose revisions have these templates."""
        most = max(template.count for template in templates) + OURS
        texts = [self._enter(assignment.run, most)]
        if assignment.kind is RunKind.ONBOARD:
            texts[-1] += SEPARATOR + self._sql("replay_birth")
        for template in templates:
            first, *rest = self._revision(template, assignment)
            texts[-1] += SEPARATOR + first
            texts += rest
        texts[-1] += SEPARATOR + "SELECT pg_advisory_unlock_all()"
        return Texts(tuple(texts), most * len(templates))

    def _sql(self, name: str, **facts: Any) -> str:
        return self._format(text(name), **facts)

    def _format(self, statement: str, **facts: Any) -> str:
        """Fill in names and literals, and put gaps where they belong."""
        found = {
            "ledger": sql.Identifier(self.ledger),
            "identifier": sql.SQL(GAP),
            "table": sql.SQL(f"{GAP}.") + sql.Identifier(self.version_table),
            "key": sql.Identifier(f"{self.version_table}_pkc"),
            "name": sql.SQL(NAME),
            "schema": sql.SQL(SCHEMA),
            "labels": sql.SQL(LABELS),
            "attempt": sql.SQL(ATTEMPT),
        }
        return sql.SQL(statement).format(**found, **facts).as_string()

    def _enter(self, run: int, waits: int) -> str:
        """Bind to the tenant; all waits of a transaction together last `lock_timeout` at most."""
        share = max(1, round(self.lock_timeout_s * 1000 / waits))
        rest = [sql.Identifier(name).as_string() for name in (*self.extension_schemas, "pg_temp")]
        path = "".join(f", {name}" for name in rest)
        return self._sql("replay_enter", run=run, path=path, lock_timeout=f"{share}ms")

    def _revision(self, template: Template, assignment: Assignment) -> list[str]:
        """A transaction, or what stands before, in and after an autocommit_block."""
        is_done = template.target == assignment.path.target
        end = [self._version(template.source, template.target)]
        if is_done and assignment.kind is RunKind.ONBOARD:
            end.append(self._end_birth())
        end.append(
            self._format(
                "EXECUTE tenantmig_reached ({name}, {attempt}, {schema}, {reached}, {outcome})",
                reached=show_heads(template.target),
                outcome=DONE[assignment.kind].value if is_done else None,
            )
        )
        *texts, last = template.texts
        for position in range(0, len(texts), 2):
            texts[position] = _transaction(texts[position])
        return [*texts, _transaction(last, *end)]

    def _version(self, source: Heads, target: Heads) -> str:
        """Compare and set the version row."""
        if not source:
            change = "INSERT INTO {table} VALUES ({target})"
        elif not target:
            change = "DELETE FROM {table} WHERE version_num = {source}"
        else:
            change = "UPDATE {table} SET version_num = {target} WHERE version_num = {source}"
        heads = {"source": show_heads(source), "target": show_heads(target)}
        made = sql.SQL(self._format(change, **heads))
        return self._sql("replay_version", change=made, rows=len(source))

    def _end_birth(self) -> str:
        if self.is_registry_source:
            return self._format(
                "UPDATE {ledger}.tenant SET state = 'active', updated_at = clock_timestamp()"
                " WHERE name = {name}"
            )
        return self._format("DELETE FROM {ledger}.tenant WHERE name = {name}")


def _transaction(*statements: str) -> str:
    return SEPARATOR.join(["BEGIN", *filter(None, statements), "COMMIT"])


def _filled(one: str, gaps: dict[str, str]) -> str:
    for gap, value in gaps.items():
        one = one.replace(gap, value)
    return one


def _literal(value: object) -> str:
    return sql.Literal(value).as_string()
