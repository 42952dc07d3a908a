"""Random damage to the ledger and to version tables; the same seed does the same damage."""

from __future__ import annotations

import random
from collections.abc import Sequence

from psycopg import sql

from tests.fixtures.database import Database
from tests.fixtures.hostile import HOSTILE

LEDGER = ("ledger_version", "tenant", "run", "run_tenant", "doubt", "part")
TYPES = (
    "text",
    "integer",
    "bigint",
    "numeric",
    "jsonb",
    "bytea",
    "boolean",
    "timestamptz",
    "text[]",
)
TEXTS = (
    "", "florp", "x" * 100_000, "-1", "NaN", "infinity", "upgraded", "in_doubt", "running", "r9",
    "base", "heads", "-1", "+1", "r1,r2", ",", "%s", "{}",
    *(text for text in HOSTILE if "\0" not in text),  # the server cannot hold that one
)  # fmt: skip
NUMBERS = (
    "-1", "0", "1", "2147483647", "-2147483648", "9223372036854775807", "1e300", "'NaN'",
    "'infinity'", "'-infinity'", "'0044-03-15 BC'", "'99999-01-01'", "repeat('9', 9000)::numeric",
)  # fmt: skip
DOCUMENTS = (
    "null", "[]", "[1, 2]", '"x"', "5", "true", '{"lineage": "florp"}', '{"lineage": 5}',
    '{"obstacles": [1]}', '{"obstacles": {"r2": null, "r3": {"a": 1}}}', '{"obstacles": "x"}',
    '{"warnings": 5}', '{"warnings": [null, {"message": 5}, {"revision": "r1"}]}',
    '{"warnings": [{"revision": "r1", "sqlstate": "01000", "message": "m", "count": "x"}]}',
    '{"backup": 3}', '{"backup": {"a": []}}', '{"gate": 5}', '{"canary": {"a": 1}}',
    '{"parallel": "many"}', '{"attempts": -1}', '{"wave": "\\u0000"}', '{"deadline": [1]}',
    '{"max_failures": "x%"}', '{"engine": "florp"}', '{"lock_timeout": 1e400}',
    '{"region": {"deep": [[[[1]]]]}}', "[" * 1500 + "]" * 1500,
)  # fmt: skip


def damage(database: Database, rng: random.Random, schemas: Sequence[str]) -> list[str]:
    """Damage the ledger, or a tenant's version table, once to three times; return how."""
    done: list[str] = []
    for _ in range(rng.choice((1, 1, 2, 3))):
        for _ in range(20):  # what cannot be done is tried in another way
            table = _table(rng, schemas)
            statement = _statement(database, rng, table)
            if statement is None:
                continue
            try:
                database.execute(f"{_loosened(database, table)}{statement}")
            except Exception:  # noqa: BLE001, S112  a value that the column does not take
                continue
            done.append(statement[:300])
            break
    return done


def _table(rng: random.Random, schemas: Sequence[str]) -> tuple[str, str]:
    if rng.random() < 0.3:
        return rng.choice(schemas), "alembic_version"
    return "tenantmig", rng.choice(LEDGER)


def _quoted(*names: str) -> str:
    return sql.Identifier(*names).as_string()


def _loosened(database: Database, table: tuple[str, str]) -> str:
    """Take every constraint away: a table that was restored or edited by hand may have none."""
    constraints = database.fetch(
        "SELECT conname, contype = 'n' FROM pg_constraint WHERE conrelid = to_regclass(%s)"
        " ORDER BY contype <> 'p'",
        [_quoted(*table)],
    )
    dropped = [
        f"ALTER TABLE {_quoted(*table)} DROP CONSTRAINT IF EXISTS {_quoted(name)} CASCADE;"
        for name, is_not_null in constraints
        if not is_not_null
    ]
    columns = _columns(database, table)
    return "".join(dropped) + "".join(
        f"ALTER TABLE {_quoted(*table)} ALTER {_quoted(name)} DROP IDENTITY IF EXISTS;"
        f"ALTER TABLE {_quoted(*table)} ALTER {_quoted(name)} DROP NOT NULL;"
        for name, _ in columns
    )


def _columns(database: Database, table: tuple[str, str]) -> list[tuple[str, str]]:
    rows = database.fetch(
        "SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute"
        " WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        [_quoted(*table)],
    )
    return [(name, kind) for name, kind in rows]


def _statement(database: Database, rng: random.Random, table: tuple[str, str]) -> str | None:
    columns = _columns(database, table)
    if not columns:
        return None
    name = _quoted(*table)
    column, kind = rng.choice(columns)
    quoted = _quoted(column)
    match rng.choices(
        ("set", "type", "drop column", "rename", "twice", "delete", "drop", "other", "empty"),
        (50, 14, 6, 3, 8, 5, 4, 4, 2),
    )[0]:
        case "set":
            where = "" if rng.random() < 0.2 else f" WHERE ctid = ({_random_row(name, rng)})"
            return f"UPDATE {name} SET {quoted} = {_value(rng, kind)}{where}"
        case "type":
            wanted = rng.choice(TYPES)
            using = rng.choice(("NULL", f"{quoted}::text::{wanted}", f"to_jsonb({quoted})::text"))
            using = f"({using})::{wanted}"
            return (
                f"ALTER TABLE {name} ALTER {quoted} DROP DEFAULT;"
                f"ALTER TABLE {name} ALTER {quoted} TYPE {wanted} USING {using}"
            )
        case "drop column":
            return f"ALTER TABLE {name} DROP COLUMN {quoted} CASCADE"
        case "rename":
            return (
                f"ALTER TABLE {name} RENAME {quoted} TO {_quoted(rng.choice(['x', 'Id', 'a b']))}"
            )
        case "twice":
            return f"INSERT INTO {name} SELECT * FROM {name}"
        case "delete":
            return f"DELETE FROM {name} WHERE ctid = ({_random_row(name, rng)})"
        case "drop":
            return f"DROP TABLE {name} CASCADE"
        case "other":
            return f"DROP TABLE {name} CASCADE; CREATE TABLE {name} (florp integer)"
        case _:
            return f"DELETE FROM {name}"


def _random_row(name: str, rng: random.Random) -> str:
    return f"SELECT ctid FROM {name} OFFSET {rng.randrange(4)} LIMIT 1"


def _value(rng: random.Random, kind: str) -> str:
    if rng.random() < 0.2:
        return "NULL"
    if kind == "jsonb":
        return f"{sql.Literal(rng.choice(DOCUMENTS)).as_string()}::jsonb"
    if kind == "boolean":
        return rng.choice(("true", "false"))
    if kind.startswith(("text", "character")):
        return sql.Literal(rng.choice(TEXTS)).as_string()
    return rng.choice(NUMBERS)
