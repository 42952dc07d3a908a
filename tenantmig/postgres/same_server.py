"""The server of a run: a connection to another one is refused."""

from __future__ import annotations

from tenantmig.errors import ServerChangedError
from tenantmig.postgres.connection import BoundedConnection


def refuse_other_server(connection: BoundedConnection, server: str | None, run: int) -> None:
    """Make sure that a connection leads to the server on which a run began.

    Raises:
        ServerChangedError: it leads to another server, or to a standby promoted since; COMMITs
            that were acknowledged may be lost there.
    """
    if server is not None and connection.server != server:
        raise ServerChangedError(
            f"Run {run} began on server {server} (system identifier/timeline), but this is "
            f"{connection.server}: a standby was promoted, or the address leads to another "
            f"server. When the right server answers, `tenantmig resume {run}` reads which "
            "revision each tenant is at."
        )
