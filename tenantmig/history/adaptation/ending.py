"""The ending of an env.py: one function for each of Alembic's two modes, and the choice between.

An env.py that refuses the offline mode, or never asks for it, gets what writes SQL for a tenant.
Pure: text in, text out.
"""

from __future__ import annotations

import ast

from tenantmig.errors import EnvironmentFileError
from tenantmig.history.adaptation.lines import body_of, is_refusal, is_soft
from tenantmig.history.adaptation.text import EnvText, Function, bound, called, loaded

OFFLINE = '''\
def {name}() -> None:
    """Write the SQL for the tenant: `alembic -x tenant=NAME upgrade head --sql`."""
    context.configure({arguments})
    with context.begin_transaction():
        context.run_migrations()
'''
CHOICE = """\
if context.is_offline_mode():
    {offline}()
else:
    {online}
"""
BY_HAND = (
    "{file}{where} cannot be adapted automatically: {why}. "
    "docs/guides/coming-from/home-made-loops.md contains two complete env.py files. Start "
    "from one of them and add your imports, target_metadata and arguments of "
    "context.configure(); `tenantmig init` in an empty folder writes the first."
)
NO_RUN = "it does not call context.run_migrations()"
NO_CHOICE = "module-level code runs the migrations, not a function"
NONE = "its {mode} mode calls no function that runs the migrations"
MORE = "it calls {names} for one mode, and tenantmig can follow only one function"
OTHER = "its last lines do more than call one function for each mode"
NEW = "run_migrations_offline"


def by_hand(file: str, why: str, line: int | None = None) -> EnvironmentFileError:
    """Say why an env.py cannot be adapted, and what to do."""
    where = f", line {line}," if line else ""
    return EnvironmentFileError(BY_HAND.format(file=file, where=where, why=why))


def running_functions(functions: dict[str, Function]) -> dict[str, Function]:
    """Return the functions that come to run migrations, by themselves or through another."""
    found = {
        name: function
        for name, function in functions.items()
        if any(called(function, "run_migrations")) or any(called(function, "configure"))
    }
    while more := {
        n: f for n, f in functions.items() if n not in found and loaded([f]) & found.keys()
    }:
        found |= more
    return found


def with_two_modes(source: str, file: str) -> str:
    """Return a text that ends with a choice of one function for each mode; it may do so already.

    Raises:
        EnvironmentFileError: there is no function that runs the migrations, or more than one.
    """
    text = EnvText(source)
    if not any(called(text.tree, "run_migrations")):
        raise by_hand(file, NO_RUN)
    for one in text.tree.body:
        direct = [*called(one, "run_migrations"), *called(one, "configure")]
        if direct and not isinstance(one, Function | ast.ClassDef):
            raise by_hand(file, NO_CHOICE, direct[0].lineno)
    return _Ending(text, file).written()


class _Ending:
    def __init__(self, text: EnvText, file: str) -> None:
        self.text = text
        self.file = file
        self.running = running_functions(text.functions)
        self.choice = next((one for one in text.tree.body if is_choice(one)), None)
        self.after = [
            one
            for one in text.tree.body
            if one is not self.choice
            and not isinstance(one, Function)
            and loaded([one]) & self.running.keys()
        ]

    def written(self) -> str:
        offline, online = modes(self.choice)
        is_within = bool(loaded(online) & self.running.keys())
        online = online if is_within else [*online, *self.after]
        names = self._one_of(online, "online")
        known = loaded(offline) & self.running.keys()
        if len(known) > 1:
            self._one_of(offline, "offline")
        if known and is_within and not self.after:
            return self.text.source
        if is_within and self.after:
            raise self._more(names | loaded(self.after) & self.running.keys(), self.after[0])
        self._write(online, known.pop() if known else self._write_offline(offline))
        return self.text.edited()

    def _one_of(self, part: list[ast.stmt], mode: str) -> set[str]:
        names = loaded(part) & self.running.keys()
        if not names:
            raise by_hand(self.file, NONE.format(mode=mode), self._line(part))
        if len(names) > 1:
            raise self._more(names, part[0])
        return names

    def _more(self, names: set[str], at: ast.stmt) -> EnvironmentFileError:
        told = " and ".join(f"{name}()" for name in sorted(names))
        return by_hand(self.file, MORE.format(names=told), at.lineno)

    def _line(self, part: list[ast.stmt]) -> int | None:
        at = part[0] if part else self.choice
        return at.lineno if at is not None else None

    def _write_offline(self, offline: list[ast.stmt]) -> str:
        """Write the function for the offline mode, in the place of one that only refuses it."""
        for one in offline:
            is_call = isinstance(one, ast.Expr) and loaded([one]) & self.text.functions.keys()
            if not (is_call or is_refusal(one) or is_soft(one)):
                raise by_hand(self.file, OTHER, one.lineno)
        stubs = [name for name in (*sorted(loaded(offline)), NEW) if name in self.text.functions]
        name = stubs[0] if stubs else NEW
        if name in self.running:
            return name
        made = OFFLINE.format(name=name, arguments=", ".join(self._arguments()))
        if stubs:
            if not all(
                is_refusal(one) or is_soft(one) for one in body_of(self.text.functions[name])
            ):
                raise by_hand(self.file, OTHER, self.text.functions[name].lineno)
            self.text.rewrite(self.text.functions[name], made)
        else:
            first = min([*self.after, *filter(None, [self.choice])], key=lambda one: one.lineno)
            self.text.insert_before(first, made + "\n\n")
        return name

    def _arguments(self) -> list[str]:
        """Return what the online mode gives that means something offline too."""
        known = bound(self.text.tree.body)
        call = next(called(self.text.tree, "configure"), None)
        return [
            f"{one.arg}={self.text.segment(one.value)}"
            for one in (call.keywords if call else ())
            if one.arg in {"target_metadata", "version_table"} and loaded([one.value]) <= known
        ]

    def _write(self, online: list[ast.stmt], offline: str) -> None:
        for one in online:
            if not (isinstance(one, ast.Expr) or is_soft(one)):
                raise by_hand(self.file, OTHER, one.lineno)
        calls = "\n    ".join(self.text.segment(one) for one in online)
        *others, last = sorted([*self.after, *filter(None, [self.choice])], key=lambda o: o.lineno)
        for one in others:
            self.text.remove(one)
        self.text.rewrite(last, CHOICE.format(offline=offline, online=calls))


def is_choice(statement: ast.stmt) -> bool:
    """True for the statement that asks whether the mode is offline."""
    return isinstance(statement, ast.If) and any(called(statement.test, "is_offline_mode"))


def modes(choice: ast.stmt | None) -> tuple[list[ast.stmt], list[ast.stmt]]:
    """Return what is done offline, and what online."""
    if not isinstance(choice, ast.If):
        return [], []
    if isinstance(choice.test, ast.UnaryOp):
        return choice.orelse, choice.body
    return choice.body, choice.orelse
