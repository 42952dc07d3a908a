"""pg_dump's questions narrowed: the catalogs and nothing else, and every question still one."""

from __future__ import annotations

import pytest

from tenantmig.backups.dump_scope import DumpScope
from tenantmig.postgres.parsing import parse

SCOPE = DumpScope(schemas="{11,7}", parts="{70}", classes="{1259}", members="{7,70}")
NARROWED = {
    "SELECT oid FROM pg_class": ") AS pg_class",
    "SELECT c.tableoid FROM pg_class c": "ANY ('{11,7}'::pg_catalog.oid[])) c",
    "SELECT a.x FROM pg_catalog.pg_attribute AS a WHERE true": ") AS a WHERE true",
    "SELECT 1 WHERE EXISTS (SELECT 1 FROM pg_depend)": "'{7,70}'",
    "SELECT (SELECT relkind FROM pg_class WHERE pg_class.oid = typrelid) FROM pg_type": ") AS pg_t",
    "SELECT 1 FROM pg_default_acl": "'{0,11,7}'",
    "WITH w AS (SELECT 1 FROM pg_type) SELECT 1 FROM w": "(SELECT tableoid, * FROM pg_catalog.pg_t",
    "SELECT 'é', 1 FROM pg_proc -- pg_proc": "FROM (SELECT tableoid, * FROM pg_catalog.pg_proc ",
}


@pytest.mark.parametrize(("question", "part"), NARROWED.items(), ids=list(NARROWED))
def test_catalogs_are_narrowed(question: str, part: str) -> None:
    narrowed = SCOPE.narrow(question)
    assert part in narrowed
    assert len(parse(narrowed).stmts) == 1


@pytest.mark.parametrize(
    "question",
    [
        "SELECT oid FROM acme.pg_class",
        'SELECT 1 FROM acme."t pg_class"',
        "SELECT oid, 'FROM pg_class' FROM pg_roles",
        "SELECT FROM pg_class WHERE )",
        "PREPARE p (oid) AS SELECT 1 FROM pg_class WHERE oid = $1",
        "LOCK TABLE acme.pg_class",
        "COPY acme.t (pg_class) TO stdout;",
        "SELECT pg_class FROM acme.t",
    ],
)
def test_other_questions_are_asked_as_they_are(question: str) -> None:
    assert SCOPE.narrow(question) == question
