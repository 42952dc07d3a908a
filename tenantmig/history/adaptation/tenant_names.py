"""The variables and functions of an env.py that hold the tenant, and those that only may. Pure."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from tenantmig.errors import EnvironmentFileError
from tenantmig.history.adaptation.asked import FROM_OUTSIDE, asked_itself, asked_key, is_fixed, is_x
from tenantmig.history.adaptation.ending import running_functions
from tenantmig.history.adaptation.guards import is_guard
from tenantmig.history.adaptation.lines import only_returns
from tenantmig.history.adaptation.names import is_tenant_env, names_of, own_name
from tenantmig.history.adaptation.text import EnvText, Function, bound, called, loaded, parents

QUOTING = frozenset(
    {"quote", "quote_schema", "quote_identifier", "Identifier", "quoted_name", "format_schema"}
)
OTHER = (
    "{file}, line {line}: env.py sets {name}, which elsewhere holds the tenant, to another "
    "value, and `init --adapt` cannot tell the two apart. Give the other value its own "
    "name. docs/guides/coming-from/home-made-loops.md contains a complete env.py."
)
MAPPED = frozenset({None, "tenant"})
"""The keys of a `schema_translate_map` that stand for the tenant's schema."""


class TenantNames:
    """Which names of a text hold the tenant: `found` says of each, schema or name."""

    def __init__(
        self, text: EnvText, schemas: Iterable[ast.AST], outside: set[str] | None = None
    ) -> None:
        """Find them; `schemas` are the expressions in which the tenant's schema stands.

        `outside` is what was found of the environment's in the text before its first edit.
        """
        self.text, self.tree = text, text.tree
        self.up = parents(text.tree)
        self.ours = own_name(text.tree)
        self.as_schema = loaded(schemas)
        self.outside = self._from_outside() if outside is None else outside
        self.found: dict[str, str] = {}
        while more := {n: of for n, of in self._more() if n not in self.found}:
            self.found |= more

    def _from_outside(self) -> set[str]:
        """Return the one variable that the environment gives a schema; of two, none is certain."""
        if asked_key(self.tree, self.tree) is not None or self.ours is not None:
            return set()
        found = {
            names[0]
            for node in ast.walk(self.tree)
            if len(names := names_of(node)) == 1
            and names[0] in self.as_schema
            and FROM_OUTSIDE.search(ast.unparse(getattr(node, "value", node)))
        }
        return found if len(found) == 1 else set()

    def _more(self) -> Iterator[tuple[str, str]]:
        for node in ast.walk(self.tree):
            names = names_of(node)
            value = getattr(node, "value", None)
            if len(names) == 1 and isinstance(value, ast.expr) and not is_tenant_env(value):
                of = self._meaning(names[0], value)
                yield from [(names[0], of)] if of else []
        for name, function in self.text.functions.items():
            is_asking = asked_key(function, self.tree) is not None and not function.args.args
            is_plain = not any(called(function, "configure")) and only_returns(function)
            if is_asking and is_plain and self._returns_it(name, function):
                yield name, "schema"

    def _meaning(self, name: str, value: ast.expr) -> str | None:
        is_schema = name in self.as_schema
        key = asked_key(value, self.tree)
        if key is not None and (is_schema or asked_itself(value, self.tree)):
            return "schema" if key == "schema" or is_schema else "name"
        if not is_schema or is_fixed(value, self.tree) or self._is_list(value):
            return None
        is_derived = bool(loaded([value]) & self.found.keys()) or self._has_x(value)
        return "schema" if is_derived or name in self.outside else None

    def _has_x(self, value: ast.AST) -> bool:
        return any(is_x(name, self.tree) for name in loaded([value]))

    def _is_list(self, value: ast.expr) -> bool:
        """True for what names more schemas than the tenant's, not all of them as a text."""
        if isinstance(value, ast.Dict):
            return not _is_tenants_map(value)
        parts = [one for one in ast.walk(value) if isinstance(one, ast.Constant)]
        has_comma = any(isinstance(one.value, str) and "," in one.value for one in parts)
        is_joined = any(isinstance(n, ast.Attribute) and n.attr == "join" for n in ast.walk(value))
        return is_joined or (has_comma and not loaded([value]) <= self.found.keys())

    def _returns_it(self, name: str, function: Function) -> bool:
        """True for a function that returns what was asked, or the schema made of it."""
        given = [one.value for one in ast.walk(function) if isinstance(one, ast.Return)]
        if name in self.as_schema:
            return not any(value is not None and self._is_list(value) for value in given)
        return all(
            value is None
            or isinstance(value, ast.Constant)
            or (isinstance(value, ast.Name) and value.id in self.found)
            or asked_itself(value, self.tree) is not None
            for value in given
        )

    # -- what an expression holds ---------------------------------------------------------------

    def is_tenants(self, value: ast.AST, seen: frozenset[str] = frozenset()) -> bool:
        """True for an expression that is the tenant's schema, or a fixed one; no list of them."""
        if isinstance(value, ast.Constant):
            return True
        if not isinstance(value, ast.expr) or self._is_list(value):
            return False
        if isinstance(value, ast.Call):
            word = ast.unparse(value.func).rpartition(".")[2]
            if word in QUOTING:
                return all(self.is_tenants(one, seen) for one in value.args)
        if asked_key(value, self.tree) is not None:
            return True
        names = [n for n in ast.walk(value) if isinstance(n, ast.Name)]
        return bool(names) and all(self._is_known(one, seen) for one in names)

    def _is_known(self, name: ast.Name, seen: frozenset[str]) -> bool:
        if name.id in self.found or name.id == self.ours or name.id in {"str", "quoted_name"}:
            return True
        node: ast.AST = name
        while node in self.up:
            node = self.up[node]
            if isinstance(node, ast.For | ast.AsyncFor) and name.id in _targets(node):
                return self._is_migrating(node)
            if isinstance(node, Function) and name.id in _parameters(node):
                return node.name in seen or self.is_given_tenants(node.name, seen)
        return False

    def _is_migrating(self, node: ast.AST) -> bool:
        running = running_functions(self.text.functions).keys()
        calls = [*called(node, "configure"), *called(node, "run_migrations")]
        return bool(calls or loaded([node]) & running)

    def is_given_tenants(self, name: str, seen: frozenset[str] = frozenset()) -> bool:
        """True when each call of a function gives it a connection, and the tenant's at most."""
        calls = [
            one
            for one in ast.walk(self.tree)
            if isinstance(one, ast.Call) and isinstance(one.func, ast.Name) and one.func.id == name
        ]
        given = [v for one in calls for v in [*one.args[1:], *(k.value for k in one.keywords)]]
        given += [one.args[0] for one in calls if len(one.args) == 1 and one.keywords == []]
        return all(
            self.is_tenants(value, seen | {name}) or _is_connection(value) for value in given
        )

    # -- names of two meanings ------------------------------------------------------------------

    def refuse_doubtful(self, file: str) -> None:
        """Refuse a text in which a tenant's variable holds something else too.

        Raises:
            EnvironmentFileError: the line, and what to do.
        """
        for node in ast.walk(self.tree):
            for name in self._bound_by(node) & self.found.keys():
                if not self._is_tenants_binding(node):
                    line = getattr(node, "lineno", 1)
                    raise EnvironmentFileError(OTHER.format(file=file, line=line, name=name))

    def _bound_by(self, node: ast.AST) -> set[str]:
        match node:
            case ast.Import() | ast.ImportFrom() | ast.ClassDef():
                return bound([node])
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                is_found = self.text.functions.get(name) is node
                return set() if is_found else {name}
            case ast.ExceptHandler(name=str(name)):
                return {name}
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                return {name}
        return set()

    def _is_tenants_binding(self, node: ast.AST) -> bool:
        parent = self.up[node]
        match parent:
            case ast.Assign() | ast.AnnAssign():
                value = parent.value
                return value is None or is_tenant_env(value) or self._is_its_value(parent, value)
            case ast.NamedExpr(value=value):
                return asked_key(value, self.tree) is not None
            case ast.For() | ast.AsyncFor():
                return self._is_migrating(parent)
            case ast.comprehension():
                return True  # its own variable
        return False

    def _is_its_value(self, statement: ast.AST, value: ast.expr) -> bool:
        is_none = isinstance(value, ast.Constant) and not value.value
        if is_none or asked_key(value, self.tree) is not None:
            return True
        if loaded([value]) & self.found.keys() or self._has_x(value):
            return True
        if self.outside and FROM_OUTSIDE.search(ast.unparse(value)) is not None:
            return True
        around = self.up.get(statement)
        return isinstance(around, ast.If) and is_guard(around.test, self.found, self.tree)


def _is_tenants_map(value: ast.Dict) -> bool:
    return all(isinstance(key, ast.Constant) and key.value in MAPPED for key in value.keys)


def mapped_to(value: ast.expr) -> list[ast.expr]:
    """Return the expressions of a `schema_translate_map` that stand for the tenant's schema."""
    if not isinstance(value, ast.Dict):
        return [value]
    pairs = zip(value.keys, value.values, strict=True)
    return [one for key, one in pairs if isinstance(key, ast.Constant) and key.value in MAPPED]


def _targets(loop: ast.For | ast.AsyncFor) -> set[str]:
    return {one.id for one in ast.walk(loop.target) if isinstance(one, ast.Name)}


def _parameters(function: Function) -> set[str]:
    return {one.arg for one in ast.walk(function.args) if isinstance(one, ast.arg)}


def _is_connection(value: ast.AST) -> bool:
    words = ast.unparse(value)
    return isinstance(value, ast.Name | ast.Attribute) and ("conn" in words or "engine" in words)
