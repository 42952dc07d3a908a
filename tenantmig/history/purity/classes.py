"""Classes of the project: known bases, a body of known things, methods that keep nothing."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tenantmig.history.purity.evaluator import Evaluator
from tenantmig.history.purity.handed import check_handed
from tenantmig.history.purity.signatures import assigned, parameters
from tenantmig.history.purity.values import IMMUTABLE, PLAIN, Kind, Value, Values, one

if TYPE_CHECKING:
    from tenantmig.history.purity.expressions import Expressions
    from tenantmig.history.purity.prover import Prover

MAKERS = frozenset({"__init__", "__post_init__", "__new__", "__init_subclass__"})
"""Methods that may write to their object, which is new."""


CHANGING = frozenset(
    """
    list dict set defaultdict deque OrderedDict Counter count cycle repeat iter zip map filter
    enumerate reversed open
    """.split()  # noqa: SIM905  thirty quotes less
)
"""What makes something that changes when it is used."""


def has_lists(node: ast.ClassDef) -> bool:
    """True when the body of a class holds what its objects could change."""
    made = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp, ast.GeneratorExp)
    return any(
        isinstance(s, ast.Assign | ast.AnnAssign)
        and s.value is not None
        and any(
            isinstance(e, made)
            or (isinstance(e, ast.Call) and ast.unparse(e.func).rpartition(".")[2] in CHANGING)
            for e in ast.walk(s.value)
        )
        and not any(isinstance(x, ast.Name) and x.id == "__table_args__" for x in ast.walk(s))
        for s in node.body
    )


class Classes:
    """Proves the classes that a prover meets."""

    def __init__(self, prover: Prover) -> None:
        self.prover = prover

    def made(self, at: Expressions, node: ast.ClassDef) -> Values:
        """A class that a function makes."""
        self.check(at, node)
        return one(Kind.CLASS, node.name, node, at)

    def check(self, at: Expressions, node: ast.ClassDef) -> None:
        """Its bases are known, its body makes known things, its methods change nothing."""
        self.prover.check_decorators(at, node)
        for base in node.bases:
            for value in at.eval(base):
                is_known = value.kind in {Kind.LIBRARY, Kind.MADE}
                # a table of a module is put into the module's metadata once
                is_known = is_known or (value.kind is Kind.METADATA and at.is_module)
                if value.kind is Kind.CLASS and value.node is not None:
                    self.check_again(at, value)
                    if not isinstance(value.scope, Evaluator) and not at.is_module:
                        at.impure(base, f"{ast.unparse(base)} may keep {node.name}")
                elif not is_known:
                    at.impure(
                        base,
                        f"{node.name} derives from {ast.unparse(base)}, which tenantmig "
                        "does not know",
                    )
        if node.keywords:
            at.impure(node, f"{node.name} has a metaclass or other class arguments")
        inner = Evaluator(self.prover, at.module, at.findings, at)
        inner.is_module = at.is_module
        for statement in node.body:
            if isinstance(statement, ast.FunctionDef):
                self._check_method(inner, statement)
            elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.Expr | ast.Pass):
                inner.statement(statement)
            else:
                at.impure(statement, f"{node.name} has a {type(statement).__name__}")

    def check_again(self, at: Expressions, value: Value) -> None:
        """Prove a class where it is defined."""
        node, scope = value.node, value.scope
        if node in self.prover.stack:
            return
        assert isinstance(node, ast.ClassDef)
        self._check_module(at, value)
        outer = scope if isinstance(scope, Evaluator) else self.prover.of_module(scope, at.findings)
        self.prover.stack.append(node)
        try:
            self.check(outer, node)
        finally:
            self.prover.stack.pop()

    def _check_module(self, at: Expressions, value: Value) -> None:
        """What stands beside a class may listen to it."""
        if isinstance(value.scope, Evaluator) or at.is_module:
            return
        does = self.prover.loading.registers(value.scope)
        if does:
            at.impure(value.node or at.module.tree, f"{value.path} is in a module where {does}")

    def _check_method(self, at: Expressions, node: ast.FunctionDef) -> None:
        inner = Evaluator(self.prover, at.module, at.findings, at)
        self.prover.check_decorators(inner, node)
        for default in (*node.args.defaults, *node.args.kw_defaults):
            if default is not None:
                at.eval(default)
        if node in self.prover.stack:
            return
        self.prover.stack.append(node)
        try:
            own, *others = parameters(node) or [ast.arg("self")]
            inner.bind(own.arg, one(Kind.MADE if node.name in MAKERS else Kind.SHARED))
            for argument in others:
                inner.bind(argument.arg, PLAIN | one(Kind.MADE))
            inner.run(node.body, assigned(node))
            if any(
                v.kind not in {Kind.PLAIN, Kind.MADE, Kind.SHARED, Kind.LIBRARY, Kind.CLASS}
                and v.path != IMMUTABLE
                for v in inner.returned
            ):
                what = "something that outlives the call or depends on the tenant"
                at.impure(node, f"{node.name} returns {what}")
        finally:
            self.prover.stack.pop()

    def member(self, at: Expressions, node: ast.AST, value: Value, name: str) -> Values:
        """An attribute of a class of the project: a literal, or what a proved class has."""
        definition = value.node
        assert isinstance(definition, ast.ClassDef)
        for statement in definition.body:
            targets = statement.targets if isinstance(statement, ast.Assign) else []
            is_it = any(isinstance(t, ast.Name) and t.id == name for t in targets)
            if not (is_it and isinstance(statement, ast.Assign)):
                continue
            if isinstance(statement.value, ast.Constant):
                return one(Kind.CONSTANT, "immutable")
            held = ast.ClassDef(value.path, [], [], [statement], [])
            if has_lists(held) and name not in {"metadata", "registry"} and not at.is_module:
                at.impure(node, f"it uses {value.path}.{name}, which the class keeps")
        self.check_again(at, value)
        if name in {"metadata", "registry"}:
            return one(Kind.METADATA, name)
        return one(Kind.SHARED, "project:" + value.path)

    def instance(self, at: Expressions, node: ast.Call, value: Value, given: Values) -> Values:
        """An object of a class of the project."""
        self.check_again(at, value)
        tells = any(v.kind is Kind.TENANT or v.tells for v in given)
        assert isinstance(value.node, ast.ClassDef)
        if has_lists(value.node):
            at.impure(node, f"{value.path} keeps a list or dict for all its objects")
        check_handed(at, node, given)
        if tells:
            at.asks(node, f"makes a {value.path} from")
        # an object of a mapped class belongs to a session
        of_library = all(
            v.kind is Kind.LIBRARY for base in value.node.bases for v in self._of(value, at, base)
        )
        return one(Kind.MADE, ("project:" if of_library else "mapped:") + value.path)

    def _of(self, value: Value, at: Expressions, base: ast.expr) -> Values:
        scope = value.scope
        where = scope if isinstance(scope, Evaluator) else None
        return (where or self.prover.of_module(scope, at.findings)).eval(base)
