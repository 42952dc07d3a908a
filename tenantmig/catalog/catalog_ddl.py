"""Catalog DDL: the statement that makes one object of a catalog, and the one that drops it. Pure.

They are meant for a session whose search path is the tenant schema.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from psycopg import sql

from tenantmig.catalog.catalog import COLUMN, CatalogObject

NOTHING = "no statement can be derived"
COMPLETE = frozenset({"index", "trigger", "rule", "policy", "statistics", "grant", "owner"})
"""Kinds whose definition is the statement that makes them."""
REPLACED = frozenset({"function", "procedure"})
"""Kinds whose definition replaces an older one without dropping it."""


def create(one: CatalogObject) -> str:
    """Write the statement that makes an object, or gives a table or column a property."""
    if one.state == "inherited":
        return f"-- it is created with its parent: {one_line(one.definition)}"
    if one.kind in COMPLETE | REPLACED:
        return f"{one.definition};"
    make = MAKERS.get(one.kind)
    if make is None:
        return f"-- {NOTHING}: {one_line(one.definition or one.name)}"
    return make(one)


def _set_parameters(one: CatalogObject) -> str:
    return f"ALTER TABLE {one.part_of} SET ({one.definition});"


def set_row_security(one: CatalogObject) -> str:
    """Write what turns row security on, as a table of the reference has it."""
    words = one.definition.split(", ")
    return " ".join(f"ALTER TABLE {one.part_of} {word} ROW LEVEL SECURITY;" for word in words)


def _comment_on(one: CatalogObject) -> str:
    target = f"COLUMN {one.part_of}.{one.name}" if one.name else f"TABLE {one.part_of}"
    return f"COMMENT ON {target} IS {sql.Literal(one.definition).as_string()};"


def _create_sequence(one: CatalogObject) -> str:
    if one.state == "identity":
        return f"-- it is created with its identity column: {one_line(one.definition)}"
    definition, _, owner = one.definition.partition(" OWNED BY ")
    later = f"ALTER SEQUENCE {one.name} OWNED BY {one_line(owner)};"
    belongs = f" -- and at the end: {later}" if owner else ""
    return f"CREATE SEQUENCE {one.name} {definition};{belongs}"


def alter_column(one: CatalogObject, what: str) -> str:
    """Write a change of a column, or of what belongs to one."""
    return f"ALTER TABLE {one.part_of} ALTER COLUMN {one.name} {what};"


MAKERS: Mapping[str, Callable[[CatalogObject], str]] = {
    "constraint": lambda o: f"ALTER TABLE {o.part_of} ADD CONSTRAINT {o.name} {o.definition};",
    "default": lambda o: alter_column(o, f"SET DEFAULT {o.definition}"),
    "not null": lambda o: alter_column(o, "SET NOT NULL"),
    "view": lambda o: f"CREATE VIEW {o.name} AS\n{o.definition};",
    "materialized view": lambda o: f"CREATE MATERIALIZED VIEW {o.name} AS\n{o.definition};",
    "sequence": _create_sequence,
    "enum": lambda o: f"CREATE TYPE {o.name} AS ENUM ({o.definition});",
    "domain": lambda o: f"CREATE DOMAIN {o.name} {o.definition};",
    "composite type": lambda o: f"CREATE TYPE {o.name} AS ({o.definition});",
    "range type": lambda o: f"CREATE TYPE {o.name} AS RANGE ({o.definition});",
    "storage parameters": _set_parameters,
    "row security": set_row_security,
    "replica identity": lambda o: f"ALTER TABLE {o.part_of} REPLICA IDENTITY {o.definition};",
    "comment": _comment_on,
}


def state_of(one: CatalogObject) -> str:
    """Write what brings an object that is made anew into the state of the reference."""
    if one.kind in {"trigger", "rule"} and one.state:
        return f"ALTER TABLE {one.part_of} {one.state} {one.kind.upper()} {one.name};"
    if one.kind == "statistics" and one.state:
        return f"ALTER STATISTICS {one.name} SET {one.state};"
    if one.state and one.state != "inherited":
        return f"-- in the reference it is: {one_line(one.state)}"
    return ""


def _reset_parameters(one: CatalogObject) -> str:
    names = ", ".join(word.partition("=")[0] for word in one.definition.split(", "))
    return f"ALTER TABLE {one.part_of} RESET ({names});"


def unset_row_security(one: CatalogObject) -> str:
    """Write what turns it off again."""
    words = ["DISABLE" if word == "ENABLE" else f"NO {word}" for word in one.definition.split(", ")]
    return " ".join(f"ALTER TABLE {one.part_of} {word} ROW LEVEL SECURITY;" for word in words)


def _revoke(one: CatalogObject) -> str:
    return one.definition.replace("GRANT", "REVOKE", 1).replace(" TO ", " FROM ", 1) + ";"


def _drop_on_table(one: CatalogObject) -> str:
    return f"DROP {one.kind.upper()} {one.name} ON {one.part_of};"


def _drop_of_table(one: CatalogObject) -> str:
    return f"ALTER TABLE {one.part_of} DROP {one.kind.upper()} {one.name};"


def _drop_type(one: CatalogObject) -> str:
    return f"DROP TYPE {one.name};"


def _not_derived(one: CatalogObject) -> str:
    return f"{NOTHING}: {one.definition}"


DROPPERS: Mapping[str, Callable[[CatalogObject], str]] = {
    COLUMN: _drop_of_table,
    "constraint": _drop_of_table,
    "trigger": _drop_on_table,
    "policy": _drop_on_table,
    "rule": _drop_on_table,
    "enum": _drop_type,
    "composite type": _drop_type,
    "range type": _drop_type,
    "default": lambda o: alter_column(o, "DROP DEFAULT"),
    "not null": lambda o: alter_column(o, "DROP NOT NULL"),
    "comment": lambda o: _comment_on(o).rpartition(" IS ")[0] + " IS NULL;",
    "row security": unset_row_security,
    "storage parameters": _reset_parameters,
    "replica identity": lambda o: f"ALTER TABLE {o.part_of} REPLICA IDENTITY DEFAULT;",
    "grant": _revoke,
    "column settings": _not_derived,
    "default privileges": _not_derived,
    "owner": _not_derived,
}


def drop(one: CatalogObject) -> str:
    """Write what takes an object away; the caller makes a comment of it."""
    drop = DROPPERS.get(one.kind)
    return drop(one) if drop else f"DROP {one.kind.upper()} {one.name};"


def commented(statement: str) -> str:
    """Make a comment of a statement, line by line."""
    return "\n".join(f"-- {line}" for line in statement.splitlines())


def one_line(text: str) -> str:
    """Keep a text on one line, so that no part of it leaves the comment."""
    return " ".join(text.split())
