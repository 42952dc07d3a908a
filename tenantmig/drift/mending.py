"""Mending: statements that would bring a drifted tenant to its reference. A proposal, never run.

What would drop something, or take a right or a protection away, is written as a comment, with what
could only follow it. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from psycopg import sql

from tenantmig.catalog.catalog import COLUMN, CatalogObject
from tenantmig.catalog.catalog_ddl import (
    NOTHING,
    alter_column,
    commented,
    create,
    drop,
    one_line,
    set_row_security,
    state_of,
    unset_row_security,
)
from tenantmig.domain.tenant import Tenant
from tenantmig.drift.drift import Change, Difference, told

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
    yield f"-- tenant {one_line(tenant.name)}"
    yield "-- proposal: read before you run"
    yield f"SET search_path TO {schemas.as_string()};"
    for difference in sorted(told(differences), key=_rank):
        yield from _mended(difference, differences)


def _rank(difference: Difference) -> int:
    return ORDER.index(difference.kind) if difference.kind in ORDER else len(ORDER)


def _mended(difference: Difference, differences: Sequence[Difference]) -> Iterator[str]:
    name = one_line(difference.name)
    yield f"-- {difference.kind} {name}: {difference.change}"
    match difference.change:
        case Change.MISSING:
            assert difference.reference is not None
            yield from created(difference.reference, differences)
        case Change.EXTRA:
            assert difference.tenant is not None
            yield commented(drop(difference.tenant))
        case Change.DIFFERS:
            assert difference.reference is not None
            assert difference.tenant is not None
            yield from _changed(difference.reference, difference.tenant)


def created(one: CatalogObject, differences: Sequence[Difference]) -> Iterator[str]:
    """Write what makes an object that is missing, with what is missing along with it."""
    if one.kind == "table":
        yield from _create_table(one, differences)
        return
    if one.kind == COLUMN:
        yield from _add_column(one, differences)
        return
    yield create(one)
    if state := state_of(one):
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
            yield create(part)
            if state := state_of(part):
                yield state


def _create_table(one: CatalogObject, differences: Sequence[Difference]) -> Iterator[str]:
    what, _, rest = one.definition.partition("TABLE")
    parts = _parts(one, differences)
    facts = {(part.kind, part.name): part.definition for part in parts}
    columns = [_column(part, facts) for part in parts if part.kind == COLUMN and not part.state]
    body = "" if "PARTITION OF" in rest else " (\n    " + ",\n    ".join(columns) + "\n)"
    if "FOREIGN" in what or " OF " in rest.replace("PARTITION OF", ""):
        yield f"-- {NOTHING}: {one_line(one.definition)}"
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
        yield f"-- it is created with the column of the parent: {one_line(one.definition)}"
        return
    if ("not null", one.name) in facts and ("default", one.name) not in facts:
        yield "-- it is NOT NULL without a default: if the table has rows, fill the column first"
    yield f"ALTER TABLE {one.part_of} ADD COLUMN {_column(one, facts)};"
    for part in of_it:
        if part.kind in {"column settings", "comment"}:
            yield create(part)


def _changed(reference: CatalogObject, found: CatalogObject) -> Iterator[str]:
    """Write how an object that is there becomes what the reference is."""
    yield f"--   reference: {one_line(reference.text)}"
    yield f"--   tenant:    {one_line(found.text)}"
    change = CHANGERS.get(reference.kind)
    if change is not None:
        yield from change(reference, found)
    else:
        yield commented(drop(found))
        yield commented(create(reference))


def _create_over(reference: CatalogObject, _: CatalogObject) -> Iterator[str]:
    yield create(reference)


def _replace_view(reference: CatalogObject, _: CatalogObject) -> Iterator[str]:
    yield f"CREATE OR REPLACE VIEW {reference.name} AS\n{reference.definition};"


def _alter_sequence(reference: CatalogObject, found: CatalogObject) -> Iterator[str]:
    if reference.state != found.state:
        yield f"-- {NOTHING}"
        return
    owned = reference.definition
    definition = owned.partition(" OWNED BY ")[0] if reference.state == "identity" else owned
    yield f"ALTER SEQUENCE {reference.name} {definition};"


def _retype(reference: CatalogObject, found: CatalogObject) -> Iterator[str]:
    both = reference.definition + found.definition
    is_plain = not any(word in both for word in ("GENERATED", "OPTIONS"))
    statement = alter_column(reference, f"TYPE {reference.definition}")
    yield commented(statement if is_plain else NOTHING)


def _reset(reference: CatalogObject, found: CatalogObject) -> Iterator[str]:
    yield commented(drop(found))
    yield create(reference)


def _change_row_security(reference: CatalogObject, found: CatalogObject) -> Iterator[str]:
    wanted, present = reference.definition.split(", "), found.definition.split(", ")
    if more := [word for word in present if word not in wanted]:
        yield commented(unset_row_security(found._replace(definition=", ".join(more))))
    if less := [word for word in wanted if word not in present]:
        yield set_row_security(reference._replace(definition=", ".join(less)))


def _enable(reference: CatalogObject, found: CatalogObject) -> Iterator[str]:
    if reference.definition != found.definition:
        yield commented(drop(found))
        yield commented(create(reference))
        return
    kind, state = reference.kind.upper(), reference.state or "ENABLE"
    statement = f"ALTER TABLE {reference.part_of} {state} {kind} {reference.name};"
    yield commented(statement) if state == "DISABLE" else statement


def _mend_index(reference: CatalogObject, found: CatalogObject) -> Iterator[str]:
    if reference.definition != found.definition:
        yield commented(drop(found))
        yield commented(create(reference))
    elif "INVALID" in found.state and "INVALID" not in reference.state:
        yield "-- if it is unique and its build failed on duplicates, remove them first"
        yield f"REINDEX INDEX CONCURRENTLY {reference.name};"
    else:
        yield f"-- {NOTHING}"


def _leave(_: CatalogObject, __: CatalogObject) -> Iterator[str]:
    yield f"-- {NOTHING}"


def _add_labels(reference: CatalogObject, found: CatalogObject) -> Iterator[str]:
    """Labels can be added to an enum and never removed."""
    wanted, present = _labels(reference.definition), _labels(found.definition)
    if [label for label in wanted if label in present] != present:
        yield f"-- {NOTHING}: an enum label can be renamed, but not removed or moved"
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
    "row security": _change_row_security,
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
