"""Blueprints: the templates of whole births that a run uses. May be used from several threads.

Knows when one is worth its making; how it is made and proved is its maker's.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tenantmig.domain.plan import Assignment, Path, RunKind
from tenantmig.engines.template import NotReplayable, Template

BLUEPRINT = "blueprint"
"""What stands in the place of an engine, and of a revision, where a whole birth is told of."""
FIRST = 2
"""Tenants that the chain makes before a blueprint is made."""
WORTH = 20
"""Tenants for which one is made where the chain is replayed, which takes milliseconds."""
Make = Callable[[Path], Template]
Find = Callable[[Path], Template | None]


@dataclass(frozen=True, slots=True)
class Found:
    """What there is for a birth: a template, or none."""

    template: Template | None = None


NOTHING = Found()


class Blueprints:
    """The blueprints of one run; without `make` there are none. `find` knows those of earlier runs.

    A blueprint is found or made once for a path; while it is, everybody else waits.
    """

    def __init__(self, make: Make | None = None, find: Find = lambda _: None) -> None:
        self._make = make
        self._find = find
        self._sought: set[Path] = set()
        self._known: dict[Path, Found] = {}
        self._born: Counter[Path] = Counter()
        self._expected = 0
        self._making = threading.Lock()
        self._obstacles: dict[str, str] = {}

    @property
    def obstacles(self) -> Mapping[str, str]:
        """Why there is no blueprint, under `BLUEPRINT`, if one was to be made."""
        return self._obstacles

    def expect(self, births: int) -> None:
        """Hear how many tenants are next."""
        self._expected = max(self._expected, births)

    def note(self, assignment: Assignment) -> None:
        """A tenant has arrived by the chain."""
        if assignment.kind is RunKind.ONBOARD:
            with self._making:
                self._born[assignment.path] += 1

    def find(self, path: Path, wait_s: float, *, is_replayed: bool) -> Found | None:
        """Return what there is for a birth along a path; None while another thread makes it."""
        if self._make is None or path in self._known:
            return self._known.get(path, NOTHING)
        if not self._making.acquire(timeout=wait_s):
            return None
        try:
            if path not in self._sought:
                self._sought.add(path)
                kept = self._find(path)
                if kept is not None:
                    self._known[path] = Found(kept)
            if path not in self._known:
                is_worth = not is_replayed or self._expected >= WORTH
                if self._born[path] < FIRST or not is_worth:
                    return NOTHING
                self._known[path] = self._made(self._make, path)
            return self._known[path]
        finally:
            self._making.release()

    def _made(self, make: Make, path: Path) -> Found:
        try:
            return Found(make(path))
        except NotReplayable as reason:
            self._obstacles[BLUEPRINT] = str(reason)
            return NOTHING
