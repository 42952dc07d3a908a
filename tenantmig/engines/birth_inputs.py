"""What may decide a birth beside the scripts: words in the SQL that they sent. Pure.

A blueprint stands for a birth at any time, of any tenant. So nothing may be decided by the clock,
by chance, by the server's settings or by the schema's name. What cannot be told is an obstacle.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from tenantmig.domain.recording import Asked
from tenantmig.postgres.parsing import UnreadableError, parse_sent, tokens

CLOCKS = frozenset(
    """
    now current_timestamp clock_timestamp statement_timestamp transaction_timestamp localtimestamp
    gen_random_uuid uuid_generate_v4 uuid_generate_v1 uuidv4 uuidv7
    """.split()  # noqa: SIM905  fifty quotes less
)
"""Words for a moment or a value of chance that no other birth has: where one is kept, two
witnesses differ."""
COARSE = frozenset(
    """
    current_date current_time localtime timeofday random setseed random_normal
    'now' 'today' 'tomorrow' 'yesterday'
    """.split()  # noqa: SIM905
)
"""Words for what two births may have in common and a third one not."""
DECIDES = frozenset(
    """
    + - * / % || < > <= >= = <> != between case if when while date time text varchar char
    character int integer bigint smallint numeric decimal extract date_part date_trunc to_char
    make_date age interval left right substr substring md5 digest hashtext
    """.split()  # noqa: SIM905
)
"""Words that make something coarse of a moment, or decide by one."""
SURROUNDINGS = frozenset(
    """
    current_setting version current_user session_user current_role user current_database
    current_catalog txid_current pg_current_xact_id pg_backend_pid pg_postmaster_start_time
    pg_is_in_recovery has_table_privilege has_schema_privilege has_database_privilege pg_has_role
    has_function_privilege to_regrole to_regclass to_regtype to_regproc to_regnamespace pg_locks
    pg_settings inet_server_addr inet_client_addr pg_conf_load_time pg_read_file pg_stat_file
    pg_ls_dir dblink pg_notify notify copy
    """.split()  # noqa: SIM905
)
"""Words for what may be otherwise at another time, and for what acts outside."""
OWN_NAME = frozenset({"current_schema", "current_schemas"})
OF_NAMES = frozenset(
    {"nspname", "table_schema", "schemaname", "schema_name", "constraint_schema",
     "sequence_schema", "udt_schema", "routine_schema", "trigger_schema"}
)  # fmt: skip
BODIES = frozenset({"create_function_stmt", "do_stmt"})
"""Statements that hold a text which is SQL."""
DEFINITIONS = frozenset(
    """
    create_stmt view_stmt index_stmt comment_stmt create_trig_stmt create_policy_stmt
    create_seq_stmt create_enum_stmt create_domain_stmt composite_type_stmt create_stats_stmt
    rule_stmt drop_stmt rename_stmt create_range_stmt define_stmt alter_default_privileges_stmt
    grant_stmt create_function_stmt
    """.split()  # noqa: SIM905
)
"""Statements that work nothing out when they are run."""
KEYS = frozenset({"create_stmt", "alter_table_stmt"})
APART = frozenset({"index_stmt", "drop_stmt", "alter_enum_stmt"})
"""What may run outside a transaction, where nobody looks at what it reads."""


def why_unsure(asked: Sequence[Asked]) -> str | None:
    """Say what in these texts may be otherwise in another birth, or None."""
    return next(filter(None, map(_why, dict.fromkeys(asked))), None)


def mentions(asked: Sequence[Asked], table: str) -> bool:
    """True when a text names a table otherwise than a foreign key does."""
    return any(table in one.text and not _kinds(one.text) <= KEYS for one in asked)


def _why(asked: Asked) -> str | None:
    kinds = _kinds(asked.text)
    if asked.is_outside and not kinds <= APART:
        return "it runs statements outside a transaction, where nothing shows what they read"
    words = list(_words(asked.text, is_deep=not kinds.isdisjoint(BODIES) or not kinds))
    if kinds and kinds <= DEFINITIONS - BODIES:
        return None
    found = set(words)
    if kinds == {"alter_table_stmt"} and "using" not in found:
        return None
    if told := sorted(found & COARSE):
        return f"its SQL asks the clock or chance ({told[0]})"
    if (told := sorted(found & CLOCKS)) and found & DECIDES:
        return f"its SQL works something out from {told[0]}"
    if kinds == {"create_function_stmt"}:
        return None
    if told := sorted(found & SURROUNDINGS):
        return f"its SQL asks what may be otherwise at another time ({told[0]})"
    if found & OWN_NAME and not _compares_only(words):
        return "its SQL reads the schema's name"
    return None


def _compares_only(words: Sequence[str]) -> bool:
    """True when the schema's name is only compared with names in the catalog."""
    for place, word in enumerate(words):
        if word in OWN_NAME and not (
            place > 1 and words[place - 1] == "=" and words[place - 2] in OF_NAMES
        ):
            return False
    return True


def _kinds(text: str) -> set[str]:
    """The kinds of statements in a text; none if it cannot be read."""
    try:
        return {str(one.stmt.WhichOneof("node")) for one in parse_sent(text).stmts}
    except UnreadableError:
        return set()


def _words(text: str, *, is_deep: bool, depth: int = 3) -> Iterator[str]:
    """Yield the words of a text in lower case; of a body also those inside its literals."""
    raw = text.encode()
    try:
        found = tokens(text)
    except UnreadableError:
        yield from text.lower().replace("(", " ").replace(")", " ").split()
        return
    for token in found:
        word = raw[token.start : token.end].decode()
        yield word.lower().strip('"')
        inner = _inner(word)
        if is_deep and inner and depth:
            yield from islice(_words(inner, is_deep=True, depth=depth - 1), 100_000)


def _inner(word: str) -> str:
    if word[:1] == "'":
        return word[1:-1].replace("''", "'")
    if word[:1] == "$" and word[-1:] == "$":
        length = word.index("$", 1) + 1
        return word[length:-length]
    return ""
