"""The SQL of the replay engine: a path's transactions, with gaps for what differs by tenant. Pure.

Made once for a path; a tenant costs a few replacements. A gap holds a NUL character, which
PostgreSQL allows nowhere in SQL, so that filling gaps can never touch anything else.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from tenantmig.domain.outcome import DONE
from tenantmig.domain.plan import Assignment, Heads, RunKind, show_heads
from tenantmig.engines.template import GAP, PLAIN, QUALIFIED, SCHEMA, SEPARATOR, Template
from tenantmig.ledger.claim import session_name
from tenantmig.ledger.journal import DONE_OUTCOMES
from tenantmig.postgres.connection import SessionOptions, binding
from tenantmig.postgres.owner_wall import SCHEMA_OWNER
from tenantmig.postgres.sql import text
from tenantmig.postgres.wall_functions import PREFIX, lower_sql, raise_sql, run_sql

NAME, LABELS, ATTEMPT = "\0name\0", "\0labels\0", "\0attempt\0"
"""Gaps for literals, beside those of a recording."""
WALL, OWNER = "\0wall\0", "\0owner\0"
"""The gaps for the name of the owner's wall, and for who owns a new schema."""
STRINGS = "\0strings\0"
"""The gap for `standard_conforming_strings`: a text is read as a whole before it sets anything."""
SAVEPOINT = re.compile(r"\s*(SAVEPOINT|RELEASE)\b", re.IGNORECASE)
AS_OWNER = """SELECT pg_catalog.set_config('role', pg_catalog.pg_get_userbyid(nspowner), false)
  FROM pg_catalog.pg_namespace WHERE nspname OPERATOR(pg_catalog.=) {schema}"""
OURS = 2  # statements of a transaction beside those of its revisions
MOST_TOGETHER = 20  # statements of revisions in one transaction: each takes a lock or two


@dataclass(frozen=True, slots=True)
class Texts:
    """What is sent for one tenant of a path, one text a round trip.

    There is one text unless a statement must run outside a transaction. `statements` is the most
    that one text holds. The last answers with a row of what is there then (`replay_left`); `left`
    is what should be: the version, the journal's revision and outcome.
    """

    texts: tuple[str, ...]
    statements: int
    left: tuple[str | None, str | None, str | None]
    options: SessionOptions
    gaps: tuple[str, ...] = field(init=False)
    """Those that occur."""

    def __post_init__(self) -> None:
        """See which gaps there are: each tenant pays for its literals."""
        found = tuple(gap for gap in FILLING if any(gap in one for one in self.texts))
        object.__setattr__(self, "gaps", found)

    def render(self, assignment: Assignment, strings: str) -> list[str]:
        """Fill the gaps for one tenant; `strings` is how the session reads them as it begins."""
        owner = self.options.owner_of(assignment.tenant)
        filled = {
            OWNER: sql.SQL("AUTHORIZATION {}").format(sql.Identifier(owner or "")).as_string(),
            STRINGS: _literal(strings),
        }
        filled |= {gap: FILLING[gap](assignment) for gap in self.gaps}
        return [_filled(one, filled) for one in self.texts]


@dataclass(frozen=True, slots=True)
class TextMaker:
    """Puts a path's templates into transactions.

    `is_registry_source` says that an onboarded tenant is kept in the registry.
    """

    ledger: str
    version_table: str
    options: SessionOptions
    is_registry_source: bool

    def make(
        self, assignment: Assignment, templates: Sequence[Template], *, is_small: bool
    ) -> Texts:
        """Return the texts for a path whose revisions have these templates.

        `is_small` says that no statement can take long, so that revisions may share a transaction.
        """
        groups = _together(templates) if is_small else [[template] for template in templates]
        most = OURS + max(sum(template.count for template in group) for group in groups)
        limits = self._limits(most)
        texts = [self._enter(assignment.run, limits)]
        for number, group in enumerate(groups):
            # a function of the tenant's that an earlier one called may have set other limits
            first, *rest = self._transaction(group, assignment, limits if number else None)
            texts[-1] += SEPARATOR + first
            texts += rest
        texts[-1] += SEPARATOR + self._left(assignment.run, templates)
        reached = show_heads(templates[-1].target)
        is_done = templates[-1].target == assignment.path.target
        left = reached, reached, DONE[assignment.kind].value if is_done else None
        return Texts(tuple(texts), most * len(groups), left, self.options)

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
            "strings": sql.SQL(STRINGS),
            "owner": sql.SQL(OWNER if self.options.onboard_owner else ""),
        }
        return sql.SQL(statement).format(**found, **facts).as_string()

    def _left(self, run: int, templates: Sequence[Template]) -> str:
        """Read what is there after the last COMMIT, and give up the lock."""
        named = sorted({name for template in templates for name in template.named})
        marked = sql.SQL(
            ", EXISTS (SELECT FROM pg_catalog.unnest({}::pg_catalog.text[]) AS name"
            " WHERE pg_catalog.current_setting(name, true) IS NOT NULL)"
        ).format(named)
        return self._format(
            text("engines/replay_left"), run=run, marked=marked if named else sql.SQL(", false")
        )

    def _limits(self, waits: int) -> sql.Composed:
        """All waits of a transaction together last `lock_timeout` at most."""
        limits = binding(self.options, (), "")
        share = max(1, round(self.options.lock_timeout_s * 1000 / waits))
        return sql.SQL(text("engines/replay_limits").strip()).format(
            lock_timeout=f"{share}ms",
            statement_timeout=limits["statement_timeout"],
            idle_timeout=limits["idle_timeout"],
        )

    def _enter(self, run: int, limits: sql.Composed) -> str:
        """Clear the session, and bind it to the tenant."""
        # as `bind_session` has it, to the letter: SET search_path FROM CURRENT keeps it
        quoted = sql.SQL(
            " OPERATOR(pg_catalog.||) ', ' OPERATOR(pg_catalog.||) pg_catalog.quote_ident({})"
        )
        rest = [quoted.format(name) for name in (*self.options.extension_schemas, "pg_temp")]
        path = sql.SQL("").join(rest)
        return self._format(
            text("engines/replay_enter"),
            run=run,
            path=path,
            limits=limits,
            application_name=session_name(run),
            row_security=self.options.row_security,
        )

    def _transaction(
        self, group: Sequence[Template], assignment: Assignment, limits: sql.Composed | None
    ) -> list[str]:
        """A transaction, or what stands before, in and after an autocommit_block."""
        source, target = group[0].source, group[-1].target
        is_birth = assignment.kind is RunKind.ONBOARD
        is_done = target == assignment.path.target
        bodies = self._bodies(group)
        if is_birth and not source:
            bodies[0] = _joined(self._birth(), bodies[0])
        end = [self._change(source, target)]
        if is_birth and is_done:
            end.append(self._end_birth())
        end.append(self._reached(assignment, source, target, is_done=is_done))
        if not target:
            end.append(self._format("DELETE FROM {table}"))
        bodies[-1] = _joined(bodies[-1], *end)
        begin = _joined(f"SELECT {limits.as_string()}" if limits else "", "BEGIN")
        texts = [body if n % 2 else _joined(begin, body, "COMMIT") for n, body in enumerate(bodies)]
        if self.options.run_as == SCHEMA_OWNER:  # what runs outside a transaction runs alone
            for n in range(1, len(texts), 2):
                texts[n - 1] = _joined(texts[n - 1], self._format(AS_OWNER))
                texts[n + 1] = _joined("RESET ROLE", texts[n + 1])
        return texts

    def _bodies(self, group: Sequence[Template]) -> list[str]:
        """What the revisions sent: in a transaction (even places), and outside one."""
        if self.options.run_as != SCHEMA_OWNER:
            if len(group) == 1:
                return list(group[0].texts)
            return [_joined(*(template.texts[0] for template in group))]
        pieces = group[0].pieces
        if len(group) > 1:
            pieces = (tuple(piece for template in group for piece in template.pieces[0]),)
        return [p[0] if n % 2 else self._behind_wall(p) for n, p in enumerate(pieces)]

    def _behind_wall(self, statements: Sequence[str]) -> str:
        """Run statements as the owner of the schema; a savepoint runs none of the tenant's code."""
        if not statements:
            return ""
        schema, options = sql.SQL(SCHEMA), self.options
        table, trusted = self.version_table, options.trusted_schemas
        return _joined(
            raise_sql(WALL, schema).as_string(),
            *(one if SAVEPOINT.match(one) else run_sql(WALL, one) for one in statements),
            lower_sql(WALL, schema, table, trusted).as_string(),
        )

    def _change(self, source: Heads, target: Heads) -> str:
        """Set the version row, by comparison; base has none, and goes after it was looked at."""
        if not source:
            return self._format("INSERT INTO {table} VALUES ({target})", target=show_heads(target))
        return self._format(
            "UPDATE {table} SET version_num = {target}"
            " WHERE version_num OPERATOR(pg_catalog.=) {source}",
            target=show_heads(target or source),
            source=show_heads(source),
        )

    def _reached(
        self, assignment: Assignment, source: Heads, target: Heads, *, is_done: bool
    ) -> str:
        return self._format(
            text("engines/replay_reached"),
            run=assignment.run,
            epoch=assignment.epoch,
            stands=show_heads(target or source),
            reached=show_heads(target),
            outcome=DONE[assignment.kind].value if is_done else None,
            done=list(DONE_OUTCOMES),
        )

    def _birth(self) -> str:
        return self._format(text("engines/replay_birth"), length=self.options.version_length)

    def _end_birth(self) -> str:
        if self.is_registry_source:
            return self._format(
                "UPDATE {ledger}.tenant"
                " SET state = 'active', updated_at = pg_catalog.clock_timestamp()"
                " WHERE name OPERATOR(pg_catalog.=) {name}"
            )
        return self._format("DELETE FROM {ledger}.tenant WHERE name OPERATOR(pg_catalog.=) {name}")


def _together(templates: Sequence[Template]) -> list[list[Template]]:
    """Group the revisions that can share a transaction."""
    groups: list[list[Template]] = []
    for template in templates:
        group = groups[-1] if groups else [template]
        is_alone = template.stands_alone or group[-1].stands_alone
        if not groups or is_alone or sum(t.count for t in group) + template.count > MOST_TOGETHER:
            groups.append([template])
        else:
            group.append(template)
    return groups


def _joined(*statements: str) -> str:
    return SEPARATOR.join(filter(None, statements))


def _filled(one: str, gaps: dict[str, str]) -> str:
    for gap, value in gaps.items():
        one = one.replace(gap, value)
    return one


def named_for(one: str, schema: str) -> str:
    """Fill the gaps for the schema's name, and leave the others."""
    return _filled(one, {gap: fill(schema) for gap, fill in OF_SCHEMA.items()})


def _literal(value: object) -> str:
    return sql.Literal(value).as_string()


OF_SCHEMA: dict[str, Callable[[str], str]] = {
    SCHEMA: _literal,
    QUALIFIED: lambda schema: sql.Identifier(schema).as_string().replace("'", "''"),
    PLAIN: str,
    GAP: lambda schema: sql.Identifier(schema).as_string(),
}
"""What stands in the gaps for the schema's name; `GAP` last."""
FILLING: dict[str, Callable[[Assignment], str]] = {
    SCHEMA: lambda assignment: OF_SCHEMA[SCHEMA](assignment.tenant.schema),
    NAME: lambda assignment: _literal(assignment.tenant.name),
    LABELS: lambda assignment: _literal(Jsonb(dict(assignment.tenant.labels))),
    ATTEMPT: lambda assignment: str(assignment.attempt),
    WALL: lambda _: PREFIX + secrets.token_hex(8),
    QUALIFIED: lambda assignment: OF_SCHEMA[QUALIFIED](assignment.tenant.schema),
    PLAIN: lambda assignment: OF_SCHEMA[PLAIN](assignment.tenant.schema),
    # last: the others hold its character
    GAP: lambda assignment: OF_SCHEMA[GAP](assignment.tenant.schema),
}
"""What stands in each gap for a tenant."""
