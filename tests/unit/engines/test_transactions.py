"""Which revisions of a replay share a transaction, and what stands in it."""

from __future__ import annotations

import pytest

from tenantmig.domain.database_url import DatabaseUrl
from tenantmig.domain.plan import Assignment, Heads, Path, RunKind
from tenantmig.domain.tenant import Tenant
from tenantmig.engines.template import Template
from tenantmig.engines.transactions import MOST_TOGETHER, TextMaker
from tenantmig.postgres.connection import SessionOptions

OPTIONS = SessionOptions(DatabaseUrl.parse("postgresql://host/db"))
MAKER = TextMaker("ledger", "alembic_version", OPTIONS, is_registry_source=True)
ALONE = {"stands_alone": True}


def template(number: int, **facts: object) -> Template:
    """The template of a revision that sends one statement."""
    source: Heads = (f"r{number - 1}",) if number > 1 else ()
    given: dict[str, object] = {"texts": (f"DDL {number}",), "count": 1} | facts
    return Template(f"r{number}", RunKind.UPGRADE, source, (f"r{number}",), **given)  # type: ignore[arg-type]


def transactions(
    *templates: Template, kind: RunKind = RunKind.UPGRADE, is_small: bool = True
) -> list[list[str]]:
    """The statements between each BEGIN and COMMIT of a tenant's texts."""
    revisions = tuple(template.revision for template in templates)
    path = Path(templates[0].source, templates[-1].target, revisions, templates[-1].revision)
    assignment = Assignment(7, kind, Tenant("acme", "Ac me"), path)
    made = MAKER.make(assignment, templates, is_small=is_small)
    whole = "\n;\n".join(made.render(assignment, "on")).split("\n;\n")
    found: list[list[str]] = []
    for statement in whole:
        if statement == "BEGIN":
            found.append([])
        elif found:
            found[-1].append(statement)
    return [body[: body.index("COMMIT")] for body in found]


def ddl(bodies: list[list[str]]) -> list[list[str]]:
    return [[s for s in body if s.startswith("DDL")] for body in bodies]


def test_the_revisions_of_a_small_tenant_share_a_transaction() -> None:
    (body,) = transactions(template(2), template(3), template(4))
    assert body[:4] == [
        "DDL 2",
        "DDL 3",
        "DDL 4",
        (
            'UPDATE "Ac me"."alembic_version" SET version_num = \'r4\''
            " WHERE version_num OPERATOR(pg_catalog.=) 'r1'"
        ),
    ]
    assert "current_schema() OPERATOR(pg_catalog.=) 'Ac me'" in body[4]
    assert "'r4', 'upgraded'" in body[4]


def test_a_large_tenant_has_a_transaction_for_each_revision() -> None:
    bodies = transactions(template(2), template(3), is_small=False)
    assert ddl(bodies) == [["DDL 2"], ["DDL 3"]]
    assert ["'r2', NULL" in bodies[0][-1], "'r3', 'upgraded'" in bodies[1][-1]] == [True, True]


def test_what_changes_rows_stands_alone() -> None:
    bodies = transactions(template(2), template(3), template(4, **ALONE), template(5), template(6))
    assert ddl(bodies) == [["DDL 2", "DDL 3"], ["DDL 4"], ["DDL 5", "DDL 6"]]


def test_a_transaction_takes_so_many_locks_at_most() -> None:
    count = MOST_TOGETHER // 2
    bodies = transactions(*(template(n, count=count) for n in range(2, 7)))
    assert ddl(bodies) == [["DDL 2", "DDL 3"], ["DDL 4", "DDL 5"], ["DDL 6"]]


@pytest.mark.parametrize("facts", [{}, {"texts": ("DDL 1", "CREATE INDEX", "")}])
def test_a_birth_begins_in_the_first_transaction(facts: dict[str, object]) -> None:
    alone = ALONE if facts else {}
    first = transactions(template(1, **facts, **alone), template(2), kind=RunKind.ONBOARD)[0]
    assert "'onboarding'" in first[0]
    assert first[-1 if facts else -5].startswith("DDL 1")


def test_the_version_row_goes_last_on_the_way_to_base() -> None:
    made = Template("r1", RunKind.DOWNGRADE, ("r1",), (), ("DDL 1",), 1)
    ((_, change, reached, gone),) = transactions(made, kind=RunKind.DOWNGRADE)
    assert change.endswith("SET version_num = 'r1' WHERE version_num OPERATOR(pg_catalog.=) 'r1'")
    assert "NULL, 'downgraded'" in reached
    assert gone == 'DELETE FROM "Ac me"."alembic_version"'
