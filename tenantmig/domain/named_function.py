"""A function of the application that a setting names as `module:function`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from tenantmig.domain.ini_error import say_error
from tenantmig.errors import TenantmigError


def find_function(setting: str, where: str, refusal: type[TenantmigError]) -> Callable[..., Any]:
    """Import the module and return its function.

    Raises:
        refusal: the module cannot be imported or has no such function; with the setting's name, and
            without a value of the ini, which a module may read.
    """
    module, _, function = where.partition(":")
    try:
        return getattr(importlib.import_module(module), function)  # type: ignore[no-any-return]
    except Exception as error:
        raise refusal(
            f"`{setting}` is {where!r} and cannot be imported"
            f" ({type(error).__name__}: {say_error(error)}); write module:function."
        ) from error
