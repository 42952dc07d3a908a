"""Births for the pool: schemas that are created ahead, and the proof that none depends on its name.

They are born as any tenants are, in a run of their own, and are in nobody's registry when it ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import psycopg

from tenantmig.catalog.catalog import Mark
from tenantmig.domain.outcome import Outcome, RunReport
from tenantmig.domain.plan import Plan, show_heads
from tenantmig.domain.tenant import Tenant
from tenantmig.drift.pool_proof import (
    Rows,
    differing,
    read_rows,
    spelled_in_catalog,
    spelled_in_texts,
    unlike_rows,
)
from tenantmig.drift.reference import Reference
from tenantmig.errors import TenantmigError, sentence_of
from tenantmig.fleet.driver import Driver
from tenantmig.fleet.pool_history import history_mark, other_files, problem_of
from tenantmig.fleet.run_options import RunOptions
from tenantmig.ledger import pool_members
from tenantmig.ledger.ledger import Ledger
from tenantmig.ledger.pool_members import PoolRow
from tenantmig.rollout import planning

WITNESSES: Final = 2  # whose rows are compared before any of them is given out


def add_members(
    driver: Driver, ledger: Ledger, options: RunOptions, count: int, kept: int
) -> tuple[int, str | None]:
    """Create so many schemas and take as many of them in; say why not, if they cannot be."""
    tenants = [Tenant(name, name) for name in (pool_members.new_name() for _ in range(count))]
    plan = planning.plan_onboarding(driver.history, driver.history.heads[0], tenants)
    plan = replace(plan, groups=(replace(plan.groups[0], tenants=tuple(tenants)),))
    report = _create(driver, plan, options)
    born = [t.schema for t in report.tenants if t.outcome is Outcome.ONBOARDED]
    failed = next((t.error for t in report.tenants if t.outcome is not Outcome.ONBOARDED), None)
    try:
        rows, reason = _prove(driver, ledger, report.run or 0, born)
    except (TenantmigError, psycopg.Error) as error:
        rows, reason = [], f"its schemas cannot be proved: {sentence_of(error)}"
    for row in rows[:kept]:
        pool_members.add_member(ledger.connection, ledger.schema, row)
    return len(rows[:kept]), reason or (f"run {report.run}: {failed}" if failed else None)


def _create(driver: Driver, plan: Plan, options: RunOptions) -> RunReport:
    """Carry the births out, as those of any tenants; in a run, over a control connection."""
    with driver.ledger() as ledger:
        quiet = replace(options, backup=None)
        return driver.start(plan, ledger, quiet)


def _prove(
    driver: Driver, ledger: Ledger, run: int, born: Sequence[str]
) -> tuple[list[PoolRow], str | None]:
    """Return the rows of the schemas that may be given out, or say what keeps them from it."""
    known = pool_members.list_members(ledger.connection, ledger.schema)
    files = other_files(driver)
    history = history_mark(driver, files)
    like = next((r for r in known if r.history == history and not problem_of(driver, r)), None)
    reason = _prove_catalogs(driver, ledger, born, like)
    if reason is not None:
        return [], reason
    versions = driver.reader(ledger)(born)
    wanted = show_heads(driver.history.heads) or ""
    rows: list[PoolRow] = []
    expected: Mapping[str, object] | None = None if like is None else like.rows
    for schema in born:
        if versions[schema].problem or versions[schema].heads != driver.history.heads:
            return [], f"a new schema is not at {wanted}"
        found, reason = _prove_rows(ledger, schema, expected)
        if reason is not None:
            return [], reason
        expected = found if expected is None else expected
        rows.append(PoolRow(schema, wanted, history, files, found, run))
    if like is None and len(rows) < WITNESSES:
        return [], "too few schemas were created to compare them"
    return rows, None


def _prove_catalogs(
    driver: Driver, ledger: Ledger, born: Sequence[str], like: PoolRow | None
) -> str | None:
    """Say what in the catalogs keeps schemas from the pool, or None.

    They are compared with a member; without one, with a scratch schema that the history makes:
    there it may change nothing outside.
    """
    heads = driver.history.heads
    with driver.catalogs(ledger, 1) as reader:
        if like is not None:
            reference = Reference(heads, reader.catalog(like.schema), like.schema)
        else:
            reference = next(driver.references(reader, {heads}))
        spelled = spelled_in_catalog(reference)
        if spelled is not None:
            return f"an object spells the schema's own name: {spelled}"
        for schema, mark in reader.marks(born).items():
            wanted = reference.mark(schema, schema)
            if not isinstance(mark, Mark) or mark.number != wanted:
                other = differing(reference.of(schema, schema), reader.catalog(schema))
                return f"a new schema is not as the history makes it: {other}"
    return None


def _prove_rows(
    ledger: Ledger, schema: str, expected: Mapping[str, object] | None
) -> tuple[Rows, str | None]:
    """Return what is in the tables of a schema, or say where it depends on the schema's name."""
    text = spelled_in_texts(ledger.connection, schema)
    if text is not None:
        return {}, f"it holds the schema's own name: {text.replace(schema, '<schema>')}"
    found, spelling = read_rows(ledger.connection, schema)
    if spelling is not None:
        return {}, f"a row of the table {spelling} holds the schema's own name"
    unlike = None if expected is None else unlike_rows(found, expected)
    if unlike is not None:
        return {}, f"rows of the table {unlike} differ between two new schemas"
    return found, None
