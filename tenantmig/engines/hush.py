"""The driver's own work logs no progress: what it runs for itself is none of the user's runs.

Knows the standard library's logging alone. Call it in a process that ends with that work.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def hush() -> None:
    """Let nothing below a warning be logged here, whatever env.py configures (`fileConfig`)."""
    logging.disable(logging.WARNING - 1)


def hushed(task: Callable[..., T], *arguments: object) -> T:
    """Call a task in this process, which logs no progress from here on."""
    hush()
    return task(*arguments)
