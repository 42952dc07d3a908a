"""The prover: follows a revision's code through its module and the helpers that it calls."""

from __future__ import annotations

import ast
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tenantmig.history.purity import allowed
from tenantmig.history.purity.classes import Classes
from tenantmig.history.purity.evaluator import Evaluator
from tenantmig.history.purity.findings import Enough, Findings
from tenantmig.history.purity.loading import Loading
from tenantmig.history.purity.modules import Module, Project
from tenantmig.history.purity.signatures import assigned, bind_arguments
from tenantmig.history.purity.values import NOTHING, PLAIN, Kind, Value, Values, one

if TYPE_CHECKING:
    from tenantmig.history.purity.expressions import Expressions

BASES = frozenset({"sqlalchemy.orm.declarative_base",
                   "sqlalchemy.ext.declarative.declarative_base"})  # fmt: skip
DEEPEST = 12  # calls of helpers within helpers
DECORATORS = frozenset({"contextlib.contextmanager", "builtins.staticmethod",
                        "builtins.classmethod", "builtins.property", "dataclasses.dataclass",
                        "enum.unique", "typing.no_type_check", "typing.final",
                        "typing_extensions.override", "typing.override"})  # fmt: skip


class Prover:
    """Proves functions of one project. `vouched` are modules that the project answers for."""

    def __init__(self, project: Project, vouched: Sequence[str] = ()) -> None:
        self.project = project
        self.vouched = tuple(vouched)
        self._globals: dict[tuple[Module, str], Values] = {}
        self.classes = Classes(self)
        self.loading = Loading(self)
        self.stack: list[ast.AST] = []

    # -- names of modules -------------------------------------------------------------------------

    def global_values(self, module: Module, name: str) -> Values:
        """What a name of a module is, for whoever uses it in a function."""
        if name == "__file__":
            return one(Kind.FILE)
        if name in {"__name__", "__doc__"}:
            return PLAIN
        key = module, name
        if key not in self._globals:
            self._globals[key] = one(Kind.STATE)  # while it is found out: a circle
            self._globals[key] = self._global_values(module, name)
        return self._globals[key]

    def _global_values(self, module: Module, name: str) -> Values:
        if name in module.rebound:
            return one(Kind.STATE)
        found: Values = NOTHING
        for bound in module.bindings.get(name, ()):
            match bound.node:
                case ast.alias():
                    assert isinstance(bound.statement, ast.Import | ast.ImportFrom)
                    found |= self.imported(module, bound.statement, bound.node)
                case ast.FunctionDef():
                    found |= one(Kind.FUNCTION, name, bound.node, module)
                case ast.ClassDef():
                    found |= one(Kind.CLASS, name, bound.node, module)
                case ast.expr():
                    found |= self._kept(module, bound.node)
                case _:
                    found |= one(Kind.STATE)
        return found

    def _kept(self, module: Module, expression: ast.expr) -> Values:
        """What a module holds under a name that it binds to an expression."""
        findings = Findings()
        try:
            values = self.of_module(module, findings).eval(expression)
        except Enough:
            return one(Kind.STATE)
        if findings.by_tenant or findings.by_moment:
            return one(Kind.STATE)
        return frozenset(self._held(module, value) for value in values)

    def of_module(self, module: Module, findings: Findings) -> Evaluator:
        """Return what evaluates expressions that a module's own statements hold."""
        evaluator = Evaluator(self, module, findings)
        evaluator.is_module = True
        return evaluator

    def _held(self, module: Module, value: Value) -> Value:
        match value.kind:
            case Kind.FUNCTION | Kind.CLASS if isinstance(value.scope, Evaluator):
                return Value(Kind.STATE)  # it may keep something in what is around it
            case Kind.PLAIN if value.path == "iterator":
                return Value(Kind.STATE)
            case Kind.FILE if value.path == "opened":
                return Value(Kind.STATE)
            case Kind.PLAIN:
                return Value(Kind.CONSTANT)
            case Kind.MADE if value.path == "sqlalchemy.Table":
                return Value(Kind.TABLE, value.path)
            case Kind.MADE if value.path == "sqlalchemy.MetaData" or value.path in BASES:
                return Value(Kind.METADATA, value.path)
            case Kind.MADE if self._is_shareable(module, value.path):
                return Value(Kind.SHARED, value.path)
            case Kind.MADE | Kind.TENANT | Kind.FOREIGN | Kind.CONNECTION | Kind.CONFIG:
                return Value(Kind.STATE)
        return value

    def _is_shareable(self, module: Module, path: str) -> bool:
        if path.startswith("project:"):
            return True
        if path.rpartition(".")[2] in {
            "MetaData",
            "Table",
            "Column",
            "Sequence",
            "Identity",
        } or path.startswith("sqlalchemy.sql.schema."):
            return False
        if allowed.is_schema_type(path):
            # it may take the schema of the table that it is used in
            return not module.says_schema and module.is_script
        return allowed.matches(path, allowed.OF_MODULES) or allowed.is_type(path)

    # -- imports --------------------------------------------------------------------------------

    def imported(
        self, module: Module, statement: ast.Import | ast.ImportFrom, alias: ast.alias
    ) -> Values:
        """What an import binds."""
        if isinstance(statement, ast.Import):
            whole = alias.name if alias.asname else alias.name.partition(".")[0]
            return self._module_value(whole)
        parent = module.absolute(statement)
        if alias.name == "*":
            return one(Kind.FOREIGN, f"{parent}.*")
        path = f"{parent}.{alias.name}" if parent else alias.name
        if path == "alembic.context.config":
            return one(Kind.CONFIG)
        if self._is_library(parent, path):
            return self._library_value(path)
        if self.project.find(path) is not None:
            return self._module_value(path)
        found = self.project.find(parent)
        if found is not None and alias.name in found.bindings:
            return self.global_values(found, alias.name)
        return one(Kind.FOREIGN, path)

    def _is_library(self, parent: str, path: str) -> bool:
        if path in allowed.ENVIRONMENT or path == "tenantmig.irreversible":
            return True
        if self.is_vouched(path):
            return True
        if self._is_own(parent):
            return False
        return allowed.is_allowed(path, self.vouched) or (
            path == "sqlalchemy" or path.startswith(("sqlalchemy.", "alembic."))
        )

    def _is_own(self, path: str) -> bool:
        """True when a module of the project has the name of a library's."""
        top = path.partition(".")[0]
        found = self.project.find(top)
        return found is not None and found.is_own

    def is_vouched(self, path: str) -> bool:
        """True when the project answers for it (the setting `pure_modules`)."""
        return any(path == name or path.startswith(f"{name}.") for name in self.vouched)

    def _library_value(self, path: str) -> Values:
        if path in allowed.ENVIRONMENT:
            return one(Kind.LIBRARY, path)
        if not allowed.is_allowed(path, self.vouched):
            return one(Kind.FOREIGN, path)
        return one(Kind.LIBRARY, path)

    def _module_value(self, name: str) -> Values:
        if self.is_vouched(name):
            return one(Kind.LIBRARY, name)
        if not self._is_own(name) and (
            allowed.is_allowed(name, self.vouched) or _has_allowed_members(name)
        ):
            return one(Kind.LIBRARY, name)
        if self.project.find(name) is not None:
            return one(Kind.MODULE, name)
        return one(Kind.FOREIGN, name)

    def check_import(
        self, at: Expressions, statement: ast.Import | ast.ImportFrom, alias: ast.alias
    ) -> None:
        """An import that a function does: it runs the module, once in a process."""
        if isinstance(statement, ast.ImportFrom):
            parent = at.module.absolute(statement)
            if self._is_library(parent, f"{parent}.{alias.name}"):
                return
            name = parent
        else:
            name = alias.name
            if self._module_value(name) == one(Kind.LIBRARY, name):
                return
        if name.partition(".")[0] in sys.stdlib_module_names and not self._is_own(name):
            return
        found = self.project.find(name)
        if found is not None and self.loading.does(found) is None:
            return
        if at.is_environment:
            at.loads(statement, f"it imports {name}, which may do anything")
        else:
            at.impure(statement, f"it imports {name} when it runs, and the import may do anything")

    # -- members ----------------------------------------------------------------------------------

    def library(self, at: Expressions, node: ast.AST, path: str) -> Values:
        """A name of a library."""
        if at.is_environment and path in allowed.ENVIRONMENT:
            return one(Kind.LIBRARY, path)
        if allowed.is_allowed(path, self.vouched):
            return one(Kind.LIBRARY, path)
        return at.impure(node, f"it uses {path}, which tenantmig does not know")

    def member(self, at: Expressions, node: ast.AST, value: Value, name: str) -> Values:
        """A name of a module of the project."""
        path = f"{value.path}.{name}"
        found = self.project.find(value.path)
        if found is not None and name in found.bindings:
            values = self.global_values(found, name)
            if any(v.kind is Kind.STATE for v in values):
                at.impure(
                    node, f"it uses {path}, which the module keeps from one tenant to the next"
                )
            return values
        if self.project.find(path) is not None:
            return one(Kind.MODULE, path)
        return at.impure(node, f"it uses {path}, which tenantmig does not know")

    # -- functions --------------------------------------------------------------------------------

    def follow(
        self,
        at: Expressions,
        node: ast.AST,
        value: Value,
        positional: list[Values],
        named: dict[str, Values],
    ) -> Values:
        """What a function of the project gives; what it does is found on the way."""
        function = value.node
        if isinstance(function, ast.AsyncFunctionDef) or len(self.stack) > DEEPEST:
            return at.impure(
                node, f"it calls {value.path}, which is asynchronous or nested too deeply"
            )
        if function in self.stack:
            return at.impure(node, f"{value.path} calls itself")
        assert isinstance(function, ast.FunctionDef | ast.Lambda)
        key = (function, *positional, *sorted(named.items(), key=lambda item: item[0]))
        known = at.findings.followed
        if isinstance(value.scope, Evaluator):
            return self._follow(at, value, function, positional, named)
        if key not in known:
            known[key] = self._follow(at, value, function, positional, named)
        return known[key]

    def _follow(
        self,
        at: Expressions,
        value: Value,
        function: ast.FunctionDef | ast.Lambda,
        positional: list[Values],
        named: dict[str, Values],
    ) -> Values:
        outer = value.scope if isinstance(value.scope, Evaluator) else None
        module = outer.module if outer else value.scope
        inner = Evaluator(self, module, at.findings, outer, is_environment=at.is_environment)
        self.check_decorators(inner, function)
        self.stack.append(function)
        try:
            bind_arguments(inner, function, positional, named)
            if isinstance(function, ast.Lambda):
                return inner.eval(function.body)
            inner.run(function.body, assigned(function))
        finally:
            self.stack.pop()
        return inner.returned | PLAIN

    def check_decorators(
        self, at: Expressions, node: ast.FunctionDef | ast.Lambda | ast.ClassDef
    ) -> None:
        """A decorator may keep what it decorates, or what that gave."""
        for decorator in getattr(node, "decorator_list", ()):
            bare = decorator.func if isinstance(decorator, ast.Call) else decorator
            name = ast.unparse(bare)
            found = at.eval(bare) if isinstance(bare, ast.Name | ast.Attribute) else NOTHING
            paths = {v.path if v.kind is Kind.LIBRARY else "?" for v in found}
            if (
                name in {"staticmethod", "classmethod", "property"}
                and name not in at.module.bindings
            ):
                continue
            if not paths or not paths <= DECORATORS:
                at.impure(decorator, f"{getattr(node, 'name', 'it')} is decorated with {name}")


def _has_allowed_members(name: str) -> bool:
    return any(pattern.startswith(name + ".") for pattern in allowed.PATTERNS)
