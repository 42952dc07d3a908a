"""Mending: statements that would bring a drifted tenant to its reference. A proposal, never run.

What would drop something, or take a right or a protection away, is written as a comment, with what
could only follow it. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from psycopg import sql

from tenantmig.catalog import CatalogObject
from tenantmig.drift import COLUMN, Change, Difference, told
from tenantmig.tenant import Tenant

NOTHING = "no statement can be derived"
COMPLETE = frozenset({"index", "trigger", "rule", "policy", "statistics", "grant", "owner"})
"""Kinds whose definition is the statement that makes them."""
REPLACED = frozenset({"function", "procedure"})
"""Kinds whose definition replaces an older one without dropping it."""
ORDER = (
    "sequence",
    "enum",
    "domain",
    "composite type",
    "range type",
    "table",
    COLUMN,
    "default",
    "not null",
    "function",
    "procedure",
    "constraint",
    "view",
    "materialized view",
    "index",
)
"""What others stand on comes first."""


def propose(
    tenant: Tenant, differences: Sequence[Difference], path: Sequence[str] = ()
) -> Iterator[str]:
    """Write the proposal for one tenant, line by line; `path` are the extension schemas."""
    schemas = sql.SQL(", ").join(sql.Identifier(name) for name in (tenant.schema, *path, "pg_temp"))
    yield f"-- tenant {_comment_safe(tenant.name)}"
    yield "-- proposal: read before you run"
    yield f"SET search_path TO {schemas.as_string()};"
    for difference in sorted(told(differences), key=_rank):
        yield from _mended(difference, differences)


def _rank(difference: Difference) -> int:
    return ORDER.index(difference.kind) if difference.kind in ORDER else len(ORDER)


def _mended(difference: Difference, differences: Sequence[Difference]) -> Iterator[str]:
    name = _comment_safe(difference.name)
    yield f"-- {difference.kind} {name}: {difference.change}"
    match difference.change:
        case Change.MISSING:
            assert difference.reference is not None
            yield from _created(difference.reference, differences)
        case Change.EXTRA:
            assert difference.tenant is not None
            yield _commented(_drop(difference.tenant))
        case Change.DIFFERS:
            assert difference.reference is not None
            assert difference.tenant is not None
            yield from _changed(difference.reference, difference.tenant)


def _created(one: CatalogObject, differences: Sequence[Difference]) -> Iterator[str]:
    if one.kind == "table":
        yield from _create_table(one, differences)
        return
    if one.kind == COLUMN:
        yield from _add_column(one, differences)
        return
    yield _create(one)
    if state := _state(one):
        yield state
    if not one.part_of:
        yield from _with_parts(one, differences)


def _parts(one: CatalogObject, differences: Sequence[Difference]) -> list[CatalogObject]:
    """What is missing along with an object, as the reference has it."""
    missing = (d.reference for d in differences if d.change is Change.MISSING)
    parts = [part for part in missing if part is not None and part.part_of == one.name]
    return sorted(parts, key=lambda part: ORDER.index(part.kind) if part.kind in ORDER else 99)


def _with_parts(
    one: CatalogObject, differences: Sequence[Difference], without: frozenset[str] = frozenset()
) -> Iterator[str]:
    for part in _parts(one, differences):
        if part.kind not in without and part.state != "inherited":
            yield _create(part)
            if state := _state(part):
                yield state


def _create_table(one: CatalogObject, differences: Sequence[Difference]) -> Iterator[str]:
    what, _, rest = one.definition.partition("TABLE")
    parts = _parts(one, differences)
    facts = {(part.kind, part.name): part.definition for part in parts}
    columns = [_column(part, facts) for part in parts if part.kind == COLUMN and not part.state]
    body = "" if "PARTITION OF" in rest else " (\n    " + ",\n    ".join(columns) + "\n)"
    if "FOREIGN" in what or " OF " in rest.replace("PARTITION OF", ""):
        yield f"-- {NOTHING}: {_comment_safe(one.definition)}"
        return
    yield f"CREATE {what}TABLE {one.name}{body}{rest};"
    yield from _with_parts(one, differences, frozenset({COLUMN, "default", "not null"}))


def _column(one: CatalogObject, facts: Mapping[tuple[str, str], str]) -> str:
    default = facts.get(("default", one.name))
    is_not_null = ("not null", one.name) in facts
    words = [one.name, one.definition]
    words += [f"DEFAULT {default}"] if default else []
    words += ["NOT NULL"] if is_not_null else []
    return " ".join(words)


def _add_column(one: CatalogObject, differences: Sequence[Difference]) -> Iterator[str]:
    of_it = [
        d.reference
        for d in differences
        if d.reference is not None and (d.either.part_of, d.either.name) == (one.part_of, one.name)
    ]
    facts = {(part.kind, part.name): part.definition for part in of_it}
    if one.state == "inherited":
        yield f"-- it comes with the column of the parent: {_comment_safe(one.definition)}"
        return
    if ("not null", one.name) in facts and ("default", one.name) not in facts:
        yield "-- it is NOT NULL without a default: where there are rows, fill it first"
    yield f"ALTER TABLE {one.part_of} ADD COLUMN {_column(one, facts)};"
    for part in of_it:
        if part.kind in {"column settings", "comment"}:
            yield _create(part)


def _create(one: CatalogObject) -> str:
    """Write the statement that makes an object, or gives a table or column a property."""
    if one.state == "inherited":
        return f"-- it comes with its parent: {_comment_safe(one.definition)}"
    if one.kind in COMPLETE | REPLACED:
        return f"{one.definition};"
    make = MAKERS.get(one.kind)
    if make is None:
        return f"-- {NOTHING}: {_comment_safe(one.definition or one.name)}"
    return make(one)


def _set_parameters(one: CatalogObject) -> str:
    return f"ALTER TABLE {one.part_of} SET ({one.definition});"


def _set_row_security(one: CatalogObject) -> str:
    words = one.definition.split(", ")
    return " ".join(f"ALTER TABLE {one.part_of} {word} ROW LEVEL SECURITY;" for word in words)


def _comment_on(one: CatalogObject) -> str:
    target = f"COLUMN {one.part_of}.{one.name}" if one.name else f"TABLE {one.part_of}"
    return f"COMMENT ON {target} IS {sql.Literal(one.definition).as_string()};"


def _create_sequence(one: CatalogObject) -> str:
    if one.state == "identity":
        return f"-- it comes with its identity column: {_comment_safe(one.definition)}"
    definition, _, owner = one.definition.partition(" OWNED BY ")
    belongs = f" -- and at the end: ALTER SEQUENCE {one.name} OWNED BY {owner};" if owner else ""
    return f"CREATE SEQUENCE {one.name} {definition};{belongs}"


def _alter_column(one: CatalogObject, what: str) -> str:
    return f"ALTER TABLE {one.part_of} ALTER COLUMN {one.name} {what};"


MAKERS: Mapping[str, Callable[[CatalogObject], str]] = {
    "constraint": lambda o: f"ALTER TABLE {o.part_of} ADD CONSTRAINT {o.name} {o.definition};",
    "default": lambda o: _alter_column(o, f"SET DEFAULT {o.definition}"),
    "not null": lambda o: _alter_column(o, "SET NOT NULL"),
    "view": lambda o: f"CREATE VIEW {o.name} AS\n{o.definition};",
    "materialized view": lambda o: f"CREATE MATERIALIZED VIEW {o.name} AS\n{o.definition};",
    "sequence": _create_sequence,
    "enum": lambda o: f"CREATE TYPE {o.name} AS ENUM ({o.definition});",
    "domain": lambda o: f"CREATE DOMAIN {o.name} {o.definition};",
    "composite type": lambda o: f"CREATE TYPE {o.name} AS ({o.definition});",
    "range type": lambda o: f"CREATE TYPE {o.name} AS RANGE ({o.definition});",
    "storage parameters": _set_parameters,
    "row security": _set_row_security,
    "replica identity": lambda o: f"ALTER TABLE {o.part_of} REPLICA IDENTITY {o.definition};",
    "comment": _comment_on,
}


def _state(one: CatalogObject) -> str:
    """Write what brings an object that is made anew into the state of the reference."""
    if one.kind in {"trigger", "rule"} and one.state:
        return f"ALTER TABLE {one.part_of} {one.state} {one.kind.upper()} {one.name};"
    if one.kind == "statistics" and one.state:
        return f"ALTER STATISTICS {one.name} SET {one.state};"
    if one.state and one.state != "inherited":
        return f"-- in the reference it is: {_comment_safe(one.state)}"
    return ""


def _reset_parameters(one: CatalogObject) -> str:
    names = ", ".join(word.partition("=")[0] for word in one.definition.split(", "))
    return f"ALTER TABLE {one.part_of} RESET ({names});"


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
    "default": lambda o: _alter_column(o, "DROP DEFAULT"),
    "not null": lambda o: _alter_column(o, "DROP NOT NULL"),
    "comment": lambda o: _comment_on(o).rpartition(" IS ")[0] + " IS NULL;",
    "row security": lambda o: f"ALTER TABLE {o.part_of} DISABLE ROW LEVEL SECURITY;",
    "storage parameters": _reset_parameters,
    "replica identity": lambda o: f"ALTER TABLE {o.part_of} REPLICA IDENTITY DEFAULT;",
    "grant": _revoke,
    "column settings": _not_derived,
    "default privileges": _not_derived,
    "owner": _not_derived,
}


def _drop(one: CatalogObject) -> str:
    """Write what takes an object away; the caller makes a comment of it."""
    drop = DROPPERS.get(one.kind)
    return drop(one) if drop else f"DROP {one.kind.upper()} {one.name};"


def _changed(reference: CatalogObject, found: CatalogObject) -> Iterator[str]:
    """Write how an object that is there becomes what the reference is."""
    yield f"--   reference: {_comment_safe(shown(reference))}"
    yield f"--   tenant:    {_comment_safe(shown(found))}"
    change = CHANGERS.get(reference.kind)
    if change is not None:
        yield from change(reference, found)
    else:
        yield _commented(_drop(found))
        yield _commented(_create(reference))


def _create_over(reference: CatalogObject, _: CatalogObject) -> Iterator[str]:
    yield _create(reference)


def _replace_view(reference: CatalogObject, _: CatalogObject) -> Iterator[str]:
    yield f"CREATE OR REPLACE VIEW {reference.name} AS\n{reference.definition};"


def _alter_sequence(reference: CatalogObject, found: CatalogObject) -> Iterator[str]:
    if reference.state == found.state:
        yield f"ALTER SEQUENCE {reference.name} {reference.definition};"
    else:
        yield f"-- {NOTHING}"


def _retype(reference: CatalogObject, found: CatalogObject) -> Iterator[str]:
    both = reference.definition + found.definition
    is_plain = not any(word in both for word in ("GENERATED", "OPTIONS"))
    statement = _alter_column(reference, f"TYPE {reference.definition}")
    yield _commented(statement if is_plain else NOTHING)


def _reset(reference: CatalogObject, found: CatalogObject) -> Iterator[str]:
    yield _commented(_drop(found))
    yield _create(reference)


def _enable(reference: CatalogObject, found: CatalogObject) -> Iterator[str]:
    if reference.definition != found.definition:
        yield _commented(_drop(found))
        yield _commented(_create(reference))
        return
    kind, state = reference.kind.upper(), reference.state or "ENABLE"
    statement = f"ALTER TABLE {reference.part_of} {state} {kind} {reference.name};"
    yield _commented(statement) if state == "DISABLE" else statement


def _mend_index(reference: CatalogObject, found: CatalogObject) -> Iterator[str]:
    if reference.definition != found.definition:
        yield _commented(_drop(found))
        yield _commented(_create(reference))
    elif "INVALID" in found.state and "INVALID" not in reference.state:
        yield "-- if it is unique and its building met duplicates, remove them first"
        yield f"REINDEX INDEX CONCURRENTLY {reference.name};"
    else:
        yield f"-- {NOTHING}"


def _leave(_: CatalogObject, __: CatalogObject) -> Iterator[str]:
    yield f"-- {NOTHING}"


def _add_labels(reference: CatalogObject, found: CatalogObject) -> Iterator[str]:
    """Labels can be added to an enum and never removed."""
    wanted, present = _labels(reference.definition), _labels(found.definition)
    if [label for label in wanted if label in present] != present:
        yield f"-- {NOTHING}: a label of an enum can be renamed, but neither removed nor moved"
        return
    before: str | None = None
    for label in wanted:
        if label not in present:
            place = f" AFTER {before}" if before else f" BEFORE {present[0]}" if present else ""
            yield f"ALTER TYPE {reference.name} ADD VALUE {label}{place};"
        before = label


CHANGERS: Mapping[str, Callable[[CatalogObject, CatalogObject], Iterator[str]]] = {
    "function": _create_over,
    "procedure": _create_over,
    "default": _create_over,
    "comment": _create_over,
    "owner": _create_over,
    "replica identity": _create_over,
    "view": _replace_view,
    "sequence": _alter_sequence,
    "enum": _add_labels,
    "index": _mend_index,
    COLUMN: _retype,
    "trigger": _enable,
    "rule": _enable,
    "row security": _reset,
    "storage parameters": _reset,
    "grant": _reset,
    "table": _leave,
    "column settings": _leave,
    "default privileges": _leave,
    "domain": _leave,
}
"""How objects of a kind are changed; others are dropped and made anew, in a comment."""


def _labels(definition: str) -> list[str]:
    """Split `'a', 'b'`, where a label may hold a comma or a quote."""
    labels: list[str] = []
    for piece in definition.split(", "):
        is_open = bool(labels) and labels[-1].count("'") % 2 == 1
        if is_open:
            labels[-1] += ", " + piece
        elif piece:
            labels.append(piece)
    return labels


def shown(one: CatalogObject) -> str:
    """Write an object's definition and its state."""
    state = f" [{one.state}]" if one.state else ""
    return f"{one.definition}{state}".strip()


def _commented(statement: str) -> str:
    return "\n".join(f"-- {line}" for line in statement.splitlines())


def _comment_safe(text: str) -> str:
    """Keep a text on one line, so that no part of it leaves the comment."""
    return " ".join(text.split())
