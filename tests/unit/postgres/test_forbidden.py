"""Which texts need the parser: all that could hold a forbidden statement, and none of ours."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tenantmig
from tenantmig.errors import ForbiddenTextError
from tenantmig.postgres.forbidden import HINT, refuse_text

FORBIDDEN = (
    "COMMIT",
    "commit work",
    "end",
    "END WORK",
    "End Transaction",
    "end and no chain",
    "end/* all */work",
    "end -- of it",
    "ROLLBACK",
    "ABORT",
    "BEGIN",
    "START TRANSACTION",
    "PREPARE TRANSACTION 'x'",
    "COMMIT PREPARED 'x'",
    "SAVEPOINT a",
    "RELEASE a",
    "ROLLBACK TO a",
    "SET SESSION AUTHORIZATION DEFAULT",
    "RESET SESSION AUTHORIZATION",
    "SET LOCAL session_authorization = x",
)
BETWEEN = st.lists(
    st.sampled_from(
        (" ", "\n", "\t", "\f", "\v", "\r", "/* a */", "/* /* a */ ; */", "-- a\n", "-- a\r", ";")
    )
).map("".join)
ALLOWED = st.sampled_from(("", "SELECT 1;", "SELECT CASE WHEN true THEN 1\nEND;", "TABLE a;"))
SELDOM = {
    "ledger_v3": "once for a ledger",
    "ledger_v4": "once for a ledger",
    "pool_tables": "once for a pool",
    "raise_wall": "only behind the wall",
    "refuse_leftovers": "only behind the wall",
    "replay_enter": "sent by libpq, without this check",
    "session_state": "once for a template",
}
STATEMENTS = sorted(Path(tenantmig.__file__).parent.rglob("*.sql"))


@given(
    ALLOWED, BETWEEN, st.sampled_from(FORBIDDEN), BETWEEN, st.sampled_from(("", ";", ";TABLE a"))
)
def test_whatever_stands_before_it_it_is_refused(
    before: str, between: str, forbidden: str, behind: str, after: str
) -> None:
    with pytest.raises(ForbiddenTextError):
        refuse_text(f"{before}{between}{forbidden}{behind}{after}")


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 'a;' || 'commit'",
        "CREATE TABLE commit (start int, release int)",
        "SELECT CASE WHEN a THEN 1\nEND, 2 FROM b",
        "SELECT CASE WHEN a THEN 1\nEND AND b FROM c",
        "UPDATE a SET b = E'x;\ncommit;'",
        "DO $$ BEGIN RAISE NOTICE 'a'; END $$",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END",
        "PREPARE a AS SELECT 1",
        "SELECT $$ commit",
    ],
)
def test_what_only_looks_like_one_is_sent(text: str) -> None:
    refuse_text(text)


@pytest.mark.parametrize("path", STATEMENTS, ids=lambda path: path.stem)
def test_a_statement_of_ours_needs_no_parser(path: Path) -> None:
    """It is sent for each tenant."""
    assert (HINT.search(path.read_text()) is not None) == (path.stem in SELDOM)
