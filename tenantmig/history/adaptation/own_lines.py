"""What an env.py written by hand for tenants does by itself, and the driver does already.

It creates the schema, sets `search_path`, commits, moves the dialect's default schema, and reads
`-x tenant=` on its own. Such lines are taken out, and whatever else read the tenant's schema reads
it from `TenantEnv`. Pure: text in, text out; what it leaves is found by `env_leftovers`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from tenantmig.history.adaptation.guards import (
    CLOSING,
    is_listener,
    is_plain_frame,
    sets_only_locals,
)
from tenantmig.history.adaptation.lines import (
    blocks,
    body_of,
    is_commit,
    is_mapping,
    is_soft,
    statements_of,
)
from tenantmig.history.adaptation.names import (
    is_ours,
    names_of,
    own_name,
    put_in,
    values_of,
)
from tenantmig.history.adaptation.own_sql import ENDING_SQL, SENDING, is_sending_own, text_of
from tenantmig.history.adaptation.replaced_names import ask_ours, only_defines
from tenantmig.history.adaptation.tenant_names import TenantNames, mapped_to
from tenantmig.history.adaptation.text import EnvText, Function, loaded

PASSES = 4
"""What one pass takes out may have been the last use of something else."""


def without_own_lines(source: str) -> str:
    """Return a text without what the driver does already; `NEW` stands for its TenantEnv."""
    outside: set[str] | None = None
    for _ in range(PASSES):
        lines = _OwnLines(EnvText(source), outside)
        source, outside = lines.edited(), lines.names.outside
    return source


def refuse_doubtful(source: str, file: str) -> None:
    """Refuse a text in which a name that holds the tenant holds something else too.

    Raises:
        EnvironmentFileError: the line, and what to do.
    """
    _OwnLines(EnvText(source)).names.refuse_doubtful(file)


class _OwnLines:
    def __init__(self, text: EnvText, outside: set[str] | None = None) -> None:
        self.text = text
        self.name = own_name(text.tree)
        self.gone: list[ast.stmt] = []
        schemas = (one for node in ast.walk(text.tree) for one in self._schemas_in(node))
        self.names = TenantNames(text, schemas, outside)
        self.own_functions = self._functions_of_own_lines()

    def edited(self) -> str:
        tenants, scopes = self.names.found, [self.text.tree, *self.text.functions.values()]
        for scope in scopes:
            if not is_listener(scope):
                self._take_out(scope.body, scope)
        for scope in scopes:
            self._take_out_definitions(scope, tenants)
        self._take_out_unused(scopes)
        ask_ours(self.text, self.name, tenants, self._is_gone)
        self._fill_blocks()
        return self.text.edited()

    # -- what is a line of this kind ------------------------------------------------------------

    def _functions_of_own_lines(self) -> set[str]:
        found: set[str] = set()
        self.own_functions = found
        while more := {
            name
            for name, one in self.text.functions.items()
            if name not in found
            and self._is_all_own(body_of(one))
            and self.names.is_given_tenants(name)
        }:
            found |= more
        return found

    def _is_all_own(self, body: list[ast.stmt]) -> bool:
        own = [one for one in body if self._is_own(one)]
        return bool(own) and self._is_beside(body, loaded(own))

    def _is_beside(self, body: list[ast.stmt], receivers: set[str]) -> bool:
        """True for own lines, and what means nothing without them."""
        return all(
            self._is_own(one)
            or self._is_ending(one, receivers)
            or (is_soft(one) and not is_commit(one))
            for one in body
        )

    def _is_own(self, statement: ast.stmt) -> bool:
        match statement:
            case ast.Expr(value=ast.Call() as call) | ast.Expr(value=ast.Await(ast.Call() as call)):
                return self._is_own_call(call)
            case ast.Assign(targets=[ast.Attribute(attr="default_schema_name")], value=value):
                return self.names.is_tenants(value)
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=func) as call):
                is_same = isinstance(func, ast.Attribute) and ast.unparse(func.value) == name
                return is_same and is_mapping(call) and self._is_own_call(call)
            case ast.If() | ast.With() | ast.AsyncWith() | ast.Try():
                return self._is_own_block(statement)
            case ast.FunctionDef():
                return is_listener(statement) and self._is_own_listener(statement)
        return False

    def _is_own_block(self, block: ast.stmt) -> bool:
        handlers: list[list[ast.stmt]] = [one.body for one in getattr(block, "handlers", ())]
        body, *rest = list(blocks(block)) + handlers
        receivers = loaded(body)
        return (
            is_plain_frame(block)
            and self._is_all_own(body)
            and all(self._is_beside(one, receivers) for one in rest)
        )

    def _is_own_listener(self, function: ast.FunctionDef) -> bool:
        """True when each statement that it sends is an own one, and it does nothing else."""
        calls = [n for one in function.body for n in ast.walk(one) if isinstance(n, ast.Call)]
        own = [one for one in calls if self._is_own_call(one)]
        inside = {node for one in own for node in ast.walk(one)}
        others = {one.func for one in calls if one not in inside}
        is_closing = all(isinstance(one, ast.Attribute) and one.attr in CLOSING for one in others)
        return bool(own) and is_closing and sets_only_locals(function)

    def _is_entered(self, statement: ast.stmt) -> bool:
        """True for a block that goes on without its own lines; others are refused with them."""
        if is_listener(statement) or isinstance(statement, Function | ast.ClassDef):
            return False
        return is_plain_frame(statement) or not self._is_all_own(next(blocks(statement), []))

    def _is_own_call(self, call: ast.Call) -> bool:
        if isinstance(call.func, ast.Name):
            is_set = call.func.id == "setattr" and "'default_schema_name'" in ast.unparse(call)
            is_set = is_set and self.names.is_tenants(call.args[-1])
            return is_set or call.func.id in self.own_functions
        if not isinstance(call.func, ast.Attribute):
            return False
        if call.func.attr == "run_sync" and call.args:
            return loaded([call.args[0]]) <= self.own_functions and bool(loaded([call.args[0]]))
        if call.func.attr == "listen" and call.args:
            return bool(own := loaded([call.args[-1]])) and own <= self.own_functions
        if call.func.attr in SENDING:
            is_tenants = all(map(self.names.is_tenants, self._put_into(call)))
            return is_tenants and is_sending_own(call, self.text.tree)
        return is_mapping(call) and self.names.is_tenants(call.keywords[0].value)

    def _put_into(self, call: ast.Call) -> Iterator[ast.AST]:
        yield from (one for given in call.args for one in put_in(given, self.text.tree))
        yield from (one for given in call.args for one in values_of(given))

    # -- taking out -----------------------------------------------------------------------------

    def _take_out(self, body: list[ast.stmt], scope: ast.Module | Function) -> None:
        """Take out own lines, and the COMMIT of the same connection directly behind one."""
        is_behind = False
        receivers: set[str] = set()
        for statement in body:
            if is_behind and self._is_ending(statement, receivers):
                if not self._has_sent(scope, statement):
                    self._remove(statement)
                continue
            is_behind = self._is_own_definition(statement) or self._is_own(statement)
            if is_behind:
                receivers = loaded([statement])
                self._remove(statement)
            elif self._is_entered(statement):
                for inner in blocks(statement):
                    self._take_out(inner, scope)

    def _is_own_definition(self, statement: ast.stmt) -> bool:
        return isinstance(statement, ast.FunctionDef) and statement.name in self.own_functions

    def _is_ending(self, statement: ast.stmt, receivers: set[str]) -> bool:
        """True for a COMMIT or ROLLBACK of one of the receivers, as a call or as SQL."""
        value = getattr(statement, "value", None)
        call = value.value if isinstance(value, ast.Await) else value
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
            return False
        is_sql = call.func.attr in SENDING and bool(call.args)
        is_sql = is_sql and ENDING_SQL.fullmatch(text_of(call.args[0], self.text.tree)) is not None
        return (is_commit(statement) or is_sql) and loaded([call.func.value]) <= receivers

    def _has_sent(self, scope: ast.AST, ending: ast.stmt) -> bool:
        """True when what stays before a COMMIT has used its connection, so that it needs it."""
        names = loaded([ending])
        for node in ast.walk(scope):
            if not isinstance(node, ast.Call) or node.lineno >= ending.lineno:
                continue
            is_sent = isinstance(node.func, ast.Attribute) and node.func.attr in SENDING
            is_sent = is_sent and bool(loaded([node.func]) & names)
            is_handed = isinstance(node.func, ast.Name) and node.func.id != "inspect"
            is_handed = is_handed and bool(loaded(node.args) & names)
            if (is_sent or is_handed) and not self._is_gone(node):
                return True
        return False

    def _fill_blocks(self) -> None:
        """Leave no block empty whose statement stays."""
        for node in ast.walk(self.text.tree):
            if isinstance(node, ast.stmt) and not self._is_gone(node):
                for block in blocks(node):
                    if all(one in self.gone for one in block):
                        self.text.leave_pass(block[-1])

    def _remove(self, statement: ast.stmt) -> None:
        self.gone.append(statement)
        self.text.remove(statement, is_with_comment=True)

    def _is_gone(self, node: ast.AST) -> bool:
        return any(node in set(ast.walk(one)) for one in self.gone)

    # -- the tenant's name ----------------------------------------------------------------------

    def _schemas_in(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield the expressions in which the tenant's schema stands."""
        match node:
            case ast.Call() if is_sending_own(node, self.text.tree):
                yield from self._put_into(node)
            case ast.keyword(arg="schema_translate_map", value=value):
                yield from mapped_to(value)
            case ast.keyword(arg="version_table_schema", value=value):
                yield value
            case ast.Assign(targets=[ast.Attribute(attr="default_schema_name")], value=value):
                yield value

    def _take_out_definitions(self, scope: ast.Module | Function, tenants: dict[str, str]) -> None:
        names = {
            name
            for one in statements_of(scope.body)
            for name in names_of(one) if name in tenants and not is_ours(one)
        }  # fmt: skip
        for statement in statements_of(scope.body):
            if self._is_gone(statement):
                continue
            if isinstance(statement, Function):
                if statement.name in tenants and scope is self.text.tree:
                    self._remove(statement)
            elif only_defines(statement, names, tenants, self.text.tree):
                self._remove(statement)

    def _take_out_unused(self, scopes: Iterable[ast.Module | Function]) -> None:
        """Take out the assignments that only what is gone has read."""
        is_more = True
        while is_more:
            is_more = False
            used_by_gone = loaded(self.gone)
            rest = {
                node.id
                for node in ast.walk(self.text.tree)
                if isinstance(node, ast.Name)
                and isinstance(node.ctx, ast.Load)
                and not self._is_gone(node)
            }
            for scope in scopes:
                for one in statements_of(scope.body):
                    names = names_of(one)
                    is_unused = names[0] in used_by_gone - rest if len(names) == 1 else False
                    if is_unused and not (self._is_gone(one) or is_ours(one)):
                        self._remove(one)
                        is_more = True
