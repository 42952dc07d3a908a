"""What an adapted env.py does not use any more: imports, and names of replaced code. Pure."""

from __future__ import annotations

import ast

from tenantmig.history.adaptation.text import EnvText, Function, bound, loaded


def without_unused(before: str, after: str) -> str:
    """Take out the imports that the old text used and the new one does not."""
    old, text = EnvText(before), EnvText(after)
    used_before, used = loaded([old.tree]), loaded([text.tree])
    for statement in text.tree.body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            names = bound([statement])
            if names & used_before == names and not names & used:
                text.remove(statement)
    return text.edited()


def drop_unused(text: EnvText, function: Function, was: ast.expr) -> None:
    """Take out the assignments whose only use stood in what was replaced."""
    names = loaded([was])
    rest = [n for n in ast.walk(function) if isinstance(n, ast.Name) and n.id in names]
    inside = set(ast.walk(was))
    for statement in function.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        if len(targets) == 1 and isinstance(targets[0], ast.Name):
            name, own = targets[0].id, set(ast.walk(statement))
            others = [n for n in rest if n.id == name and n not in inside and n not in own]
            if name in names and not others:
                text.remove(statement)
