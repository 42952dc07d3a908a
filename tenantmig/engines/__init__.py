"""Engines: each brings one tenant along its path, returns an Attempt and never raises."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from tenantmig.outcome import Attempt
from tenantmig.plan import Assignment


class Engine(Protocol):
    """What a rollout needs of an engine; `attempt` is called from several threads."""

    name: str

    def attempt(self, assignment: Assignment) -> Attempt:
        """Try once to bring a tenant along its path."""
        ...

    def close(self) -> None:
        """End every connection and process of the engine."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
