"""Adapting an env.py, step by step: what is taken out, written anew, and refused. Pure."""

from __future__ import annotations

import ast

from tenantmig.errors import EnvironmentFileError
from tenantmig.history.adaptation.adaptation import Adaptation
from tenantmig.history.adaptation.ending import with_two_modes
from tenantmig.history.adaptation.leftovers import refuse_left, refuse_lost
from tenantmig.history.adaptation.names import free_name
from tenantmig.history.adaptation.own_lines import refuse_doubtful, without_own_lines
from tenantmig.history.adaptation.replaced_names import NEW
from tenantmig.history.adaptation.text import EnvText
from tenantmig.history.adaptation.unused import without_unused
from tenantmig.history.adaptation.url import without_url


def adapt_env(source: str, file: str) -> str:
    """Return the text of an env.py as tenants need it; what is right already stays.

    Raises:
        EnvironmentFileError: it is not Python, or of a shape in which nothing can be told.
    """
    try:
        ast.parse(source)
    except SyntaxError as error:
        raise EnvironmentFileError(
            f"{file}, line {error.lineno}: a syntax error: {error.msg}."
        ) from error
    text = with_two_modes(source, file)
    refuse_doubtful(source, file)
    text = without_own_lines(text)
    name = free_name(ast.parse(text))
    adapted = Adaptation(EnvText(text.replace(NEW, name)), file, name).adapted()
    adapted = without_unused(source, without_url(adapted))
    refuse_left(adapted, source, file)
    refuse_lost(adapted, source, file)
    return adapted
