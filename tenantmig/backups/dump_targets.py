"""What a statement of a backup is about: always something in the tenant schema. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tenantmig.backups.dump_kinds import OBJECTS
from tenantmig.backups.dump_names import ForeignNameError, texts
from tenantmig.postgres.parsing import enum_name

Name = tuple[str, ...]


@dataclass(slots=True)
class DumpFacts:
    """What the wall has seen of a backup. `owners` are all roles that it gives something to."""

    schema_owner: str | None = None
    owners: set[str] = field(default_factory=set)
    code_owners: dict[Name, set[str]] = field(default_factory=dict)
    definers: set[Name] = field(default_factory=set)
    has_code: bool = False


@dataclass(slots=True)
class Targets:
    """Makes sure that a target is the schema or lies in it, and notes what it learns."""

    schema: str
    facts: DumpFacts = field(default_factory=DumpFacts)

    def own(self, name: Name) -> None:
        """Refuse a name outside the schema."""
        if len(name) != 2 or name[0] != self.schema:
            raise ForeignNameError(f'"{".".join(name)}" is not in the schema "{self.schema}"')

    def own_relation(self, relation: Any) -> None:
        """Refuse a relation outside the schema."""
        self.own((relation.schemaname, relation.relname))

    def own_object(self, kind: str, node: Any) -> Name:
        """Make sure that an object is the schema or in it, and return its name."""
        if kind not in OBJECTS:
            raise ForeignNameError(f"it is about {kind.removeprefix('OBJECT_').lower()} objects")
        form = node.WhichOneof("node")
        if form == "object_with_args":
            name = texts(node.object_with_args.objname)
        elif form == "type_name":
            name = texts(node.type_name.names)
        elif form == "string":
            name = (node.string.sval,)
        elif form == "range_var":
            name = (node.range_var.schemaname, node.range_var.relname)
        else:
            name = self._listed(kind, node.list.items)
        if kind == "OBJECT_SCHEMA":
            if name != (self.schema,):
                raise ForeignNameError(f'it is about the schema "{".".join(name)}"')
            return name
        self.own(name)
        return name

    @staticmethod
    def _listed(kind: str, items: Any) -> Name:
        if kind == "OBJECT_DOMCONSTRAINT":
            return texts(items[0].type_name.names)
        name = texts(items)
        if kind in {"OBJECT_OPFAMILY", "OBJECT_OPCLASS"}:
            return name[1:]
        return name[:2] if len(name) == 3 else name

    def give(self, role: Any) -> str:
        """Note that a role is to own something, and return it."""
        if enum_name(role, "roletype") != "ROLESPEC_CSTRING":
            raise ForeignNameError("it does not name the owner")
        self.facts.owners.add(role.rolename)
        return str(role.rolename)
