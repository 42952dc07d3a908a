"""Autogenerate's comparators: put before or behind Alembic's own.

Alembic has plugins and priorities from 1.18 on; before, one list for each kind of thing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from alembic.autogenerate import comparators

Comparator = Callable[..., None]
_old: Any = getattr(comparators, "_registry", None) if hasattr(comparators, "uselist") else None


class _Ordered(list[Comparator]):
    """A list of comparators whose last ones stay behind what is registered later."""

    last = 0

    def append(self, comparator: Comparator) -> None:
        """Register one as Alembic does."""
        self.insert(len(self) - self.last, comparator)

    def close_with(self, comparator: Comparator) -> None:
        """Register one behind all others."""
        super().append(comparator)
        self.last += 1


def compare_first(target: str, comparator: Comparator, plugin: str | None = None) -> None:
    """Let a comparator of tables, columns or schemas run before Alembic's own.

    `plugin` is the name of a plugin that has it; without one it runs always.
    """
    _register(target, comparator, plugin, is_first=True)


def compare_last(target: str, comparator: Comparator) -> None:
    """Let a comparator run behind Alembic's own, and those that are registered already."""
    _register(target, comparator, None, is_first=False)


def _register(target: str, comparator: Comparator, plugin: str | None, *, is_first: bool) -> None:
    if _old is not None:
        _register_old(target, comparator, is_first=is_first)
        return
    from alembic.runtime.plugins import Plugin, _all_plugins  # noqa: PLC0415  not before 1.18
    from alembic.util import DispatchPriority  # noqa: PLC0415

    priority = DispatchPriority.FIRST if is_first else DispatchPriority.LAST
    if plugin is None:
        comparators.dispatch_for(target, priority=priority)(comparator)
    else:
        holder = _all_plugins.get(plugin) or Plugin(plugin)
        holder.add_autogenerate_comparator(comparator, target, priority=priority)  # type: ignore[arg-type]


def _register_old(target: str, comparator: Comparator, *, is_first: bool) -> None:
    listed = _old.get((target, "default"), ())
    if not isinstance(listed, _Ordered):
        listed = _old[target, "default"] = _Ordered(listed)
    if is_first:
        listed.insert(0, comparator)
    else:
        listed.close_with(comparator)
