"""Forbidden texts: statements that a script must not send as text, since nobody could follow.

A COMMIT as text would end the revision's transaction in its middle. Read by PostgreSQL's own
parser; what it cannot read is left to the server, and noticed afterwards (`connection`). Pure.
"""

from __future__ import annotations

import re
from functools import lru_cache

from tenantmig.errors import ForbiddenTextError
from tenantmig.postgres.parsing import UnreadableError, enum_name, parse_sent

HINT = re.compile(
    r"""(?:\A | ; | \*/ | [\n\r]) \s*          # where a statement can begin
        (?:(?:commit|rollback|abort|begin|start|prepare|savepoint|release)\b
         | end \s* (?:\Z | ; | -- | /\* | (?:work|transaction|and)\b))
        | authorization""",
    re.IGNORECASE | re.VERBOSE,
)
"""What does not match needs no parser: a statement begins with the text, or behind a semicolon or a
comment. Statements of ours hold a CASE with its END, and are sent for each tenant: the parser alone
takes each worker 0.2 s to import.
"""
SAVEPOINTS = {
    "TRANS_STMT_SAVEPOINT": "SAVEPOINT",
    "TRANS_STMT_RELEASE": "RELEASE SAVEPOINT",
    "TRANS_STMT_ROLLBACK_TO": "ROLLBACK TO SAVEPOINT",
}
ADVICE = (
    " Use `with op.get_context().autocommit_block():` for what cannot run in a transaction, or"
    " op.get_bind().commit() to commit what was done so far."
)
SAVEPOINT_ADVICE = " Use `with op.get_bind().begin_nested():`."
ROLE_ADVICE = " Use SET LOCAL ROLE, or the role that tenantmig connects as."


def refuse_text(text: str, *, is_savepoint_allowed: bool = False) -> None:
    """Refuse a text that ends, begins or divides a transaction, or changes who the session is.

    Raises:
        ForbiddenTextError: it names the statement and what to use instead.
    """
    if HINT.search(text) is None:
        return
    for words in _found(text):
        if words in SAVEPOINTS.values():
            if not is_savepoint_allowed:
                raise ForbiddenTextError(_sentence(words) + SAVEPOINT_ADVICE)
        elif words == "SET SESSION AUTHORIZATION":
            raise ForbiddenTextError(_sentence(words) + ROLE_ADVICE)
        else:
            raise ForbiddenTextError(_sentence(words) + ADVICE)


def _sentence(words: str) -> str:
    return f"The script sends {words} as text, which tenantmig cannot follow; it was not run."


@lru_cache(maxsize=8)
def _found(text: str) -> tuple[str, ...]:
    """Return the forbidden statements of a text; the empty tuple if it cannot be read."""
    try:
        parsed = parse_sent(text)
    except UnreadableError:
        return ()
    found = []
    for raw in parsed.stmts:
        kind = raw.stmt.WhichOneof("node")
        if kind == "transaction_stmt":
            name = enum_name(raw.stmt.transaction_stmt, "kind")
            plain = name.removeprefix("TRANS_STMT_").replace("_", " ")
            plain = "PREPARE TRANSACTION" if plain == "PREPARE" else plain
            found.append(SAVEPOINTS.get(name, plain))
        elif raw.stmt.variable_set_stmt.name == "session_authorization":
            found.append("SET SESSION AUTHORIZATION")
    return tuple(found)
