"""One call of the command, and the fleet that it opens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from tenantmig.fleet.fleet import Fleet
    from tenantmig.settings import Settings


@dataclass
class Invocation:
    """One call of the command: where its settings are, and which secrets it must not tell."""

    config: Path = Path("alembic.ini")
    settings: Settings | None = None
    found: dict[str, object] | None = None
    """What `--json` tells beside the error where the command is cut off after this."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be told now: a password command gives a new one at every connect."""
        return self.settings.secrets if self.settings else ()


def open_fleet(ctx: typer.Context, **flags: object) -> Fleet:
    """Open the fleet of the `--config` before the command, with a command's flags as settings.

    The libraries are imported here, so that `--help` and shell completion do without them.
    """
    from tenantmig.fleet.fleet import Fleet
    from tenantmig.settings import load_settings

    invocation = ctx.ensure_object(Invocation)
    settings = load_settings(config=invocation.config, **flags)
    invocation.settings = settings
    return Fleet(settings)
