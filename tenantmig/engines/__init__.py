"""Engines: each brings one tenant along its path, returns an Attempt and never raises."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import psycopg

from tenantmig.domain.outcome import Attempt
from tenantmig.domain.plan import Assignment


class Engine(ABC):
    """What a rollout needs of an engine; `attempt` is called from several threads."""

    name: str

    @abstractmethod
    def attempt(self, assignment: Assignment) -> Attempt:
        """Try once to bring a tenant along its path.

        An attempt without outcome and failure was not begun, because the run was stopped.
        """

    def expect(self, schemas: Sequence[str]) -> None:  # noqa: B027  most need not know
        """Hear which tenant schemas are next."""

    def heed(self, stopping: threading.Event) -> None:  # noqa: B027  most do not wait
        """Hear what is set when nothing more is to be begun."""

    def verify(
        self,
        connection: psycopg.Connection,  # noqa: ARG002  the same
        least: int = 1,  # noqa: ARG002  the same
    ) -> Sequence[str]:
        """Return the tenant schemas that arrived and look otherwise than they should.

        Looks when at least so many have arrived since the last look.
        """
        return ()

    @property
    def obstacles(self) -> Mapping[str, str]:
        """Why revisions were not replayed, by revision."""
        return {}

    @abstractmethod
    def close(self) -> None:
        """End every connection and process of the engine; attempts in flight are cut off."""
