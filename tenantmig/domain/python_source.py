"""The text of a Python file and its syntax tree, read as Python reads them."""

from __future__ import annotations

import ast
import threading
import tokenize

_PARSING = threading.Lock()


def parse_source(file: str) -> ast.Module:
    """Return the syntax tree of a script.

    One thread at a time: Python 3.11 raises SystemError where two are at it (CPython issue 106905).
    """
    source = read_source(file)
    with _PARSING:
        return ast.parse(source, file)


def read_source(file: str) -> str:
    """Return the text of a script in the encoding that it says, as Python reads it."""
    with tokenize.open(file) as source:
        return source.read()
