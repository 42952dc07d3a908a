"""Engines: each brings one tenant along its path, returns an Attempt and never raises."""

from __future__ import annotations

from typing import Protocol

from tenantmig.outcome import Attempt
from tenantmig.plan import Assignment


class Engine(Protocol):
    """What a rollout needs of an engine; `attempt` is called from several threads."""

    name: str

    def attempt(self, assignment: Assignment) -> Attempt:
        """Try once to bring a tenant along its path."""
        ...

    def close(self) -> None:
        """End every connection and process of the engine; attempts in flight are cut off."""
        ...
