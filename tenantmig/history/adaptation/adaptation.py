"""What an env.py that Alembic or Flask-Migrate made must change to serve tenants, as a new text.

Where its shape is known (one `with engine.connect()`, or a function that is handed a connection)
only what must is changed. Elsewhere the functions that run the migrations are written anew, with
the arguments that they gave to `context.configure()`. Pure: text in, text out.
"""

from __future__ import annotations

import ast
import builtins
from dataclasses import dataclass, field

from tenantmig.history.adaptation.ending import by_hand, is_choice, modes, running_functions
from tenantmig.history.adaptation.env_texts import (
    DROPPED,
    FLASK,
    FLASK_IMPORT,
    IMPORT,
    KEPT_AS_GIVEN,
    OURS,
    OURS_OFFLINE,
    TENANT,
)
from tenantmig.history.adaptation.text import EnvText, Function, bound, called, loaded, parents
from tenantmig.history.adaptation.unused import drop_unused

LOOPS = (ast.For, ast.AsyncFor, ast.While)


@dataclass
class _Way:
    """The function that the module calls for one of the two modes, and where it configures."""

    entry: Function
    place: Function
    configure: ast.Call
    passed: set[str] = field(default_factory=set)
    """The functions between."""


class Adaptation:
    """The text of one env.py, and how each of its two modes is adapted."""

    def __init__(self, text: EnvText, file: str, name: str) -> None:
        self.text = text
        self.file = file
        self.name = name
        self.body = text.tree.body
        self.up = parents(text.tree)
        self.names = bound(self.body)

    def adapted(self) -> str:
        """Return the text, adapted."""
        self._add_tenant()
        offline, online = self._modes()
        keep = {offline, online}
        for name, is_offline in ((online, False), (offline, True)):
            way = self._way(self.text.functions[name])
            self._adapt_offline(way) if is_offline else self._adapt_online(way)
            keep.add(way.place.name)
            for other in way.passed - keep:
                self.text.remove(self.text.functions[other])
        return self.text.edited()

    def _add_tenant(self) -> None:
        if any(isinstance(n, ast.Name) and n.id == "TenantEnv" for n in _walk(self.body)):
            self._add_imports(is_tenant=False)
            return
        self._add_imports()
        running = running_functions(self.text.functions).values()
        first = min(
            [
                one
                for one in self.body
                if one in running
                or (not isinstance(one, Function | ast.ClassDef) and self.name in loaded([one]))
            ],
            key=lambda one: one.lineno,
        )
        gap = "" if self.text.is_after_gap(first) else "\n"
        self.text.insert_before(first, gap + TENANT.format(name=self.name))

    # -- what is there --------------------------------------------------------------------------

    def _modes(self) -> tuple[str, str]:
        """Return the functions of the two modes: the ending is one that has both."""
        running = running_functions(self.text.functions).keys()
        choice = next(one for one in self.body if is_choice(one))
        offline, online = (loaded(part) & running for part in modes(choice))
        return offline.pop(), online.pop()

    def _way(self, entry: Function) -> _Way:
        running = running_functions(self.text.functions)
        passed, pending = {entry.name}, [entry]
        while pending:
            function = pending.pop(0)
            for configure in called(function, "configure"):
                return _Way(entry, function, configure, passed)
            for name in (loaded([function]) & running.keys()) - passed:
                passed.add(name)
                pending.append(running[name])
        raise by_hand(self.file, f"{entry.name}() calls no context.configure()", entry.lineno)

    def _ours(self, arguments: dict[str, str]) -> dict[str, str]:
        return {k: v.replace("{}.", f"{self.name}.") for k, v in arguments.items()}

    # -- what is added --------------------------------------------------------------------------

    def _add_imports(self, *, is_tenant: bool = True) -> None:
        imports = [one for one in self.body if isinstance(one, ast.Import | ast.ImportFrom)]
        last = imports[-1]
        is_flask = "current_app" in self.names and "ScriptInfo" not in self.names
        lines = (FLASK_IMPORT if is_flask else "") + (IMPORT if is_tenant else "")
        if is_flask:
            lines = ("" if "os" in self.names else "import os\n") + lines + "\n" + FLASK
        if lines:
            self.text.insert_after(last, lines)

    # -- online ---------------------------------------------------------------------------------

    def _adapt_online(self, way: _Way) -> None:
        opened = self._opened(way)
        if opened is not None:
            self.text.replace(opened.context_expr, f"{self.name}.session()")
            drop_unused(self.text, way.place, opened.context_expr)
            self._edit_arguments(way.configure, self._ours(OURS))
        elif self._is_handed(way):
            self._edit_arguments(way.configure, self._ours(OURS))
            call = (
                f"with {self.name}.session() as connection:\n        {way.place.name}(connection)"
            )
            self._write_entry(way.entry, call)
        else:
            self._write_anew(way, is_offline=False)

    def _opened(self, way: _Way) -> ast.withitem | None:
        """The one item of a `with` that opens the connection that is configured."""
        given = _argument(way.configure, "connection")
        if way.entry is not way.place or self._is_in_loop(way.configure, way.place):
            return None
        node: ast.AST = way.configure
        while (node := self.up[node]) is not way.place:
            if isinstance(node, ast.With):
                for item in node.items:
                    name = item.optional_vars
                    if isinstance(name, ast.Name) and _is_name(given, name.id):
                        return item
        return None

    def _is_handed(self, way: _Way) -> bool:
        """True when the function that configures takes the connection and nothing else."""
        arguments, given = way.place.args, _argument(way.configure, "connection")
        names = [one.arg for one in (*arguments.posonlyargs, *arguments.args)]
        is_sync = isinstance(way.place, ast.FunctionDef) and way.entry is not way.place
        is_free = not self._is_in_loop(way.configure, way.place)
        return is_sync and is_free and len(names) == 1 and _is_name(given, names[0])

    def _is_in_loop(self, node: ast.AST, outer: ast.AST) -> bool:
        while (node := self.up[node]) is not outer:
            if isinstance(node, LOOPS):
                return True
        return False

    def _write_entry(self, entry: Function, body: str) -> None:
        """Write a function anew that is called without arguments, and its calls where it was
        asynchronous.
        """
        words = ast.get_docstring(entry, clean=False)
        told = f'    """{words}"""\n\n' if words else ""
        returns = " -> None" if entry.returns is not None else ""
        self.text.rewrite(entry, f"def {entry.name}(){returns}:\n{told}    {body}\n")
        if isinstance(entry, ast.AsyncFunctionDef):
            choice = next(one for one in self.body if is_choice(one))
            for statement in (one for part in modes(choice) for one in part):
                if entry.name in loaded([statement]):
                    self.text.replace(statement, f"{entry.name}()")

    def _write_anew(self, way: _Way, *, is_offline: bool) -> None:
        known = self.names | {self.name, *dir(builtins)}
        loop = self._loop(way)
        target = loop.target.id if loop and isinstance(loop.target, ast.Name) else ""
        fits = known | {target}
        run = next(iter(called(way.place, "run_migrations")), None)
        running = ", ".join(
            self.text.segment(one)
            for one in (run.keywords if run else ())
            if loaded([one.value]) <= fits
        )
        kept = {
            one.arg: self.text.segment(one.value)
            for one in way.configure.keywords
            if one.arg and one.arg not in DROPPED and loaded([one.value]) <= fits
        }
        ours = self._ours(OURS_OFFLINE if is_offline else OURS)
        arguments = kept | {k: v for k, v in ours.items() if k not in kept or not _keeps(k)}
        used = loaded([ast.parse(f"f({', '.join([*arguments.values(), running])})")])
        lines = []
        if loop and target in used:
            only = self.text.segment(loop.iter)
            lines.append(f"{target} = next(iter({only}))  # the database whose tables tenants have")
        listed = [f"    {name}={value}," for name, value in arguments.items()]
        body = ["context.configure(", *listed, ")", "with context.begin_transaction():"]
        body += [f"    context.execute({self.name}.search_path_sql)"] if is_offline else []
        body += [f"    context.run_migrations({running})"]
        if not is_offline:
            body = [f"with {self.name}.session() as connection:", *(f"    {line}" for line in body)]
            body[2:2] = ["        connection=connection,"]
        self._write_entry(way.entry, "\n    ".join([*lines, *body]))

    def _loop(self, way: _Way) -> ast.For | None:
        """The first loop over something that the module knows."""
        for node in ast.walk(way.place):
            known = self.names | {*dir(builtins)}
            if isinstance(node, ast.For) and loaded([node.iter]) <= known:
                return node
        return None

    # -- offline --------------------------------------------------------------------------------

    def _adapt_offline(self, way: _Way) -> None:
        runs = next(iter(called(way.place, "run_migrations")), None)
        names = {one.arg for one in way.configure.keywords}
        is_known = way.entry is way.place and runs is not None and "output_buffer" not in names
        if not is_known or self._is_in_loop(way.configure, way.place):
            self._write_anew(way, is_offline=True)
            return
        given = _argument(way.configure, "url")
        self._edit_arguments(way.configure, self._ours(OURS_OFFLINE), left_out=("url",))
        if given is not None:
            drop_unused(self.text, way.place, given)
        assert runs is not None
        statement = self.up[runs]
        is_told = "search_path_sql" in self.text.segment(way.place)
        if isinstance(statement, ast.stmt) and not is_told:
            self.text.insert_before(statement, f"context.execute({self.name}.search_path_sql)")

    # -- arguments ------------------------------------------------------------------------------

    def _edit_arguments(
        self, call: ast.Call, ours: dict[str, str], left_out: tuple[str, ...] = ()
    ) -> None:
        """Give a call our arguments; its own stay, in their order, where they may."""
        words = [self.text.segment(one) for one in call.args]
        missing = dict(ours)
        for one in call.keywords:
            name, value = one.arg, self.text.segment(one.value)
            if name in left_out or name == "schema_translate_map":
                continue
            wanted = missing.pop(name, None) if name else None
            if name == "on_version_apply" and wanted and wanted not in value:
                value = f"[{value}, {wanted}]"
            elif wanted is not None and not _keeps(str(name)) and name != "on_version_apply":
                value = wanted
            words.append(f"{name}={value}" if name else f"**{value}")
        place = next((i for i, word in enumerate(words) if word.startswith("**")), len(words))
        words[place:place] = [f"{name}={value}" for name, value in missing.items()]
        if words == [self.text.segment(one) for one in (*call.args, *call.keywords)]:
            return  # as it is, with its comments
        statement: ast.AST = call
        while not isinstance(statement, ast.stmt):
            statement = self.up[statement]
        pad = " " * (statement.col_offset + 4)
        inner = "".join(f"{pad}{word},\n" for word in words)
        func = self.text.segment(call.func)
        self.text.replace(call, f"{func}(\n{inner}{pad[4:]})")


def _keeps(name: str) -> bool:
    return name in KEPT_AS_GIVEN


def _argument(call: ast.Call, name: str) -> ast.expr | None:
    return next((one.value for one in call.keywords if one.arg == name), None)


def _is_name(node: ast.expr | None, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _walk(body: list[ast.stmt]) -> list[ast.AST]:
    return [node for statement in body for node in ast.walk(statement)]
