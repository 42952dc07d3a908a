"""The prover: follows a revision's code through its module and the helpers that it calls."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tenantmig.purity import allowed
from tenantmig.purity.evaluator import Evaluator
from tenantmig.purity.modules import Module, Project, is_installed
from tenantmig.purity.values import NOTHING, PLAIN, Enough, Findings, Kind, Value, Values, one

if TYPE_CHECKING:
    from collections.abc import Iterable

KNOWN = ("alembic.", "sqlalchemy.", "psycopg.", "tenantmig.")
BASES = frozenset({"sqlalchemy.orm.declarative_base",
                   "sqlalchemy.ext.declarative.declarative_base"})  # fmt: skip
DEEPEST = 12  # calls of helpers within helpers
DECORATORS = frozenset({"contextlib.contextmanager", "builtins.staticmethod",
                        "builtins.classmethod", "builtins.property", "dataclasses.dataclass",
                        "enum.unique", "typing.no_type_check", "typing.final",
                        "typing_extensions.override", "typing.override"})  # fmt: skip
MAKERS = frozenset({"__init__", "__post_init__", "__new__", "__init_subclass__"})


class Prover:
    """Proves functions of one project. `vouched` are modules that the project answers for."""

    def __init__(self, project: Project, vouched: Sequence[str] = ()) -> None:
        self.project = project
        self.vouched = tuple(vouched)
        self._globals: dict[tuple[Module, str], Values] = {}
        self._inert: dict[Module, str | None] = {}
        self._stack: list[ast.AST] = []

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
            values = self._of_module(module, findings).eval(expression)
        except Enough:
            return one(Kind.STATE)
        if findings.by_tenant or findings.by_moment:
            return one(Kind.STATE)
        return frozenset(self._held(module, value) for value in values)

    def _of_module(self, module: Module, findings: Findings) -> Evaluator:
        evaluator = Evaluator(self, module, findings)
        evaluator.is_module = True
        return evaluator

    def _held(self, module: Module, value: Value) -> Value:
        match value.kind:
            case Kind.FUNCTION | Kind.CLASS if isinstance(value.scope, Evaluator):
                return Value(Kind.STATE)  # it may keep something in what is around it
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
        if allowed.is_schema_type(path):
            # it may take the schema of the table that it is used in
            return not module.says_schema and "." not in module.name
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
        if self._is_vouched(path):
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
        return found is not None and not is_installed(found) and not _is_standard(found)

    def _is_vouched(self, path: str) -> bool:
        return any(path == name or path.startswith(f"{name}.") for name in self.vouched)

    def _library_value(self, path: str) -> Values:
        if path in allowed.ENVIRONMENT:
            return one(Kind.LIBRARY, path)
        if not allowed.is_allowed(path, self.vouched):
            return one(Kind.FOREIGN, path)
        return one(Kind.LIBRARY, path)

    def _module_value(self, name: str) -> Values:
        if self._is_vouched(name):
            return one(Kind.LIBRARY, name)
        if not self._is_own(name) and (
            allowed.is_allowed(name, self.vouched) or _has_allowed_members(name)
        ):
            return one(Kind.LIBRARY, name)
        if self.project.find(name) is not None:
            return one(Kind.MODULE, name)
        return one(Kind.FOREIGN, name)

    def check_import(
        self, at: Evaluator, statement: ast.Import | ast.ImportFrom, alias: ast.alias
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
        found = self.project.find(name)
        if found is None or self.what_import_does(found):
            at.impure(statement, f"it imports {name} when it runs, which may do anything")

    # -- members ----------------------------------------------------------------------------------

    def library(self, at: Evaluator, node: ast.AST, path: str) -> Values:
        """A name of a library."""
        if at.is_environment and path in allowed.ENVIRONMENT:
            return one(Kind.LIBRARY, path)
        if allowed.is_allowed(path, self.vouched):
            return one(Kind.LIBRARY, path)
        return at.impure(node, f"it uses {path}, of which nothing is known")

    def member(self, at: Evaluator, node: ast.AST, value: Value, name: str) -> Values:
        """A name of a module of the project."""
        path = f"{value.path}.{name}"
        found = self.project.find(value.path)
        if found is not None and name in found.bindings:
            values = self.global_values(found, name)
            if any(v.kind is Kind.STATE for v in values):
                at.impure(node, f"it uses {path}, which the module keeps between tenants")
            return values
        if self.project.find(path) is not None:
            return one(Kind.MODULE, path)
        return at.impure(node, f"it uses {path}, of which nothing is known")

    # -- functions ----------------------------------------------------------------------------------

    def follow(
        self,
        at: Evaluator,
        node: ast.AST,
        value: Value,
        positional: list[Values],
        named: dict[str, Values],
    ) -> Values:
        """What a function of the project gives; what it does is found on the way."""
        function = value.node
        if isinstance(function, ast.AsyncFunctionDef) or len(self._stack) > DEEPEST:
            return at.impure(node, f"it calls {value.path}, which is asynchronous or too deep")
        if function in self._stack:
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
        at: Evaluator,
        value: Value,
        function: ast.FunctionDef | ast.Lambda,
        positional: list[Values],
        named: dict[str, Values],
    ) -> Values:
        outer = value.scope if isinstance(value.scope, Evaluator) else None
        module = outer.module if outer else value.scope
        inner = Evaluator(self, module, at.findings, outer, is_environment=at.is_environment)
        self._check_decorators(inner, function)
        self._stack.append(function)
        try:
            _bind_arguments(inner, function, positional, named)
            if isinstance(function, ast.Lambda):
                return inner.eval(function.body)
            inner.run(function.body, _assigned(function))
        finally:
            self._stack.pop()
        return inner.returned | PLAIN

    def _check_decorators(
        self, at: Evaluator, node: ast.FunctionDef | ast.Lambda | ast.ClassDef
    ) -> None:
        for decorator in getattr(node, "decorator_list", ()):
            bare = decorator.func if isinstance(decorator, ast.Call) else decorator
            name = ast.unparse(bare)
            found = at.eval(bare) if isinstance(bare, ast.Name | ast.Attribute) else NOTHING
            paths = {v.path for v in found} | {f"builtins.{name}"}
            if not paths & DECORATORS:
                at.impure(decorator, f"{getattr(node, 'name', 'it')} is decorated with {name}")

    # -- classes --------------------------------------------------------------------------------------

    def class_value(self, at: Evaluator, node: ast.ClassDef) -> Values:
        """A class that a function makes."""
        self.check_class(at, node)
        return one(Kind.CLASS, node.name, node, at)

    def check_class(self, at: Evaluator, node: ast.ClassDef) -> None:
        """Its bases are known, its body makes known things, its methods change nothing."""
        self._check_decorators(at, node)
        for base in node.bases:
            for value in at.eval(base):
                is_known = value.kind in {Kind.LIBRARY, Kind.MADE}
                # a table of a module is put into the module's metadata once
                is_known = is_known or (value.kind is Kind.METADATA and at.is_module)
                if value.kind is Kind.CLASS and value.node is not None:
                    self._check_elsewhere(at, value)
                elif not is_known:
                    at.impure(base, f"{node.name} is a {ast.unparse(base)}, which is not known")
        if node.keywords:
            at.impure(node, f"{node.name} is made by a metaclass")
        inner = Evaluator(self, at.module, at.findings, at)
        inner.is_module = at.is_module
        for statement in node.body:
            if isinstance(statement, ast.FunctionDef):
                self._check_method(inner, statement)
            elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.Expr | ast.Pass):
                inner.statement(statement)
            else:
                at.impure(statement, f"{node.name} has a {type(statement).__name__}")

    def check_given_class(self, at: Evaluator, value: Value) -> None:
        """A class of the project that a library is given."""
        self._check_elsewhere(at, value)

    def _check_elsewhere(self, at: Evaluator, value: Value) -> None:
        node, scope = value.node, value.scope
        if node in self._stack:
            return
        assert isinstance(node, ast.ClassDef)
        outer = scope if isinstance(scope, Evaluator) else self._of_class(scope, at)
        self._stack.append(node)
        try:
            self.check_class(outer, node)
        finally:
            self._stack.pop()

    def _of_class(self, module: Module, at: Evaluator) -> Evaluator:
        return self._of_module(module, at.findings)

    def _check_method(self, at: Evaluator, node: ast.FunctionDef) -> None:
        inner = Evaluator(self, at.module, at.findings, at)
        self._check_decorators(inner, node)
        if node in self._stack:
            return
        self._stack.append(node)
        try:
            for number, argument in enumerate(_parameters(node)):
                is_self = number == 0 and node.name not in MAKERS
                inner.bind(argument.arg, one(Kind.SHARED) if is_self else PLAIN | one(Kind.MADE))
            inner.run(node.body, _assigned(node))
        finally:
            self._stack.pop()

    def class_member(self, at: Evaluator, _: ast.AST, value: Value, name: str) -> Values:
        """An attribute of a class of the project: a literal, or what a proved class has."""
        definition = value.node
        assert isinstance(definition, ast.ClassDef)
        for statement in definition.body:
            targets = statement.targets if isinstance(statement, ast.Assign) else []
            is_it = any(isinstance(t, ast.Name) and t.id == name for t in targets)
            if (
                is_it
                and isinstance(statement, ast.Assign)
                and isinstance(statement.value, ast.Constant)
            ):
                return one(Kind.CONSTANT, "immutable")
        self._check_elsewhere(at, value)
        return one(Kind.SHARED, "project:" + value.path)

    def instance(self, at: Evaluator, node: ast.Call, value: Value, given: Values) -> Values:
        """An object of a class of the project."""
        self._check_elsewhere(at, value)
        tells = any(v.kind is Kind.TENANT or v.tells for v in given)
        if tells:
            at.asks(node, f"makes a {value.path} of")
        return one(Kind.MADE, "project:" + value.path)

    # -- what an import does ----------------------------------------------------------------------------

    def what_import_does(self, module: Module) -> str | None:
        """Say what the module's own statements do beside defining things; None, if nothing.

        Modules of installed distributions are taken as they are: they are the same for everybody.
        """
        if module not in self._inert:
            self._inert[module] = None  # while it is looked at: a circle
            is_ours = not (is_installed(module) or _is_standard(module))
            self._inert[module] = self._look(module) if is_ours else None
        return self._inert[module]

    def _look(self, module: Module) -> str | None:
        findings = Findings()
        at = self._of_module(module, findings)
        try:
            for statement in module.tree.body:
                self._look_at(at, statement)
        except Enough:
            pass
        for found in (*findings.impure, *findings.by_tenant, *findings.by_moment):
            return f"{found.text} ({module.file.name}, line {found.line})"
        for name in _imported_modules(module):
            inner = None if name.startswith(KNOWN) else self.project.find(name)
            does = self.what_import_does(inner) if inner is not None else None
            if does:
                return does
        return None

    def _look_at(self, at: Evaluator, statement: ast.stmt) -> None:
        match statement:
            case ast.Import() | ast.ImportFrom() | ast.FunctionDef() | ast.AsyncFunctionDef():
                return
            case ast.ClassDef(body=body):
                for inner in body:
                    self._look_at(at, inner)
            case ast.If(test=test, body=body, orelse=orelse):
                if ast.unparse(test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
                    return
                if ast.unparse(test) != "__name__ == '__main__'":
                    at.truth(test)
                    for inner in (*body, *orelse):
                        self._look_at(at, inner)
            case ast.Try(body=body, handlers=handlers, orelse=orelse, finalbody=final):
                caught = [inner for handler in handlers for inner in handler.body]
                for inner in (*body, *caught, *orelse, *final):
                    self._look_at(at, inner)
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                return
            case ast.Assign(value=value) | ast.AnnAssign(value=value) if value is not None:
                at.eval(value)
            case ast.AnnAssign():
                return
            case _:
                at.impure(statement, f"it runs `{ast.unparse(statement)[:60]}` when it is imported")


def _is_standard(module: Module) -> bool:
    import sysconfig  # noqa: PLC0415  only here

    paths = sysconfig.get_paths()
    return str(module.file).startswith((paths["stdlib"], paths["platstdlib"])) and not is_installed(
        module
    )


def _has_allowed_members(name: str) -> bool:
    return any(pattern.startswith(name + ".") for pattern in allowed.PATTERNS)


def _imported_modules(module: Module) -> list[str]:
    names = []
    for bounds in module.bindings.values():
        for bound in bounds:
            match bound.statement:
                case ast.Import(names=aliases):
                    names += [alias.name for alias in aliases]
                case ast.ImportFrom() as statement:
                    parent = module.absolute(statement)
                    names += [parent, *(f"{parent}.{alias.name}" for alias in statement.names)]
    return list(dict.fromkeys(names))


def _parameters(function: ast.FunctionDef | ast.Lambda) -> list[ast.arg]:
    a = function.args
    rest = [arg for arg in (a.vararg, a.kwarg) if arg is not None]
    return [*a.posonlyargs, *a.args, *a.kwonlyargs, *rest]


def _bind_arguments(
    at: Evaluator,
    function: ast.FunctionDef | ast.Lambda,
    positional: list[Values],
    named: dict[str, Values],
) -> None:
    """Give each parameter what a call gives it; with `*` and `**` each may get any of it."""
    parameters = _parameters(function)
    spread: Values = named.get("**", NOTHING) | named.get("*", NOTHING)
    given = {a.arg: v for a, v in zip(parameters, positional, strict=False)}
    beyond: Values = frozenset().union(NOTHING, *positional)
    for argument in parameters:
        is_rest = argument in {function.args.vararg, function.args.kwarg}
        values = given.get(argument.arg, NOTHING) | named.get(argument.arg, NOTHING) | spread
        if is_rest:
            values |= (
                beyond | frozenset().union(NOTHING, *named.values()) | {Value(Kind.PLAIN, "box")}
            )
        at.bind(argument.arg, values or PLAIN)
    outer = at.outer or at
    names = [a.arg for a in function.args.posonlyargs + function.args.args]
    defaults = zip(reversed(names), reversed(function.args.defaults), strict=False)
    keyword = zip((a.arg for a in function.args.kwonlyargs), function.args.kw_defaults, strict=True)
    for name, default in (*defaults, *keyword):
        if default is not None and name not in given and name not in named:
            at.bind(name, _default(outer, default))


def _default(at: Evaluator, default: ast.expr) -> Values:
    """A default is made once, when the function is: nobody may change it."""
    if isinstance(default, ast.Constant):
        return PLAIN
    if isinstance(default, ast.List | ast.Dict | ast.Set):
        return one(Kind.CONSTANT)
    return frozenset(
        Value(Kind.CONSTANT) if value.kind is Kind.PLAIN else value for value in at.eval(default)
    )


def _assigned(function: ast.FunctionDef | ast.Lambda) -> Iterable[str]:
    """The names that are local to a function."""
    found: set[str] = set()
    pending: list[ast.AST] = list(ast.iter_child_nodes(function))
    while pending:
        node = pending.pop()
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
                continue
            case ast.Lambda():
                continue
            case ast.alias(name=name, asname=asname):
                found.add(asname or name.partition(".")[0])
            case ast.ExceptHandler(name=name) if name:
                found.add(name)
        pending += ast.iter_child_nodes(node)
    return found
