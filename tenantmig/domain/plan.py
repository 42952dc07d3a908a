"""What a run will do: paths by where tenants stand, and one assignment a tenant. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from tenantmig.domain.lineage import Lineage
from tenantmig.domain.tenant import Tenant

Heads = tuple[str, ...]
"""The rows of a version table, sorted: () is base; several only in a history with branches."""


Memo = frozenset[tuple[str, str | None, str]]
"""Which types Alembic has made in a run: kind, schema and name. It makes none of them twice."""


class RunKind(StrEnum):
    """What a run does to each of its tenants."""

    UPGRADE = "upgrade"
    DOWNGRADE = "downgrade"
    ROLLBACK = "rollback"
    ONBOARD = "onboard"
    OFFBOARD = "offboard"
    STAMP = "stamp"
    RESTORE = "restore"


MOVES_FLEET = frozenset(
    {RunKind.UPGRADE, RunKind.DOWNGRADE, RunKind.ROLLBACK, RunKind.STAMP, RunKind.RESTORE}
)
"""The kinds of which one runs at a time in a database."""
RESUMABLE = (MOVES_FLEET | {RunKind.OFFBOARD}) - {RunKind.RESTORE}


@dataclass(frozen=True, slots=True)
class Path:
    """The revisions that bring a tenant from one place in the history to another, in order."""

    source: Heads
    target: Heads
    revisions: tuple[str, ...]
    destination: str
    """The target in Alembic's words, absolute: a retry of `-1` must not go down twice."""

    @property
    def is_empty(self) -> bool:
        """True when the tenant is where it should be."""
        return not self.revisions and self.source == self.target


@dataclass(frozen=True, slots=True)
class Leg:
    """A stretch of a path. A concurrent one holds revisions with an autocommit_block.

    Transactional and concurrent legs never run at the same time: CREATE INDEX CONCURRENTLY waits
    for every transaction that is older than itself.
    """

    path: Path
    is_concurrent: bool = False
    is_whole: bool = False
    """It holds both kinds, because a script may keep something for the next: one tenant at a time,
    when all others are through."""

    @property
    def phase(self) -> int:
        """Legs of a lower phase run before those of a higher one, and never beside them."""
        return int(self.is_concurrent) + int(self.is_whole)


@dataclass(frozen=True, slots=True)
class Assignment:
    """One tenant's part of a run, as it is given to an engine. `attempt` counts from 1.

    `leg` is the stretch of the path to go now (all of it by default). `is_reading` asks for nothing
    but to find out what earlier attempts left; `is_onward` says that the attempt of this number
    came to the end of the leg before and goes on; `is_witness` to look which shared tables the
    revisions lock. A driver of an older `epoch` of the run than the ledger's is fenced out.
    `lost_xid` is the transaction of an earlier attempt whose COMMIT may have been lost; `server` is
    where the run began. `releases` asks a worker to give its connection up after the attempt;
    `memo` is what earlier stretches of the path have made;
    `formats` are revisions that are proved to write the tenant's name and to ask nothing of it;
    `is_isolated` asks that nothing else runs in its process, before or after; `loads_late` that
    scripts are loaded once env.py has begun, as Alembic does.
    """

    run: int
    kind: RunKind
    tenant: Tenant
    path: Path
    attempt: int = 1
    is_reading: bool = False
    is_onward: bool = False
    epoch: int = 1
    leg: Path | None = None
    is_witness: bool = False
    lost_xid: str | None = None
    server: str | None = None
    releases: bool = False
    memo: Memo = frozenset()
    formats: frozenset[str] = frozenset()
    is_isolated: bool = False
    loads_late: bool = False

    @property
    def stretch(self) -> Path:
        """What is to be gone now."""
        return self.leg or self.path


@dataclass(frozen=True, slots=True)
class Way:
    """How a revision goes to most tenants: replayed, unless the first ones show why not, or by
    Alembic; `is_isolated`: each tenant in a process of its own. `reason` says why not replayed."""

    revision: str
    is_replayed: bool
    is_isolated: bool
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class PlanGroup:
    """The tenants that start from the same revisions and so take the same path."""

    path: Path
    tenants: tuple[Tenant, ...]
    legs: tuple[Leg, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """A tenant that cannot be brought along, and why; nothing is run for it."""

    tenant: Tenant
    message: str
    source: Heads = ()
    is_forbidden: bool = False
    """This role may not read its version table."""
    is_known: bool = True
    """Its version table was read and holds what may be revisions: `source`."""
    unknown: Heads = ()
    """Those of `source` that are not in this history."""
    is_ahead: bool = False
    """They are revisions of newer code, as the ledger or another tenant shows."""
    is_beyond: bool = False
    """A downgrade by -N would lead it beyond base, an upgrade by +N beyond head."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do to each selected tenant."""

    kind: RunKind
    target: str
    groups: tuple[PlanGroup, ...] = ()
    at_target: tuple[tuple[Tenant, Heads], ...] = ()
    problems: tuple[Problem, ...] = field(default=())
    left_out: tuple[Problem, ...] = ()
    """Tenants that are left where they are on purpose."""
    undoes: int | None = None
    """The run that a rollback undoes; `direction` is then what it does to each tenant."""
    direction: RunKind | None = None
    is_fleetwide: bool = False
    obstacles: Mapping[str, str] = field(default_factory=dict)
    """Why revisions will not be replayed, as far as that is known before they run."""
    ways: tuple[Way, ...] = ()
    """How each revision of the paths goes, as far as that is known."""
    lineage: Lineage = Lineage.TENANT
    shared: Plan | None = None
    """What is done to the shared lineage first."""
    nobody: str | None = None
    """Why no tenant is selected, if that is so: what the source lists."""

    @property
    def moves(self) -> RunKind:
        """What is done to each tenant: the kind, or a rollback's direction."""
        return self.direction or self.kind

    @property
    def pending(self) -> int:
        """How many tenants the run would change."""
        return sum(len(group.tenants) for group in self.groups)

    @property
    def is_readable(self) -> bool:
        """False when the version table of a tenant may not be read by this role."""
        is_shared = self.shared is None or self.shared.is_readable
        return is_shared and not any(problem.is_forbidden for problem in self.problems)

    @property
    def tenants(self) -> int:
        """How many tenants were selected."""
        return self.pending + len(self.at_target) + len(self.problems) + len(self.left_out)


def show_heads(heads: Sequence[str]) -> str | None:
    """Write the rows of a version table as one word for people and JSON; base is None."""
    return ",".join(heads) or None
