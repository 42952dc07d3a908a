"""What a dump of one schema needs of the catalog, and pg_dump's questions narrowed to that. Pure.

pg_dump reads the whole catalog, whatever schema it dumps. Its questions are narrowed so that the
schemas that the tenant has nothing to do with are not there: to pg_dump it is a smaller database.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tenantmig.backups.dump_names import walk
from tenantmig.postgres.parsing import UnreadableError, parse

OWN_COLUMN = {
    "pg_attribute": "attrelid", "pg_rewrite": "ev_class", "pg_sequence": "seqrelid",
}  # fmt: skip
"""The catalogs whose rows belong to a relation, and the column that says to which."""
OWN_SCHEMA = {
    "pg_class": "relnamespace", "pg_collation": "collnamespace", "pg_conversion": "connamespace",
    "pg_namespace": "oid", "pg_opclass": "opcnamespace", "pg_operator": "oprnamespace",
    "pg_opfamily": "opfnamespace", "pg_proc": "pronamespace", "pg_statistic_ext": "stxnamespace",
    "pg_ts_config": "cfgnamespace", "pg_ts_dict": "dictnamespace",
    "pg_ts_parser": "prsnamespace", "pg_ts_template": "tmplnamespace", "pg_type": "typnamespace",
}  # fmt: skip
"""Those whose rows lie in a schema, or are one, and the column that says in which."""
OF_MEMBERS = {"pg_description": "objoid", "pg_inherits": "inhrelid"}
"""Those that are read for the tenant alone: the parent of a parent may be hidden."""
OTHERS = ("pg_default_acl", "pg_depend")
NARROWED = frozenset({*OWN_SCHEMA, *OWN_COLUMN, *OF_MEMBERS, *OTHERS})
FIRST_OF_USERS = 16384  # FirstNormalObjectId: what initdb made has smaller oids
OF_EXTENSIONS = "refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass"
EXTENDED = "SELECT extnamespace FROM pg_catalog.pg_extension"
SYSTEM = ("", "pg_catalog")


@dataclass(frozen=True, slots=True)
class DumpScope:
    """What a dump needs, as array literals of oids (see `dump_scope.sql`)."""

    schemas: str
    parts: str
    """What lies in the schemas that are shown."""
    classes: str
    members: str
    """The schema itself, and what depends on it."""

    def narrow(self, question: str) -> str:
        """Leave out of a question of pg_dump what has nothing to do with the tenant.

        A question that cannot be read is asked as it is: that is slow and right.
        """
        if not any(name in question for name in NARROWED):
            return question
        text = question.encode()
        for relation in sorted(_catalogs(question), key=lambda one: one.location, reverse=True):
            start, written = _written(text, relation)
            if written:
                name = relation.relname
                alias = "" if relation.HasField("alias") else f" AS {name}"
                narrowed = f"({self._part_of(name)}){alias}".encode()
                text = text[:start] + narrowed + text[start + len(written) :]
        return text.decode()

    def _part_of(self, name: str) -> str:
        if name == "pg_depend":
            by_index = f"{_one_of('classid', self.classes)} AND {_one_of('objid', self.members)}"
            return f"{_rows(name, by_index)} UNION {_rows(name, OF_EXTENSIONS)}"
        if name in OF_MEMBERS:
            return _rows(name, _one_of(OF_MEMBERS[name], self.members))
        if name == "pg_namespace":
            return _rows(name, f"{_one_of('oid', self.schemas)} OR oid IN ({EXTENDED})")
        if name == "pg_default_acl":
            shown = self.schemas.replace("{", "{0,")
            return _rows(name, _one_of("defaclnamespace", shown))
        column = OWN_COLUMN.get(name, "oid")
        of_initdb = f"{column} OPERATOR(pg_catalog.<) '{FIRST_OF_USERS}'::pg_catalog.oid"
        condition = f"({_one_of(column, self.parts)} OR {of_initdb})"
        if name in OWN_SCHEMA:
            condition += f" AND {_one_of(OWN_SCHEMA[name], self.schemas)}"
        return _rows(name, condition)


def _rows(catalog: str, condition: str) -> str:
    return f"SELECT tableoid, * FROM pg_catalog.{catalog} WHERE {condition}"  # noqa: S608  oids and our words


def _one_of(column: str, oids: str) -> str:
    return f"{column} OPERATOR(pg_catalog.=) ANY ('{oids}'::pg_catalog.oid[])"


def _catalogs(question: str) -> Iterator[Any]:
    try:
        tree = parse(question)
    except UnreadableError:
        return
    for one in tree.stmts:
        if one.stmt.WhichOneof("node") != "select_stmt":
            return
        for message in walk(one.stmt):
            is_relation = message.DESCRIPTOR.name == "RangeVar"
            if is_relation and message.relname in NARROWED and message.schemaname in SYSTEM:
                yield message


def _written(text: bytes, relation: Any) -> tuple[int, bytes]:
    """Return where a relation stands in a question, and how."""
    start = relation.location
    name = ".".join(filter(None, [relation.schemaname, relation.relname])).encode()
    return start, name if text.startswith(name, start) else b""
