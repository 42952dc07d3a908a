"""When a session is asked what a revision left on it: two round trips that most can do without."""

from __future__ import annotations

from typing import Any, cast

import pytest

from tenantmig.postgres.session_state import OWN_CHECK, SessionState

ALTER = "ALTER TABLE thing ADD b int"


@pytest.mark.parametrize(
    ("sent", "is_asked"),
    [
        ([ALTER, OWN_CHECK, "UPDATE a.alembic_version SET version_num='r2'"], False),
        ([ALTER, "SELECT current_schema()"], True),  # what the search path finds may be another's
        ([ALTER, f"{OWN_CHECK}, set_config('a.b', 'c', false)"], True),
        ([ALTER, "SELECT 1"], True),
    ],
    ids=["ours alone", "unqualified", "and more", "a script's"],
)
def test_a_session_is_asked_unless_plain_ddl_and_our_own_check_were_sent(
    sent: list[str], is_asked: bool
) -> None:
    class Driver:
        queries: list[Any] = []  # noqa: RUF012  of this test

        def execute(self, query: Any, *_: Any) -> Any:
            self.queries.append(query)
            raise LookupError

    state = SessionState(cast("Any", None))
    for statement in sent:
        state._hear(None, None, statement, (), None, False)
    driver = Driver()
    if is_asked:
        with pytest.raises(LookupError):
            state.look(cast("Any", driver), "r2", is_certain=False)
    else:
        state.look(cast("Any", driver), "r2", is_certain=False)
    assert bool(driver.queries) is is_asked
