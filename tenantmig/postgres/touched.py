"""Touched: what an open transaction locked for more than reading, or wrote, outside one schema.

The server is asked by the transaction's own session and by an observer, which sees the catalogs as
they were. Changes nothing; knows no script.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from tenantmig.postgres.sql import query

SMALL = 4_000_000  # bytes of a catalog that is looked through in any case
SPACED = (
    "pg_amop", "pg_amproc", "pg_attribute", "pg_cast", "pg_class", "pg_collation", "pg_constraint",
    "pg_conversion", "pg_default_acl", "pg_namespace", "pg_opclass", "pg_operator", "pg_opfamily",
    "pg_proc", "pg_statistic_ext", "pg_ts_config", "pg_ts_config_map", "pg_ts_dict",
    "pg_ts_parser", "pg_ts_template", "pg_type",
)  # fmt: skip
"""Catalogs of what is in a schema; which one, `touched_rows` finds out."""
EVERYBODYS = {
    "pg_extension": "an extension",
    "pg_authid": "a role",
    "pg_auth_members": "the members of a role",
    "pg_database": "a database",
    "pg_db_role_setting": "the settings of a role or a database",
    "pg_largeobject": "a large object",
    "pg_largeobject_metadata": "a large object",
    "pg_event_trigger": "an event trigger",
    "pg_publication": "a publication",
    "pg_publication_rel": "a publication",
    "pg_publication_namespace": "a publication",
    "pg_subscription": "a subscription",
    "pg_subscription_rel": "a subscription",
    "pg_foreign_data_wrapper": "a foreign data wrapper",
    "pg_foreign_server": "a foreign server",
    "pg_user_mapping": "a user mapping",
    "pg_am": "an access method",
    "pg_language": "a language",
    "pg_transform": "a transform",
    "pg_tablespace": "a tablespace",
    "pg_parameter_acl": "the privileges of a parameter",
    "pg_replication_origin": "a replication origin",
    "pg_shdescription": "a comment of the whole server",
    "pg_shseclabel": "a security label of the whole server",
}
"""Catalogs of what is in no schema: any change is outside."""
CATALOGS = [*SPACED, *EVERYBODYS]
OF_KEYS = frozenset({"ShareRowExclusiveLock", "AccessExclusiveLock"})
"""What a foreign key that is made or dropped takes on the table that it points at."""
NAMESPACE = "SELECT oid FROM pg_namespace WHERE nspname = %s::text"


class Outside:
    """Whatever is not in the schema, as transactions of any session may have touched it."""

    def __init__(self, observe: Callable[[], psycopg.Connection], schema: str) -> None:
        self.schema = schema
        self._observe = observe

    @cached_property
    def _observing(self) -> psycopg.Connection:
        return self._observe()

    @cached_property
    def namespace(self) -> int:
        """The schema's object id."""
        return int(ask(self._observing, sql.SQL(NAMESPACE), [self.schema])[0][0])

    def close(self) -> None:
        """End the observer."""
        if "_observing" in self.__dict__:
            self._observing.close()

    def touched(self, connection: psycopg.Connection, may_grant: bool) -> tuple[str, ...]:
        """Name what the open transaction locked for more than reading, or wrote, outside."""
        asked = {"catalogs": CATALOGS, "may_grant": may_grant, "small": SMALL}
        catalogs = query("postgres/touched_catalogs")
        pid, top, is_counting, written = ask(connection, catalogs, asked)[0]
        if not is_counting:
            return ("something that cannot be determined, because track_counts is off",)
        facts = {
            "pid": pid,
            "top": top,  # None if it wrote nothing
            "written": written,
            "schema": self.schema,
            "namespace": self.namespace,
        }
        found = self._locked(connection, facts) | self._written(connection, facts)
        tables = sorted(name for name in found if " " not in name)
        others = [one for one in sorted(found) if not any(table in one for table in tables)]
        everybodys = [said for name, said in EVERYBODYS.items() if name in written]
        return tuple(dict.fromkeys([*everybodys, *tables, *others]))

    def _locked(self, connection: psycopg.Connection, facts: dict[str, Any]) -> set[str]:
        """What is locked and is, or was, outside; but the tables of foreign keys."""
        locks = query("postgres/touched_locks")
        found = ask(connection, locks, facts) + ask(self._observing, locks, facts, is_prepared=True)
        touched: dict[tuple[int, int], str] = {}
        keyed: set[tuple[int, int]] = set()
        for catalog, thing, modes, name, is_inside, is_referenced in found:
            if not is_inside:
                touched[catalog, thing] = name
                if is_referenced and OF_KEYS.issuperset(modes):
                    keyed.add((catalog, thing))
        for key in keyed:
            if self._is_as_before(connection, facts, key[1]):
                del touched[key]
        return set(touched.values())

    def _is_as_before(
        self, connection: psycopg.Connection, facts: dict[str, Any], relation: int
    ) -> bool:
        mark, of = query("postgres/touched_relation"), {**facts, "relation": relation}
        return ask(connection, mark, of) == ask(self._observing, mark, of)

    def _written(self, connection: psycopg.Connection, facts: dict[str, Any]) -> set[str]:
        """What was written outside without a lock; what the observer sees as well is another's."""
        if facts["top"] is None or not facts["written"]:
            return set()
        rows = query("postgres/touched_rows")
        found = {row[:4]: row[4] for row in ask(connection, rows, facts)}
        if found:
            others = {row[:4] for row in ask(self._observing, rows, facts)}
            found = {row: name for row, name in found.items() if row not in others}
        return set(found.values())


def ask(
    connection: psycopg.Connection, asked: Any, facts: Any, *, is_prepared: bool = False
) -> list[tuple[Any, ...]]:
    """Ask on a plain cursor, whatever the connection's own are."""
    cursor = psycopg.Cursor(connection, row_factory=tuple_row)
    return cursor.execute(asked, facts, prepare=is_prepared).fetchall()
